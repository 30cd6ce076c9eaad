// The figures of ISA-18.2 / IEC 62682 with their targets, for a time and a place.

import { address, features, get } from './api.js';
import { catalog, newestTime, pointName } from './catalog.js';
import { fill, h, svg, text } from './dom.js';
import { clock, count, date, dateTime, duration } from './format.js';
import { pick, t } from './i18n.js';

const SPANS = [['24h', 86_400_000], ['7d', 7 * 86_400_000], ['30d', 30 * 86_400_000]];
/** ISA-18.2-2016 and EEMUA 191: averages per operator and ten minutes, share of time in flood, stale alarms. */
const TARGETS = { average: 1, peak: 10, floodShare: .01, topShare: .05, stale: 5, fleeting: 0, chattering: 0 };
const SPREAD = { blue: .8, yellow: .15, orange: .05, red: .01 };

/** The page at /kpi. */
export class KPIPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.span = SPANS.find(([name]) => name === query.get('span')) ?? SPANS[0];
    this.path = query.get('path') ?? '';
    this.note = h('p', { class: 'hint', role: 'status' });
    this.box = h('div', { id: 'kpi' });
    const place = h('select', { 'aria-label': t('filter.enterprise'), onchange: () => this.app.go(`/kpi?span=${this.span[0]}&path=${encodeURIComponent(place.value)}`) }, h('option', { value: '' }, t('filter.all')),
      catalog.tree.map((e) => [h('option', { value: e.path, selected: e.path === this.path }, pick(e.name, e.id)), e.children.map((s) => h('option', { value: s.path, selected: s.path === this.path }, `　${pick(s.name, s.id)}`))]));
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.kpi')), SPANS.map(([name]) => h('a', { class: 'tab', href: `/kpi?span=${name}&path=${encodeURIComponent(this.path)}`, 'aria-current': name === this.span[0] ? 'page' : null }, name)), place, h('button', { class: 'no-print', onclick: () => print() }, t('ledger.print')), this.note), features.has('reports') ? this.reports() : null, this.box));
    this.load();
  }

  /** The report of a day or a month of the site's calendar, to print or for a spreadsheet. */
  reports() {
    const input = h('input', { type: 'date', id: 'report-day', 'aria-label': t('report.day'), value: date((this.app.store.now || Date.now()) - 86_400_000) });
    const monthly = h('input', { type: 'checkbox' });
    const open = (format) => () => {
      const period = monthly.checked ? input.value.slice(0, 7) : input.value;
      const link = h('a', { href: address(`reports/${period}`, { format }), target: format === 'html' ? '_blank' : null, download: format === 'html' ? null : '', rel: 'noopener' });
      document.body.append(link);
      link.click();
      link.remove();
    };
    return h('p', { class: 'links no-print' }, h('b', null, t('report.title')), input, h('label', { class: 'check' }, monthly, t('report.month')), [['html', 'ledger.print'], ['xlsx', null], ['csv', null]].map(([format, name]) => h('button', { onclick: open(format) }, name ? t(name) : format.toUpperCase())));
  }

  async load() {
    text(this.note, t('verify.running'));
    try {
      const to = await newestTime(this.app.store.now) + 1;
      const report = await get('kpis', { from: Math.max(0, to - this.span[1]), to, path: this.path });
      if (this.isConnected) this.show(report);
    } catch (problem) { text(this.note, problem.message); }
  }

  show(r) {
    text(this.note, `${dateTime(r.from)} – ${dateTime(r.to)}${r.complete ? '' : ` · ${t('kpi.incomplete')}`}`);
    const chattering = Object.entries(r.chattering), percent = (x) => `${(x * 100).toFixed(x < .1 ? 1 : 0)} %`;
    const card = (name, value, target, isGood) => h('div', { class: isGood ? '' : 'missed' }, h('span', null, t(`kpi.${name}`)), h('b', null, value), h('small', null, `${isGood ? '✓' : '✕'} ${target}`));
    const total = Object.values(r.priorities).reduce((a, b) => a + b, 0) || 1;
    const list = (title, items) => h('section', null, h('h2', null, `${title} (${items.length})`), items.length ? h('ul', { class: 'plain' }, items.slice(0, 20).map((x) => h('li', null, x))) : h('p', { class: 'hint' }, t('kpi.none')));
    fill(this.box,
      h('div', { class: 'kpi-cards' }, card('average', r.perTenMinutes.average.toFixed(2), `≤ ${TARGETS.average}`, r.perTenMinutes.average <= TARGETS.average), card('peak', count(r.perTenMinutes.peak), `≤ ${TARGETS.peak}`, r.perTenMinutes.peak <= TARGETS.peak),
        card('flood', percent(r.flood.share), `< ${percent(TARGETS.floodShare)}`, r.flood.share < TARGETS.floodShare), card('topShare', percent(r.topShare), `≤ ${percent(TARGETS.topShare)}`, r.topShare <= TARGETS.topShare),
        card('chattering', count(chattering.length), '= 0', chattering.length === 0), card('fleeting', count(r.fleeting), '= 0', r.fleeting === 0), card('stale', count(r.stale.length), `< ${TARGETS.stale}`, r.stale.length < TARGETS.stale)),
      h('h2', null, t('kpi.perTen', { n: count(r.annunciated) })), this.bars(r),
      h('div', { class: 'kpi-body' },
        h('section', null, h('h2', null, t('kpi.top')), h('table', { class: 'list' }, h('tbody', null, r.top.map((x) => h('tr', null, h('td', { title: x.rule }, this.ruleName(x.rule)), h('td', { class: 'num' }, count(x.count)), h('td', { class: 'num' }, percent(x.share)), h('td', { class: 'share' }, h('meter', { min: 0, max: 1, value: x.share, 'aria-label': percent(x.share) }))))))),
        h('section', null, h('h2', null, t('kpi.priorities')), h('table', { class: 'list' }, h('thead', null, h('tr', null, ['level', 'count', 'share', 'target'].map((c) => h('th', { scope: 'col' }, t(`kpi.${c}`))))), h('tbody', null, ['red', 'orange', 'yellow', 'blue'].map((p, i) => h('tr', null, h('td', null, t(`level.${i + 1}`)), h('td', { class: 'num' }, count(r.priorities[p])), h('td', { class: 'num' }, percent(r.priorities[p] / total)), h('td', { class: 'num' }, `${p === 'red' ? '< ' : '≈ '}${percent(SPREAD[p])}`)))))),
        h('section', null, h('h2', null, t('kpi.times')), h('dl', { class: 'facts' }, h('dt', null, t('kpi.acknowledge')), h('dd', null, r.acknowledge.median === null ? '–' : `${duration(r.acknowledge.median)} / ${duration(r.acknowledge.p95)}`), h('dt', null, t('kpi.answer')), h('dd', null, r.callouts.answer.median === null ? '–' : `${duration(r.callouts.answer.median)} / ${duration(r.callouts.answer.p95)}`),
          ['started', 'confirmed', 'unanswered', 'escalated', 'failedCalls'].map((k) => [h('dt', null, t(`kpi.callouts.${k}`)), h('dd', null, count(r.callouts[k]))]))),
        list(t('kpi.chatteringList'), chattering.sort((a, b) => b[1] - a[1]).map(([rule, n]) => `${this.ruleName(rule)} × ${count(n)}`)), list(t('kpi.staleList'), r.stale.map((id) => h('a', { href: `/alarm?id=${encodeURIComponent(id)}` }, this.ruleName(id.split('@')[0])))),
        list(t('kpi.aside'), [...r.shelved, ...r.suppressed, ...r.outOfService].map((id) => h('a', { href: `/alarm?id=${encodeURIComponent(id)}` }, this.ruleName(id.split('@')[0]))))));
  }

  ruleName(name) {
    const [point, rule] = name.split('#'), node = catalog.nodes.get(point);
    return node ? `${pointName(point)} ${pick(node.rules.find((r) => r.id === rule)?.text, rule)}` : name;
  }

  /** Bars of ten minutes, or of hours and days where those were too narrow; above the flood's limit they are dark. */
  bars(r) {
    let counts = r.perTenMinutes.counts, step = 600_000;
    const most = 288;
    while (counts.length > most) {
      const factor = counts.length / most > 6 ? 6 : Math.ceil(counts.length / most);
      counts = Array.from({ length: Math.ceil(counts.length / factor) }, (_, i) => Math.max(...counts.slice(i * factor, (i + 1) * factor)));
      step *= factor;
    }
    const high = Math.max(12, ...counts), width = 1000 / Math.max(1, counts.length), y = (n) => 150 - n / high * 140;
    return h('figure', { class: 'kpi-bars' }, svg('svg', { viewBox: '0 0 1040 172', role: 'img', 'aria-label': t('kpi.barsLabel', { peak: r.perTenMinutes.peak }) },
      counts.map((n, i) => n ? svg('rect', { x: 40 + i * width, y: y(n), width: Math.max(.8, width - .6), height: 150 - y(n), class: n > 10 ? 'flood-bar' : '' }, svg('title', null, `${dateTime(r.from + i * step)}: ${n}`)) : null),
      [[10, 'kpi.floodLine'], [1, 'kpi.targetLine']].map(([n, key]) => [svg('path', { d: `M40 ${y(n)}H1040`, class: 'kpi-line' }), svg('text', { x: 1038, y: y(n) - 3, 'text-anchor': 'end' }, t(key, { n }))]),
      svg('text', { x: 36, y: 14, 'text-anchor': 'end' }, high), svg('text', { x: 36, y: 150, 'text-anchor': 'end' }, 0), svg('text', { x: 40, y: 166 }, dateTime(r.from)), svg('text', { x: 1040, y: 166, 'text-anchor': 'end' }, `${dateTime(r.to).slice(0, 11)}${clock(r.to)}`)),
      step > 600_000 ? h('figcaption', null, t('kpi.grouped', { step: duration(step) })) : null);
  }
}

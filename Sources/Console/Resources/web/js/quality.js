// Data quality and falsification: what the rules that compare values over time or between points have found,
// by device, with the curve that shows it.

import { get } from './api.js';
import { areaName, catalog, condition, markOf, nameAt, newestTime, pointName, pointOf, ruleOf, ruleText } from './catalog.js';
import { drawTrend, limitsOf } from './chart.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, count, dateTime, duration, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { level } from './store.js';

/** Levels of rules that speak of the data rather than of the plant. */
const LEVELS = { pattern: 3, clock: 2, range: 2, stale: 1 };
const SPANS = [['24h', 86_400_000], ['7d', 7 * 86_400_000], ['30d', 30 * 86_400_000]];
const MOST = 3000;

/** The page at /quality. */
export class QualityPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.span = SPANS.find(([name]) => name === query.get('span')) ?? SPANS[1];
    this.note = h('p', { class: 'hint', role: 'status' });
    this.devices = h('tbody', { id: 'quality-devices' });
    this.findings = h('tbody', { id: 'quality-findings' });
    this.evidence = h('div', { class: 'evidence' }, h('p', { class: 'hint' }, t('quality.choose')));
    this.refused = h('ul', { class: 'plain' });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.quality')), SPANS.map(([name]) => h('a', { class: 'tab', href: `/quality?span=${name}`, 'aria-current': name === this.span[0] ? 'page' : null }, name)), this.note),
      h('p', null, t('quality.about')),
      h('div', { class: 'quality-body' },
        h('div', null, h('h2', null, t('quality.devices')), this.table(this.devices, ['device', 'score', 'pattern', 'rangeFindings', 'clockFindings', 'silent', 'standing', 'lastSeen']),
          h('h2', null, t('quality.findings')), this.table(this.findings, ['alarm', 'raised', 'device', 'kind', 'value', 'lasting', 'state'])),
        h('aside', null, h('h2', null, t('quality.evidence')), this.evidence, h('h2', null, t('quality.refused')), this.refused))));
    this.load();
  }

  table(body, columns) {
    return h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), body));
  }

  disconnectedCallback() { this.chart?.plot?.destroy(); }

  async load() {
    try {
      const to = await newestTime(this.app.store.now) + 60_000, from = Math.max(0, to - this.span[1]);
      this.to = to;
      const found = [];
      let before = null, looked = 0;
      do {
        const page = await get('alarms', { from, to, before, limit: 500 });
        if (!this.isConnected) return;
        looked += page.alarms.length;
        for (const alarm of page.alarms) { const kind = ruleOf(alarm)?.level; if (LEVELS[kind]) found.push({ ...alarm, kind }); }
        before = page.next;
      } while (before !== null && looked < MOST);
      this.show(found, before === null);
      const { rejects } = await get('rejects', { limit: 500 });
      const tally = new Map();
      for (const r of rejects) tally.set(r.reason, (tally.get(r.reason) ?? 0) + r.count);
      fill(this.refused, [...tally].sort((a, b) => b[1] - a[1]).map(([reason, n]) => h('li', null, h('b', { class: 'num' }, count(n)), ' ', t(`reject.${reason}`) === `reject.${reason}` ? reason : t(`reject.${reason}`))), tally.size ? h('li', null, h('a', { href: '/rejects' }, t('nav.rejects'))) : h('li', null, t('quality.noneRefused')));
    } catch (problem) { text(this.note, problem.message); }
  }

  show(found, isAll) {
    const devices = new Map();
    for (const alarm of found) {
      const path = alarm.point.split('/').slice(0, 4).join('/');
      const d = devices.get(path) ?? { path, pattern: 0, clock: 0, range: 0, stale: 0, standing: 0, last: 0, score: 0 };
      d[alarm.kind] += 1;
      d.score += LEVELS[alarm.kind];
      if (alarm.state !== 'normal') { d.standing += 1; d.score += LEVELS[alarm.kind]; }
      d.last = Math.max(d.last, alarm.onset);
      devices.set(path, d);
    }
    const list = [...devices.values()].sort((a, b) => b.score - a.score || b.last - a.last);
    fill(this.devices, list.slice(0, 100).map((d) => h('tr', null, h('td', { title: d.path }, pick(catalog.nodes.get(d.path)?.name, d.path), h('small', null, ` ${areaName(d.path)}`)), h('td', { class: 'num' }, h('b', null, d.score)),
      h('td', { class: 'num' }, d.pattern), h('td', { class: 'num' }, d.range), h('td', { class: 'num' }, d.clock), h('td', { class: 'num' }, d.stale), h('td', { class: 'num' }, d.standing), h('td', { class: 'time' }, dateTime(d.last)))),
      list.length ? null : h('tr', null, h('td', { colspan: 8 }, t('quality.none'))));
    fill(this.findings, found.slice(0, 300).map((a) => h('tr', { class: `state-${a.state}` }, h('td', null, symbol(level(a), { size: 16, label: t(`level.${level(a)}`) })), h('td', { class: 'time' }, dateTime(a.onset)),
      h('td', { title: a.point }, pointName(a.point), h('small', null, ` ${nameAt(a.point, 1)}`)), h('td', null, h('button', { class: 'link', onclick: () => this.prove(a) }, ruleText(a))), h('td', { class: 'num' }, `${number(a.value)} ${unit(a.unit)}`),
      h('td', { class: 'num' }, duration((a.returned ?? this.to) - a.onset)), h('td', null, t(`state.${a.state}`)))), found.length ? null : h('tr', null, h('td', { colspan: 7 }, t('quality.none'))));
    text(this.note, t(isAll ? 'quality.total' : 'quality.partial', { n: count(found.length), devices: count(list.length) }));
    if (found.length) this.prove(found[0]);
  }

  /** The curve around the finding, with its neighbours on the same device: a frozen value shows beside one that is not. */
  async prove(alarm) {
    this.chart?.plot?.destroy();
    const asked = this.asked = Symbol('evidence');
    const point = pointOf(alarm), lasting = Math.max(1_800_000, (alarm.returned ?? this.to) - alarm.onset);
    const from = Math.max(0, alarm.onset - Math.min(lasting, 6 * 3_600_000)), to = alarm.onset + Math.min(lasting * 1.5, 24 * 3_600_000);
    this.chart = h('div', { class: 'chart', id: 'evidence-chart' });
    const siblings = (point?.parent?.children ?? []).filter((p) => p !== point).slice(0, 2);
    const others = siblings.map((sibling) => ({ sibling, box: h('div', { class: 'chart' }) }));
    fill(this.evidence, h('h3', null, symbol(level(alarm), { size: 18 }), ` ${pointName(alarm.point)} ${ruleText(alarm)}`), h('p', { class: 'condition' }, condition(ruleOf(alarm)?.condition ?? '')),
      h('figure', { class: 'trend' }, this.chart), others.map((o) => h('figure', { class: 'trend' }, h('figcaption', null, pick(o.sibling.name, o.sibling.id)), o.box)), h('p', null, h('a', { class: 'button', href: `/alarm?id=${encodeURIComponent(alarm.alarm)}` }, t('detail.open'))));
    const draw = async (box, path, p, events, height) => {
      const trend = await get(`points/${encodeURIComponent(path)}/trend`, { from, to: Math.round(to), buckets: 600 });
      if (asked !== this.asked) return;
      await drawTrend(box, trend.buckets, { from, to, unit: unit(p?.unit), height, charts: this.app.settings.charts, marked: markOf(alarm), limits: limitsOf(p, (r) => `${pick(r.text, r.id)} ${number(r.setpoint)}`), events });
    };
    try {
      const events = [{ time: alarm.onset, label: `${t('event.raised')} ${clock(alarm.onset)}`, colour: '#b3001b' }];
      if (alarm.returned) events.push({ time: alarm.returned, label: `${t('event.returned')} ${clock(alarm.returned)}`, colour: '#2b7a2b' });
      await draw(this.chart, alarm.point, point, events, 220);
      for (const o of others) await draw(o.box, o.sibling.path, o.sibling, [], 110);
    } catch (problem) { fill(this.evidence, h('p', { class: 'error' }, problem.message)); }
  }
}

// One alarm with its evidence: the trend around it, the rule in words and where it comes from, what to
// do, and every step with its place in the ledger.

import { address, get } from './api.js';
import { areaName, nameAt, pointName, pointOf, ruleOf, ruleText } from './catalog.js';
import { drawTrend } from './chart.js';
import { askAct } from './dialog.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, dateTime, duration, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { isAside, isUnacknowledged, level } from './store.js';

const SPANS = [['1h', 1_800_000], ['8h', 4 * 3_600_000], ['24h', 12 * 3_600_000]];

/** The detail of an alarm; `element` goes into the page, `close()` ends its work. */
export class AlarmDetail {
  constructor(app, id, { compact = false } = {}) {
    this.app = app;
    this.id = id;
    this.compact = compact;
    this.half = SPANS[0][1];
    this.sequence = -1;
    this.head = h('header', { class: 'detail-head' });
    this.buttons = h('div', { class: 'buttons' });
    this.spans = h('div', { class: 'spans' });
    this.chart = h('div', { class: 'chart', id: 'trend' });
    this.chartNote = h('p', { class: 'hint' });
    this.rule = h('section', { class: 'rule' });
    this.steps = h('section', { class: 'steps' });
    this.others = h('section', { class: 'others' });
    this.element = h('article', { class: `detail${compact ? ' compact' : ''}` }, this.head, this.buttons,
      h('figure', { class: 'trend' }, this.spans, this.chart, this.chartNote), this.rule, this.steps, this.others);
    this.aborter = new AbortController();
    this.resize = new ResizeObserver(() => this.redraw());
    this.resize.observe(this.chart);
    this.refresh();
  }

  close() {
    this.aborter.abort();
    this.resize.disconnect();
  }

  /** Shows the live row at once, and fetches the steps when there is a new one. */
  refresh() {
    const row = this.app.store.rows.get(this.id);
    if (row) this.show(row);
    const sequence = row?.sequence ?? this.sequence - 1;
    if (sequence !== this.sequence) {
      this.sequence = sequence;
      this.fetch();
    }
  }

  async fetch() {
    try {
      this.full = await get(`alarms/${encodeURIComponent(this.id)}`, {}, this.aborter.signal);
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.steps, h('p', { class: 'error' }, problem.message));
      return;
    }
    this.sequence = this.app.store.rows.get(this.id)?.sequence ?? this.full.sequence;
    this.show(this.full);
    this.showSteps();
    if (!this.othersShown) { this.othersShown = true; this.showOthers(); }
    if (!this.buckets) this.trend(); else this.redraw();
  }

  show(alarm) {
    this.alarm = alarm;
    const point = pointOf(alarm), rule = ruleOf(alarm);
    fill(this.head, symbol(level(alarm), { size: 30, hollow: isAside(alarm), label: t(`level.${level(alarm)}`) }),
      h('div', null,
        h('h2', null, `${pointName(alarm.point)} ${ruleText(alarm)}`),
        h('p', { class: 'where' }, `${nameAt(alarm.point, 1)} · ${areaName(alarm.point)}`),
        h('p', { class: 'state-line' }, h('span', { class: `badge state-${alarm.state}` }, t(`state.${alarm.state}`)), ' ',
          h('b', null, `${number(alarm.value)} ${unit(alarm.unit)}`), alarm.limit === null || alarm.limit === undefined ? '' : ` / ${t('detail.limit')} ${number(alarm.limit)}`,
          ` · ${t('detail.since', { time: dateTime(alarm.onset) })}`, alarm.unrecorded ? h('strong', { class: 'error' }, ` ${t('unrecorded')}`) : null)));
    const can = { acknowledge: isUnacknowledged(alarm) && !isAside(alarm), reset: alarm.state.startsWith('latched'), shelve: ['unacknowledged', 'acknowledged', 'returnedUnacknowledged'].includes(alarm.state),
      unshelve: alarm.state === 'shelved', removeFromService: alarm.state !== 'outOfService', returnToService: alarm.state === 'outOfService' };
    const standing = alarm.state !== 'normal';
    const key = { acknowledge: ' A', shelve: ' S' };
    fill(this.buttons, Object.entries(can).filter(([, yes]) => yes && standing).map(([kind]) =>
      h('button', { class: kind === 'acknowledge' ? 'primary' : '', dataset: { act: kind }, onclick: () => this.act(kind) }, t(`act.${kind}`), key[kind] ? h('kbd', null, key[kind]) : null)),
      this.compact ? h('a', { class: 'button', href: `/alarm?id=${encodeURIComponent(this.id)}` }, t('detail.open')) : null);
    const shown = `${rule?.id}${alarm.catalog}`;
    if (this.ruleShown !== shown) { this.ruleShown = shown; this.showRule(rule, point, alarm); }
  }

  async act(kind) {
    if (await askAct(kind, [this.alarm], this.app.settings)) this.fetch();
  }

  showRule(rule, point, alarm) {
    if (!rule) { fill(this.rule, h('h3', null, t('rule.title')), h('p', null, alarm.rule)); return; }
    const source = rule.source;
    const response = pick(rule.response).split(/(?:\r?\n|(?<=[。；;])\s*)/).map((s) => s.trim()).filter(Boolean);
    fill(this.rule,
      h('h3', null, t('rule.response')), h('ol', { class: 'response' }, response.map((line) => h('li', null, line.replace(/^\d+[.、)]\s*/, '')))),
      h('h3', null, t('rule.title')),
      h('p', { class: 'condition' }, `${pick(point?.name, alarm.point)} ${unit(rule.condition).replace('; returns', t('rule.returns'))}`),
      h('dl', { class: 'facts' },
        h('dt', null, t('rule.source')), h('dd', null, source.origin === 'standard' ? `${source.standard} ${source.clause ?? ''}` : t(`origin.${source.origin}`),
          source.edition && source.origin === 'standard' ? ` (${source.edition})` : '', ' ', h('span', { class: `mark mark-${source.mark}` }, t(`mark.${source.mark}`))),
        rule.bound ? [h('dt', null, t('rule.bound')), h('dd', null, rule.bound, rule.looserThanBound ? h('strong', { class: 'error' }, ` ${t('rule.looser')}`) : null)] : null,
        rule.deviation ? [h('dt', null, t('rule.deviation')), h('dd', null, `${rule.deviation.reason} — ${rule.deviation.approvedBy}, ${rule.deviation.approvedOn}`)] : null,
        source.note ? [h('dt', null, t('rule.note')), h('dd', null, pick(source.note))] : null,
        h('dt', null, t('rule.version')), h('dd', { class: 'mono' }, (alarm.catalog ?? '').slice(0, 12))));
  }

  showSteps() {
    fill(this.steps, h('h3', null, t('steps.title')),
      h('ol', { class: 'history' }, this.full.entries.map((entry) => h('li', { class: `event-${entry.body?.event}` },
        h('time', null, dateTime(entry.time)),
        h('b', null, t(`event.${entry.body?.event ?? 'redacted'}`)),
        h('span', null, entry.actor === 'engine' ? '' : entry.actor, entry.body?.reason ? `：${entry.body.reason}` : '',
          entry.body?.value === undefined ? '' : ` ${number(entry.body.value)} ${unit(entry.body.unit)}`),
        h('a', { class: 'ledger-link', href: `/ledger?view=entries&after=${entry.sequence - 1}`, title: `${t('steps.hash')} ${entry.hash}` }, `#${entry.sequence}`),
        h('small', { class: 'mono', title: t('steps.origin') }, ` ← ${entry.body?.cause ?? entry.origin}`)))));
  }

  async showOthers() {
    try {
      const page = await get('alarms', { point: this.alarm.point, limit: 30 }, this.aborter.signal);
      const others = page.alarms.filter((a) => a.alarm !== this.id);
      fill(this.others, h('h3', null, t('others.title', { n: others.length })),
        others.length ? h('ul', null, others.slice(0, this.compact ? 5 : 30).map((a) => h('li', null, symbol(level(a), { size: 14 }),
          h('a', { href: `/alarm?id=${encodeURIComponent(a.alarm)}` }, `${dateTime(a.onset)} ${ruleText(a)}`),
          ` ${number(a.value)} ${unit(a.unit)} · ${t(`state.${a.state}`)} ${a.returned ? duration(a.returned - a.onset) : ''}`))) : null);
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.others, h('p', { class: 'error' }, problem.message));
    }
  }

  async trend() {
    const alarm = this.alarm;
    fill(this.spans, SPANS.map(([name, half]) => h('button', { class: half === this.half ? 'on' : '', onclick: () => { this.half = half; this.trend(); } }, name)));
    const from = alarm.onset - this.half, to = Math.max(alarm.onset + this.half, 1);
    const point = pointOf(alarm);
    try {
      const trend = await get(`points/${encodeURIComponent(alarm.point)}/trend`, { from: Math.max(0, from), to, buckets: 500 }, this.aborter.signal);
      this.buckets = trend.buckets;
      this.range = [from, to];
      const peak = trend.buckets.reduce((m, b) => Math.max(m, b.maximum), -Infinity);
      const low = trend.buckets.reduce((m, b) => Math.min(m, b.minimum), Infinity);
      const n = trend.buckets.reduce((sum, b) => sum + b.count, 0);
      text(this.chartNote, n ? t('trend.note', { n, low: number(low), high: number(peak), unit: unit(point?.unit) }) : t('trend.none'));
      this.redraw();
    } catch (problem) {
      if (problem.name !== 'AbortError') { this.buckets = []; fill(this.chart); text(this.chartNote, problem.message); }
    }
  }

  redraw() {
    if (!this.buckets || !this.range || !this.chart.clientWidth) return;
    const width = this.chart.clientWidth;
    const key = `${width} ${this.range} ${this.full?.sequence} ${this.buckets.length}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const point = pointOf(this.alarm);
    const colours = { raised: '#b3001b', acknowledged: '#1f5fbf', returned: '#2b7a2b' };
    drawTrend(this.chart, this.buckets, {
      from: this.range[0], to: this.range[1], unit: unit(point?.unit), height: this.compact ? 190 : 280, charts: this.app.settings.charts, marked: this.alarm.limit,
      limits: (point?.rules ?? []).filter((r) => r.setpoint !== null && r.unit === point.unit).map((r) => ({ value: r.setpoint, priority: r.priority, label: `${pick(r.text, r.id)} ${number(r.setpoint)}` })),
      events: (this.full?.entries ?? []).filter((e) => e.body).map((e) => ({ time: e.time, label: `${t(`event.${e.body.event}`)} ${clock(e.time)}`, colour: colours[e.body.event] })),
    });
  }

  /** The address of this alarm in the API. */
  get api() { return address(`alarms/${encodeURIComponent(this.id)}`); }
}


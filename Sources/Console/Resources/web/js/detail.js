// One alarm with its evidence: the trend around it, the rule in words and where it comes from, what to
// do, and every step with its place in the ledger.

import { address, features, get } from './api.js';
import { areaName, condition, markOf, nameAt, pointName, pointOf, ruleOf, ruleText } from './catalog.js';
import { drawTrend, limitsOf } from './chart.js';
import { askAct } from './dialog.js';
import { deadline, mayRegister, registerHazard } from './hazards.js';
import { fill, h, svg, symbol, text } from './dom.js';
import { clock, count, date, dateTime, duration, number, unit } from './format.js';
import { eventName, pick, t } from './i18n.js';
import { isAside, isUnacknowledged, level } from './store.js';

const STATISTICS = { t2: 'T²', spe: 'SPE', distance: 'D²' };

/** What the alarm of a group was raised on: each statistic with its limit, the one that decided first, and who contributes most. */
const evidenceText = ({ decided, statistics, contributions }) => [
  ...Object.entries(statistics).sort(([a], [b]) => (b === decided) - (a === decided)).map(([name, s]) => `${STATISTICS[name] ?? name} ${number(s.value)} / ${number(s.limit)}`),
  ...contributions.map((part) => `${pointName(part.point)} ${Math.round(part.share * 100)} %`)].join(' · ');

const SPANS = [['5m', 300_000], ['30m', 1_800_000], ['4h', 4 * 3_600_000], ['12h', 12 * 3_600_000]];

/** The detail of an alarm; `element` goes into the page, `close()` ends its work. */
export class AlarmDetail {
  constructor(app, id, { compact = false } = {}) {
    this.app = app;
    this.id = id;
    this.compact = compact;
    this.half = SPANS[1][1];
    this.sequence = -1;
    this.head = h('header', { class: 'detail-head' });
    this.buttons = h('div', { class: 'buttons' });
    this.spans = h('div', { class: 'spans' });
    this.chart = h('div', { class: 'chart', id: 'trend' });
    this.chartNote = h('p', { class: 'hint' });
    this.rule = h('section', { class: 'rule' });
    this.matters = h('section', { class: 'matters' });
    this.why = h('section', { class: 'why' });
    this.steps = h('section', { class: 'steps' });
    this.others = h('section', { class: 'others' });
    this.element = h('article', { class: `detail${compact ? ' compact' : ''}` }, this.head, this.buttons,
      h('figure', { class: 'trend' }, this.spans, this.chart, this.chartNote), this.rule, this.matters, this.why, this.steps, this.others);
    this.aborter = new AbortController();
    this.resize = new ResizeObserver(() => this.redraw());
    this.resize.observe(this.chart);
    this.refresh();
  }

  /** Shows the live row at once, and fetches the steps when there is a new one. */
  refresh() {
    const row = this.app.store.rows.get(this.id);
    if (row && row !== this.shown) this.show(row);
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
    this.shown = this.app.store.rows.get(this.id);
    this.showSteps();
    if (!this.othersShown) { this.othersShown = true; this.showWhy(); if (features.has('hazards')) this.showMatters(); this.showOthers(); }
    if (!this.buckets) this.trend(); else this.redraw();
  }

  close() {
    this.aborter.abort();
    this.trendAborter?.abort();
    this.resize.disconnect();
    this.chart.plot?.destroy();
  }

  show(alarm) {
    this.alarm = this.shown = alarm;
    const point = pointOf(alarm), rule = ruleOf(alarm);
    fill(this.head, symbol(level(alarm), { size: 30, hollow: isAside(alarm), label: t(`level.${level(alarm)}`) }),
      h('div', null,
        h('h2', null, `${pointName(alarm.point)} ${ruleText(alarm)}`),
        h('p', { class: 'where' }, `${nameAt(alarm.point, 1)} · ${areaName(alarm.point)}`),
        h('p', { class: 'state-line' }, h('span', { class: `badge state-${alarm.state}` }, t(`state.${alarm.state}`)), ' ',
          h('b', null, `${number(alarm.value)} ${unit(alarm.unit)}`), alarm.limit === null || alarm.limit === undefined ? '' : ` / ${t('detail.limit')} ${number(alarm.limit)}`,
          ` · ${t('detail.since', { time: dateTime(alarm.onset) })}`, alarm.unrecorded ? h('strong', { class: 'error' }, ` ${t('unrecorded')}`) : null)));
    const can = { acknowledge: isUnacknowledged(alarm) && !isAside(alarm), reset: alarm.state.startsWith('latched'), shelve: ['unacknowledged', 'acknowledged', 'returnedUnacknowledged'].includes(alarm.state),
      unshelve: alarm.state === 'shelved', removeFromService: alarm.state !== 'outOfService', returnToService: alarm.state === 'outOfService', note: true };
    const standing = alarm.state !== 'normal';
    const key = { acknowledge: ' A', shelve: ' S', note: ' N' };
    fill(this.buttons, Object.entries(can).filter(([kind, yes]) => yes && (standing || kind === 'note')).map(([kind]) =>
      h('button', { class: kind === 'acknowledge' ? 'primary' : '', dataset: { act: kind }, onclick: () => this.act(kind) }, t(`act.${kind}`), key[kind] ? h('kbd', null, key[kind]) : null)),
      features.has('hazards') && mayRegister(this.app) ? h('button', { dataset: { act: 'dispatch' }, onclick: () => this.dispatch() }, t('act.dispatch'), h('kbd', null, ' D')) : null,
      this.compact ? h('a', { class: 'button', href: `/alarm?id=${encodeURIComponent(this.id)}` }, t('detail.open')) : null);
    const shown = `${rule?.id}${alarm.catalog}`;
    if (this.ruleShown !== shown) { this.ruleShown = shown; this.showRule(rule, point, alarm); }
  }

  async act(kind) {
    if (await askAct(kind, [this.alarm], this.app.settings)) this.fetch();
  }

  /** Makes a hazard of the alarm, with it on file, and goes there; or to the open one of the same point. */
  async dispatch() {
    const open = this.hazards?.find((hazard) => hazard.isOpen);
    const id = open?.hazard ?? (mayRegister(this.app) ? await registerHazard(this.app, { source: 'monitoring', place: this.alarm.point, alarms: [this.id], title: `${pointName(this.alarm.point)} ${ruleText(this.alarm)} ${number(this.alarm.value)} ${unit(this.alarm.unit)}`.slice(0, 200) }) : null);
    if (id) this.app.go(`/hazard?id=${encodeURIComponent(id)}`);
  }

  /** What became of it beyond the alarm: hazards of the point, and whom Davy called. */
  async showMatters() {
    try {
      const [{ hazards }, calls] = await Promise.all([get('hazards', { place: this.alarm.point, limit: 5 }, this.aborter.signal), this.calls()]);
      this.hazards = hazards;
      fill(this.matters, hazards.length ? [h('h3', null, t('detail.hazards')), h('ul', { class: 'plain' }, hazards.map((z) => h('li', null, h('a', { href: `/hazard?id=${encodeURIComponent(z.hazard)}` }, z.title), ` · ${t(`hazardState.${z.state}`)} · ${deadline(z.deadline, z.isOpen)}`)))] : null,
        calls.length ? [h('h3', null, t('nav.callouts')), h('ul', { class: 'plain' }, calls.map((c) => h('li', null, h('a', { href: '/callouts?all=1' }, dateTime(c.firstTime)), ` · ${c.unanswered ? t('callout.unanswered') : c.status} · ${c.confirmedBy ?? ''} ${c.feedback ?? ''}`)))] : null);
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.matters, h('p', { class: 'hint' }, problem.message));
    }
  }

  /** The calls that this alarm is behind. One call is for a point, an area, a site or for all: it may lie above the point. */
  async calls() {
    const enterprise = this.alarm.point.split('/')[0];
    for (const place of [enterprise, null]) {
      const { callouts } = await get('callouts', { place, limit: 200 }, this.aborter.signal);
      const calls = callouts.filter((c) => (c.subjects ?? []).includes(this.id));
      if (calls.length) return calls;
    }
    return [];
  }

  showRule(rule, point, alarm) {
    if (!rule) { fill(this.rule, h('h3', null, t('rule.title')), h('p', null, alarm.rule)); return; }
    const source = rule.source;
    const response = pick(rule.response).split(/(?:\r?\n|(?<=[。；;])\s*)/).map((s) => s.trim()).filter(Boolean);
    fill(this.rule,
      h('h3', null, t('rule.response')), h('ol', { class: 'response' }, response.map((line) => h('li', null, line.replace(/^\d+[.、)]\s*/, '')))),
      h('h3', null, t('rule.title')),
      h('p', { class: 'condition' }, `${pick(point?.name, alarm.point)} ${condition(rule.condition)}`),
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
        h('b', null, eventName(entry.body) || t('event.redacted')),
        h('span', null, entry.actor === 'engine' ? '' : entry.actor, entry.body?.reason ? `：${entry.body.reason}` : '',
          entry.body?.value === undefined ? '' : ` ${number(entry.body.value)} ${unit(entry.body.unit)}`),
        entry.body?.evidence ? h('small', null, evidenceText(entry.body.evidence)) : null,
        h('a', { class: 'ledger-link', href: `/ledger?view=entries&after=${entry.sequence - 1}`, title: `${t('steps.hash')} ${entry.hash}` }, `#${entry.sequence}`),
        h('small', { class: 'mono', title: t('steps.origin') }, ` ← ${entry.body?.cause ?? entry.origin}`)))));
  }

  /** The readings up to the one that decided, with the messages that brought them. */
  async showWhy() {
    const cause = this.full.entries.find((e) => e.body?.event === 'raised')?.body?.cause;
    if (!cause) return;
    const title = h('h3', null, t('why.title'));
    try {
      const limit = this.compact ? 5 : 12;
      const { readings } = await get(`points/${encodeURIComponent(this.alarm.point)}/readings`, { through: cause, limit }, this.aborter.signal);
      const copy = h('button', { class: 'no-print', onclick: () => this.copyWhy(readings, copy) }, t('why.copy'));
      fill(this.why, title, readings.length ? [h('table', { class: 'list readings' }, h('thead', null, h('tr', null, ['time', 'value', 'quality', 'delayed', 'origin'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))),
        h('tbody', null, readings.map((r) => h('tr', { class: r.sequence === cause ? 'decided' : '' },
          h('td', { class: 'time' }, dateTime(r.time)), h('td', { class: 'num' }, `${number(r.value)} ${unit(pointOf(this.alarm)?.unit ?? this.alarm.unit)}`), h('td', null, t(`status.${r.status}`)),
          h('td', { class: 'num' }, duration(Math.max(0, r.received - r.time))), h('td', { class: 'num mono', title: r.topic }, `${r.sequence}`, r.sequence === cause ? h('b', null, ` ← ${t('why.decided')}`) : '')))))]
        : h('p', { class: 'hint' }, t('why.none')),
        h('p', { class: 'links no-print' }, readings.length ? copy : null,
          h('a', { class: 'button', href: `/replay?from=${this.alarm.onset - 3_600_000}&to=${this.alarm.onset + 3_600_000}` }, t('why.replay'))));
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.why, title, h('p', { class: 'error' }, problem.message));
    }
  }

  async copyWhy(readings, button) {
    const lines = readings.map((r) => [r.sequence, r.topic, dateTime(r.time), r.value ?? '', r.status].join('\t'));
    try {
      await navigator.clipboard.writeText(['sequence\ttopic\ttime\tvalue\tstatus', ...lines].join('\n'));
      text(button, t('why.copied'));
    } catch (problem) { text(button, problem.message); }
  }

  /** What else the point has raised: by day over thirty days, and one by one. */
  async showOthers() {
    try {
      const from = this.alarm.onset - 30 * 86_400_000;
      const page = await get('alarms', { point: this.alarm.point, from: Math.max(0, from), to: this.alarm.onset + 86_400_000, limit: 500 }, this.aborter.signal);
      const others = page.alarms.filter((a) => a.alarm !== this.id);
      const n = page.next === null ? count(others.length) : `${count(others.length)}+`;
      fill(this.others, h('h3', null, t('others.title', { n })), this.compact ? null : this.histogram(page.alarms),
        others.length ? h('ul', null, others.slice(0, this.compact ? 5 : 30).map((a) => h('li', null, symbol(level(a), { size: 14, label: t(`level.${level(a)}`) }), ' ',
          h('a', { href: `/alarm?id=${encodeURIComponent(a.alarm)}` }, `${dateTime(a.onset)} ${ruleText(a)}`),
          ` ${number(a.value)} ${unit(a.unit)} · ${t(`state.${a.state}`)} ${a.returned ? duration(a.returned - a.onset) : ''}`))) : null,
        h('p', { class: 'links no-print' }, h('a', { class: 'button', href: `/ledger?point=${encodeURIComponent(this.alarm.point)}` }, t('others.ledger'))));
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.others, h('p', { class: 'error' }, problem.message));
    }
  }

  histogram(alarms) {
    const days = Array.from({ length: 31 }, (_, i) => date(this.alarm.onset - (30 - i) * 86_400_000));
    const counts = new Map(days.map((day) => [day, 0]));
    for (const a of alarms) { const day = date(a.onset); if (counts.has(day)) counts.set(day, counts.get(day) + 1); }
    const most = Math.max(1, ...counts.values());
    return h('figure', { class: 'histogram' }, svg('svg', { viewBox: '0 0 310 54', role: 'img', 'aria-label': t('others.histogram', { n: most }) },
      [...counts].map(([day, n], i) => svg('rect', { x: i * 10 + 1, width: 8, y: 44 - 40 * n / most, height: Math.max(n ? 1 : .4, 40 * n / most), class: i === 30 ? 'today' : '' }, svg('title', null, `${day}: ${n}`))),
      svg('text', { x: 0, y: 53 }, days[0].slice(5)), svg('text', { x: 310, y: 53, 'text-anchor': 'end' }, days[30].slice(5))),
      h('figcaption', null, t('others.histogram', { n: most })));
  }

  /** Fetches the curve of the time shown: reduced to what a screen can show, every reading once zoomed in so far. */
  async trend(range) {
    const alarm = this.alarm;
    this.range = range ?? [Math.max(0, alarm.onset - this.half), Math.max(alarm.onset + this.half, 1)];
    this.zoomed = Boolean(range);
    this.showSpans();
    const [from, to] = this.range;
    const point = pointOf(alarm);
    const asked = this.trendAsked = Symbol('trend');
    this.trendAborter?.abort();
    this.trendAborter = new AbortController();
    // Several steps of zooming in a row are one question.
    if (range) await new Promise((resolve) => { setTimeout(resolve, 120); });
    if (asked !== this.trendAsked || this.aborter.signal.aborted) return;
    try {
      const trend = await get(`points/${encodeURIComponent(alarm.point)}/trend`, { from, to, buckets: 1200 }, this.trendAborter.signal);
      if (asked !== this.trendAsked) return;
      this.buckets = trend.buckets;
      let high = -Infinity, low = Infinity, n = 0, bad = 0, isRaw = true;
      for (const b of trend.buckets) {
        n += b.count; bad += b.bad;
        if (b.count > 1) isRaw = false;
        if (b.count) { high = Math.max(high, b.maximum); low = Math.min(low, b.minimum); }
      }
      text(this.chartNote, n + bad ? `${t('trend.note', { n: count(n), low: number(low), high: number(high), unit: unit(point?.unit) })}${bad ? ` · ${t('trend.bad', { n: count(bad) })}` : ''} · ${t(isRaw ? 'trend.raw' : 'trend.reduced')}` : t('trend.none'));
      this.redraw();
    } catch (problem) {
      if (problem.name !== 'AbortError') { this.buckets = []; this.chart.plot?.destroy(); this.chart.plot = null; fill(this.chart); text(this.chartNote, problem.message); }
    }
  }

  showSpans() {
    const zoom = (factor, shift) => () => {
      const [from, to] = this.range, half = (to - from) / 2 * factor, middle = (from + to) / 2 + shift * (to - from);
      this.trend([Math.max(0, Math.round(middle - half)), Math.round(Math.max(middle + half, middle - half + 1000))]);
    };
    fill(this.spans, h('span', { class: 'zooms' }, [['−', 'trend.out', zoom(2, 0)], ['+', 'trend.in', zoom(.5, 0)], ['◂', 'trend.earlier', zoom(1, -.4)], ['▸', 'trend.later', zoom(1, .4)]]
      .map(([sign, name, run]) => h('button', { 'aria-label': t(name), title: t(name), onclick: run }, sign))),
      SPANS.map(([name, half]) => h('button', { class: half === this.half && !this.zoomed ? 'on' : '', 'aria-pressed': String(half === this.half && !this.zoomed), onclick: () => { this.half = half; this.trend(); } }, `±${name}`)));
  }

  redraw() {
    if (!this.buckets || !this.range || !this.chart.clientWidth) return;
    const width = this.chart.clientWidth;
    const key = `${width} ${this.range} ${this.full?.sequence} ${this.buckets.length} ${this.buckets[0]?.start} ${this.buckets.at(-1)?.end}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const point = pointOf(this.alarm);
    const colours = { raised: '#b3001b', acknowledged: '#1f5fbf', returned: '#2b7a2b' };
    drawTrend(this.chart, this.buckets, {
      from: this.range[0], to: this.range[1], unit: unit(point?.unit), height: this.compact ? 190 : 280, charts: this.app.settings.charts, marked: markOf(this.alarm),
      limits: limitsOf(point, (r) => `${pick(r.text, r.id)} ${number(r.setpoint)}`),
      events: (this.full?.entries ?? []).filter((e) => e.body?.event).map((e) => ({ time: e.body.event === 'raised' ? this.alarm.onset : e.time, label: `${eventName(e.body)} ${clock(e.time)}`, colour: colours[e.body.event] })),
      zoom: (from, to) => this.trend([from, Math.max(to, from + 1000)]), reset: () => this.trend(),
    });
  }

  /** The address of this alarm in the API. */
  get api() { return address(`alarms/${encodeURIComponent(this.id)}`); }
}

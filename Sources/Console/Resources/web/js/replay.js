// Replay and back-test: the recorded inputs of a time, once more, under other rules; and what differs.

import { get, post } from './api.js';
import { areaName, catalog, newestTime, pointName, pointOf, ruleText } from './catalog.js';
import { compareAlarms } from './difference.js';
import { download, fill, h, svg, symbol, text } from './dom.js';
import { count, dateTime, duration, localInput, number, offset, parseLocal, unit } from './format.js';
import { t } from './i18n.js';
import { level } from './store.js';

const COLOURS = { 1: '#b3001b', 2: '#e06a00', 3: '#f4d000', 4: '#1f5fbf' };

/** The page at /replay: `from` and `to` in milliseconds come from an alarm's page. */
export class ReplayPage extends HTMLElement {
  async connectedCallback() {
    const query = new URLSearchParams(location.search);
    let from = Number(query.get('from')), to = Number(query.get('to'));
    this.note = h('p', { class: 'hint', role: 'status' });
    this.from = h('input', { type: 'datetime-local', required: true, value: from ? localInput(from) : null });
    this.to = h('input', { type: 'datetime-local', required: true, value: to ? localInput(to + 60_000) : null });
    this.a = h('select', { id: 'replay-a' });
    this.b = h('select', { id: 'replay-b', onchange: () => this.showDraft() });
    this.run = h('button', { class: 'primary', id: 'replay-run' }, t('replay.run'));
    this.stop = h('button', { type: 'button', hidden: true, onclick: () => this.cancel() }, t('replay.cancel'));
    this.bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': t('replay.progress') });
    this.draft = h('section', { class: 'draft', hidden: true });
    this.result = h('section', { id: 'replay-result' });
    this.earlier = h('section', { class: 'earlier' });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.replay')), this.note),
      h('p', null, t('replay.about')),
      h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); this.begin(); } },
        h('label', null, `${t('filter.from')} (${offset(from || Date.now())})`, this.from), h('label', null, t('filter.to'), this.to),
        h('label', null, t('replay.a'), this.a), h('label', null, t('replay.b'), this.b), this.run, this.stop, this.bar),
      this.draft, this.result, this.earlier));
    try {
      if (!from || !to) {
        to = await newestTime(this.app.store.now);
        from = to - (catalog.isRecorded ? 7 : 1) * 86_400_000;
        this.from.value = localInput(from);
        this.to.value = localInput(to + 60_000);
      }
      const { current, versions } = await get('rules/versions');
      const short = (v) => `${dateTime(v.time)} · ${v.version.slice(0, 10)}${v.version === current ? ` (${t('replay.current')})` : ''}`;
      const past = versions.filter((v, i) => versions.findIndex((w) => w.version === v.version) === i);
      fill(this.a, h('option', { value: 'ledger' }, t('replay.ledger')), h('option', { value: 'current' }, t('replay.currentRules')), past.map((v) => h('option', { value: v.version }, short(v))));
      fill(this.b, h('option', { value: 'current' }, t('replay.currentRules')), h('option', { value: 'draft' }, t('replay.draft')), past.map((v) => h('option', { value: v.version }, short(v))));
      if (query.get('b')) { this.b.value = query.get('b'); this.showDraft(); }
      await this.showEarlier();
      if (query.get('id')) this.follow(Number(query.get('id')));
    } catch (problem) { text(this.note, problem.message); }
  }

  disconnectedCallback() { clearTimeout(this.timer); }

  /** The site files as they stand, to be changed on trial; nothing of it comes into force. */
  async showDraft() {
    this.draft.hidden = this.b.value !== 'draft';
    if (this.draft.hidden || this.sources) return;
    try {
      this.sources = (await get(`rules/versions/${catalog.version}`)).sources.filter((s) => s.path.startsWith('sites/'));
      const file = h('select', { 'aria-label': t('replay.file'), onchange: () => this.edit(file.value) }, this.sources.map((s) => h('option', { value: s.path }, s.path)));
      this.editor = h('textarea', { id: 'replay-draft', spellcheck: 'false', rows: 18, 'aria-label': t('replay.file'), oninput: () => { this.sources.find((s) => s.path === this.editing).draft = this.editor.value; } });
      fill(this.draft, h('h2', null, t('replay.draftTitle')), h('p', { class: 'hint' }, t('replay.draftAbout')), file, this.editor);
      this.edit(this.sources[0]?.path);
    } catch (problem) { text(this.note, problem.message); }
  }

  edit(path) {
    this.editing = path;
    const source = this.sources.find((s) => s.path === path);
    if (source) this.editor.value = source.draft ?? source.text;
  }

  async begin() {
    const from = parseLocal(this.from.value), to = parseLocal(this.to.value);
    if (from === null || to === null || from >= to) { text(this.note, t('replay.range')); return; }
    const changed = (this.sources ?? []).filter((s) => s.draft !== undefined && s.draft !== s.text).map((s) => ({ path: s.path, text: s.draft }));
    if (this.b.value === 'draft' && !changed.length) { text(this.note, t('replay.unchanged')); return; }
    this.run.disabled = true;
    text(this.note, '');
    try {
      const { id } = await post('backtests', { from, to, a: this.a.value, b: this.b.value, ...(this.b.value === 'draft' ? { draft: changed } : {}) });
      this.follow(id);
    } catch (problem) {
      this.run.disabled = false;
      fill(this.result, h('pre', { class: 'error', role: 'alert' }, problem.message));
    }
  }

  async follow(id) {
    this.id = id;
    try {
      const job = await get(`backtests/${id}`);
      if (!this.isConnected) return;
      const isOver = !['waiting', 'running'].includes(job.state);
      this.bar.hidden = this.stop.hidden = isOver;
      this.bar.value = job.share;
      text(this.note, t(`replay.state.${job.state}`));
      if (!isOver) { this.timer = setTimeout(() => this.follow(id), 300); return; }
      this.run.disabled = false;
      if (job.state === 'done') this.show(job);
      else fill(this.result, job.error ? h('p', { class: 'error', role: 'alert' }, job.error) : null);
      this.showEarlier();
    } catch (problem) { this.run.disabled = false; text(this.note, problem.message); }
  }

  async cancel() {
    try { await post(`backtests/${this.id}/cancel`, {}); } catch (problem) { text(this.note, problem.message); }
  }

  sideName(side) { return ['ledger', 'current', 'draft'].includes(side.choice) ? t({ ledger: 'replay.ledger', current: 'replay.currentRules', draft: 'replay.draft' }[side.choice]) : side.choice.slice(0, 10); }

  show(job) {
    const [a, b] = job.sides, d = compareAlarms(a.alarms, b.alarms);
    const line = (side, name) => h('tr', null, h('th', { scope: 'row' }, name), h('td', null, this.sideName(side)), h('td', { class: 'mono' }, (side.version ?? '').slice(0, 12)), h('td', { class: 'num' }, count(side.count)),
      h('td', { class: 'num' }, side.messages ? count(side.messages) : ''), h('td', { class: 'num' }, side.readings ? count(side.readings) : ''), h('td', { class: 'mono', title: side.headHash }, side.headHash.slice(0, 12)));
    const rows = [...d.onlyA.map((x) => ({ kind: 'onlyA', alarm: x })), ...d.onlyB.map((x) => ({ kind: 'onlyB', alarm: x })), ...d.shifted.map((s) => ({ kind: 'shifted', alarm: s.a, by: s.by }))].sort((x, y) => x.alarm.onset - y.alarm.onset);
    const words = (row) => row.kind === 'shifted' ? t(row.by < 0 ? 'replay.earlier' : 'replay.later', { by: duration(Math.abs(row.by)) }) : t(`replay.${row.kind}`);
    fill(this.result, h('h2', null, t('replay.result')),
      h('div', { class: 'replay-counts' }, [['same', d.same.length], ['shifted', d.shifted.length], ['onlyA', d.onlyA.length], ['onlyB', d.onlyB.length]].map(([name, n]) => h('div', { class: n && name !== 'same' ? 'differs' : '', id: `replay-${name}` }, h('b', null, count(n)), h('span', null, t(`replay.${name}`))))),
      a.left || b.left ? h('p', { class: 'error' }, t('replay.left', { n: count(Math.max(a.left, b.left)) })) : null,
      this.timeline(job, a.alarms, b.alarms, d),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['side', 'rules', 'version', 'alarms', 'messages', 'readings', 'ledgerHead'].map((c) => h('th', { scope: 'col' }, t(`replay.${c}`))))), h('tbody', null, line(a, 'A'), line(b, 'B')))),
      h('div', { class: 'bar' }, h('h3', null, t('replay.differences', { n: count(rows.length) })), rows.length ? h('button', { class: 'no-print', onclick: () => this.export(rows, words) }, 'CSV') : null),
      rows.length ? h('div', { class: 'table-box' }, h('table', { class: 'list', id: 'replay-differences' }, h('thead', null, h('tr', null, ['difference', 'level', 'raised', 'point', 'kind', 'value'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))),
        h('tbody', null, rows.slice(0, 500).map((row) => h('tr', null, h('td', null, h('b', null, words(row))), h('td', null, symbol(level(row.alarm), { size: 16, label: t(`level.${level(row.alarm)}`) })), h('td', { class: 'time' }, dateTime(row.alarm.onset)),
          h('td', null, pointOf(row.alarm) ? `${pointName(row.alarm.point)} · ${areaName(row.alarm.point)}` : row.alarm.point), h('td', null, ruleText(row.alarm)), h('td', { class: 'num' }, `${number(row.alarm.value)} ${unit(row.alarm.unit)}`)))))) : h('p', null, t('replay.equal')));
  }

  /** Alarms of A above, of B below; what differs is filled, what is the same is grey. */
  timeline(job, a, b, d) {
    const all = [...a, ...b];
    if (!all.length) return null;
    const low = Math.min(...all.map((x) => x.onset)), high = Math.max(...all.map((x) => x.onset), low + 60_000);
    const x = (ms) => 40 + (ms - low) / (high - low) * 940;
    const same = new Set(d.same.map((alarm) => alarm.alarm));
    const ticks = (alarms, top) => alarms.slice(0, 3000).map((alarm) => svg('rect', { x: x(alarm.onset), y: top, width: 2.5, height: 30, fill: same.has(alarm.alarm) ? '#9a9a9a' : COLOURS[level(alarm)] }));
    return svg('svg', { class: 'timeline', viewBox: '0 0 1000 100', role: 'img', 'aria-label': t('replay.timeline') }, svg('path', { d: 'M40 46H980', class: 'map-ruler' }), svg('text', { x: 8, y: 32 }, 'A'), svg('text', { x: 8, y: 70 }, 'B'), ticks(a, 12), ticks(b, 50),
      svg('text', { x: 40, y: 95 }, dateTime(low)), svg('text', { x: 980, y: 95, 'text-anchor': 'end' }, dateTime(high)));
  }

  export(rows, words) {
    const cell = (v) => { let s = String(v ?? ''); if (/^[=+\-@\t\r]/.test(s) && Number.isNaN(Number(s))) s = `'${s}`; return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s; };
    const lines = [['difference', 'alarm', 'point', 'rule', 'level', 'onset', 'value', 'limit', 'unit'], ...rows.map((r) => [words(r), r.alarm.alarm, r.alarm.point, r.alarm.rule, level(r.alarm), dateTime(r.alarm.onset), r.alarm.value, r.alarm.limit, r.alarm.unit])];
    download('davy-backtest.csv', `\ufeff${lines.map((l) => l.map(cell).join(',')).join('\r\n')}\r\n`, 'text/csv;charset=utf-8');
  }

  async showEarlier() {
    const { backtests } = await get('backtests');
    fill(this.earlier, backtests.length ? [h('h2', null, t('replay.before')), h('ul', null, backtests.map((job) => h('li', null,
      job.state === 'done' ? h('button', { onclick: () => this.follow(job.id) }, `#${job.id}`) : `#${job.id}`, ` ${dateTime(job.from)} – ${dateTime(job.to)} · ${this.sideName(job.sides[0])} / ${this.sideName(job.sides[1])} · ${t(`replay.state.${job.state}`)}${job.state === 'done' ? ` · ${count(job.sides[0].count)} / ${count(job.sides[1].count)}` : ''}`)))] : null);
  }
}

// Devices by hours: where nothing came, or came late or without a value, is seen at a glance. Letters and
// patterns say it as well as grey and colour.

import { get } from './api.js';
import { catalog } from './catalog.js';
import { fill, h, text } from './dom.js';
import { clock, count, dateTime, duration } from './format.js';
import { pick, t } from './i18n.js';

const SIGNS = { ok: '', gap: '–', bad: '✕', late: '◔', none: '·', unknown: '' };

/** How an hour of a device was: ok, late, bad, gap, none (silent) or unknown (before the start). */
export function judge([readings, bad, late, gap], { begin, since, staleAfter, now }) {
  if (since === null || begin + 3_600_000 <= since) return 'unknown';
  if (readings === 0) return 'none';
  if (bad > readings * .05) return 'bad';
  const silence = Math.max(gap, 0);
  if (staleAfter !== null && silence > Math.max(staleAfter, 1) && begin + 3_600_000 > since && now > begin) return 'gap';
  return late > readings * .05 ? 'late' : 'ok';
}

/** The matrix; `element` goes into the page. */
export class Matrix {
  constructor(app, note) {
    this.app = app;
    this.note = note;
    this.element = h('div', null, h('p', { class: 'legend' }, ['ok', 'late', 'gap', 'bad', 'none', 'unknown'].map((kind) => h('span', null, h('i', { class: `cell ${kind}` }, SIGNS[kind]), t(`matrix.${kind}`)))), this.box = h('div', { class: 'table-box' }));
    this.load();
    this.timer = setInterval(() => this.load(), 10_000);
  }

  close() { clearInterval(this.timer); this.closed = true; }

  async load() {
    if (document.hidden) return;
    try {
      const data = await get('health/hours');
      if (!this.closed) this.show(data);
    } catch (problem) { text(this.note, problem.message); }
  }

  show(data) {
    const head = h('tr', null, h('th', { scope: 'col' }, t('column.device')), data.hours.map((ms) => h('th', { scope: 'col', title: dateTime(ms) }, clock(ms).slice(0, 2))), h('th', { scope: 'col' }, t('column.lastSeen')));
    const tally = { ok: 0, late: 0, gap: 0, bad: 0, none: 0, unknown: 0 };
    const rows = data.devices.map((device) => {
      const node = catalog.nodes.get(device.path);
      return h('tr', null, h('th', { scope: 'row', title: device.path }, pick(node?.name, device.path)), device.cells.map((cell, i) => {
        const kind = judge(cell, { begin: data.hours[i], since: data.since, staleAfter: device.staleAfter, now: data.newest });
        tally[kind] += 1;
        const title = `${dateTime(data.hours[i])} ${t(`matrix.${kind}`)}: ${t('matrix.cell', { n: count(cell[0]), bad: count(cell[1]), late: count(cell[2]), gap: duration(cell[3]) })}`;
        return h('td', { class: `cell ${kind}`, title, 'aria-label': t(`matrix.${kind}`) }, SIGNS[kind]);
      }), h('td', { class: 'time' }, device.newest ? dateTime(device.newest) : '–'));
    });
    fill(this.box, h('table', { class: 'matrix' }, h('thead', null, head), h('tbody', null, rows)));
    text(this.note, `${t('matrix.note', { n: count(data.devices.length), gaps: count(tally.gap + tally.none), bad: count(tally.bad) })}${data.left ? ` · ${t('tree.left', { n: count(data.left) })}` : ''}`);
  }
}

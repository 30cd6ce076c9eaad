// Tree and health: every point with its newest reading, how old it is and what the source says of it.

import { get } from './api.js';
import { catalog } from './catalog.js';
import { fill, h, symbol, text } from './dom.js';
import { dateTime, duration, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { isAside, level } from './store.js';

const WITHOUT_VALUE = new Set(['negativeDrift', 'sensorFault', 'lineBroken', 'substationFault', 'notPolled', 'paused', 'outOfUse']);
const RECORD_ONLY = new Set(['calibration', 'calibrationAlarm', 'maintenance']);

/** The page at /tree. */
export class TreePage extends HTMLElement {
  connectedCallback() {
    this.search = '';
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'tree-rows' });
    this.box = h('input', { type: 'search', placeholder: t('wall.filter'), 'aria-label': t('wall.filter'), oninput: () => { this.search = this.box.value.trim().toLowerCase(); this.draw(); } });
    this.only = h('input', { type: 'checkbox', onchange: () => this.draw() });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.tree')), this.box, h('label', { class: 'check' }, this.only, t('tree.onlyBad')), this.note),
      h('div', { class: 'table-box' }, h('table', { class: 'list tree-table' },
        h('thead', null, h('tr', null, ['where', 'alarm', 'newest', 'quality', 'age', 'delayed', 'limits'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), this.rows))));
    this.load();
    this.timer = setInterval(() => this.load(), 2000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    if (this.loading || document.hidden) return;
    this.loading = true;
    try {
      const latest = await get('readings/latest');
      if (!this.isConnected) return;
      this.readings = latest.readings;
      this.draw();
    } catch (problem) {
      text(this.note, problem.message);
    }
    this.loading = false;
  }

  quality(point) {
    const reading = this.readings?.[point.channel];
    if (!reading) return 'none';
    if (point.staleAfter !== null && this.now - reading.received > point.staleAfter) return 'stale';
    if (WITHOUT_VALUE.has(reading.status)) return 'bad';
    return RECORD_ONLY.has(reading.status) || reading.status !== 'normal' ? 'doubtful' : 'good';
  }

  draw() {
    if (!this.readings) return;
    this.now = Math.max(this.app.store.now, ...this.readings.map((r) => r?.received ?? 0));
    const worst = new Map();
    for (const row of this.app.store.rows.values()) if (!isAside(row)) worst.set(row.point, Math.min(worst.get(row.point) ?? 9, level(row)));
    const tally = { good: 0, doubtful: 0, bad: 0, stale: 0, none: 0 };
    for (const point of catalog.points) tally[this.quality(point)] += 1;
    const rows = [];
    const walk = (node, depth) => {
      if (node.kind === 'point') {
        const quality = this.quality(node);
        if (this.only.checked && quality === 'good') return 0;
        if (this.search && !`${node.path} ${pick(node.name)}`.toLowerCase().includes(this.search)) return 0;
        const reading = this.readings[node.channel];
        const state = node.states?.[String(reading?.value)];
        rows.push(h('tr', { class: `quality-${quality}`, dataset: { point: node.path } },
          h('td', { class: `indent-${depth}`, title: node.path }, pick(node.name, node.id).replace(`${pick(node.parent.name)} `, '')),
          h('td', null, worst.has(node.path) ? symbol(worst.get(node.path), { size: 16, label: t(`level.${worst.get(node.path)}`) }) : ''),
          h('td', { class: 'num' }, reading ? (state ? pick(state) : `${number(reading.value)} ${unit(node.unit)}`) : '–'),
          h('td', null, h('span', { class: `dot ${quality}` }), quality === 'none' || quality === 'stale' ? t(`quality.${quality}`) : t(`status.${reading.status}`)),
          h('td', { class: 'num', title: reading ? dateTime(reading.time) : '' }, reading ? duration(this.now - reading.received) : ''),
          h('td', { class: 'num' }, reading ? duration(Math.max(0, reading.received - reading.time)) : ''),
          h('td', { class: 'limits' }, node.rules.filter((r) => r.setpoint !== null).map((r) => h('span', { class: `limit ${r.priority}`, title: `${pick(r.text, r.id)} — ${r.source.citation}` }, unit(r.condition.split(';')[0]))))));
        return 1;
      }
      const at = rows.length;
      let shown = 0, points = 0, good = 0;
      for (const child of node.children) shown += walk(child, depth + 1);
      const count = (n) => { if (n.kind === 'point') { points += 1; if (['good', 'doubtful'].includes(this.quality(n))) good += 1; } else n.children.forEach(count); };
      count(node);
      if (shown || (!this.search && !this.only.checked)) {
        rows.splice(at, 0, h('tr', { class: `branch ${node.kind}` }, h('th', { scope: 'rowgroup', class: `indent-${depth}`, colspan: 3, title: node.path }, pick(node.name, node.id), node.kind === 'device' ? h('small', null, ` ${node.profile}`) : null),
          h('td', { colspan: 4 }, t('tree.online', { good, points, share: points ? Math.round(good / points * 100) : 0 }))));
      }
      return shown;
    };
    for (const node of catalog.tree) walk(node, 0);
    fill(this.rows, rows);
    text(this.note, t('tree.tally', tally));
  }
}

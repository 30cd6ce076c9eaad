// Tree and health: every point with its newest reading, how old it is and what the source says of it. Built
// once for what is open; each look at the readings changes cells alone.

import { features, get } from './api.js';
import { areaName, catalog, condition, nowOf, pointName } from './catalog.js';
import { fill, h, symbol, text } from './dom.js';
import { count, dateTime, duration, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { Matrix } from './matrix.js';

const WITHOUT_VALUE = new Set(['negativeDrift', 'sensorFault', 'lineBroken', 'substationFault', 'notPolled', 'paused', 'outOfUse']);
/** All is open at once up to so many points; more rows than the second are never shown. */
const OPEN_ALL = 300, MOST = 2000;

/** How a point's newest reading is: good, doubtful, bad, stale or none. */
export function qualityOf(point, reading, now) {
  if (!reading) return 'none';
  if (point.staleAfter !== null && now - reading.received > point.staleAfter) return 'stale';
  if (WITHOUT_VALUE.has(reading.status)) return 'bad';
  return reading.status === 'normal' ? 'good' : 'doubtful';
}

/** The page at /tree. */
export class TreePage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.view = ['matrix', 'coverage'].includes(query.get('view')) ? query.get('view') : 'points';
    this.search = '';
    this.open = new Set(catalog.points.length <= OPEN_ALL ? catalog.nodes.keys() : catalog.tree.map((n) => n.path));
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'tree-rows' });
    const tab = (view) => h('a', { class: 'tab', href: `/tree?view=${view}`, 'aria-current': this.view === view ? 'page' : null }, t(`tree.${view}`));
    this.box = h('input', { type: 'search', placeholder: t('wall.filter'), 'aria-label': t('wall.filter'), oninput: () => { this.search = this.box.value.trim().toLowerCase(); this.build(); } });
    this.only = h('input', { type: 'checkbox', checked: query.get('bad') === '1', onchange: () => this.build() });
    const bar = h('div', { class: 'bar' }, h('h1', null, t('nav.tree')), tab('points'), tab('matrix'), features.has('coverage') ? tab('coverage') : null,
      this.view === 'points' ? [this.box, h('label', { class: 'check' }, this.only, t('tree.onlyBad'))] : null, this.note);
    if (this.view === 'coverage') {
      fill(this, h('section', { class: 'page' }, bar, this.covered = h('div', { id: 'coverage' })));
      this.loadCoverage();
      this.timer = setInterval(() => this.loadCoverage(), 10_000);
      return;
    }
    if (this.view === 'matrix') {
      this.matrix = new Matrix(this.app, this.note);
      fill(this, h('section', { class: 'page' }, bar, this.matrix.element));
      return;
    }
    fill(this, h('section', { class: 'page' }, bar,
      h('div', { class: 'table-box' }, h('table', { class: 'list tree-table' },
        h('thead', null, h('tr', null, ['where', 'alarm', 'newest', 'quality', 'age', 'delayed', 'limits'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), this.rows))));
    this.load();
    this.timer = setInterval(() => this.load(), 2000);
  }

  disconnectedCallback() { clearInterval(this.timer); this.matrix?.close(); }

  /** Whether what should be connected is (应联尽联), by site, and which points do not report. */
  async loadCoverage() {
    if (document.hidden) return;
    try {
      const [{ sites }, { points }] = await Promise.all([get('coverage'), get('coverage/points', { limit: 300 })]);
      if (!this.isConnected) return;
      const missing = ['silent', 'never', 'faulty', 'unconnected'], columns = ['expected', 'reporting', ...missing];
      const total = sites.reduce((sum, site) => sum + missing.reduce((n, state) => n + site[state], 0), 0), left = total - points.length;
      fill(this.covered, h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, h('th', { scope: 'col' }, t('column.where')), columns.map((c) => h('th', { scope: 'col' }, t(`coverage.${c}`))), h('th', { scope: 'col' }, t('coverage.share')), h('th', { scope: 'col' }, t('coverage.devices')))),
        h('tbody', null, sites.map((s) => h('tr', null, h('td', null, `${pick(catalog.nodes.get(`${s.enterprise}/${s.site}`)?.name ?? catalog.nodes.get(s.site)?.name, s.site)} · ${pick(catalog.nodes.get(s.enterprise)?.name, s.enterprise)}`), columns.map((c) => h('td', { class: 'num' }, count(s[c]))), h('td', { class: 'num' }, h('b', null, s.share === null ? '–' : `${(s.share * 100).toFixed(1)} %`)), h('td', { class: 'num' }, `${count(s.devices - s.silentDevices)} / ${count(s.devices)}`)))))),
        h('h2', null, t('coverage.missing', { n: count(total) })), points.length ? h('ul', { class: 'plain' }, points.map((p) => h('li', null, h('span', { title: p.point }, pointName(p.point), h('small', null, ` ${areaName(p.point)}`)), ` · ${t(`coverage.${p.state}`)}${p.received ? ` · ${dateTime(p.received)}` : ''}`)), left > 0 ? h('li', { class: 'hint' }, t('tree.left', { n: count(left) })) : null) : h('p', { class: 'ok' }, t('coverage.all')));
      text(this.note, '');
    } catch (problem) { text(this.note, problem.message); }
  }

  async load() {
    if (this.loading || document.hidden) return;
    this.loading = true;
    try {
      const latest = await get('readings/latest');
      if (!this.isConnected) return;
      this.readings = latest.readings;
      this.judge();
      if (!this.built || this.only.checked || this.version !== catalog.version) this.build(); else this.update();
    } catch (problem) {
      text(this.note, problem.message);
    }
    this.loading = false;
  }

  /** The quality of every point, and how many of each place are online. */
  judge() {
    this.now = nowOf(this.readings, this.app.store.now);
    this.tally = { good: 0, doubtful: 0, bad: 0, stale: 0, none: 0 };
    this.places = new Map();
    for (const point of catalog.points) {
      const reading = this.readings[point.channel], quality = qualityOf(point, reading, this.now.of(point));
      this.tally[quality] += 1;
      for (let node = point; node; node = node.parent) {
        let place = this.places.get(node.path);
        if (!place) this.places.set(node.path, place = { points: 0, online: 0, bad: 0, last: 0, quality, now: this.now.of(point) });
        place.points += 1;
        if (quality === 'good' || quality === 'doubtful') place.online += 1;
        if (quality === 'bad') place.bad += 1;
        if (reading && reading.received > place.last) place.last = reading.received;
      }
    }
  }

  build() {
    if (!this.readings) return;
    this.built = true;
    this.version = catalog.version;
    this.shown = [];
    let left = 0;
    const isFiltered = this.search || this.only.checked;
    const walk = (node, depth) => {
      const list = [];
      if (node.kind === 'point') {
        if (this.only.checked && this.places.get(node.path)?.quality === 'good') return list;
        if (this.search && !`${node.path} ${pick(node.name)}`.toLowerCase().includes(this.search)) return list;
        return [[node, depth]];
      }
      if (isFiltered || this.open.has(node.path)) for (const child of node.children) list.push(...walk(child, depth + 1));
      return isFiltered && !list.length ? list : [[node, depth], ...list];
    };
    const all = catalog.tree.flatMap((node) => walk(node, 0));
    left = Math.max(0, all.length - MOST);
    this.shown = all.slice(0, MOST).map(([node, depth]) => node.kind === 'point' ? this.pointRow(node, depth) : this.placeRow(node, depth));
    fill(this.rows, this.shown.map((row) => row.element), left ? h('tr', null, h('td', { colspan: 7, class: 'hint' }, t('tree.left', { n: count(left) }))) : null);
    this.update();
  }

  placeRow(node, depth) {
    const isOpen = this.open.has(node.path);
    const row = { node, mark: h('td'), online: h('td', { class: 'num', colspan: 2 }), age: h('td', { class: 'num' }), bad: h('td', { colspan: 2 }) };
    row.element = h('tr', { class: `branch ${node.kind}` }, h('th', { scope: 'rowgroup', class: `indent-${depth}`, title: node.path },
      h('button', { class: 'twist', 'aria-expanded': String(isOpen), 'aria-label': `${t('tree.toggle')} ${pick(node.name, node.id)}`, onclick: () => { isOpen ? this.open.delete(node.path) : this.open.add(node.path); this.build(); } }, isOpen ? '▾' : '▸'),
      pick(node.name, node.id), node.kind === 'device' ? h('small', null, ` ${node.profile}`) : null), row.mark, row.online, row.age, row.bad);
    return row;
  }

  pointRow(node, depth) {
    const row = { node, mark: h('td'), value: h('td', { class: 'num' }), quality: h('td'), age: h('td', { class: 'num' }), delay: h('td', { class: 'num' }) };
    row.element = h('tr', { dataset: { point: node.path } }, h('td', { class: `indent-${depth}`, title: node.path }, pick(node.name, node.id).replace(`${pick(node.parent.name)} `, '')), row.mark, row.value, row.quality, row.age, row.delay,
      h('td', { class: 'limits' }, node.rules.filter((r) => r.setpoint !== null).map((r) => h('span', { class: `limit ${r.priority}`, title: `${pick(r.text, r.id)} — ${r.source.citation}` }, condition(r.condition.split(';')[0])))));
    return row;
  }

  update() {
    for (const row of this.shown) {
      const { node } = row, worst = this.app.store.places.get(node.path)?.worst ?? 0, place = this.places.get(node.path);
      if (row.worst !== worst) { row.worst = worst; fill(row.mark, worst ? symbol(worst, { size: 16, label: t(`level.${worst}`) }) : null); }
      if (node.kind !== 'point') {
        text(row.online, place ? t('tree.online', { good: place.online, points: place.points, share: Math.round(place.online / place.points * 100) }) : '–');
        text(row.age, place?.last ? duration(place.now - place.last) : '');
        text(row.bad, place?.bad ? t('tree.bad', { n: place.bad }) : '');
        continue;
      }
      const reading = this.readings[node.channel], { quality } = place, state = node.states?.[String(reading?.value)];
      const key = `${quality} ${reading?.status}`;
      if (row.key !== key) {
        row.key = key;
        row.element.className = `quality-${quality}`;
        fill(row.quality, h('span', { class: `dot ${quality}` }), quality === 'none' || quality === 'stale' ? t(`quality.${quality}`) : t(`status.${reading.status}`));
      }
      text(row.value, reading ? (state ? pick(state) : `${number(reading.value)} ${unit(node.unit)}`) : '–');
      text(row.age, reading ? duration(this.now.of(node) - reading.received) : '');
      row.age.title = reading ? dateTime(reading.time) : '';
      text(row.delay, reading ? duration(Math.max(0, reading.received - reading.time)) : '');
    }
    text(this.note, t('tree.tally', this.tally));
  }
}

// Live curves of many points, once a second: one request for all of them, whatever their number.

import { get } from './api.js';
import { catalog, nowOf } from './catalog.js';
import { drawColumns, limitsOf, loadCharts, range } from './chart.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, number, unit } from './format.js';
import { pick, t } from './i18n.js';

const WINDOWS = [['2m', 120_000], ['5m', 300_000], ['15m', 900_000], ['1h', 3_600_000]];
/** More curves than this on one page tell nobody anything. */
const MOST = 60;
const KEPT = 4000;

/** The page at /trends: `scope` is a path, `n` the number of curves, `window` a name of WINDOWS. */
export class TrendsPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.scope = catalog.nodes.has(query.get('scope')) ? query.get('scope') : '';
    this.most = Math.min(MOST, Math.max(1, Number(query.get('n')) || 24));
    this.window = (WINDOWS.find(([name]) => name === query.get('window')) ?? WINDOWS[1])[1];
    this.note = h('p', { class: 'hint', role: 'status' });
    const places = catalog.tree.map(function list(node) {
      return node.kind === 'point' ? null : [h('option', { value: node.path }, `${' '.repeat(node.path.split('/').length * 2 - 2)}${pick(node.name, node.id)}`), node.children.map(list)];
    });
    this.place = h('select', { 'aria-label': t('filter.enterprise'), onchange: () => this.choose({ scope: this.place.value }) }, h('option', { value: '' }, t('filter.all')), places);
    this.place.value = this.scope;
    this.number = h('select', { 'aria-label': t('trends.number'), onchange: () => this.choose({ n: this.number.value }) }, [6, 12, 24, 40, 60].map((n) => h('option', { value: n, selected: n === this.most }, t('trends.curves', { n }))));
    this.spans = h('select', { 'aria-label': t('trends.window'), onchange: () => this.choose({ window: this.spans.value }) }, WINDOWS.map(([name, ms]) => h('option', { value: name, selected: ms === this.window }, name)));
    this.grid = h('div', { class: 'trend-grid' });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.trends')), this.place, this.number, this.spans, this.note), this.grid));
    this.begin();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    for (const curve of this.curves ?? []) curve.box.plot?.destroy();
  }

  choose(change) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(change)) if (value) query.set(name, value); else query.delete(name);
    this.app.go(`/trends?${query}`);
  }

  async begin() {
    const points = catalog.points.filter((p) => !this.scope || p.path === this.scope || p.path.startsWith(`${this.scope}/`));
    this.total = points.length;
    this.curves = points.slice(0, this.most).map((point) => {
      const box = h('div', { class: 'chart' }), value = h('b', { class: 'num' }, '–'), mark = h('span', { class: 'mark-level' });
      return { point, box, value, mark, data: { time: [], value: [], bad: [] }, received: 0, limits: limitsOf(point, () => ''),
        element: h('figure', { title: point.path }, h('figcaption', null, mark, h('span', { class: 'trend-name' }, pick(point.name, point.id)), value), box) };
    });
    this.grid.dataset.n = String(this.curves.length);
    fill(this.grid, this.curves.map((c) => c.element), this.curves.length ? null : h('p', { class: 'empty' }, t('trends.none')));
    this.library = await loadCharts(this.app.settings.charts);
    if (!this.isConnected || !this.curves.length) return;
    try {
      const { readings } = await get('readings/latest');
      this.now = nowOf(readings, this.app.store.now);
      this.after = Math.max(0, Math.min(...this.curves.map((c) => this.now.of(c.point))) - this.window);
    } catch (problem) { text(this.note, problem.message); return; }
    await this.tick();
    this.timer = setInterval(() => this.tick(), 1000);
  }

  async tick() {
    if (this.busy || document.hidden || !this.isConnected) return;
    this.busy = true;
    try {
      const answer = await get('readings/recent', { channels: this.curves.map((c) => c.point.channel).join(','), after: this.after });
      if (answer.catalog === catalog.version) answer.channels.forEach((channel, i) => this.take(this.curves[i], channel));
      this.draw();
      text(this.note, t('trends.note', { n: this.curves.length, total: this.total, time: clock(Math.max(...this.curves.map((c) => this.now.of(c.point)))) }));
    } catch (problem) {
      text(this.note, problem.message);
    }
    this.busy = false;
  }

  take(curve, channel) {
    const { time, value, bad } = curve.data;
    channel.time.forEach((ms, i) => {
      curve.received = Math.max(curve.received, channel.received[i]);
      if (time.length && ms <= time[time.length - 1]) return;
      time.push(ms);
      value.push(channel.value[i]);
      if (channel.value[i] === null) bad.push(ms);
    });
  }

  draw() {
    for (const curve of this.curves) {
      const kind = curve.point.parent.replay ? 'recorded' : 'live';
      this.now[kind] = Math.max(this.now[kind], curve.received, kind === 'live' ? this.app.store.now : 0);
    }
    // What is asked for next: everything after the newest reading of the curve that is furthest behind on its clock.
    const clocks = new Set(this.curves.map((c) => this.now.of(c.point)));
    this.after = clocks.size > 1 ? Math.min(...clocks) - this.window : Math.max(...this.curves.map((c) => c.received), this.after);
    for (const curve of this.curves) {
      const now = this.now.of(curve.point), from = now - this.window;
      const { time, value, bad } = curve.data;
      let old = 0;
      while (old < time.length && (time[old] < from || time.length - old > KEPT)) old += 1;
      if (old) { time.splice(0, old); value.splice(0, old); while (bad.length && bad[0] < from) bad.shift(); }
      const newest = value.length ? value[value.length - 1] : null;
      text(curve.value, `${number(newest)} ${unit(curve.point.unit)}`);
      const place = this.app.store.places.get(curve.point.path);
      const worst = place ? place.worst : 0;
      if (curve.worst !== worst) { curve.worst = worst; fill(curve.mark, worst ? symbol(worst, { size: 15, label: t(`level.${worst}`) }) : null); }
      const high = Math.max(56, Math.min(150, Math.floor((this.clientHeight - 60) / Math.ceil(this.curves.length / Math.max(1, Math.floor(this.clientWidth / 240))) - 34)));
      curve.height ??= high;
      drawColumns(curve.box, curve.data, { from, to: now, limits: curve.limits, small: true, height: curve.height, charts: true,
        plain: !this.library, bounds: range(value, curve.limits), unit: unit(curve.point.unit) }, this.library);
    }
  }
}

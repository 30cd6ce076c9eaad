// The map: devices where they stand, by their coordinates, without tiles from anywhere. Symbol and digit say
// the worst alarm, a cross that no good data come, a grey dot that all is well.

import { get } from './api.js';
import { catalog, nowOf } from './catalog.js';
import { fill, h, svg, symbol, text } from './dom.js';
import { number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { qualityOf } from './tree.js';

const METRES_LATITUDE = 110_540, METRES_LONGITUDE = 111_320;
const WIDTH = 1000, HEIGHT = 620, MARGIN = 70;

/** The page at /map: one site at a time. */
export class MapPage extends HTMLElement {
  connectedCallback() {
    this.version = catalog.version;
    const sites = catalog.tree.flatMap((enterprise) => enterprise.children);
    this.sites = sites.map((site) => {
      const all = site.children.flatMap((area) => area.children), devices = all.filter((d) => Number.isFinite(d.longitude) && Number.isFinite(d.latitude));
      return { site, devices, unplaced: all.filter((d) => !devices.includes(d)) };
    });
    const wanted = new URLSearchParams(location.search).get('site');
    this.shown = this.sites.find((s) => s.site.path === wanted) ?? this.sites.find((s) => s.devices.length && this.app.store.places.has(s.site.path))
      ?? this.sites.find((s) => s.devices.length) ?? this.sites[0];
    this.zoom = 1;
    this.centre = [WIDTH / 2, HEIGHT / 2];
    const choose = h('select', { 'aria-label': t('map.site'), onchange: () => this.app.go(`/map?site=${encodeURIComponent(choose.value)}`) },
      this.sites.map((s) => h('option', { value: s.site.path, selected: s === this.shown }, `${pick(s.site.parent.name, s.site.parent.id)} · ${pick(s.site.name, s.site.id)}`)));
    this.note = h('p', { class: 'hint', role: 'status' });
    this.plane = svg('svg', { class: 'map', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'group', 'aria-label': t('nav.map') });
    this.list = h('ul', { class: 'map-list' });
    const zoom = (factor) => () => { this.zoom = Math.min(12, Math.max(1, this.zoom * factor)); this.look(); };
    fill(this, h('section', { class: 'page map-page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.map')), choose,
      h('button', { 'aria-label': t('trend.in'), onclick: zoom(1.5) }, '+'), h('button', { 'aria-label': t('trend.out'), onclick: zoom(1 / 1.5) }, '−'), this.note),
      h('div', { class: 'map-body' }, this.plane, this.list)));
    this.build();
    this.onChange = () => this.draw();
    this.app.store.addEventListener('change', this.onChange);
    this.plane.addEventListener('pointerdown', (event) => this.drag(event));
    this.plane.addEventListener('wheel', (event) => { event.preventDefault(); this.zoom = Math.min(12, Math.max(1, this.zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2))); this.look(); }, { passive: false });
    this.read();
    this.timer = setInterval(() => this.read(), 2000);
    this.draw();
  }

  disconnectedCallback() {
    this.app.store.removeEventListener('change', this.onChange);
    clearInterval(this.timer);
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === '+' || event.key === '=') this.zoom = Math.min(12, this.zoom * 1.5);
    else if (event.key === '-') this.zoom = Math.max(1, this.zoom / 1.5);
    else if (steps[event.key]) this.centre = this.centre.map((at, i) => at + steps[event.key][i] * 80 / this.zoom);
    else return false;
    this.look();
    return true;
  }

  drag(event) {
    if (event.target.closest('.map-device')) return;
    const scale = WIDTH / this.plane.clientWidth / this.zoom, from = [event.clientX, event.clientY], centre = this.centre;
    const move = (e) => { this.centre = [centre[0] - (e.clientX - from[0]) * scale, centre[1] - (e.clientY - from[1]) * scale]; this.look(); };
    this.plane.setPointerCapture(event.pointerId);
    this.plane.addEventListener('pointermove', move);
    this.plane.addEventListener('pointerup', () => this.plane.removeEventListener('pointermove', move), { once: true });
  }

  look() {
    const width = WIDTH / this.zoom, height = HEIGHT / this.zoom;
    this.centre = [Math.min(WIDTH, Math.max(0, this.centre[0])), Math.min(HEIGHT, Math.max(0, this.centre[1]))];
    this.plane.setAttribute('viewBox', `${this.centre[0] - width / 2} ${this.centre[1] - height / 2} ${width} ${height}`);
    for (const mark of this.marks) mark.group?.setAttribute('transform', `translate(${mark.x} ${mark.y}) scale(${1 / this.zoom})`);
  }

  build() {
    this.marks = [];
    const devices = this.shown?.devices ?? [];
    const item = (device, mark) => h('li', null, mark.itemMark = h('span'), h('a', { href: `/wall?scope=${encodeURIComponent(device.path)}` }, pick(device.name, device.id)), mark.itemValue = h('span', { class: 'num' }));
    // What has no place on the map has one beside it: an alarm there must not be missed.
    const unplaced = () => (this.shown?.unplaced ?? []).map((device) => { const mark = { device }; this.marks.push(mark); return item(device, mark); });
    const others = () => { const items = unplaced(); return items.length ? [h('li', { class: 'map-unplaced' }, h('h2', null, t('map.without', { n: items.length }))), items] : null; };
    if (!devices.length) { fill(this.list, h('li', { class: 'empty' }, t('map.none')), others()); return; }
    const lon = devices.map((d) => d.longitude), lat = devices.map((d) => d.latitude);
    const [west, east, south, north] = [Math.min(...lon), Math.max(...lon), Math.min(...lat), Math.max(...lat)];
    const stretch = Math.cos((south + north) / 2 * Math.PI / 180) * METRES_LONGITUDE;
    const scale = Math.min((WIDTH - 2 * MARGIN) / Math.max(1, (east - west) * stretch), (HEIGHT - 2 * MARGIN) / Math.max(1, (north - south) * METRES_LATITUDE));
    const x = (d) => WIDTH / 2 + (d.longitude - (west + east) / 2) * stretch * scale, y = (d) => HEIGHT / 2 - (d.latitude - (south + north) / 2) * METRES_LATITUDE * scale;
    fill(this.plane, this.areas(x, y), this.ruler(scale), devices.map((device) => this.mark(device, x(device), y(device))));
    fill(this.list, devices.map((device) => item(device, this.marks.find((mark) => mark.device === device))), others());
    this.look();
  }

  /** The hull of each area's devices, so that one sees what belongs together. */
  areas(x, y) {
    return this.shown.site.children.map((area) => {
      const inside = area.children.filter((d) => this.shown.devices.includes(d));
      if (inside.length < 1) return null;
      const xs = inside.map(x), ys = inside.map(y), left = Math.min(...xs) - 45, top = Math.min(...ys) - 40;
      return [svg('rect', { class: 'map-area', x: left, y: top, width: Math.max(...xs) + 45 - left, height: Math.max(...ys) + 55 - top, rx: 14 }), svg('text', { class: 'map-area-name', x: left + 10, y: top + 17 }, pick(area.name, area.id))];
    });
  }

  ruler(scale) {
    const metres = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((m) => m * scale > 70) ?? 10_000;
    const length = metres * scale, left = 20, foot = HEIGHT - 16;
    return [svg('path', { class: 'map-ruler', d: `M${left} ${foot - 6}v6h${length}v-6` }), svg('text', { x: left + length / 2, y: foot - 8, 'text-anchor': 'middle', class: 'map-text' }, metres >= 1000 ? `${metres / 1000} km` : `${metres} m`),
      svg('path', { class: 'map-ruler', d: `M${WIDTH - 30} 50V18m-7 10 7-10 7 10` }), svg('text', { x: WIDTH - 30, y: 64, 'text-anchor': 'middle', class: 'map-text' }, 'N')];
  }

  mark(device, x, y) {
    const open = () => this.app.go(`/wall?scope=${encodeURIComponent(device.path)}`);
    const sign = svg('g'), value = svg('text', { class: 'map-value', y: 46, 'text-anchor': 'middle' });
    const group = svg('g', { class: 'map-device', role: 'link', tabindex: 0, 'aria-label': pick(device.name, device.id), onclick: open, onkeydown: (event) => { if (event.key === 'Enter') { event.preventDefault(); open(); } } },
      svg('circle', { r: 20, class: 'map-target' }), sign, svg('text', { class: 'map-name', y: 31, 'text-anchor': 'middle' }, pick(device.name, device.id)), value);
    this.marks.push({ device, group, sign, value, x, y });
    return group;
  }

  async read() {
    if (document.hidden || !this.marks.length) return;
    try {
      const { catalog: version, readings } = await get('readings/latest');
      // By another catalog the rows are of other points; the page is built anew once that is here.
      if (!this.isConnected || version !== this.version) return;
      const now = nowOf(readings, this.app.store.now);
      for (const mark of this.marks) {
        mark.isHeard = mark.device.children.every((p) => ['good', 'doubtful'].includes(qualityOf(p, readings[p.channel], now.of(p))));
        const point = mark.device.points?.[0] ?? mark.device.children[0], reading = readings[point?.channel];
        const said = reading ? `${number(reading.value)} ${unit(point.unit)}` : '–';
        if (mark.value) text(mark.value, said);
        text(mark.itemValue, said);
      }
      this.draw();
    } catch (problem) {
      if (!this.isConnected) return;
      for (const mark of this.marks) mark.isHeard = false;
      this.draw();
      text(this.note, problem.message);
    }
  }

  draw() {
    if (this.version !== catalog.version) { this.app.show(); return; }
    let stand = 0;
    for (const mark of this.marks) {
      const place = this.app.store.places.get(mark.device.path), worst = place?.worst ?? 0;
      if (worst) stand += 1;
      // Without an alarm, only a device whose readings are seen to be good is well.
      const isWell = !worst && mark.isHeard === true, look = `${worst} ${isWell}`;
      if (mark.look === look) continue;
      mark.look = look;
      const words = worst ? t(`level.${worst}`) : isWell ? t('map.well') : t('map.silent');
      fill(mark.itemMark, isWell ? h('span', { class: 'dot good' }) : symbol(worst, { size: 15, label: words }));
      if (!mark.group) continue;
      const big = isWell ? svg('circle', { r: 8, class: 'map-well' }) : symbol(worst, { size: 34, label: words });
      if (!isWell) { big.setAttribute('x', -17); big.setAttribute('y', -17); }
      fill(mark.sign, big);
      mark.group.setAttribute('aria-label', `${pick(mark.device.name, mark.device.id)}: ${words}`);
    }
    if (this.marks.length) text(this.note, `${t('map.note', { n: this.marks.length, alarms: stand })}${this.shown.unplaced.length ? ` · ${t('map.without', { n: this.shown.unplaced.length })}` : ''}`);
  }
}

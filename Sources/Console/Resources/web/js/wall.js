// The alarm wall: tree, table, detail. Rows outside the window are not in the document, and what a step
// changes is put right alone, so that ten thousand standing alarms cost no more than thirty.

import { features } from './api.js';
import { catalog, areaName, nameAt, pointName, pointOf, ruleText } from './catalog.js';
import { AlarmDetail } from './detail.js';
import { askAct } from './dialog.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, count, dateTime, duration, moment, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { SortedRows } from './sorted.js';
import { isAside, isUnacknowledged, level, order } from './store.js';
import { Kiosk } from './kiosk.js';
import { FloodBar } from './flood.js';
import { WallTree } from './walltree.js';

const narrow = matchMedia('(max-width: 760px)');
const rowHeight = () => narrow.matches ? 76 : 30;
const COLUMNS = ['level', 'state', 'raised', 'enterprise', 'point', 'kind', 'value', 'lasting', 'by'];

/** The page at /wall. */
export class WallPage extends HTMLElement {
  connectedCallback() {
    this.store = this.app.store;
    if (this.app.kiosk) { this.append(this.kiosk = new Kiosk(this.app)); this.onChange = () => this.queue(); this.store.addEventListener('change', this.onChange); this.app.stream.addEventListener('state', this.onChange); this.queue(); return; }
    const query = new URLSearchParams(location.search);
    this.levels = new Set();
    this.state = null;
    this.scope = catalog.nodes.has(query.get('scope')) ? query.get('scope') : null;
    this.search = '';
    /** Rows that match the filters, in the wall's order. */
    this.view = new SortedRows(order);
    /** What is shown, by alarm: the view's order, or while a row below the top is selected that of its selecting. */
    this.held = null;
    this.waiting = new Set();
    this.marked = new Set();
    this.selected = null;
    this.onChange = () => this.queue();
    this.onRow = (event) => this.takeRow(event.detail);
    this.onReset = () => { this.refilter(); };
    this.build();
    this.store.addEventListener('change', this.onChange);
    this.store.addEventListener('row', this.onRow);
    this.store.addEventListener('reset', this.onReset);
    this.app.stream.addEventListener('state', this.onChange);
    this.timer = setInterval(() => this.drawRows(), 1000);
    this.resize = new ResizeObserver(() => this.drawRows());
    this.resize.observe(this.scroller);
    this.refilter();
  }

  disconnectedCallback() {
    this.store.removeEventListener('change', this.onChange);
    this.store.removeEventListener('row', this.onRow);
    this.store.removeEventListener('reset', this.onReset);
    this.app.stream.removeEventListener('state', this.onChange);
    clearInterval(this.timer);
    this.resize?.disconnect();
    this.detail?.close?.();
  }

  build() {
    this.tree = new WallTree(this.store, (path) => this.setScope(path));
    this.flood = new FloodBar(this.app, { select: (id) => this.select(id, true), scope: (path) => this.setScope(path) });
    this.newer = h('button', { class: 'newer', hidden: true, onclick: () => this.select(null) });
    this.heading = h('h1', null, t('wall.title'));
    this.searchBox = h('input', { type: 'search', id: 'filter', placeholder: t('wall.filter'), 'aria-label': t('wall.filter'),
      oninput: () => { this.search = this.searchBox.value.trim().toLowerCase(); this.refilter(); },
      onkeydown: (event) => { if (event.key === 'Escape' || event.key === 'Enter') { event.preventDefault(); this.searchBox.blur(); } } });
    this.chips = h('span', { class: 'filter-chips' });
    this.before = h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td'));
    this.after = h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td'));
    this.body = h('tbody', { id: 'rows' });
    this.table = h('table', { class: 'alarms', 'aria-label': t('wall.title') },
      h('thead', null, h('tr', null, COLUMNS.map((c) => h('th', { scope: 'col', class: `c-${c}` }, t(`column.${c}`))))), this.body);
    this.scroller = h('div', { class: 'scroller', tabindex: 0, 'aria-label': t('wall.title'), role: 'region', onscroll: () => this.drawRows() }, this.table);
    this.empty = h('p', { class: 'empty', hidden: true }, t('wall.empty'));
    this.detailBox = h('aside', { class: 'wall-detail', tabindex: 0, 'aria-label': t('detail.label') });
    fill(this,
      h('section', { class: 'wall' }, this.tree.element,
        h('div', { class: 'wall-list' },
          h('div', { class: 'bar' }, this.heading, this.searchBox, this.chips, this.newer),
          this.flood.element, this.scroller, this.empty),
        this.detailBox));
    this.emptyDetail();
  }

  emptyDetail() { fill(this.detailBox, h('p', { class: 'hint' }, t('detail.none'))); }

  queue() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => { this.queued = false; if (this.isConnected) this.draw(); });
  }

  matches(row) {
    if (this.levels.size && !this.levels.has(level(row))) return false;
    if (this.state === 'unacknowledged' && (!isUnacknowledged(row) || isAside(row))) return false;
    if (this.state === 'aside' && !isAside(row)) return false;
    if (this.scope && row.point !== this.scope && !row.point.startsWith(`${this.scope}/`)) return false;
    if (!this.search) return true;
    return `${row.point} ${nameAt(row.point, 1)} ${areaName(row.point)} ${pointName(row.point)} ${ruleText(row)} ${row.rule}`.toLowerCase().includes(this.search);
  }

  /** Looks through all rows again: after a new snapshot or another filter. */
  refilter() {
    this.view.list = this.store.sorted.list.filter((row) => this.matches(row));
    this.waiting.clear();
    this.held = null;
    for (const id of this.marked) if (!this.store.rows.has(id)) this.marked.delete(id);
    this.hold();
    this.queue();
  }

  /** Puts one row's step into the view. */
  takeRow({ row, old }) {
    if (old) this.view.remove(old);
    const id = (row ?? old).alarm;
    const shown = row && this.matches(row);
    if (shown) this.view.add(row);
    if (!row) this.marked.delete(id);
    if (!this.held) return;
    const at = this.held.indexOf(id);
    if (shown && at < 0) this.waiting.add(id);
    if (!shown) {
      this.waiting.delete(id);
      if (at >= 0) this.held.splice(at, 1);
    }
  }

  /** While a row below the top is selected, rows keep their places and new ones wait. */
  hold() {
    if (!this.selected || this.held) return;
    const at = this.view.list.findIndex((row) => row.alarm === this.selected);
    if (at > 0) this.held = this.view.list.map((row) => row.alarm);
  }

  release() { this.held = null; this.waiting.clear(); }

  /** How many rows are shown. */
  get shown() { return this.held ? this.held.length : this.view.length; }

  /** The row at a place of the list. */
  at(index) { return this.held ? this.store.rows.get(this.held[index]) : this.view.list[index]; }

  /** Where the selected alarm stands in the list, or -1. */
  get selectedAt() {
    if (!this.selected) return -1;
    return this.held ? this.held.indexOf(this.selected) : this.view.list.findIndex((row) => row.alarm === this.selected);
  }

  draw() {
    if (this.kiosk) { this.kiosk.draw(); return; }
    if (this.held && !this.store.rows.has(this.selected)) this.release();
    text(this.heading, t('wall.count', { n: count(this.shown + this.waiting.size) }));
    this.newer.hidden = this.waiting.size === 0;
    if (this.waiting.size) {
      let worst = 4;
      for (const id of this.waiting) worst = Math.min(worst, level(this.store.rows.get(id)));
      fill(this.newer, symbol(worst, { size: 16 }), t('wall.newer', { n: this.waiting.size }));
    }
    this.empty.hidden = this.shown > 0;
    text(this.empty, this.store.rows.size ? t('wall.filtered') : this.app.stream.live ? t('wall.empty') : t('link.lost', { time: clock(this.app.stream.since) }));
    this.flood.draw(this.scope);
    this.tree.draw(this.scope);
    this.drawChips();
    this.drawRows();
    this.detail?.refresh?.();
  }

  drawChips() {
    const key = `${[...this.levels].sort()} ${this.state} ${this.scope}`;
    if (key === this.chipsDrawn) return;
    this.chipsDrawn = key;
    const chips = [];
    for (const n of [...this.levels].sort()) chips.push([`${t(`level.${n}`)}`, () => this.toggleLevel(n)]);
    if (this.state) chips.push([t(`filter.${this.state}`), () => this.toggleState(this.state)]);
    if (this.scope) chips.push([pick(catalog.nodes.get(this.scope)?.name, this.scope), () => this.setScope(null)]);
    fill(this.chips, chips.map(([label, off]) => h('button', { class: 'chip', title: t('filter.remove'), onclick: off }, label, ' ×')));
  }

  drawRows() {
    if (this.kiosk || !this.body) return;
    const height = rowHeight(), total = this.shown;
    const first = Math.max(0, Math.min(total, Math.floor(this.scroller.scrollTop / height) - 6));
    const last = Math.min(total, first + Math.ceil(this.scroller.clientHeight / height) + 14);
    const present = new Map([...this.body.children].map((tr) => [tr.dataset.alarm, tr]));
    const wanted = [];
    for (let i = first; i < last; i += 1) {
      const row = this.at(i);
      if (row) wanted.push(this.drawRow(present.get(row.alarm), row, i));
    }
    const before = `${first * height}px`, after = `${(total - last) * height}px`;
    if (this.before.style.height !== before) this.before.style.height = before;
    if (this.after.style.height !== after) this.after.style.height = after;
    const list = [this.before, ...wanted, this.after];
    if (list.length !== this.body.children.length || list.some((tr, i) => this.body.children[i] !== tr)) this.body.replaceChildren(...list);
    this.table.setAttribute('aria-rowcount', String(total + 1));
  }

  drawRow(tr, row, index) {
    if (!tr) {
      tr = h('tr', { dataset: { alarm: row.alarm }, onclick: () => this.select(row.alarm, true) }, COLUMNS.map((c) => h('td', { class: `c-${c}` })));
    }
    const cells = tr.children;
    const now = this.store.nowOf(row);
    const isOver = row.state === 'returnedUnacknowledged' || row.state.startsWith('latched');
    text(cells[7], duration((isOver ? row.returned ?? row.time : now) - row.onset));
    const look = `${row.alarm === this.selected}${this.marked.has(row.alarm)}${index}`;
    if (tr.shown === row && tr.look === look && tr.version === catalog.version) return tr;
    tr.shown = row; tr.look = look; tr.version = catalog.version;
    const waits = isUnacknowledged(row) && !isAside(row);
    tr.className = ['row', `state-${row.state}`, `level-${level(row)}`, waits ? 'unacknowledged' : '', isAside(row) ? 'aside' : '',
      row.unrecorded ? 'unrecorded' : '', row.alarm === this.selected ? 'selected' : '', this.marked.has(row.alarm) ? 'marked' : '', index % 2 ? 'odd' : ''].filter(Boolean).join(' ');
    if (row.alarm === this.selected) tr.setAttribute('aria-current', 'true'); else tr.removeAttribute('aria-current');
    tr.setAttribute('aria-rowindex', String(index + 2));
    const mark = `${level(row)}${isAside(row)}`;
    if (cells[0].dataset.mark !== mark) {
      cells[0].dataset.mark = mark;
      fill(cells[0], symbol(level(row), { hollow: isAside(row), label: t(`level.${level(row)}`) }));
    }
    const until = row.state === 'shelved' && row.until ? ` → ${clock(row.until).slice(0, 5)}` : '';
    text(cells[1], `${t(`state.${row.state}`)}${until}${row.unrecorded ? ` · ${t('unrecorded')}` : ''}`);
    text(cells[2], moment(row.onset, now));
    cells[2].title = `${t('raised.title')} ${dateTime(row.onset)}`;
    text(cells[3], `${areaName(row.point)} · ${nameAt(row.point, 1)}`);
    cells[3].title = row.point;
    text(cells[4], pointName(row.point));
    cells[4].title = row.point;
    text(cells[5], ruleText(row));
    cells[5].title = ruleText(row);
    text(cells[6], row.value === null && row.limit === null ? '' : `${number(row.value)}${row.limit === null ? '' : ` / ${number(row.limit)}`} ${unit(row.unit)}`);
    text(cells[8], row.acknowledgedBy || (isAside(row) ? row.actor : ''));
    return tr;
  }

  /** Selects a row, and shows its detail beside the list or, where there is no room, as a page. */
  select(id, open = false) {
    this.selected = id;
    if (id && this.held && this.waiting.has(id)) { this.waiting.delete(id); this.held.unshift(id); }
    if (id && open && !this.hasRoom()) { this.app.go(`/alarm?id=${encodeURIComponent(id)}`); return; }
    if (!id || (this.held && this.selectedAt <= 0)) this.release();
    this.hold();
    this.detail?.close?.();
    this.detail = null;
    if (id && this.hasRoom()) {
      this.detail = new AlarmDetail(this.app, id, { compact: true });
      fill(this.detailBox, this.detail.element);
    } else this.emptyDetail();
    this.queue();
  }

  hasRoom() { return getComputedStyle(this.detailBox).display !== 'none'; }

  move(by) {
    const total = this.shown;
    if (!total) return;
    const at = this.selectedAt;
    const next = at < 0 ? (by > 0 ? 0 : total - 1) : Math.min(total - 1, Math.max(0, at + by));
    const row = this.at(next);
    if (!row) return;
    this.select(row.alarm);
    const height = rowHeight(), top = next * height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + 2 * height > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + 2 * height - this.scroller.clientHeight;
  }

  setScope(path) { this.scope = path === this.scope ? null : path; this.selected = null; this.refilter(); }
  toggleLevel(n) { this.levels.has(n) ? this.levels.delete(n) : this.levels.add(n); this.refilter(); }
  toggleState(name) { this.state = this.state === name ? null : name; this.refilter(); }

  /** What an act goes to: the marked rows, or the selected one. */
  targets() {
    const ids = this.marked.size ? [...this.marked] : this.selected ? [this.selected] : [];
    return ids.map((id) => this.store.rows.get(id)).filter(Boolean);
  }

  async act(kind) {
    const targets = this.targets();
    if (!targets.length) return;
    if (await askAct(kind, targets, this.app.settings)) { this.marked.clear(); this.detail?.fetch(); }
    this.queue();
  }

  key(event) {
    if (this.kiosk) return false;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / rowHeight()) - 2);
    const keys = { j: () => this.move(1), ArrowDown: () => this.move(1), k: () => this.move(-1), ArrowUp: () => this.move(-1),
      PageDown: () => this.move(page), PageUp: () => this.move(-page), Home: () => this.move(-1e9), End: () => this.move(1e9),
      Enter: () => this.selected && this.app.go(`/alarm?id=${encodeURIComponent(this.selected)}`),
      Escape: () => { if (document.activeElement === this.searchBox) this.searchBox.blur(); else this.select(null); },
      a: () => this.act('acknowledge'), s: () => this.act('shelve'), n: () => this.act('note'),
      d: () => !features.has('hazards') ? null : this.detail ? this.detail.dispatch() : this.selected && this.app.go(`/alarm?id=${encodeURIComponent(this.selected)}`),
      x: () => { if (this.selected) { this.marked.has(this.selected) ? this.marked.delete(this.selected) : this.marked.add(this.selected); this.queue(); } },
      u: () => { this.select(null); this.scroller.scrollTop = 0; }, '/': () => this.searchBox.focus() };
    for (const n of [1, 2, 3, 4]) keys[n] = () => this.toggleLevel(n);
    const run = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run) return false;
    if (event.key === 'Enter' && event.target.closest('button, a, summary')) return false;
    run();
    return true;
  }

  /** The point of the selected alarm, for tests and other pages. */
  get selectedPoint() { return this.selected ? pointOf(this.store.rows.get(this.selected) ?? { point: '' }) : null; }
}

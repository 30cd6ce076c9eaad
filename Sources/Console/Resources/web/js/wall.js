// The alarm wall: tree, table, detail. Rows outside the window are not in the document, so that ten
// thousand standing alarms cost no more than thirty.

import { catalog, areaName, nameAt, pointName, pointOf, ruleText } from './catalog.js';
import { AlarmDetail } from './detail.js';
import { askAct } from './dialog.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, count, dateTime, duration, moment, number, unit } from './format.js';
import { pick, t } from './i18n.js';
import { isAside, isUnacknowledged, level, order } from './store.js';
import { Kiosk } from './kiosk.js';

const narrow = matchMedia('(max-width: 760px)');
const rowHeight = () => narrow.matches ? 76 : 30;

/** The page at /wall. */
export class WallPage extends HTMLElement {
  connectedCallback() {
    this.store = this.app.store;
    this.levels = new Set();
    this.state = null;
    this.scope = null;
    this.search = '';
    this.order = [];
    this.waiting = new Set();
    this.marked = new Set();
    this.selected = null;
    this.open = new Set(catalog.tree.map((node) => node.path));
    this.onChange = () => this.queue();
    if (this.app.kiosk) { this.append(this.kiosk = new Kiosk(this.app)); this.store.addEventListener('change', this.onChange); this.queue(); return; }
    this.build();
    this.store.addEventListener('change', this.onChange);
    this.app.stream.addEventListener('state', this.onChange);
    this.timer = setInterval(() => this.drawRows(), 1000);
    this.resize = new ResizeObserver(() => this.drawRows());
    this.resize.observe(this.scroller);
    this.queue();
  }

  disconnectedCallback() {
    this.store.removeEventListener('change', this.onChange);
    this.app.stream.removeEventListener('state', this.onChange);
    clearInterval(this.timer);
    this.resize?.disconnect();
    this.detail?.close?.();
  }

  build() {
    this.tree = h('div', { class: 'wall-tree', role: 'tree', 'aria-label': t('tree.label') });
    this.flood = h('div', { class: 'flood', role: 'status', hidden: true });
    this.newer = h('button', { class: 'newer', hidden: true, onclick: () => this.select(null) });
    this.heading = h('h1', null, t('wall.title'));
    this.searchBox = h('input', { type: 'search', id: 'filter', placeholder: t('wall.filter'), 'aria-label': t('wall.filter'),
      oninput: () => { this.search = this.searchBox.value.trim().toLowerCase(); this.queue(); },
      onkeydown: (event) => { if (event.key === 'Escape' || event.key === 'Enter') { event.preventDefault(); this.searchBox.blur(); } } });
    this.chips = h('span', { class: 'filter-chips' });
    this.before = h('tr', { class: 'spacer' });
    this.after = h('tr', { class: 'spacer' });
    this.body = h('tbody', { id: 'rows' });
    const columns = ['level', 'state', 'raised', 'enterprise', 'point', 'kind', 'value', 'lasting', 'by'];
    this.table = h('table', { class: 'alarms', 'aria-label': t('wall.title') },
      h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col', class: `c-${c}` }, t(`column.${c}`))))), this.body);
    this.scroller = h('div', { class: 'scroller', tabindex: 0, onscroll: () => this.drawRows() }, this.table);
    this.empty = h('p', { class: 'empty', hidden: true }, t('wall.empty'));
    this.detailBox = h('aside', { class: 'wall-detail', 'aria-label': t('detail.label') });
    fill(this,
      h('section', { class: 'wall' }, this.tree,
        h('div', { class: 'wall-list' },
          h('div', { class: 'bar' }, this.heading, this.searchBox, this.chips, this.newer),
          this.flood, this.scroller, this.empty),
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

  draw() {
    if (this.kiosk) { this.kiosk.draw(); return; }
    const rows = [];
    for (const row of this.store.rows.values()) if (this.matches(row)) rows.push(row);
    rows.sort(order);
    // While a row below the top is selected, rows keep their places and new ones wait.
    const at = this.selected ? this.order.indexOf(this.selected) : -1;
    if (at > 0 && rows.some((row) => row.alarm === this.selected)) {
      const here = new Map(rows.map((row) => [row.alarm, row]));
      const kept = this.order.filter((id) => here.has(id));
      const known = new Set(kept);
      this.waiting = new Set(rows.filter((row) => !known.has(row.alarm)).map((row) => row.alarm));
      this.order = kept;
    } else {
      this.order = rows.map((row) => row.alarm);
      this.waiting.clear();
      if (this.selected && !this.store.rows.has(this.selected) && !this.detail?.keeps) this.selected = null;
    }
    for (const id of this.marked) if (!this.store.rows.has(id)) this.marked.delete(id);
    text(this.heading, t('wall.count', { n: count(this.order.length + this.waiting.size) }));
    this.newer.hidden = this.waiting.size === 0;
    if (this.waiting.size) {
      const worst = Math.min(...[...this.waiting].map((id) => level(this.store.rows.get(id))));
      fill(this.newer, symbol(worst, { size: 16 }), t('wall.newer', { n: this.waiting.size }));
    }
    this.empty.hidden = this.order.length > 0;
    text(this.empty, this.store.rows.size ? t('wall.filtered') : t('wall.empty'));
    this.drawFlood(rows);
    this.drawTree();
    this.drawChips();
    this.drawRows();
    this.detail?.refresh?.();
  }

  drawFlood(rows) {
    this.flood.hidden = !this.store.flooding;
    if (!this.store.flooding) return;
    const groups = new Map();
    for (const row of rows) {
      if (isAside(row)) continue;
      const key = row.point.split('/').slice(0, 3).join('/');
      const group = groups.get(key) ?? { key, count: 0, worst: 4 };
      group.count += 1;
      group.worst = Math.min(group.worst, level(row));
      groups.set(key, group);
    }
    const list = [...groups.values()].sort((a, b) => a.worst - b.worst || b.count - a.count).slice(0, 8);
    const first = this.store.firstOut;
    fill(this.flood, h('strong', null, t('flood.banner', { n: this.store.recent.length })),
      first ? h('button', { onclick: () => this.select(first.alarm, true) }, t('flood.first', { name: pointName(first.point), time: clock(first.at) })) : null,
      list.map((g) => h('button', { class: g.key === this.scope ? 'on' : '', onclick: () => this.setScope(g.key === this.scope ? null : g.key) },
        symbol(g.worst, { size: 16 }), `${areaName(g.key) || g.key} ${g.count}`)));
  }

  drawTree() {
    const worst = new Map();
    for (const row of this.store.rows.values()) {
      if (isAside(row)) continue;
      const parts = row.point.split('/');
      for (let depth = 1; depth < parts.length; depth += 1) {
        const path = parts.slice(0, depth).join('/');
        const entry = worst.get(path) ?? { level: 9, count: 0 };
        entry.level = Math.min(entry.level, level(row));
        entry.count += 1;
        worst.set(path, entry);
      }
    }
    const signature = JSON.stringify([catalog.version, this.scope, [...this.open], [...worst]]);
    if (signature === this.treeSignature) return;
    this.treeSignature = signature;
    const item = (node, depth) => {
      if (node.kind === 'device' && !worst.has(node.path)) return null;
      const state = worst.get(node.path);
      const isOpen = this.open.has(node.path);
      const hasChildren = node.children.length > 0 && node.kind !== 'device';
      return h('div', { role: 'treeitem', 'aria-expanded': hasChildren ? String(isOpen) : null, class: `node depth-${depth}` },
        h('div', { class: `node-line${this.scope === node.path ? ' on' : ''}` },
          h('button', { class: 'twist', tabindex: hasChildren ? 0 : -1, disabled: !hasChildren, 'aria-label': t('tree.toggle'), onclick: () => { isOpen ? this.open.delete(node.path) : this.open.add(node.path); this.queue(); } }, hasChildren ? (isOpen ? '▾' : '▸') : ''),
          h('button', { class: 'node-name', onclick: () => this.setScope(this.scope === node.path ? null : node.path), title: node.path }, pick(node.name, node.id)),
          state ? h('span', { class: 'node-state' }, symbol(state.level, { size: 15 }), state.count) : null),
        isOpen && hasChildren ? h('div', { role: 'group' }, node.children.map((child) => item(child, depth + 1))) : null);
    };
    fill(this.tree,
      h('div', { class: `node-line all${this.scope ? '' : ' on'}` }, h('button', { class: 'node-name', onclick: () => this.setScope(null) }, t('tree.all'))),
      catalog.tree.map((node) => item(node, 0)));
  }

  drawChips() {
    const chips = [];
    for (const n of [...this.levels].sort()) chips.push([`${t(`level.${n}`)}`, () => this.toggleLevel(n)]);
    if (this.state) chips.push([t(`filter.${this.state}`), () => this.toggleState(this.state)]);
    if (this.scope) chips.push([pick(catalog.nodes.get(this.scope)?.name, this.scope), () => this.setScope(null)]);
    fill(this.chips, chips.map(([label, off]) => h('button', { class: 'chip', title: t('filter.remove'), onclick: off }, label, ' ×')));
  }

  drawRows() {
    if (this.kiosk || !this.body) return;
    const height = rowHeight();
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / height) - 6);
    const last = Math.min(this.order.length, first + Math.ceil(this.scroller.clientHeight / height) + 14);
    const present = new Map([...this.body.children].map((tr) => [tr.dataset.alarm, tr]));
    const wanted = [];
    for (let i = first; i < last; i += 1) {
      const row = this.store.rows.get(this.order[i]);
      if (row) wanted.push(this.drawRow(present.get(row.alarm), row, i));
    }
    this.before.style.height = `${first * height}px`;
    this.after.style.height = `${(this.order.length - last) * height}px`;
    const list = [this.before, ...wanted, this.after];
    if (list.length !== this.body.children.length || list.some((tr, i) => this.body.children[i] !== tr)) this.body.replaceChildren(...list);
  }

  drawRow(tr, row, index) {
    if (!tr) {
      tr = h('tr', { dataset: { alarm: row.alarm }, onclick: () => this.select(row.alarm, true) }, [...'123456789'].map(() => h('td')));
      ['level', 'state', 'raised', 'enterprise', 'point', 'kind', 'value', 'lasting', 'by'].forEach((c, i) => tr.children[i].classList.add(`c-${c}`));
    }
    const now = this.store.now;
    const lasting = row.state === 'returnedUnacknowledged' || row.state.startsWith('latched') ? duration((row.returned ?? row.time) - row.onset) : duration(now - row.onset);
    tr.className = ['row', `state-${row.state}`, `level-${level(row)}`, isUnacknowledged(row) && !isAside(row) ? 'unacknowledged' : '', isAside(row) ? 'aside' : '',
      row.unrecorded ? 'unrecorded' : '', row.alarm === this.selected ? 'selected' : '', this.marked.has(row.alarm) ? 'marked' : '', index % 2 ? 'odd' : ''].filter(Boolean).join(' ');
    tr.setAttribute('aria-selected', String(row.alarm === this.selected));
    const cells = tr.children;
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
    text(cells[7], lasting);
    text(cells[8], row.acknowledgedBy || (isAside(row) ? row.actor : ''));
    return tr;
  }

  /** Selects a row, and shows its detail beside the list or, where there is no room, as a page. */
  select(id, open = false) {
    this.selected = id;
    if (id && this.order.indexOf(id) < 0 && this.waiting.has(id)) this.order = [id, ...this.order];
    if (id && open && !this.hasRoom()) { this.app.go(`/alarm?id=${encodeURIComponent(id)}`); return; }
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
    if (!this.order.length) return;
    const at = this.order.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : this.order.length - 1) : Math.min(this.order.length - 1, Math.max(0, at + by));
    this.select(this.order[next]);
    const height = rowHeight(), top = next * height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + 2 * height > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + 2 * height - this.scroller.clientHeight;
  }

  setScope(path) { this.scope = path; this.selected = null; this.queue(); }
  toggleLevel(n) { this.levels.has(n) ? this.levels.delete(n) : this.levels.add(n); this.queue(); }
  toggleState(name) { this.state = this.state === name ? null : name; this.queue(); }

  /** What an act goes to: the marked rows, or the selected one. */
  targets() {
    const ids = this.marked.size ? [...this.marked] : this.selected ? [this.selected] : [];
    return ids.map((id) => this.store.rows.get(id)).filter(Boolean);
  }

  async act(kind) {
    const targets = this.targets();
    if (!targets.length) return;
    if (await askAct(kind, targets, this.app.settings)) this.marked.clear();
    this.queue();
  }

  key(event) {
    if (this.kiosk) return false;
    const keys = { j: () => this.move(1), ArrowDown: () => this.move(1), k: () => this.move(-1), ArrowUp: () => this.move(-1),
      Enter: () => this.selected && this.app.go(`/alarm?id=${encodeURIComponent(this.selected)}`),
      Escape: () => { if (document.activeElement === this.searchBox) this.searchBox.blur(); else this.select(null); },
      a: () => this.act('acknowledge'), s: () => this.act('shelve'),
      x: () => { if (this.selected) { this.marked.has(this.selected) ? this.marked.delete(this.selected) : this.marked.add(this.selected); this.queue(); } },
      n: () => this.select(null), '/': () => this.searchBox.focus() };
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

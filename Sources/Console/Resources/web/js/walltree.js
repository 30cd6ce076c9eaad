// The tree beside the wall: the worst alarm and the number of alarms of each place, going up to the top.
// Built anew only when places appear or go; a step changes counts alone.

import { catalog } from './catalog.js';
import { fill, h, symbol } from './dom.js';
import { pick, t } from './i18n.js';

/** Most devices listed of one area; the table itself lists them all. */
const DEVICES = 200;

/** The tree; `choose` is told the path that a person picked, or null for all. */
export class WallTree {
  constructor(store, choose) {
    this.store = store;
    this.choose = choose;
    this.open = new Set(catalog.tree.length > 6 ? [] : catalog.tree.map((node) => node.path));
    this.states = new Map();
    this.element = h('nav', { class: 'wall-tree', 'aria-label': t('tree.label') });
  }

  draw(scope) {
    const devices = [];
    for (const [path] of this.store.places) {
      const parts = path.split('/', 5);
      if (parts.length === 4 && this.open.has(parts.slice(0, 3).join('/'))) devices.push(path);
    }
    const signature = JSON.stringify([catalog.version, scope, [...this.open], devices.sort()]);
    if (signature !== this.signature) { this.signature = signature; this.build(scope); }
    for (const [path, box] of this.states) {
      const place = this.store.places.get(path);
      const key = place ? `${place.worst} ${place.total}` : '';
      if (box.key === key) continue;
      box.key = key;
      fill(box, place ? [symbol(place.worst, { size: 15, label: t(`level.${place.worst}`) }), h('span', null, place.total)] : null);
    }
  }

  build(scope) {
    this.states = new Map();
    fill(this.element,
      h('div', { class: `node-line all${scope ? '' : ' on'}` }, h('button', { class: 'node-name', onclick: () => this.choose(null) }, t('tree.all'))),
      h('ul', null, catalog.tree.map((node) => this.item(node, 0, scope))));
  }

  item(node, depth, scope) {
    const isOpen = this.open.has(node.path), canOpen = node.children.length > 0 && node.kind !== 'device';
    const state = h('span', { class: 'node-state' });
    this.states.set(node.path, state);
    let children = null;
    if (isOpen && canOpen) {
      const list = node.kind === 'area' ? node.children.filter((device) => this.store.places.has(device.path)) : node.children;
      children = h('ul', null, list.slice(0, DEVICES).map((child) => this.item(child, depth + 1, scope)),
        list.length > DEVICES ? h('li', { class: 'hint' }, t('tree.more', { n: list.length - DEVICES })) : null);
    }
    return h('li', { class: `node depth-${depth}` },
      h('div', { class: `node-line${scope === node.path ? ' on' : ''}` },
        canOpen ? h('button', { class: 'twist', 'aria-expanded': String(isOpen), 'aria-label': `${t('tree.toggle')} ${pick(node.name, node.id)}`, onclick: () => this.toggle(node.path, scope) }, isOpen ? '▾' : '▸') : h('span', { class: 'twist' }),
        h('button', { class: 'node-name', 'aria-pressed': String(scope === node.path), onclick: () => this.choose(node.path), title: node.path }, pick(node.name, node.id)),
        state),
      children);
  }

  toggle(path, scope) {
    this.open.has(path) ? this.open.delete(path) : this.open.add(path);
    this.draw(scope);
  }
}

// The flood's banner: how much came, what was first, and where it stands, by area.

import { areaName, pointName } from './catalog.js';
import { fill, h, symbol } from './dom.js';
import { clock } from './format.js';
import { t } from './i18n.js';

/** Shown while more alarms come than a person can take; `scope` narrows the wall to an area. */
export class FloodBar {
  constructor(app, { select, scope }) {
    this.app = app;
    this.select = select;
    this.scope = scope;
    this.element = h('div', { class: 'flood', role: 'status', hidden: true });
  }

  draw(current) {
    const store = this.app.store;
    this.element.hidden = !store.flooding;
    if (!store.flooding) { this.drawn = ''; return; }
    const areas = [];
    for (const [path, place] of store.places) {
      if (path.split('/', 4).length === 3) areas.push({ path, n: place.total, worst: place.worst });
    }
    areas.sort((a, b) => a.worst - b.worst || b.n - a.n);
    const list = areas.slice(0, 8), first = store.firstOut;
    const key = JSON.stringify([list, store.recent.length, first?.alarm, current]);
    if (key === this.drawn) return;
    this.drawn = key;
    fill(this.element, h('strong', null, t('flood.banner', { n: store.recent.length })),
      first ? h('button', { class: 'first-out', onclick: () => this.select(first.alarm) }, t('flood.first', { name: pointName(first.point), time: clock(first.at) })) : null,
      list.map((g) => h('button', { class: g.path === current ? 'on' : '', 'aria-pressed': String(g.path === current), onclick: () => this.scope(g.path) },
        symbol(g.worst, { size: 16, label: t(`level.${g.worst}`) }), `${areaName(g.path) || g.path} ${g.n}`)),
      areas.length > list.length ? h('span', null, t('flood.more', { n: areas.length - list.length })) : null);
  }
}

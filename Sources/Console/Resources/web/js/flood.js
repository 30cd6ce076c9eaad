// The flood's banner: how much came, what was first, and where it stands, by area.

import { areaName, catalog, pointName } from './catalog.js';
import { fill, h, symbol } from './dom.js';
import { clock } from './format.js';
import { pick, t } from './i18n.js';

/** A rule's point and id in words. */
const ruleOf = (name) => { const [point, rule] = name.split('#'); return `${pointName(point)} ${rule}`; };

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
    this.element.hidden = !store.flooding && !store.floods.size;
    if (this.element.hidden) { this.drawn = ''; return; }
    const areas = [];
    for (const [path, place] of store.places) {
      if (path.split('/', 4).length === 3) areas.push({ path, n: place.total, worst: place.worst });
    }
    areas.sort((a, b) => a.worst - b.worst || b.n - a.n);
    const list = areas.slice(0, 8), first = store.firstOut, floods = [...store.floods.values()];
    const key = JSON.stringify([list, store.recent.length, first?.alarm, current, floods]);
    if (key === this.drawn) return;
    this.drawn = key;
    fill(this.element, store.flooding ? h('strong', null, t('flood.banner', { n: store.recent.length })) : null,
      floods.map((f) => this.summary(f)),
      first ? h('button', { class: 'first-out', onclick: () => this.select(first.alarm) }, t('flood.first', { name: pointName(first.point), time: clock(first.at) })) : null,
      list.map((g) => h('button', { class: g.path === current ? 'on' : '', 'aria-pressed': String(g.path === current), onclick: () => this.scope(g.path) },
        symbol(g.worst, { size: 16, label: t(`level.${g.worst}`) }), `${areaName(g.path) || g.path} ${g.n}`)),
      areas.length > list.length ? h('span', null, t('flood.more', { n: areas.length - list.length })) : null);
  }

  /** What the station says of a flood of an enterprise or a county, with what came first and the rules that it names. */
  summary(f) {
    const [kind, id] = f.scope.split(/:(.*)/), name = kind === 'enterprise' ? pick(catalog.nodes.get(id)?.name, id) : id;
    const most = (f.top ?? []).map((rule) => `${rule.count} × ${ruleOf(rule.rule)}`).join('\n');
    return h('span', { class: 'flood-scope', title: most }, t('flood.scope', { name, time: clock(f.began), n: f.count }), ' ',
      h('a', { href: `/alarm?id=${encodeURIComponent(f.firstOut)}` }, t('flood.first', { name: pointName(f.firstOut.split('#')[0]), time: clock(f.firstOutTime) })));
  }
}

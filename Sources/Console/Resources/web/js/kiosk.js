// The wall without a keyboard: big counts, the worst twelve, four trends.

import { get } from './api.js';
import { areaName, nameAt, pointName, pointOf, ruleText } from './catalog.js';
import { drawTrend } from './chart.js';
import { fill, h, symbol } from './dom.js';
import { clock, count, duration, number, unit } from './format.js';
import { t } from './i18n.js';
import { isAside, isUnacknowledged, level } from './store.js';

/** Big enough to be read from across a room. */
export class Kiosk extends HTMLElement {
  constructor(app) {
    super();
    this.app = app;
  }

  connectedCallback() {
    this.counts = h('div', { class: 'kiosk-counts' });
    this.list = h('ol', { class: 'kiosk-list' });
    this.trends = h('div', { class: 'kiosk-trends' });
    fill(this, this.counts, h('div', { class: 'kiosk-body' }, this.list, this.trends));
    this.drawn = '';
    this.timer = setInterval(() => this.drawTrends(true), 10_000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  draw() {
    const rows = this.app.store.sorted.list.slice(0, 12).filter((row) => !isAside(row));
    const counts = this.app.store.counts(), { live, since } = this.app.stream;
    // That nothing stands is said only where that is known, and not of alarms that are set aside.
    const rest = !live ? t('link.lost', { time: clock(since) }) : counts.aside ? t('count.aside', { n: count(counts.aside) }) : rows.length ? null : t('wall.empty');
    fill(this.counts, [1, 2, 3, 4].map((n) => h('div', { class: counts.levels[n] ? `level-${n}` : 'none' }, symbol(n, { size: 64 }), h('b', null, counts.levels[n]), h('span', null, t(`level.${n}`)))),
      h('div', { class: counts.unacknowledged ? 'urgent' : 'none' }, h('b', null, counts.unacknowledged), h('span', null, t('state.unacknowledged'))));
    fill(this.list, rows.map((row) => h('li', { class: isUnacknowledged(row) ? `unacknowledged level-${level(row)}` : `level-${level(row)}` },
      symbol(level(row), { size: 34 }), h('div', null, h('strong', null, `${pointName(row.point)} ${ruleText(row)}`),
        h('small', null, `${nameAt(row.point, 1)} · ${areaName(row.point)} · ${t(`state.${row.state}`)}`)),
      h('div', { class: 'kiosk-value' }, `${number(row.value)} ${unit(row.unit)}`, h('small', null, `${clock(row.onset)} · ${duration(this.app.store.nowOf(row) - row.onset)}`)))),
      rest ? h('li', { class: 'none' }, rest) : null);
    this.worst = [...new Set(rows.map((row) => row.point))].slice(0, 4);
    this.drawTrends(false);
  }

  async drawTrends(again) {
    const key = (this.worst ?? []).join();
    if (key === this.drawn && !again) return;
    this.drawn = key;
        const boxes = [];
    for (const path of this.worst ?? []) {
      const point = pointOf({ point: path });
      const to = Math.max(this.app.store.nowOf({ point: path }), 1), from = to - 1_800_000;
      const box = h('div', { class: 'chart' });
      boxes.push(h('figure', null, h('figcaption', null, pointName(path)), box));
      get(`points/${encodeURIComponent(path)}/trend`, { from, to, buckets: 200 }).then((trend) => drawTrend(box, trend.buckets, {
        from, to, unit: point?.unit, height: Math.max(90, (this.trends.clientHeight - 18) / 4 - 30), charts: this.app.settings.charts,
        limits: (point?.rules ?? []).filter((r) => r.setpoint !== null).map((r) => ({ value: r.setpoint, priority: r.priority, label: `${r.level} ${number(r.setpoint)}` })),
      }), () => fill(box, h('p', { class: 'hint' }, t('trend.none'))));
    }
    fill(this.trends, boxes);
  }
}
customElements.define('davy-kiosk', Kiosk);

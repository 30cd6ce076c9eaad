// What was refused, why, and how it looked: nothing is dropped in silence.

import { get } from './api.js';
import { fill, h, text } from './dom.js';
import { count, dateTime } from './format.js';
import { t } from './i18n.js';

/** The page at /rejects. */
export class RejectsPage extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'reject-rows' });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.rejects')), this.note),
      h('p', null, t('rejects.about')),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['why', 'topic', 'device', 'times', 'firstSeen', 'lastSeen', 'detail', 'sample'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), this.rows))));
    this.load();
    this.timer = setInterval(() => this.load(), 5000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    try {
      const data = await get('rejects', { limit: 500 });
      const key = JSON.stringify(data);
      if (key === this.shown) return;
      this.shown = key;
      fill(this.rows, data.rejects.map((r) => h('tr', null, h('td', null, h('b', null, t(`reject.${r.reason}`) === `reject.${r.reason}` ? r.reason : t(`reject.${r.reason}`))),
        h('td', { class: 'mono' }, r.topic), h('td', null, r.device), h('td', { class: 'num' }, count(r.count)), h('td', { class: 'time' }, dateTime(r.firstTime)), h('td', { class: 'time' }, dateTime(r.lastTime)),
        h('td', null, r.detail), h('td', null, h('details', null, h('summary', null, r.sampleEncoding), h('pre', null, r.sample))))));
      text(this.note, t('rejects.total', { n: count(data.total), kinds: count(data.rejects.length) }));
    } catch (problem) {
      text(this.note, problem.message);
    }
  }
}

// The page of one alarm, at /alarm?id=…

import { AlarmDetail } from './detail.js';
import { fill, h } from './dom.js';
import { t } from './i18n.js';

/** One alarm, full width; also what a phone shows after a touch on a row. */
export class AlarmPage extends HTMLElement {
  connectedCallback() {
    const id = new URLSearchParams(location.search).get('id');
    if (!id) { fill(this, h('p', { class: 'empty' }, t('detail.none'))); return; }
    this.detail = new AlarmDetail(this.app, id);
    fill(this, h('section', { class: 'page alarm-page' }, h('a', { class: 'back', href: '/wall' }, `← ${t('nav.wall')}`), this.detail.element));
    this.onChange = () => this.detail.refresh();
    this.app.store.addEventListener('change', this.onChange);
  }

  disconnectedCallback() {
    this.app.store.removeEventListener('change', this.onChange);
    this.detail?.close();
  }

  key(event) {
    const press = (kind) => { this.detail?.buttons.querySelector(`[data-act=${kind}]`)?.click(); return true; };
    if (event.key === 'Escape') { this.app.go('/wall'); return true; }
    if (event.key.toLowerCase() === 'a') return press('acknowledge');
    if (event.key.toLowerCase() === 's') return press('shelve');
    if (event.key.toLowerCase() === 'n') return press('note');
    if (event.key.toLowerCase() === 'd') return press('dispatch');
    return false;
  }
}

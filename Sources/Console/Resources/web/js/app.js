// The frame around the pages: header with what must always be seen, navigation, keys.

import { get } from './api.js';
import { catalog, loadCatalog } from './catalog.js';
import { showKeys } from './dialog.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, count, duration, offset, setZone } from './format.js';
import { language, languages, load, preferred, t } from './i18n.js';
import { Annunciator } from './sound.js';
import { AlarmStore, FLOOD_BEGINS } from './store.js';
import { LiveStream } from './stream.js';
import { WallPage } from './wall.js';
import { AlarmPage } from './alarm.js';
import { LedgerPage } from './ledger.js';
import { TreePage } from './tree.js';
import { RejectsPage } from './rejects.js';
import { StatusPage } from './status.js';

const PAGES = [
  { path: '/wall', key: 'w', name: 'nav.wall', tag: 'davy-wall' },
  { path: '/ledger', key: 'l', name: 'nav.ledger', tag: 'davy-ledger' },
  { path: '/tree', key: 't', name: 'nav.tree', tag: 'davy-tree' },
  { path: '/rejects', key: 'r', name: 'nav.rejects', tag: 'davy-rejects' },
  { path: '/status', key: 's', name: 'nav.status', tag: 'davy-status' },
];
const ALARM = { path: '/alarm', name: 'nav.alarm', tag: 'davy-alarm' };

/** The whole console: one store, one stream, one page at a time. */
class App extends HTMLElement {
  async connectedCallback() {
    this.kiosk = new URLSearchParams(location.search).get('kiosk') === '1';
    document.body.classList.toggle('kiosk', this.kiosk);
    this.store = new AlarmStore();
    this.stream = new LiveStream(this.store);
    this.annunciator = new Annunciator(this.store);
    this.health = null;
    this.messages = { count: -1, at: Date.now() };
    this.settings = { charts: false, maximumShelvingMinutes: 480, station: '' };
    try {
      await load(preferred());
      this.settings = await get('console');
      setZone(this.settings.timeZone);
      await loadCatalog();
    } catch (error) {
      fill(this, h('p', { class: 'boot-error', role: 'alert' }, String(error.message)));
      setTimeout(() => location.reload(), 3000);
      return;
    }
    this.build();
    this.stream.addEventListener('state', () => this.showLink());
    this.stream.addEventListener('heartbeat', (event) => this.beat(event.detail));
    this.store.addEventListener('change', () => this.queueCounts());
    this.annunciator.addEventListener('change', () => this.showSound());
    addEventListener('popstate', () => this.show());
    document.addEventListener('keydown', (event) => this.key(event));
    document.addEventListener('click', (event) => this.link(event));
    setInterval(() => this.tick(), 1000);
    this.stream.start();
    this.show();
  }

  build() {
    this.linkState = h('span', { id: 'link', class: 'chip', role: 'status' });
    this.dataState = h('span', { id: 'data', class: 'chip' });
    this.clockBox = h('time', { id: 'clock' });
    this.levels = [1, 2, 3, 4].map((n) => h('button', { class: `level level-${n}`, id: `count-${n}`, title: t(`level.${n}`), onclick: () => this.filterLevel(n) },
      symbol(n, { size: 22 }), h('b', null, '0')));
    this.unacknowledged = h('button', { class: 'count', id: 'count-unack', onclick: () => this.filterState('unacknowledged') });
    this.aside = h('button', { class: 'count', id: 'count-aside', onclick: () => this.filterState('aside') });
    this.rate = h('span', { class: 'count', id: 'rate', title: t('rate.title') });
    this.soundButton = h('button', { id: 'sound', onclick: () => this.annunciator.toggle() });
    this.banner = h('div', { id: 'frozen', role: 'alert', hidden: true });
    this.faults = h('div', { id: 'faults', role: 'alert', hidden: true });
    this.main = h('main', { id: 'main' });
    this.nav = h('nav', { 'aria-label': t('nav.label') }, PAGES.map((page) => h('a', { href: page.path, dataset: { tag: page.tag } }, t(page.name))));
    this.summary = h('p', { class: 'sr-only', 'aria-live': 'polite' });
    this.footer = h('footer', null, h('span', { id: 'keys' }));
    fill(this,
      this.banner, this.faults,
      h('header', null,
        h('a', { class: 'brand', href: '/wall' }, 'Davy', h('small', null, this.settings.station)),
        this.nav,
        h('div', { class: 'counts' }, this.levels, this.unacknowledged, this.aside, this.rate),
        h('div', { class: 'health' }, this.dataState, this.linkState, this.soundButton,
          h('select', { id: 'language', 'aria-label': t('language'), onchange: (event) => this.translate(event.target.value) },
            languages.map((code) => h('option', { value: code, selected: code === language() }, code === 'zh' ? '中文' : 'English'))),
          this.clockBox)),
      this.main, this.footer, this.summary);
    this.showLink();
    this.showCounts();
    this.showSound();
    this.tick();
  }

  async translate(code) {
    await load(code);
    const url = new URL(location);
    url.searchParams.delete('lang');
    history.replaceState(null, '', url);
    this.build();
    this.show();
  }

  /** Puts the page of the address in place. */
  show() {
    const path = location.pathname === '/' ? '/wall' : location.pathname;
    const page = [...PAGES, ALARM].find((p) => p.path === path) ?? PAGES[0];
    for (const link of this.nav.children) {
      if (link.dataset.tag === page.tag) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
    }
    document.title = `${t(page.name)} · Davy`;
    const element = document.createElement(page.tag);
    element.app = this;
    fill(this.main, element);
    text(this.footer.querySelector('#keys'), t(page.tag === 'davy-wall' ? 'keys.wall' : 'keys.page'));
    this.page = element;
    this.titleChanged();
  }

  /** Goes to an address of the console. */
  go(address) {
    history.pushState(null, '', address);
    this.show();
  }

  link(event) {
    const anchor = event.target.closest?.('a[href]');
    if (!anchor || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const url = new URL(anchor.href);
    if (url.origin !== location.origin || anchor.hasAttribute('download') || url.pathname.startsWith('/api/')) return;
    event.preventDefault();
    this.go(url.pathname + url.search);
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector('dialog[open]')) return;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (typing && event.key !== 'Escape') return;
    if (this.pendingGo) {
      this.pendingGo = false;
      const page = PAGES.find((p) => p.key === event.key.toLowerCase());
      if (page) { event.preventDefault(); this.go(page.path); }
      return;
    }
    if (event.key === 'g') this.pendingGo = true;
    else if (event.key === '?') showKeys();
    else if (event.key.toLowerCase() === 'm') this.annunciator.mute();
    else if (this.page?.key?.(event)) event.preventDefault();
  }

  beat(data) {
    this.health = data.status;
    const status = data.status;
    // A station that replays the past receives at past times; that messages come is what counts.
    if (status.messages !== this.messages.count) {
      const isFirst = this.messages.count === -1;
      this.messages = { count: status.messages, at: isFirst && status.lastMessage ? Math.max(status.lastMessage, data.time - 86_400_000) + (Date.now() - data.time) : Date.now() };
    }
    if (status.lastMessage) this.store.advance(status.lastMessage);
    if (status.catalogVersion !== catalog.version) {
      loadCatalog().then(() => this.store.changed(), () => {});
    }
    this.showData();
  }

  showLink() {
    const live = this.stream.live;
    this.linkState.className = `chip ${live ? 'good' : 'bad'}`;
    text(this.linkState, live ? t('link.live') : t('link.lost', { time: clock(this.stream.since) }));
    document.body.classList.toggle('frozen', !live);
    this.banner.hidden = live;
    text(this.banner, live ? '' : t('link.banner', { time: clock(this.stream.since) }));
  }

  showData() {
    const s = this.health;
    if (!s) return;
    const age = Date.now() - this.messages.at;
    const connected = s.link === 'connected';
    this.dataState.className = `chip ${!connected ? 'bad' : age > 60_000 ? 'doubtful' : 'good'}`;
    text(this.dataState, !connected ? t('data.link', { state: t(`brokerLink.${s.link}`) }) : s.messages === 0 ? t('data.none') : t('data.age', { age: duration(age) }));
    this.dataState.title = s.linkReason;
    const faults = [];
    if (!connected) faults.push(t('fault.broker', { reason: s.linkReason || s.link }));
    if (s.journalFault) faults.push(t('fault.journal', { reason: s.journalFault }));
    if (s.ledgerFault) faults.push(t('fault.ledger', { reason: s.ledgerFault }));
    const unrecorded = this.store.counts().unrecorded;
    if (unrecorded) faults.push(t('fault.unrecorded', { n: unrecorded }));
    this.faults.hidden = faults.length === 0;
    text(this.faults, faults.join('  ·  '));
  }

  showSound() {
    const state = this.annunciator.state;
    text(this.soundButton, t(`sound.${state}`));
    this.soundButton.className = `sound ${state}`;
    this.soundButton.setAttribute('aria-pressed', String(state === 'on'));
  }

  queueCounts() {
    if (this.countsQueued) return;
    this.countsQueued = true;
    requestAnimationFrame(() => { this.countsQueued = false; this.showCounts(); });
  }

  showCounts() {
    const counts = this.store.counts();
    this.levels.forEach((button, i) => {
      text(button.querySelector('b'), count(counts.levels[i + 1]));
      button.classList.toggle('none', counts.levels[i + 1] === 0);
      button.setAttribute('aria-label', `${t(`level.${i + 1}`)}: ${counts.levels[i + 1]}`);
    });
    text(this.unacknowledged, t('count.unacknowledged', { n: count(counts.unacknowledged) }));
    this.unacknowledged.classList.toggle('urgent', counts.unacknowledged > 0);
    text(this.aside, t('count.aside', { n: count(counts.aside) }));
    const rate = this.store.recent.length;
    text(this.rate, t('count.rate', { n: rate, limit: FLOOD_BEGINS }));
    this.rate.classList.toggle('over', rate > FLOOD_BEGINS);
    text(this.summary, t('count.summary', { total: counts.total, n: counts.unacknowledged, critical: counts.levels[1] }));
    this.titleChanged();
  }

  titleChanged() {
    const n = this.store.counts().unacknowledged;
    document.title = document.title.replace(/^\(\d+\) /, '');
    if (n) document.title = `(${n}) ${document.title}`;
  }

  filterLevel(n) { this.onWall((wall) => wall.toggleLevel(n)); }
  filterState(name) { this.onWall((wall) => wall.toggleState(name)); }

  onWall(body) {
    if (this.page?.tagName !== 'DAVY-WALL') this.go('/wall');
    body(this.page);
  }

  tick() {
    const now = Date.now();
    text(this.clockBox, `${clock(now)} ${offset(now)}`);
    this.showData();
  }
}

for (const [tag, type] of [['davy-wall', WallPage], ['davy-alarm', AlarmPage], ['davy-ledger', LedgerPage],
  ['davy-tree', TreePage], ['davy-rejects', RejectsPage], ['davy-status', StatusPage], ['davy-app', App]]) {
  customElements.define(tag, type);
}

// The frame around the pages: header with what must always be seen, navigation, keys.

import { features, get, loadFeatures } from './api.js';
import { catalog, isRecorded, loadCatalog, nowOf } from './catalog.js';
import { showKeys } from './dialog.js';
import { fill, h, symbol, text } from './dom.js';
import { clock, count, duration, offset, setZone } from './format.js';
import { language, languages, load, preferred, t } from './i18n.js';
import { Annunciator } from './sound.js';
import { AlarmStore, FLOOD_BEGINS } from './store.js';
import { LiveStream } from './stream.js';
import { goToSignIn, loadSession, session, signOut } from './session.js';
import { WallPage } from './wall.js';
import { AlarmPage } from './alarm.js';
import { LedgerPage } from './ledger.js';
import { TreePage, qualityOf } from './tree.js';
import { RejectsPage } from './rejects.js';
import { StatusPage } from './status.js';
import { TrendsPage } from './trends.js';
import { MapPage } from './map.js';
import { QualityPage } from './quality.js';
import { ReplayPage } from './replay.js';
import { RulesPage } from './rules.js';
import { HazardsPage } from './hazards.js';
import { HazardPage } from './hazard.js';
import { CalloutsPage } from './callouts.js';
import { KPIPage } from './kpi.js';
import { WeldingPage } from './welding.js';
import { AdminPage } from './admin.js';

/** The pages with the key that follows G; those without a key are reached from others. */
const PAGES = [
  { path: '/wall', key: 'a', name: 'nav.wall', tag: 'davy-wall', type: WallPage },
  { path: '/ledger', key: 'l', name: 'nav.ledger', tag: 'davy-ledger', type: LedgerPage },
  { path: '/hazards', needs: 'hazards', key: 'h', name: 'nav.hazards', tag: 'davy-hazards', type: HazardsPage },
  { path: '/callouts', needs: 'callouts', key: 'o', name: 'nav.callouts', tag: 'davy-callouts', type: CalloutsPage },
  { path: '/map', key: 'p', name: 'nav.map', tag: 'davy-map', type: MapPage },
  { path: '/tree', key: 't', name: 'nav.tree', tag: 'davy-tree', type: TreePage },
  { path: '/trends', key: 'c', name: 'nav.trends', tag: 'davy-trends', type: TrendsPage },
  { path: '/quality', key: 'q', name: 'nav.quality', tag: 'davy-quality', type: QualityPage },
  { path: '/welding', needs: 'welding', key: 'e', name: 'nav.welding', tag: 'davy-welding', type: WeldingPage },
  { path: '/rejects', key: 'j', name: 'nav.rejects', tag: 'davy-rejects', type: RejectsPage },
  { path: '/kpi', needs: 'kpis', key: 'k', name: 'nav.kpi', tag: 'davy-kpi', type: KPIPage },
  { path: '/replay', key: 'r', name: 'nav.replay', tag: 'davy-replay', type: ReplayPage },
  { path: '/rules', key: 'u', name: 'nav.rules', tag: 'davy-rules', type: RulesPage },
  { path: '/status', key: 's', name: 'nav.status', tag: 'davy-status', type: StatusPage },
  { path: '/admin', needs: 'accounts', key: 'n', name: 'nav.admin', tag: 'davy-admin', type: AdminPage },
  { path: '/hazard', needs: 'hazards', name: 'nav.hazards', tag: 'davy-hazard', type: HazardPage },
  { path: '/alarm', name: 'nav.alarm', tag: 'davy-alarm', type: AlarmPage },
];

/** The whole console: one store, one stream, one page at a time. */
class App extends HTMLElement {
  async connectedCallback() {
    this.kiosk = new URLSearchParams(location.search).get('kiosk') === '1';
    document.body.classList.toggle('kiosk', this.kiosk);
    this.store = new AlarmStore();
    this.store.isRecorded = isRecorded;
    this.stream = new LiveStream(this.store);
    this.annunciator = new Annunciator(this.store);
    this.health = null;
    this.messages = { count: -1, at: Date.now() };
    this.user = null;
    this.settings = { charts: false, maximumShelvingMinutes: 480, station: '' };
    try {
      await load(preferred());
      await loadFeatures();
      if (features.has('session')) {
        if (location.pathname === '/sign-in' || !(await loadSession())) {
          if (location.pathname !== '/sign-in') { goToSignIn(); return; }
          fill(this, document.createElement('davy-sign-in'));
          return;
        }
        // A session that ends while the wall is up must not leave a wall that looks alive.
        addEventListener('davy-signed-out', goToSignIn);
      }
      /** Who is signed in; null where nobody has to. */
      this.user = session()?.open === false ? session() : null;
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
    setInterval(() => this.countBad(), 20_000);
    this.countBad();
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
    this.badData = h('a', { class: 'button count', id: 'count-bad', href: '/tree?bad=1' }, symbol(0, { size: 16 }), h('b', null, '–'));
    this.rate = h('span', { class: 'count', id: 'rate', title: t('rate.title') });
    this.soundButton = h('button', { id: 'sound', onclick: () => this.annunciator.toggle() });
    this.banner = h('div', { id: 'frozen', role: 'alert', hidden: true });
    this.faults = h('div', { id: 'faults', role: 'alert', hidden: true });
    this.main = h('main', { id: 'main' });
    this.nav = h('nav', { 'aria-label': t('nav.label') }, PAGES.filter((page) => page.key && (!page.needs || features.has(page.needs))).map((page) => h('a', { href: page.path, title: `G ${page.key.toUpperCase()}`, dataset: { tag: page.tag } }, t(page.name))));
    this.summary = h('p', { class: 'sr-only', 'aria-live': 'polite' });
    this.footer = h('footer', null, h('span', { id: 'keys' }));
    fill(this,
      this.banner, this.faults,
      h('header', null,
        h('a', { class: 'brand', href: '/wall' }, 'Davy', h('small', null, this.settings.station)),
        h('div', { class: 'counts' }, this.levels, this.badData, this.unacknowledged, this.aside, this.rate),
        h('div', { class: 'health' }, this.dataState, this.linkState, this.soundButton,
          this.user ? h('button', { id: 'sign-out', title: `${t('signIn.out')} (${this.user.roles.map((r) => t(`role.${r}`)).join('、')})`, onclick: () => signOut() }, this.user.displayName) : null,
          h('select', { id: 'language', 'aria-label': t('language'), onchange: (event) => this.translate(event.target.value) },
            languages.map((code) => h('option', { value: code, selected: code === language() }, code === 'zh' ? '中文' : 'English'))),
          this.clockBox), this.nav),
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
    const page = PAGES.find((p) => p.path === path && (!p.needs || features.has(p.needs))) ?? PAGES[0];
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
    if (anchor && typeof anchor.href !== 'string') return;
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
    if (event.key === 'g') { this.pendingGo = true; setTimeout(() => { this.pendingGo = false; }, 2000); }
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

  /** How many points have no good value: silent, refused by their source, or in doubt. */
  async countBad() {
    if (document.hidden || !this.stream.live && this.stream.drops) return;
    try {
      const { readings } = await get('readings/latest');
      const now = nowOf(readings, this.store.now);
      let n = 0;
      for (const point of catalog.points) if (!['good', 'doubtful'].includes(qualityOf(point, readings[point.channel], now.of(point)))) n += 1;
      text(this.badData.querySelector('b'), count(n));
      this.badData.classList.toggle('none', n === 0);
      this.badData.setAttribute('aria-label', t('count.bad', { n: count(n) }));
      this.badData.title = t('count.bad', { n: count(n) });
    } catch (problem) {
      // A count that is not known any more is none.
      text(this.badData.querySelector('b'), '–');
      this.badData.classList.remove('none');
      this.badData.setAttribute('aria-label', problem.message);
      this.badData.title = problem.message;
    }
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
    this.titleChanged();
    // A screen reader is told at most every ten seconds: in a flood it would never come to an end.
    this.summaryTimer ??= setTimeout(() => {
      this.summaryTimer = null;
      const now = this.store.counts();
      text(this.summary, t('count.summary', { total: count(now.total), n: count(now.unacknowledged), critical: count(now.levels[1]) }));
    }, this.summary.textContent ? 10_000 : 1000);
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

for (const { tag, type } of PAGES) customElements.define(tag, type);
customElements.define('davy-app', App);

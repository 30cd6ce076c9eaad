// The one live connection of a tab. It resumes where it broke off, and says at once when it is broken:
// a wall that looks alive and is not is worse than none.

import { features, get } from './api.js';

/** Silence for longer than this is not live, ms; the server is asked for a heartbeat every 2 s. */
export const SILENCE = 5000;
/** So long after a snapshot a flood may be on that nothing has told of yet: it ends ten minutes after its newest alarm, and a minute after one it is told again, ms. */
const UNTOLD = 660_000;

/** Follows the alarm stream into a store. Tells of its state by 'state' and of heartbeats by 'heartbeat'. */
export class LiveStream extends EventTarget {
  constructor(store) {
    super();
    this.store = store;
    this.cursor = null;
    this.live = false;
    this.since = Date.now();
    this.heard = 0;
    this.delay = 500;
    this.drops = 0;
    this.untold = 0;
    setInterval(() => this.watch(), 500);
    addEventListener('offline', () => this.lost());
    addEventListener('online', () => this.reconnect(0));
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.watch(); });
  }

  start() { this.connect(); }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    const since = this.cursor === null ? '' : `&since=${this.cursor}`;
    const source = new EventSource(`/api/v1/alarms/stream?heartbeat=2${since}`);
    this.source = source;
    this.heard = Date.now();
    const on = (name, take) => source.addEventListener(name, (event) => {
      if (source !== this.source) return;
      this.heard = Date.now();
      take(JSON.parse(event.data), event);
      if (event.lastEventId) this.cursor = event.lastEventId;
    });
    on('snapshot', (data) => { this.store.snapshot(data); this.untold = Date.now() + UNTOLD; this.refresh(); });
    on('alarm', (data) => this.store.step(data));
    on('unrecorded', (data) => this.store.unrecorded(data));
    on('flood', (data) => { this.store.flood(data); this.hurry?.(); this.refresh(); });
    on('reset', () => {});
    on('heartbeat', (data) => {
      this.delay = 500;
      this.set(true);
      this.dispatchEvent(new CustomEvent('heartbeat', { detail: data }));
    });
    source.onerror = () => { if (source === this.source) this.lost(); };
  }

  /**
   * In a flood the stream tells a summary in place of the steps that the station takes. The wall bears them all, and
   * nothing may be missing from it: until the flood's end it asks for what stands, and more seldom while it cannot know
   * that there is no flood.
   */
  async refresh() {
    if (this.refreshing) return;
    this.refreshing = true;
    do {
      try {
        if (this.live) this.store.refresh(await get('alarms/standing'));
      } catch { /* asked again in a moment; a station that is gone shows by its silence */ }
      const pause = (this.store.rows.size > 1000 ? 3000 : 700) * (this.store.floods.size ? 1 : 5);
      await new Promise((resolve) => { this.hurry = resolve; setTimeout(resolve, pause); });
    } while (this.store.floods.size || Date.now() < this.untold);
    this.refreshing = false;
  }

  lost() {
    if (this.live) this.drops += 1;
    // An event source does not tell why it failed: whether the session has ended, the API says.
    if (features.has('session')) get('session').catch(() => {});
    this.set(false);
    this.reconnect(this.delay);
    this.delay = Math.min(this.delay * 2, 5000);
  }

  reconnect(after) {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), after);
  }

  watch() {
    if (this.source && Date.now() - this.heard > SILENCE) this.lost();
  }

  set(live) {
    if (live === this.live) return;
    this.live = live;
    this.since = Date.now();
    this.dispatchEvent(new Event('state'));
  }
}

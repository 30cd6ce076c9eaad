// The standing alarms as this page knows them: a fold of the stream's snapshot and steps, the same as
// the ledger's own view. Counts and order are kept as steps come, never computed from all rows, so that
// ten thousand standing alarms cost a step no more than ten. Nothing here touches the document.

import { SortedRows } from './sorted.js';

/** Most urgent first: the ledger writes priority 4 for red, people say level 1. */
export const level = (alarm) => 5 - (alarm.priority ?? 1);

const UNACKNOWLEDGED = new Set(['unacknowledged', 'returnedUnacknowledged', 'latchedUnacknowledged']);
const ASIDE = new Set(['shelved', 'suppressedByDesign', 'outOfService']);
const ACTIVE = new Set(['unacknowledged', 'acknowledged']);

/** Whether a person has still to acknowledge it. */
export const isUnacknowledged = (alarm) => UNACKNOWLEDGED.has(alarm.state);
/** Whether it is set aside: shelved, suppressed or out of service. */
export const isAside = (alarm) => ASIDE.has(alarm.state);
/** Whether its condition is true. */
export const isActive = (alarm) => ACTIVE.has(alarm.state);

/** A flood begins above this many alarms in ten minutes and ends below the second (ISA-18.2). */
export const FLOOD_BEGINS = 10, FLOOD_ENDS = 5, WINDOW = 600_000;

const rank = (alarm) => isAside(alarm) ? 2 : isUnacknowledged(alarm) ? 0 : 1;

/** Order of the wall: unacknowledged first, then level, then newest. Set-aside alarms come last. */
export function order(a, b) {
  return rank(a) - rank(b) || level(a) - level(b) || b.onset - a.onset || (a.alarm < b.alarm ? -1 : a.alarm > b.alarm ? 1 : 0);
}

/** Adds a step to an alarm's row; `row` is undefined for the first step of an occurrence. */
export function fold(row, entry) {
  const body = entry.body;
  const next = {
    ...(row ?? { firstSequence: entry.sequence, acknowledgedBy: '', acknowledgedReason: '', steps: 0, revisions: 0,
      value: null, limit: null, unit: '', catalog: '', raised: null, acknowledged: null, returned: null, reset: null }),
    alarm: body.alarm, point: body.point, rule: body.rule, onset: body.onset,
    state: body.state, priority: body.priority, sequence: entry.sequence, time: entry.time,
    actor: entry.actor, reason: body.reason ?? '', until: body.state === 'shelved' ? body.until ?? null : null,
    received: body.received, unrecorded: false,
  };
  next.steps += 1;
  if (body.value !== undefined) next.value = body.value;
  if (body.limit !== undefined) next.limit = body.limit;
  if (body.unit) next.unit = body.unit;
  if (body.catalog) next.catalog = body.catalog;
  if (body.event === 'raised') next.raised = entry.time;
  else if (body.event === 'returned') next.returned = entry.time;
  else if (body.event === 'reset') next.reset = entry.time;
  else if (body.event === 'revised') next.revisions += 1;
  else if (body.event === 'acknowledged') {
    next.acknowledged = entry.time;
    next.acknowledgedBy = entry.actor;
    next.acknowledgedReason = body.reason ?? '';
  }
  return next;
}

/** How many alarms of each level stand at a place and below it; set-aside ones are not counted. */
class PlaceCount {
  constructor() { this.levels = [0, 0, 0, 0, 0]; this.total = 0; }

  get worst() { return this.levels.findIndex((n, i) => i > 0 && n > 0); }
}

/**
 * The standing alarms, with what the header counts. Tells of changes by 'change' (anything), 'row'
 * (detail {row, old}, one of which may be absent), 'reset' (all rows anew) and 'raised' events.
 */
export class AlarmStore extends EventTarget {
  constructor() {
    super();
    this.rows = new Map();
    this.sorted = new SortedRows(order);
    /** Counts by path of enterprise, site, area, device and point. */
    this.places = new Map();
    this.head = 0;
    /** Steps up to here are in what was told to stand. */
    this.base = 0;
    this.flooding = false;
    this.firstOut = null;
    /** The floods that the station tells of, by scope (`enterprise:id`, `area:code`): their newest summary. */
    this.floods = new Map();
    /** Receive times of raisings in the last ten minutes, with their alarm. */
    this.recent = [];
    /** The newest receive time seen: the station's now, also when it replays the past. */
    this.now = 0;
    /** The newest event time of recordings that are played again, and which points those are. */
    this.recordedNow = 0;
    this.isRecorded = () => false;
    this.tally = this.emptyTally();
  }

  emptyTally() { return { levels: [0, 0, 0, 0, 0], waiting: [0, 0, 0, 0, 0], unacknowledged: 0, aside: 0, unrecorded: 0, total: 0 }; }

  /** Takes the snapshot of a stream's beginning. */
  snapshot(data) {
    this.rows = new Map(data.alarms.map((alarm) => [alarm.alarm, { ...alarm, received: alarm.raised ?? alarm.onset }]));
    this.head = this.base = data.head;
    // What ended meanwhile is told by nobody any more; what goes on is told again within a minute.
    this.floods.clear();
    this.tally = this.emptyTally();
    this.places = new Map();
    this.sorted.fill(this.rows.values());
    for (const row of this.rows.values()) {
      this.count(row, 1);
      this.see(row);
    }
    this.recent = [...this.rows.values()].map((row) => ({ at: row.received, alarm: row.alarm, point: row.point }))
      .filter((r) => r.at > this.now - WINDOW).sort((a, b) => a.at - b.at);
    this.judgeFlood();
    this.dispatchEvent(new Event('reset'));
    this.changed();
  }

  /** Takes a recorded step; one that the snapshot already shows is skipped. */
  step(entry) {
    if (!entry.body || entry.sequence <= this.base) return;
    const row = this.rows.get(entry.body.alarm);
    if (row && !row.unrecorded && entry.sequence <= row.sequence) return;
    this.head = Math.max(this.head, entry.sequence);
    this.apply(fold(row && !row.unrecordedOnly ? row : undefined, entry), entry.body, !(row?.unrecordedOnly));
  }

  /** Takes a step that is announced although the ledger has not taken it. */
  unrecorded(announcement) {
    const body = announcement.body;
    const row = this.rows.get(body.alarm);
    const entry = { sequence: row?.sequence ?? 0, time: body.received, actor: body.actor ?? 'engine', body };
    const next = fold(row, entry);
    next.unrecorded = true;
    next.unrecordedOnly = !row || row.unrecordedOnly === true;
    this.apply(next, body, true);
  }

  /** Takes what the station says of a flood: its begin, a summary, its end. */
  flood(entry) {
    const body = entry.body;
    if (!body) return;
    if (body.event === 'flood.end') this.floods.delete(body.scope); else this.floods.set(body.scope, body);
    this.changed();
  }

  /** Takes what stands, as the steps would have told it; nothing where a step that is newer has been told meanwhile. */
  refresh(data) {
    if (data.head < this.head) return;
    this.head = this.base = data.head;
    const standing = new Set(data.alarms.map((alarm) => alarm.alarm));
    for (const row of [...this.rows.values()]) {
      if (!row.unrecorded && !standing.has(row.alarm)) this.apply({ ...row, state: 'normal' }, { event: 'returned' }, false);
    }
    for (const alarm of data.alarms) {
      const row = this.rows.get(alarm.alarm);
      if (row && !row.unrecorded && alarm.sequence <= row.sequence) continue;
      this.apply({ ...alarm, received: alarm.raised ?? alarm.onset }, { event: row ? 'stands' : 'raised' }, !row);
    }
  }

  apply(row, body, isNew) {
    this.see(row);
    const old = this.rows.get(row.alarm);
    if (old) { this.sorted.remove(old); this.count(old, -1); }
    if (row.state === 'normal') this.rows.delete(row.alarm);
    else { this.rows.set(row.alarm, row); this.sorted.add(row); this.count(row, 1); }
    // An alarm that came and went before the snapshot was no row and becomes none.
    if (old || row.state !== 'normal') this.dispatchEvent(new CustomEvent('row', { detail: { row: row.state === 'normal' ? undefined : row, old } }));
    if (body.event === 'raised' && isNew) {
      this.recent.push({ at: row.received, alarm: row.alarm, point: row.point });
      this.judgeFlood();
      this.dispatchEvent(new CustomEvent('raised', { detail: row }));
    }
    this.changed();
  }

  /** Moves on the time that a row's source calls now. */
  see(row) {
    if (this.isRecorded(row.point)) this.recordedNow = Math.max(this.recordedNow, row.time ?? 0);
    else this.now = Math.max(this.now, row.received ?? 0, row.time ?? 0);
  }

  /** The time that a row's source calls now. */
  nowOf(row) { return this.isRecorded(row.point) ? this.recordedNow : this.now; }

  /** Takes a row into the counts, or out of them. */
  count(row, by) {
    const tally = this.tally, n = level(row);
    tally.total += by;
    if (row.unrecorded) tally.unrecorded += by;
    if (isAside(row)) { tally.aside += by; return; }
    tally.levels[n] += by;
    if (isUnacknowledged(row)) { tally.unacknowledged += by; tally.waiting[n] += by; }
    for (let at = row.point.indexOf('/'); ; at = row.point.indexOf('/', at + 1)) {
      const path = at < 0 ? row.point : row.point.slice(0, at);
      let place = this.places.get(path);
      if (!place) this.places.set(path, place = new PlaceCount());
      place.levels[n] += by;
      place.total += by;
      if (place.total === 0) this.places.delete(path);
      if (at < 0) break;
    }
  }

  /** Moves the station's now on, from a heartbeat. */
  advance(now) {
    if (now <= this.now) return;
    this.now = now;
    const before = this.recent.length;
    this.judgeFlood();
    if (this.recent.length !== before) this.changed();
  }

  judgeFlood() {
    const begin = this.now - WINDOW;
    if (this.recent.length && this.recent[0].at <= begin) this.recent = this.recent.filter((r) => r.at > begin);
    if (!this.flooding && this.recent.length > FLOOD_BEGINS) {
      this.flooding = true;
      this.firstOut = this.recent[0];
    } else if (this.flooding && this.recent.length < FLOOD_ENDS) {
      this.flooding = false;
      this.firstOut = null;
    }
  }

  /** Counts by level and by state; `waiting` are those that nobody has acknowledged, by level. */
  counts() { return this.tally; }

  /** The most urgent level that nobody has acknowledged; 0 when there is none. */
  get worstWaiting() { return Math.max(0, this.tally.waiting.findIndex((n) => n > 0)); }

  changed() { this.dispatchEvent(new Event('change')); }
}

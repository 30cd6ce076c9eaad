// Numbers, times and durations as people read them. All times come as UTC milliseconds and are shown
// in the site's zone.

let zone = 'Asia/Shanghai';
let full;
// Intl takes some ten microseconds a call; a wall shows hundreds of times a second. Zones change their
// offset at whole quarters of an hour only, so one look-up a quarter serves all of it.
const offsets = new Map();

/** Sets the site's time zone. */
export function setZone(name) {
  zone = name;
  const make = (options) => new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', ...options });
  full = make({ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  offsets.clear();
}

/** The site's time zone. */
export function timeZone() { return zone; }

function parts(format, ms) {
  return Object.fromEntries(format.formatToParts(new Date(ms)).map((p) => [p.type, p.value]));
}

function shift(ms) {
  const quarter = Math.floor(ms / 900_000);
  let found = offsets.get(quarter);
  if (found === undefined) {
    const p = parts(full, quarter * 900_000);
    found = Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - quarter * 900_000;
    if (offsets.size > 5000) offsets.clear();
    offsets.set(quarter, found);
  }
  return found;
}

const local = (ms) => new Date(ms + shift(ms)).toISOString();

/** YYYY-MM-DD HH:mm:ss in the site's zone. */
export function dateTime(ms) {
  return Number.isFinite(ms) ? local(ms).slice(0, 19).replace('T', ' ') : '–';
}

/** HH:mm:ss in the site's zone. */
export function clock(ms) {
  return Number.isFinite(ms) ? local(ms).slice(11, 19) : '–';
}

/** YYYY-MM-DD in the site's zone. */
export function date(ms) {
  return local(ms).slice(0, 10);
}

/** Time only on the day of `now`, else month and day too. */
export function moment(ms, now) {
  if (!Number.isFinite(ms)) return '–';
  return date(ms) === date(now) ? clock(ms) : dateTime(ms).slice(5);
}

/** A moment as `datetime-local` inputs want it, in the site's zone. */
export function localInput(ms) { return local(ms).slice(0, 16); }

/** The zone's offset at a moment, as UTC+8. */
export function offset(ms) {
  const minutes = Math.round(shift(ms) / 60_000), rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? '-' : '+'}${Math.floor(Math.abs(minutes) / 60)}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

/** Local wall time typed as YYYY-MM-DDTHH:mm in the site's zone, as UTC milliseconds; null if unreadable. */
export function parseLocal(textual) {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d))?$/.exec(textual);
  if (!match) return null;
  const [, y, mo, d, hh = '0', mm = '0'] = match;
  const guess = Date.UTC(+y, mo - 1, +d, +hh, +mm);
  const shown = parts(full, guess);
  const shownAs = Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second);
  return guess - (shownAs - guess);
}

setZone(zone);

/** A duration: 45s, 12m 04s, 3h 05m, 2d 04h. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return '–';
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86_400)}d ${two(Math.floor(s / 3600) % 24)}h`;
}

/** A measured value with at most four significant decimals and no false precision. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const digits = Math.abs(value) >= 1000 ? 1 : Math.abs(value) >= 100 ? 2 : Math.abs(value) >= 1 ? 3 : 4;
  const text = value.toFixed(digits);
  return text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text;
}

/** A unit as people write it; the catalog's symbols are plain ASCII. */
export function unit(symbol) {
  return symbol === 'state' ? '' : (symbol ?? '').replace('degC', '℃').replace(/m3\b/g, 'm³').replace(/m2\b/g, 'm²');
}

/** A count with thousands separated. */
export function count(value) {
  return Number.isFinite(value) ? new Intl.NumberFormat('en-US').format(value) : '–';
}

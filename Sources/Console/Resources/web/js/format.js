// Numbers, times and durations as people read them. All times come as UTC milliseconds and are shown
// in the site's zone.

let zone = 'Asia/Shanghai';
let full, short, day;

/** Sets the site's time zone. */
export function setZone(name) {
  zone = name;
  const make = (options) => new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', ...options });
  full = make({ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  short = make({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
  day = make({ year: 'numeric', month: '2-digit', day: '2-digit' });
}
setZone(zone);

/** The site's time zone. */
export function timeZone() { return zone; }

function parts(format, ms) {
  return Object.fromEntries(format.formatToParts(new Date(ms)).map((p) => [p.type, p.value]));
}

/** YYYY-MM-DD HH:mm:ss in the site's zone. */
export function dateTime(ms) {
  if (!Number.isFinite(ms)) return '–';
  const p = parts(full, ms);
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}

/** HH:mm:ss in the site's zone. */
export function clock(ms) {
  if (!Number.isFinite(ms)) return '–';
  const p = parts(short, ms);
  return `${p.hour}:${p.minute}:${p.second}`;
}

/** YYYY-MM-DD in the site's zone. */
export function date(ms) {
  const p = parts(day, ms);
  return `${p.year}-${p.month}-${p.day}`;
}

/** Time only on the day of `now`, else month and day too. */
export function moment(ms, now) {
  if (!Number.isFinite(ms)) return '–';
  return date(ms) === date(now) ? clock(ms) : dateTime(ms).slice(5);
}

/** The zone's offset at a moment, as UTC+8. */
export function offset(ms) {
  const name = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'shortOffset' })
    .formatToParts(new Date(ms)).find((p) => p.type === 'timeZoneName');
  return (name?.value ?? zone).replace('GMT', 'UTC');
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

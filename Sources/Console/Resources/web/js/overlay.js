// What lies over and under a curve: limits, events, readings without a value. The same on either canvas.

const LEVELS = {
  4: ['#b3001b', 'rgba(179,0,27,.10)'], 3: ['#c25500', 'rgba(224,106,0,.09)'], 2: ['#8a7600', 'rgba(244,208,0,.13)'], 1: ['#1f5fbf', 'rgba(31,95,191,.07)'],
  red: ['#b3001b', 'rgba(179,0,27,.10)'], orange: ['#c25500', 'rgba(224,106,0,.09)'], yellow: ['#8a7600', 'rgba(244,208,0,.13)'], blue: ['#1f5fbf', 'rgba(31,95,191,.07)'],
};

/** Shades what lies beyond each limit. */
export function shade(c, options, y, frame) {
  c.save();
  c.fillStyle = '#fafafa';
  c.fillRect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
  for (const limit of options.limits) {
    const at = Math.min(frame.bottom, Math.max(frame.top, y(limit.value)));
    const [top, bottom] = limit.low ? [at, frame.bottom] : [frame.top, at];
    if (bottom - top < 1) continue;
    c.fillStyle = LEVELS[limit.priority]?.[1] ?? 'rgba(0,0,0,.05)';
    c.fillRect(frame.left, top, frame.right - frame.left, bottom - top);
  }
  c.restore();
}

/** Words that stay readable on a curve. */
function halo(c, words, left, baseline, ratio) {
  c.save();
  c.setLineDash([]);
  c.lineWidth = 3 * ratio;
  c.strokeStyle = 'rgba(255,255,255,.85)';
  c.strokeText(words, left, baseline);
  c.restore();
  c.fillText(words, left, baseline);
}

/** Limits as labelled lines, events as vertical lines, readings without a value as crosses at the foot. */
export function overlay(c, options, y, x, frame, ratio) {
  c.save();
  c.lineWidth = 1.2 * ratio;
  c.font = `${11 * ratio}px sans-serif`;
  c.textAlign = 'left';
  c.textBaseline = 'alphabetic';
  const taken = [];
  for (const limit of options.limits) {
    const at = y(limit.value);
    if (at < frame.top || at > frame.bottom) continue;
    c.strokeStyle = c.fillStyle = LEVELS[limit.priority]?.[0] ?? '#444';
    c.setLineDash([6 * ratio, 4 * ratio]);
    c.beginPath(); c.moveTo(frame.left, at); c.lineTo(frame.right, at); c.stroke();
    if (options.plain || options.small) continue;
    let label = at - 3 * ratio;
    if (label < frame.top + 11 * ratio) label = at + 12 * ratio;
    if (taken.some((other) => Math.abs(other - label) < 12 * ratio)) continue;
    taken.push(label);
    halo(c, limit.label, frame.left + 4 * ratio, label, ratio);
  }
  c.setLineDash([]);
  // Each label in the lowest row that has room for it.
  const rows = [];
  for (const event of options.events ?? []) {
    const at = x(event.time);
    if (at < frame.left || at > frame.right) continue;
    c.strokeStyle = c.fillStyle = event.colour ?? '#333';
    c.beginPath(); c.moveTo(at, frame.top); c.lineTo(at, frame.bottom); c.stroke();
    if (options.plain || !event.label) continue;
    const width = c.measureText(event.label).width;
    c.textAlign = at + width + 8 * ratio > frame.right ? 'right' : 'left';
    const span = c.textAlign === 'right' ? [at - width - 8 * ratio, at] : [at, at + width + 8 * ratio];
    const free = rows.findIndex((labels) => labels.every(([from, to]) => span[1] < from || to < span[0])), row = free < 0 ? rows.length : free;
    (rows[row] ??= []).push(span);
    const baseline = frame.bottom - (5 + 13 * (row % 5)) * ratio, left = at + (c.textAlign === 'right' ? -3 : 3) * ratio;
    halo(c, event.label, left, baseline, ratio);
  }
  c.strokeStyle = '#8e24aa';
  c.lineWidth = 2 * ratio;
  for (const time of options.bad ?? []) {
    const at = x(time), size = 4 * ratio, foot = frame.bottom - 6 * ratio;
    if (at < frame.left || at > frame.right) continue;
    c.beginPath(); c.moveTo(at - size, foot - size); c.lineTo(at + size, foot + size); c.moveTo(at + size, foot - size); c.lineTo(at - size, foot + size); c.stroke();
  }
  c.restore();
}

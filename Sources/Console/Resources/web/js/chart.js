// A trend with its limits. uPlot draws it where it has been fetched; otherwise an own canvas does.
// Buckets carry minimum and maximum, so the peak that raised an alarm is always on the picture.

import { h } from './dom.js';
import { clock, dateTime, number, timeZone } from './format.js';

const LEVEL_COLOURS = { red: '#b3001b', orange: '#c25500', yellow: '#8a7600', blue: '#1f5fbf' };
let library = null;

/** Loads uPlot if the server has it; answers whether it is there. */
export function loadCharts(available) {
  library ??= !available ? Promise.resolve(null) : new Promise((resolve) => {
    document.head.append(h('link', { rel: 'stylesheet', href: '/vendor/uplot/uplot.min.css' }));
    const script = h('script', { src: '/vendor/uplot/uplot.iife.min.js' });
    script.onload = () => resolve(window.uPlot ?? null);
    script.onerror = () => resolve(null);
    document.head.append(script);
  });
  return library;
}

/** Two points a bucket, in the order in which they can have been, and a gap where nothing came. */
export function columns(buckets, gap) {
  const time = [], value = [];
  let last = null;
  for (const b of buckets) {
    if (last !== null && b.start - last > gap) { time.push((last + b.start) / 2); value.push(null); }
    const rising = b.first <= b.last;
    const points = b.count === 1 ? [[b.start, b.last]]
      : [[b.start, b.first], [b.start + (b.end - b.start) / 3, rising ? b.minimum : b.maximum],
        [b.start + (b.end - b.start) * 2 / 3, rising ? b.maximum : b.minimum], [b.end, b.last]];
    for (const [x, y] of points) {
      if (time.length && x <= time[time.length - 1]) continue;
      time.push(x);
      value.push(y);
    }
    last = b.end;
  }
  return [time, value];
}

function span(values, limits, marked) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); }
  for (const l of limits) {
    // A limit far outside the curve would flatten it; those that the curve comes near are kept in sight.
    if (l.value === marked || !Number.isFinite(low) || (l.value < high + (high - low) * 2 + Math.abs(high) && l.value > low - (high - low) * 2 - Math.abs(low))) {
      low = Math.min(low, l.value); high = Math.max(high, l.value);
    }
  }
  if (!Number.isFinite(low)) return [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * .08;
  return [low - margin, high + margin];
}

/**
 * Draws a trend into a box.
 *
 * options: {from, to, limits: [{value, priority, label}], events: [{time, label, colour}], unit, marked, height, plain}
 */
export async function drawTrend(box, buckets, options) {
  const uPlot = options.plain ? null : await loadCharts(options.charts);
  const gap = Math.max(60_000, (options.to - options.from) / 60);
  const [time, value] = columns(buckets, gap);
  box.replaceChildren();
  if (uPlot) drawLibrary(uPlot, box, time, value, options);
  else drawCanvas(box, time, value, options);
}

function drawLibrary(uPlot, box, time, value, options) {
  const [low, high] = span(value, options.limits, options.marked);
  const height = options.height ?? 220;
  const plot = new uPlot({
    width: Math.max(200, box.clientWidth), height,
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), timeZone()),
    legend: { show: false }, cursor: { y: false, points: { size: 6 } },
    scales: { x: { time: true, range: () => [options.from / 1000, options.to / 1000] }, y: { range: () => [low, high] } },
    axes: [
      { stroke: '#444', grid: { stroke: '#ccc', width: 1 }, values: (_, ticks) => ticks.map((v) => axisTime(v * 1000, options)), font: '11px sans-serif', space: 70, size: 28 },
      { stroke: '#444', grid: { stroke: '#ddd', width: 1 }, size: 52, font: '11px sans-serif', values: (_, ticks) => ticks.map(number) },
    ],
    series: [{}, { stroke: '#111', width: 1.5, spanGaps: false, points: { show: time.length < 80 } }],
    hooks: { draw: [(u) => overlay(u.ctx, options, (v) => u.valToPos(v, 'y', true), (ms) => u.valToPos(ms / 1000, 'x', true),
      { left: u.bbox.left, top: u.bbox.top, right: u.bbox.left + u.bbox.width, bottom: u.bbox.top + u.bbox.height }, devicePixelRatio)],
      setCursor: [(u) => { const i = u.cursor.idx; box.dataset.at = i === null || i === undefined || value[i] === null ? '' : `${dateTime(time[i])}  ${number(value[i])} ${options.unit ?? ''}`; }] },
  }, [time.map((ms) => ms / 1000), value], box);
  box.plot = plot;
}

const axisTime = (ms, options) => options.to - options.from > 36 * 3_600_000 ? dateTime(ms).slice(5, 16)
  : options.to - options.from > 600_000 ? clock(ms).slice(0, 5) : clock(ms);

function drawCanvas(box, time, value, options) {
  const width = Math.max(200, box.clientWidth), height = options.height ?? 220, ratio = devicePixelRatio || 1;
  const canvas = h('canvas', { width: Math.round(width * ratio), height: Math.round(height * ratio), class: 'trend-canvas' });
  box.append(canvas);
  const c = canvas.getContext('2d');
  c.scale(ratio, ratio);
  const frame = options.plain ? { left: 2, top: 2, right: width - 2, bottom: height - 2 } : { left: 52, top: 8, right: width - 8, bottom: height - 22 };
  const [low, high] = span(value, options.limits, options.marked);
  const x = (ms) => frame.left + (ms - options.from) / (options.to - options.from) * (frame.right - frame.left);
  const y = (v) => frame.bottom - (v - low) / (high - low) * (frame.bottom - frame.top);
  if (!options.plain) {
    c.font = '11px sans-serif'; c.fillStyle = '#444'; c.strokeStyle = '#ccc'; c.lineWidth = 1;
    for (let i = 0; i <= 4; i += 1) {
      const v = low + (high - low) * i / 4;
      c.beginPath(); c.moveTo(frame.left, y(v)); c.lineTo(frame.right, y(v)); c.stroke();
      c.textAlign = 'right'; c.fillText(number(v), frame.left - 4, y(v) + 4);
    }
    const ticks = Math.max(2, Math.floor((frame.right - frame.left) / 90));
    for (let i = 0; i <= ticks; i += 1) {
      const ms = options.from + (options.to - options.from) * i / ticks;
      c.textAlign = i === 0 ? 'left' : i === ticks ? 'right' : 'center';
      c.fillText(axisTime(ms, options), x(ms), height - 6);
    }
  }
  c.save();
  c.beginPath(); c.rect(frame.left, frame.top - 1, frame.right - frame.left, frame.bottom - frame.top + 2); c.clip();
  c.strokeStyle = '#111'; c.fillStyle = '#111'; c.lineWidth = 1.5; c.beginPath();
  let down = false, run = 0, at = null;
  const dot = () => { if (run === 1 && at) { c.fillRect(at[0] - 1.5, at[1] - 1.5, 3, 3); } run = 0; };
  for (let i = 0; i < time.length; i += 1) {
    if (value[i] === null) { dot(); down = false; continue; }
    at = [x(time[i]), y(value[i])]; run += 1;
    if (down) c.lineTo(...at); else c.moveTo(...at);
    down = true;
  }
  dot();
  c.stroke();
  overlay(c, options, y, x, frame, 1);
  c.restore();
}

/** Limits as labelled lines, events as vertical lines; the same on either canvas. */
function overlay(c, options, y, x, frame, ratio) {
  c.save();
  c.lineWidth = 1.2 * ratio;
  c.font = `${11 * ratio}px sans-serif`;
  c.textAlign = 'left';
  c.textBaseline = 'alphabetic';
  const taken = [];
  for (const limit of options.limits) {
    const at = y(limit.value);
    if (at < frame.top || at > frame.bottom) continue;
    c.strokeStyle = c.fillStyle = LEVEL_COLOURS[limit.priority] ?? '#444';
    c.setLineDash([6 * ratio, 4 * ratio]);
    c.beginPath(); c.moveTo(frame.left, at); c.lineTo(frame.right, at); c.stroke();
    if (options.plain) continue;
    let label = at - 3 * ratio;
    if (label < frame.top + 11 * ratio) label = at + 12 * ratio;
    if (taken.some((other) => Math.abs(other - label) < 12 * ratio)) continue;
    taken.push(label);
    c.fillText(limit.label, frame.left + 4 * ratio, label);
  }
  c.setLineDash([]);
  let row = 0, previous = -Infinity;
  for (const event of options.events ?? []) {
    const at = x(event.time);
    if (at < frame.left || at > frame.right) continue;
    c.strokeStyle = c.fillStyle = event.colour ?? '#333';
    c.beginPath(); c.moveTo(at, frame.top); c.lineTo(at, frame.bottom); c.stroke();
    if (options.plain || !event.label) continue;
    row = at - previous < 70 * ratio ? row + 1 : 0;
    previous = at;
    const width = c.measureText(event.label).width;
    c.textAlign = at + width + 8 * ratio > frame.right ? 'right' : 'left';
    c.fillText(event.label, at + (c.textAlign === 'right' ? -3 : 3) * ratio, frame.bottom - (5 + 13 * (row % 5)) * ratio);
  }
  c.restore();
}

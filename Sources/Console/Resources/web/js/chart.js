// A trend with its limits. uPlot draws it where it has been fetched; otherwise an own canvas does.
// Buckets carry minimum and maximum, so the peak that raised an alarm is always on the picture.

import { fill, h } from './dom.js';
import { clock, dateTime, number, timeZone } from './format.js';
import { overlay, shade } from './overlay.js';

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

/**
 * Four points a bucket, in the order in which they can have been, and a gap where nothing came or what came
 * was no value; `bad` are the times of the latter.
 */
export function columns(buckets, gap) {
  const time = [], value = [], bad = [];
  let last = null;
  for (const b of buckets) {
    if (last !== null && b.start - last > gap) { time.push((last + b.start) / 2); value.push(null); }
    if (b.bad) bad.push(b.start);
    const rising = b.first <= b.last;
    const points = b.count === 0 ? [[b.start, null]] : b.count === 1 ? [[b.start, b.last]]
      : [[b.start, b.first], [b.start + (b.end - b.start) / 3, rising ? b.minimum : b.maximum],
        [b.start + (b.end - b.start) * 2 / 3, rising ? b.maximum : b.minimum], [b.end, b.last]];
    for (const [x, y] of points) {
      if (time.length && x <= time[time.length - 1]) continue;
      time.push(x);
      value.push(y);
    }
    last = b.end;
  }
  return { time, value, bad };
}

/** The values that a chart has to show: the curve's and those of the limits it comes near. */
export function range(values, limits, marked) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (v !== null) { if (v < low) low = v; if (v > high) high = v; }
  const least = low, most = high;
  for (const l of limits) {
    // A limit far outside the curve would flatten it; those that the curve comes near are kept in sight.
    if (l.value === marked || !Number.isFinite(least) || (l.value < most + (most - least) * 2 + Math.abs(most) && l.value > least - (most - least) * 2 - Math.abs(least))) {
      low = Math.min(low, l.value); high = Math.max(high, l.value);
    }
  }
  if (!Number.isFinite(low)) return [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * .08;
  return [low - margin, high + margin];
}

/** The limits of a point that are numbers in its unit, as a chart wants them. */
export const limitsOf = (point, label) => (point?.rules ?? []).filter((r) => r.setpoint !== null && r.unit === point.unit)
  .map((r) => ({ value: r.setpoint, priority: r.priority, low: /^(?:[^:]*: )?\s*[<≤]/.test(r.condition), label: label(r) }));

/**
 * Draws a trend into a box, which it keeps for the next one.
 *
 * options: {from, to, limits, events: [{time, label, colour}], unit, marked, height, plain, small, others, charts,
 * zoom(from, to), reset()}
 */
export async function drawTrend(box, buckets, options) {
  const uPlot = options.plain ? null : await loadCharts(options.charts);
  const gap = Math.max(60_000, (options.to - options.from) / 60);
  drawColumns(box, columns(buckets, gap), options, uPlot);
}

/** Draws finished columns {time, value, bad}. */
export function drawColumns(box, data, options, uPlot) {
  box.data = data;
  box.options = options;
  if (uPlot && box.plot && box.plot.height === options.height && box.plot.width === width(box)) { update(box); return; }
  box.plot?.destroy();
  box.plot = null;
  fill(box);
  if (uPlot) drawLibrary(uPlot, box); else drawCanvas(box);
}

const width = (box) => Math.max(80, box.clientWidth);
const seconds = (times) => { const out = new Float64Array(times.length); for (let i = 0; i < out.length; i += 1) out[i] = times[i] / 1000; return out; };

function update(box) {
  box.bounds = box.options.bounds ?? range(box.data.value, box.options.limits, box.options.marked);
  box.plot.setData([seconds(box.data.time), box.data.value]);
}

function drawLibrary(uPlot, box) {
  box.bounds = box.options.bounds ?? range(box.data.value, box.options.limits, box.options.marked);
  const { small } = box.options;
  const frame = (u) => ({ left: u.bbox.left, top: u.bbox.top, right: u.bbox.left + u.bbox.width, bottom: u.bbox.top + u.bbox.height });
  const y = (u) => (v) => u.valToPos(v, 'y', true), x = (u) => (ms) => u.valToPos(ms / 1000, 'x', true);
  const plot = new uPlot({
    width: width(box), height: box.options.height ?? 220,
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), timeZone()),
    legend: { show: false },
    cursor: small ? { show: false } : { y: false, points: { size: 6 }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => { box.options.reset?.(); return null; } } },
    scales: { x: { time: true, range: () => [box.options.from / 1000, box.options.to / 1000] }, y: { range: () => box.bounds } },
    padding: small ? [4, 4, 0, 0] : null,
    axes: [
      { show: !small, stroke: '#444', grid: { stroke: '#ccc', width: 1 }, values: (_, ticks) => ticks.map((v) => axisTime(v * 1000, box.options)), font: '11px sans-serif', space: 70, size: 28 },
      { stroke: '#444', grid: { stroke: '#ddd', width: 1 }, size: small ? 40 : 52, space: small ? 22 : 30, font: '11px sans-serif', values: (_, ticks) => ticks.map(number) },
    ],
    series: [{}, { stroke: '#111', width: 1.5, spanGaps: false, points: small ? { show: false } : {} }],
    hooks: {
      drawClear: [(u) => shade(u.ctx, box.options, y(u), frame(u))],
      draw: [(u) => overlay(u.ctx, { ...box.options, bad: box.data.bad }, y(u), x(u), frame(u), devicePixelRatio)],
      setCursor: [(u) => { const i = u.cursor.idx; const v = i === null || i === undefined ? null : box.data.value[i]; box.dataset.at = v === null || v === undefined ? '' : `${dateTime(box.data.time[i])}  ${number(v)} ${box.options.unit ?? ''}`; }],
      setSelect: [(u) => {
        if (u.select.width < 4 || !box.options.zoom) return;
        const from = u.posToVal(u.select.left, 'x') * 1000, to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        box.options.zoom(Math.round(from), Math.round(to));
      }],
    },
  }, [seconds(box.data.time), box.data.value], box);
  box.plot = plot;
}

const axisTime = (ms, options) => options.to - options.from > 36 * 3_600_000 ? dateTime(ms).slice(5, 16)
  : options.to - options.from > 600_000 ? clock(ms).slice(0, 5) : clock(ms);

function drawCanvas(box) {
  const { options } = box, { time, value, bad } = box.data;
  const across = width(box), height = options.height ?? 220, ratio = devicePixelRatio || 1;
  const canvas = h('canvas', { width: Math.round(across * ratio), height: Math.round(height * ratio), class: 'trend-canvas' });
  box.append(canvas);
  const c = canvas.getContext('2d');
  c.scale(ratio, ratio);
  const frame = options.plain ? { left: 2, top: 2, right: across - 2, bottom: height - 2 } : { left: 52, top: 8, right: across - 8, bottom: height - 22 };
  const [low, high] = options.bounds ?? range(value, options.limits, options.marked);
  const x = (ms) => frame.left + (ms - options.from) / (options.to - options.from) * (frame.right - frame.left);
  const y = (v) => frame.bottom - (v - low) / (high - low) * (frame.bottom - frame.top);
  shade(c, options, y, frame);
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
  overlay(c, { ...options, bad }, y, x, frame, 1);
  c.restore();
}

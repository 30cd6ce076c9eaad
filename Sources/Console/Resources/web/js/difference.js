// Differences: of two lists of alarms, and of two texts by lines. Nothing here touches the document.

/** An alarm of one run counts as the other's, later or earlier, when the onsets are no further apart. */
export const TOLERANCE = 30 * 60_000;

const group = (alarms) => {
  const groups = new Map();
  for (const alarm of alarms) {
    const key = `${alarm.point}#${alarm.rule}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(alarm);
  }
  return groups;
};

/**
 * Compares the alarms of two runs: {same, shifted: [{a, b, by}], onlyA, onlyB}. An alarm is the same by point,
 * rule and onset; `by` is how much later B raised it, ms.
 */
export function compareAlarms(a, b) {
  const result = { same: [], shifted: [], onlyA: [], onlyB: [] };
  const left = group(a), right = group(b);
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const rest = new Map((right.get(key) ?? []).map((alarm) => [alarm.alarm, alarm]));
    const unmatched = [];
    for (const alarm of left.get(key) ?? []) {
      if (rest.delete(alarm.alarm)) result.same.push(alarm); else unmatched.push(alarm);
    }
    for (const alarm of unmatched) {
      let nearest = null;
      for (const other of rest.values()) {
        const by = Math.abs(other.onset - alarm.onset);
        if (by <= TOLERANCE && (!nearest || by < Math.abs(nearest.onset - alarm.onset))) nearest = other;
      }
      if (!nearest) { result.onlyA.push(alarm); continue; }
      rest.delete(nearest.alarm);
      result.shifted.push({ a: alarm, b: nearest, by: nearest.onset - alarm.onset });
    }
    result.onlyB.push(...rest.values());
  }
  const byOnset = (x, y) => x.onset - y.onset;
  result.onlyA.sort(byOnset); result.onlyB.sort(byOnset); result.same.sort(byOnset); result.shifted.sort((x, y) => x.a.onset - y.a.onset);
  return result;
}

/**
 * The lines of two texts: [{kind: ' ' | '-' | '+', text, a, b}], by the longest common subsequence; long
 * stretches that differ altogether are given whole.
 */
export function compareLines(before, after) {
  const a = before.split('\n'), b = after.split('\n');
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const result = [];
  for (let i = 0; i < head; i += 1) result.push({ kind: ' ', text: a[i], a: i + 1, b: i + 1 });
  const n = a.length - head - tail, m = b.length - head - tail;
  if (n * m <= 4_000_000) {
    const width = m + 1, length = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i -= 1) for (let j = m - 1; j >= 0; j -= 1) {
      length[i * width + j] = a[head + i] === b[head + j] ? length[(i + 1) * width + j + 1] + 1 : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
    let i = 0, j = 0;
    while (i < n || j < m) {
      if (i < n && j < m && a[head + i] === b[head + j]) { result.push({ kind: ' ', text: a[head + i], a: head + i + 1, b: head + j + 1 }); i += 1; j += 1; }
      else if (j >= m || (i < n && length[(i + 1) * width + j] >= length[i * width + j + 1])) { result.push({ kind: '-', text: a[head + i], a: head + i + 1, b: null }); i += 1; }
      else { result.push({ kind: '+', text: b[head + j], a: null, b: head + j + 1 }); j += 1; }
    }
  } else {
    for (let i = 0; i < n; i += 1) result.push({ kind: '-', text: a[head + i], a: head + i + 1, b: null });
    for (let j = 0; j < m; j += 1) result.push({ kind: '+', text: b[head + j], a: null, b: head + j + 1 });
  }
  for (let i = 0; i < tail; i += 1) result.push({ kind: ' ', text: a[a.length - tail + i], a: a.length - tail + i + 1, b: b.length - tail + i + 1 });
  return result;
}

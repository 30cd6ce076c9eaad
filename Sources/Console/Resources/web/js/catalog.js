// The catalog as the pages use it: the tree, and names and rules by path.

import { get } from './api.js';
import { unit } from './format.js';
import { known, pick, t } from './i18n.js';

/** The catalog in force; empty until loaded. */
export const catalog = { version: '', tree: [], nodes: new Map(), points: [], byChannel: new Map(), isRecorded: false };

/** Loads the catalog, and again when the station has another version. */
export async function loadCatalog() {
  const data = await get('catalog');
  catalog.version = data.version;
  catalog.nodes = new Map();
  catalog.points = [];
  catalog.byChannel = new Map();
  const add = (node, kind, parent, children) => {
    const entry = { ...node, kind, parent, children: [] };
    parent?.children.push(entry);
    catalog.nodes.set(node.path, entry);
    for (const [list, childKind, next] of children) {
      for (const child of node[list] ?? []) add(child, childKind, entry, next);
    }
    if (kind === 'point') {
      catalog.points.push(entry);
      catalog.byChannel.set(node.channel, entry);
    }
    return entry;
  };
  const below = [['sites', 'site', [['areas', 'area', [['devices', 'device', [['points', 'point', []]]]]]]]];
  catalog.tree = data.enterprises.map((enterprise) => add(enterprise, 'enterprise', null, below));
  catalog.isRecorded = catalog.points.length > 0 && catalog.points.every((point) => point.parent.replay);
}

/** Whether what comes from a point is a recording that is played again: its now is its newest reading's. */
export const isRecorded = (path) => catalog.nodes.get(path)?.parent?.replay === true;

/** The newest receive time of all readings, of recordings and of the rest: what each of them calls now. */
export function nowOf(readings, now) {
  const newest = { live: now, recorded: 0 };
  for (const point of catalog.points) {
    const received = readings[point.channel]?.received ?? 0;
    if (point.parent.replay) newest.recorded = Math.max(newest.recorded, received); else newest.live = Math.max(newest.live, received);
  }
  newest.of = (point) => point.parent.replay ? newest.recorded : newest.live;
  return newest;
}

/** The time that a page of the past begins with: now, or of a station that only plays recordings the newest of them. */
export async function newestTime(now) {
  if (!catalog.isRecorded) return now || Date.now();
  return nowOf((await get('readings/latest')).readings, 0).recorded || now || Date.now();
}

/** A limit on a window, as the catalog writes it, and its name among the texts. */
const windows = [
  [/^(\w+) of the last (\d+) readings(?=: )/, 'last'], [/^(\w+) of each (\d+) readings(?=: )/, 'readings'],
  [/^(\w+) of the last ([^:]+)(?=: )/, 'sliding'], [/^(\w+) of each ([^:]+)(?=: )/, 'tumbling'], [/^(\w+) of ([^:]+) every ([^:]+)(?=: )/, 'hopping'],
  [/^(\w+) of a run without gaps above ([^:]+)(?=: )/, 'session'], [/^(\w+) while the value stays the same(?=: )/, 'own'],
  [/^(\w+) while (.+) stays the same(?=: )/, 'state'], [/^(\w+) while the value stays ([^:]+)(?=: )/, 'own-in'], [/^(\w+) while (.+) stays ([^:]+)(?=: )/, 'state-in'],
];

/** What a rule on a window compares, in the language in use. */
function windowed(text) {
  for (const [pattern, name] of windows) {
    if (pattern.test(text)) return text.replace(pattern, (_, of, a, b) => t(`window.${name}`, { of: known(`statistic.${of}`, of), a, b }));
  }
  return text;
}

/** A rule's condition in the language in use; a detector is called by its name. */
export const condition = (text) => windowed(unit(text)).replace(/^[a-z-]+(?=:|$)/, (kind) => known(`detector.${kind}`, kind))
  .replace(/^the device's clock is wrong$/, t('rule.clock')).replace(/ within ([\d.]+ s)$/, (_, s) => t('rule.within', { s }))
  .replace(/^no reading for (.+)$/, (_, s) => t('rule.silent', { s })).replace(/^does not move for (.+)$/, (_, s) => t('rule.frozen', { s }))
  .replace(/^changes by more than (.+) per (.+)$/, (_, by, s) => t('rule.jump', { by, s })).replace(' or ', ` ${t('rule.or')} `).replace('; returns', t('rule.returns'));

/** The point of an alarm, if the catalog has it. */
export const pointOf = (alarm) => catalog.nodes.get(alarm.point);

/** The rule of an alarm, if the catalog has it. */
export const ruleOf = (alarm) => pointOf(alarm)?.rules?.find((rule) => rule.id === alarm.rule);

/** The limit that an alarm's chart keeps in view; none where it is on another scale than the point's values. */
export const markOf = (alarm) => (ruleOf(alarm)?.setpoint == null ? undefined : alarm.limit);

/** The name of the part of a path at a depth: 1 enterprise, 2 site, 3 area, 4 device, 5 point. */
export function nameAt(path, depth) {
  const parts = path.split('/');
  if (parts.length < depth) return '';
  const node = catalog.nodes.get(parts.slice(0, depth).join('/'));
  return pick(node?.name, parts[depth - 1]);
}

/** Site and area in one, without saying one name twice. */
export const areaName = (path) => [...new Set([nameAt(path, 2), nameAt(path, 3)])].filter(Boolean).join(' · ');

/** Device and point; the point's catalog name holds the device's already where it does. */
export function pointName(path) {
  const device = nameAt(path, 4), point = nameAt(path, 5);
  return point.includes(device) ? point : `${device} ${point}`;
}

/** What the alarm says. */
export const ruleText = (alarm) => pick(ruleOf(alarm)?.text, alarm.rule);

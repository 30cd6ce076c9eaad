// The catalog as the pages use it: the tree, and names and rules by path.

import { get } from './api.js';
import { pick } from './i18n.js';

/** The catalog in force; empty until loaded. */
export const catalog = { version: '', tree: [], nodes: new Map(), points: [], byChannel: new Map() };

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
}

/** The point of an alarm, if the catalog has it. */
export const pointOf = (alarm) => catalog.nodes.get(alarm.point);

/** The rule of an alarm, if the catalog has it. */
export const ruleOf = (alarm) => pointOf(alarm)?.rules?.find((rule) => rule.id === alarm.rule);

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

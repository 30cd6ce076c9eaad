// The rules in force, and what changed from one catalog to the next.

import { get } from './api.js';
import { catalog, condition } from './catalog.js';
import { compareLines } from './difference.js';
import { fill, h, symbol, text } from './dom.js';
import { count, dateTime } from './format.js';
import { pick, t } from './i18n.js';

const LEVEL = { red: 1, orange: 2, yellow: 3, blue: 4 };
const SHOWN = 400;

/** The page at /rules. */
export class RulesPage extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'rule-rows' });
    this.versions = h('div', { class: 'versions' });
    this.difference = h('div', { class: 'difference', id: 'rule-difference' });
    this.box = h('input', { type: 'search', placeholder: t('wall.filter'), 'aria-label': t('wall.filter'), oninput: () => this.draw() });
    this.loose = h('input', { type: 'checkbox', onchange: () => this.draw() });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.rules')), this.box, h('label', { class: 'check' }, this.loose, t('rules.onlyDeviating')), this.note),
      h('h2', null, t('rules.versions')), this.versions, this.difference,
      h('h2', null, t('rules.inForce')),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['level', 'point', 'kind', 'condition', 'bound', 'source', 'deviation'].map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), this.rows))));
    this.draw();
    this.load();
  }

  draw() {
    const search = this.box.value.trim().toLowerCase(), rows = [];
    let total = 0;
    for (const point of catalog.points) for (const rule of point.rules) {
      if (this.loose.checked && !rule.deviation && !rule.looserThanBound) continue;
      if (search && !`${point.path} ${pick(point.name)} ${pick(rule.text)} ${rule.id} ${rule.source.citation}`.toLowerCase().includes(search)) continue;
      total += 1;
      if (rows.length >= SHOWN) continue;
      const s = rule.source;
      rows.push(h('tr', null, h('td', null, symbol(LEVEL[rule.priority] ?? 4, { size: 16, label: t(`level.${LEVEL[rule.priority] ?? 4}`) })), h('td', { title: point.path }, pick(point.name, point.id)), h('td', null, pick(rule.text, rule.id)),
        h('td', null, condition(rule.condition)), h('td', null, rule.bound ?? '', rule.looserThanBound ? h('strong', { class: 'error' }, ` ${t('rule.looser')}`) : null),
        h('td', null, s.origin === 'standard' ? `${s.standard} ${s.clause ?? ''}` : t(`origin.${s.origin}`), ' ', h('span', { class: `mark mark-${s.mark}` }, t(`mark.${s.mark}`))),
        h('td', null, rule.deviation ? `${rule.deviation.reason} — ${rule.deviation.approvedBy}, ${rule.deviation.approvedOn}` : '')));
    }
    fill(this.rows, rows);
    text(this.note, total > rows.length ? t('rules.some', { n: count(rows.length), total: count(total) }) : t('rules.total', { total: count(total) }));
  }

  async load() {
    try {
      const { current, versions } = await get('rules/versions');
      const options = (chosen) => versions.map((v, i) => h('option', { value: v.version, selected: i === chosen }, `${dateTime(v.time)} · ${v.version.slice(0, 12)}${v.version === current ? ` (${t('replay.current')})` : ''}`));
      const a = h('select', { 'aria-label': t('rules.older') }, options(Math.min(1, versions.length - 1))), b = h('select', { 'aria-label': t('rules.newer') }, options(0));
      fill(this.versions, h('p', null, t('rules.count', { n: count(versions.length) })), h('div', { class: 'filters' }, h('label', null, t('rules.older'), a), h('label', null, t('rules.newer'), b),
        h('button', { class: 'primary', id: 'rules-compare', onclick: () => this.compare(a.value, b.value) }, t('rules.compare')), h('a', { class: 'button', href: '/replay?b=draft' }, t('rules.try'))));
    } catch (problem) { fill(this.versions, h('p', { class: 'error' }, problem.message)); }
  }

  async compare(older, newer) {
    try {
      const [a, b] = await Promise.all([older, newer].map((v) => get(`rules/versions/${v}`)));
      const before = new Map(a.sources.map((s) => [s.path, s.text])), after = new Map(b.sources.map((s) => [s.path, s.text]));
      const changed = [...new Set([...before.keys(), ...after.keys()])].sort().filter((path) => before.get(path) !== after.get(path));
      fill(this.difference, h('p', null, changed.length ? t('rules.changed', { n: changed.length }) : t('rules.same')),
        changed.map((path) => h('details', { open: changed.length < 4 }, h('summary', null, path), h('pre', { class: 'lines' }, this.lines(compareLines(before.get(path) ?? '', after.get(path) ?? ''))))));
    } catch (problem) { fill(this.difference, h('p', { class: 'error' }, problem.message)); }
  }

  /** What changed, with three lines around it. */
  lines(list) {
    const near = new Set();
    list.forEach((line, i) => { if (line.kind !== ' ') for (let k = i - 3; k <= i + 3; k += 1) near.add(k); });
    const out = [];
    let left = false;
    list.forEach((line, i) => {
      if (!near.has(i)) { if (!left) out.push(h('span', { class: 'line gap' }, '⋯')); left = true; return; }
      left = false;
      out.push(h('span', { class: `line ${line.kind === '+' ? 'added' : line.kind === '-' ? 'removed' : ''}` }, `${line.kind} ${String(line.b ?? line.a).padStart(4)}  ${line.text}`));
    });
    return out;
  }
}

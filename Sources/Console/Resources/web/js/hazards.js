// Hazards (隐患): the list with its deadlines, and registering what an inspection or a report found.

import { address, get, post } from './api.js';
import { areaName, catalog, nameAt, pointName } from './catalog.js';
import { fill, h, text } from './dom.js';
import { actorField, askForm, compact, roleField } from './form.js';
import { count, dateTime, duration } from './format.js';
import { pick, t } from './i18n.js';

/** The states in the order of the closed loop. */
export const STATES = ['registered', 'verified', 'graded', 'committeeAssigned', 'sectorAssigned', 'assigned', 'planned', 'rectifying', 'submitted', 'accepted', 'sampled', 'closed', 'generalised', 'dismissed'];
export const SOURCES = ['monitoring', 'selfInspection', 'expertInspection', 'departmentInspection', 'governmentInspection', 'report'];
export const ROLES = ['enterprise', 'county', 'sector', 'city', 'auditor'];

/** Whether somebody has a part in hazards; operators and duty officers have none. */
export const mayRegister = (app) => !app.user || ROLES.some((role) => app.user.roles.includes(role));

/** The name of a place by its path, of whatever depth. */
export function placeName(path) {
  const depth = path.split('/').length;
  if (depth >= 5) return `${pointName(path)} · ${areaName(path)}`;
  return [...new Set(Array.from({ length: depth }, (_, i) => nameAt(path, depth - i)))].join(' · ');
}

/** What is left of a deadline, in words; overdue says so. */
export function deadline(ms, isOpen = true) {
  if (!ms) return '';
  const left = ms - Date.now();
  return !isOpen ? dateTime(ms) : left >= 0 ? t('hazard.left', { time: duration(left) }) : t('hazard.overdue', { time: duration(-left) });
}

/** Asks for a new hazard; `values` are known already. Answers its id or null. */
export async function registerHazard(app, values = {}) {
  const places = catalog.tree.flatMap(function list(node) {
    return node.kind === 'point' ? [] : [[node.path, `${'　'.repeat(node.path.split('/').length - 1)}${pick(node.name, node.id)}`], ...node.children.flatMap(list)];
  });
  if (values.place && !places.some(([path]) => path === values.place)) places.unshift([values.place, placeName(values.place)]);
  const answer = await askForm({
    title: t('hazard.register'), submit: t('hazard.register'),
    fields: [actorField(app), roleField(app, values.source === 'monitoring' ? ['county', 'sector'] : ROLES), { name: 'source', label: t('hazard.source'), type: 'select', required: true, value: values.source, options: SOURCES.map((s) => [s, t(`hazardSource.${s}`)]) },
      { name: 'place', label: t('hazard.place'), type: 'select', required: true, value: values.place, options: places },
      { name: 'title', label: t('hazard.title'), required: true, maxlength: 200, value: values.title },
      { name: 'detail', label: t('hazard.detail'), type: 'textarea', maxlength: 4000, value: values.detail },
    ],
    send: (v) => post('hazards', compact({ ...v, enterprise: v.role === 'enterprise' ? v.place.split('/')[0] : '', alarms: values.alarms ?? [] })),
  });
  return answer?.hazard ?? null;
}

/** The page at /hazards. */
export class HazardsPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'hazard-rows' });
    this.more = h('button', { hidden: true, onclick: () => this.load() }, t('ledger.more'));
    const select = (name, options, label) => h('label', null, label, this[name] = h('select', { onchange: () => this.reload() }, h('option', { value: '' }, t('filter.all')), options.map(([value, words]) => h('option', { value, selected: value === query.get(name) }, words))));
    const columns = ['number', 'registered', 'grade', 'state', 'place', 'title', 'source', 'deadline', 'steps'];
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.hazards')), mayRegister(this.app) ? h('button', { class: 'primary no-print', id: 'hazard-register', onclick: () => this.register() }, t('hazard.register')) : null, h('button', { class: 'no-print', onclick: () => print() }, t('ledger.print')),
      this.workbook = h('a', { class: 'button no-print', id: 'hazard-xlsx', download: 'davy-hazards.xlsx' }, t('hazard.workbook')), this.note),
      h('form', { class: 'filters', onsubmit: (e) => { e.preventDefault(); this.reload(); } },
        select('open', [['true', t('hazard.openOnly')]], t('filter.state')), select('state', STATES.map((s) => [s, t(`hazardState.${s}`)]), t('hazard.state')), select('grade', [['major', t('grade.major')], ['general', t('grade.general')]], t('hazard.grade')),
        select('source', SOURCES.map((s) => [s, t(`hazardSource.${s}`)]), t('hazard.source')), select('place', catalog.tree.flatMap((e) => [[e.path, pick(e.name, e.id)], ...e.children.map((s) => [s.path, `　${pick(s.name, s.id)}`])]), t('filter.enterprise')),
        select('due', [['overdue', t('hazard.overdueOnly')], ['week', t('hazard.dueWeek')]], t('hazard.deadline')), select('listed', [['true', t('hazard.listedOnly')]], t('hazard.listing'))),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, t(`hazardColumn.${c}`))))), this.rows)), this.more));
    this.reload();
  }

  reload() {
    this.cursor = null;
    this.shown = 0;
    fill(this.rows);
    this.workbook.setAttribute('href', address('hazards.xlsx', this.filter));
    this.load();
  }

  /** What the fields above the list ask for. */
  get filter() {
    const due = this.due.value === 'overdue' ? Date.now() : this.due.value === 'week' ? Date.now() + 7 * 86_400_000 : null;
    return { open: this.open.value || (due ? 'true' : null), state: this.state.value, grade: this.grade.value, source: this.source.value, place: this.place.value, listed: this.listed.value, dueBefore: due };
  }

  async load() {
    this.more.hidden = true;
    try {
      const page = await get('hazards', { ...this.filter, before: this.cursor, limit: 100 });
      if (!this.isConnected) return;
      this.cursor = page.next;
      this.shown += page.hazards.length;
      this.rows.append(...page.hazards.map((z) => {
        const isLate = z.isOpen && z.deadline && z.deadline < Date.now();
        return h('tr', { class: isLate ? 'overdue' : '' }, h('td', { class: 'num' }, h('a', { href: `/hazard?id=${encodeURIComponent(z.hazard)}` }, z.firstSequence)), h('td', { class: 'time' }, dateTime(z.time)),
          h('td', null, z.grade ? h('b', null, t(`grade.${z.grade}`)) : '–', z.listed ? h('span', { class: 'mark' }, t('hazard.listed', { level: t(`listing.${z.listed}`) })) : null), h('td', null, t(`hazardState.${z.state}`)),
          h('td', { title: z.place }, placeName(z.place)), h('td', null, h('a', { href: `/hazard?id=${encodeURIComponent(z.hazard)}` }, z.title)), h('td', null, t(`hazardSource.${z.source}`)),
          h('td', null, deadline(z.deadline, z.isOpen), z.rung ? h('span', { class: 'mark' }, t(`act.${z.rung}`)) : null), h('td', { class: 'num' }, z.steps));
      }));
      this.more.hidden = page.next === null;
      text(this.note, this.shown ? t('ledger.shown', { n: count(this.shown) }) : t('ledger.none'));
    } catch (problem) { text(this.note, problem.message); }
  }

  async register() {
    const id = await registerHazard(this.app, { source: 'selfInspection' });
    if (id) this.app.go(`/hazard?id=${encodeURIComponent(id)}`);
  }

  key(event) {
    if (event.key.toLowerCase() !== 'n' || !mayRegister(this.app)) return false;
    this.register();
    return true;
  }
}

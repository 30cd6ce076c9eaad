// The ledger: alarms by filters, with print and export, and the chain's entries as they stand.

import { address, get } from './api.js';
import { areaName, catalog, nameAt, pointName, ruleText } from './catalog.js';
import { fill, h, symbol, text } from './dom.js';
import { count, dateTime, number, parseLocal, unit } from './format.js';
import { eventName, pick, t } from './i18n.js';
import { level } from './store.js';

const STATES = ['unacknowledged', 'acknowledged', 'returnedUnacknowledged', 'latchedUnacknowledged', 'latchedAcknowledged', 'shelved', 'suppressedByDesign', 'outOfService', 'normal'];

/** The page at /ledger. */
export class LedgerPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.point = query.get('point') ?? '';
    this.view = query.get('view') === 'entries' ? 'entries' : 'alarms';
    this.cursor = null;
    const tab = (view) => h('a', { class: 'tab', href: `/ledger?view=${view}`, 'aria-current': this.view === view ? 'page' : null }, t(`ledger.${view}`));
    this.rows = h('tbody', { id: 'ledger-rows' });
    this.note = h('p', { class: 'hint', role: 'status' });
    this.more = h('button', { hidden: true, onclick: () => this.load() }, t('ledger.more'));
    const columns = this.view === 'alarms' ? ['number', 'level', 'state', 'raised', 'enterprise', 'point', 'kind', 'value', 'acknowledged', 'by', 'reason', 'returned']
      : ['sequence', 'time', 'entryKind', 'subject', 'step', 'actor', 'origin', 'hash'];
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.ledger')), tab('alarms'), tab('entries'),
      h('button', { class: 'no-print', onclick: () => print() }, t('ledger.print')), this.view === 'alarms' ? this.exportLink = h('a', { class: 'button no-print', download: 'davy-alarms.csv' }, 'CSV') : null),
      this.view === 'alarms' ? this.filters() : h('form', { class: 'filters', onsubmit: (e) => { e.preventDefault(); this.reload(); } },
        h('label', null, t('ledger.after'), this.after = h('input', { type: 'number', min: 0, value: query.get('after') ?? '' })), h('button', { class: 'primary' }, t('ledger.show'))),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, t(`column.${c}`))))), this.rows)),
      this.note, this.more));
    this.reload();
  }

  filters() {
    const form = h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); this.reload(); } },
      h('label', null, t('filter.from'), this.from = h('input', { type: 'datetime-local' })),
      h('label', null, t('filter.to'), this.to = h('input', { type: 'datetime-local' })),
      h('label', null, t('filter.enterprise'), this.scope = h('select', null, h('option', { value: '' }, t('filter.all')),
        catalog.tree.map((e) => [h('option', { value: e.path }, pick(e.name, e.id)), e.children.map((s) => [h('option', { value: s.path }, `  ${pick(s.name, s.id)}`), s.children.map((a) => h('option', { value: a.path }, `    ${pick(a.name, a.id)}`))])]))),
      h('label', null, t('filter.level'), this.priority = h('select', null, h('option', { value: '' }, t('filter.all')), [4, 3, 2].map((p) => h('option', { value: p }, t('filter.atLeast', { level: t(`level.${5 - p}`) }))))),
      h('label', null, t('filter.state'), this.state = h('select', null, h('option', { value: '' }, t('filter.all')), h('option', { value: 'standing' }, t('filter.standing')), STATES.map((s) => h('option', { value: s }, t(`state.${s}`))))),
      h('button', { class: 'primary' }, t('ledger.show')),
      this.point ? h('a', { class: 'chip', href: '/ledger', title: t('filter.remove') }, pointName(this.point), ' ×') : null);
    return form;
  }

  query() {
    const state = this.state.value;
    return { from: this.from.value ? parseLocal(this.from.value) : null, to: this.to.value ? parseLocal(this.to.value) : null, point: this.scope.value || this.point,
      priority: this.priority.value, standing: state === 'standing' ? 'true' : null, state: state === 'standing' ? null : state };
  }

  reload() {
    this.cursor = null;
    this.shown = 0;
    fill(this.rows);
    if (this.exportLink) this.exportLink.href = address('alarms.csv', this.query());
    this.load();
  }

  async load() {
    this.more.hidden = true;
    try {
      if (this.view === 'alarms') await this.loadAlarms(); else await this.loadEntries();
    } catch (problem) {
      text(this.note, problem.message);
    }
  }

  async loadAlarms() {
    const page = await get('alarms', { ...this.query(), before: this.cursor, limit: 100 });
    this.cursor = page.next;
    this.shown += page.alarms.length;
    this.rows.append(...page.alarms.map((a) => h('tr', { class: `state-${a.state}` },
      h('td', { class: 'num' }, h('a', { href: `/alarm?id=${encodeURIComponent(a.alarm)}` }, a.firstSequence)),
      h('td', null, symbol(level(a), { size: 17, label: t(`level.${level(a)}`) }), ' ', t(`level.${level(a)}`)), h('td', null, t(`state.${a.state}`)), h('td', { class: 'time' }, dateTime(a.onset)),
      h('td', null, `${nameAt(a.point, 1)} · ${areaName(a.point)}`), h('td', null, pointName(a.point)), h('td', null, ruleText(a)),
      h('td', { class: 'num' }, `${number(a.value)}${a.limit === null ? '' : ` / ${number(a.limit)}`} ${unit(a.unit)}`),
      h('td', { class: 'time' }, a.acknowledged ? dateTime(a.acknowledged) : ''), h('td', null, a.acknowledgedBy), h('td', null, a.acknowledgedReason), h('td', { class: 'time' }, a.returned ? dateTime(a.returned) : ''))));
    this.more.hidden = page.next === null;
    text(this.note, this.shown ? t('ledger.shown', { n: count(this.shown) }) : t('ledger.none'));
  }

  async loadEntries() {
    const page = await get('entries', { after: this.cursor ?? (this.after.value || 0), limit: 200 });
    this.cursor = page.next;
    this.shown += page.entries.length;
    this.rows.append(...page.entries.map((e) => h('tr', null, h('td', { class: 'num' }, e.sequence), h('td', { class: 'time' }, dateTime(e.time)), h('td', null, t(`entry.${e.kind}`)),
      h('td', null, e.kind === 'alarm' ? h('a', { href: `/alarm?id=${encodeURIComponent(e.subject)}` }, e.body ? `${pointName(e.body.point)} ${ruleText(e.body)}` : e.subject) : e.subject),
      h('td', null, eventName(e.body), e.body?.value === undefined ? '' : ` ${number(e.body.value)} ${unit(e.body.unit)}`),
      h('td', null, e.actor), h('td', { class: 'num' }, e.origin), h('td', { class: 'mono', title: e.hash }, e.hash.slice(0, 12)))));
    this.more.hidden = page.next === null;
    text(this.note, t('ledger.head', { n: count(this.shown), head: count(page.head) }));
  }
}

// Welding (赋码加芯): machines, who welds where now and under which permit, and the scans that were denied.

import { get } from './api.js';
import { catalog } from './catalog.js';
import { fill, h, symbol, text } from './dom.js';
import { count, dateTime, duration, number } from './format.js';
import { pick, t } from './i18n.js';
import { placeName } from './hazards.js';

const VIEWS = ['machines', 'scans', 'permits', 'welders'];

/** The page at /welding. */
export class WeldingPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.view = VIEWS.includes(query.get('view')) ? query.get('view') : 'machines';
    this.note = h('p', { class: 'hint', role: 'status' });
    this.box = h('div', { id: 'welding' });
    this.only = h('input', { type: 'checkbox', onchange: () => this.load() });
    const tab = (view) => h('a', { class: 'tab', href: `/welding?view=${view}`, 'aria-current': this.view === view ? 'page' : null }, t(`welding.${view}`));
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.welding')), VIEWS.map(tab), this.view === 'machines' ? h('label', { class: 'check' }, this.only, t('welding.active')) : this.view === 'scans' ? h('label', { class: 'check' }, this.only, t('welding.denied')) : null, this.note), this.box));
    this.begin();
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async begin() {
    try {
      const rules = await get('welding/rules');
      this.reasons = new Map(rules.reasons.map((r) => [r.id, r.text]));
      this.rules = new Map(rules.rules.map((r) => [r.id, r]));
      await this.load();
      this.timer = setInterval(() => this.load(), 2000);
    } catch (problem) { text(this.note, problem.message); }
  }

  table(columns, rows) {
    return h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, t(`weldColumn.${c}`))))), h('tbody', null, rows.length ? rows : h('tr', null, h('td', { colspan: columns.length }, t('welding.none'))))));
  }

  async load() {
    if (document.hidden) return;
    try {
      const shown = await this[this.view]();
      if (this.isConnected && shown && JSON.stringify(shown.key) !== this.key) { this.key = JSON.stringify(shown.key); fill(this.box, shown.content); text(this.note, t('ledger.shown', { n: count(shown.n) })); }
    } catch (problem) { text(this.note, problem.message); }
  }

  async machines() {
    const { machines } = await get('welding/machines', { active: this.only.checked ? 'true' : null, limit: 500 });
    const columns = ['machine', 'state', 'welder', 'permit', 'place', 'since', 'current', 'heard', 'alarms'];
    return { key: machines, n: machines.length, content: this.table(columns, machines.map((m) => h('tr', { class: m.barred ? 'overdue' : '' },
      h('td', { title: m.id }, pick(m.name, m.device), h('small', { class: 'mono' }, ` ${m.code ?? ''}`), m.registered ? null : h('b', { class: 'error' }, ` ${t('welding.unregistered')}`), m.barred ? h('b', { class: 'error' }, ` ${t('welding.barred')}：${m.barred}`) : null),
      h('td', null, h('span', { class: 'badge' }, t(`weldState.${m.state}`) === `weldState.${m.state}` ? m.state : t(`weldState.${m.state}`))), h('td', null, m.welderName ?? m.welder ?? ''), h('td', { class: 'mono' }, m.permit ?? ''), h('td', { title: m.path }, m.path ? placeName(m.path.split('/').slice(0, 3).join('/')) : ''),
      h('td', { class: 'num' }, m.weldingSince ? duration(Date.now() - m.weldingSince) : m.until ? t('hazard.until', { time: dateTime(m.until) }) : ''), h('td', { class: 'num' }, m.current === null ? '' : `${number(m.current)} A`), h('td', { class: 'time' }, m.heard ? dateTime(m.heard) : '–'),
      h('td', null, m.alarms.map((id) => h('div', null, symbol(2, { size: 14 }), ' ', pick(this.rules.get(id)?.text, id))))))) };
  }

  async scans() {
    const { scans } = await get('welding/scans', { answer: this.only.checked ? 'deny' : null, limit: 200 });
    return { key: scans, n: scans.length, content: this.table(['time', 'answer', 'reasons', 'machine', 'code', 'welder', 'permit', 'enterprise'], scans.map((s) => h('tr', null, h('td', { class: 'time' }, dateTime(s.time)),
      h('td', null, s.answer === 'allow' ? h('span', { class: 'ok' }, `✓ ${t('welding.allow')}`) : h('b', { class: 'error' }, `✕ ${t('welding.deny')}`)), h('td', null, s.reasons.map((r) => h('div', null, pick(this.reasons.get(r), r)))), h('td', null, s.device), h('td', { class: 'mono' }, s.code), h('td', null, s.welder), h('td', { class: 'mono' }, s.permit), h('td', null, pick(catalog.nodes.get(s.enterprise)?.name, s.enterprise))))) };
  }

  permits() { return this.register('permits'); }
  welders() { return this.register('welders'); }

  /** A part of the register of every enterprise, its members as they stand. */
  async register(part) {
    const rows = [], names = new Set();
    for (const enterprise of catalog.tree) {
      try {
        const { entries } = await get(`welding/register/${encodeURIComponent(enterprise.id)}/${part}`, { limit: 500 });
        for (const e of entries) { rows.push([enterprise, e]); Object.keys(e.value).forEach((k) => names.add(k)); }
      } catch (problem) { if (problem.status !== 404) throw problem; }
    }
    const keys = [...names].slice(0, 9), value = (v) => v === null || v === undefined ? '' : typeof v === 'number' && v > 1e12 ? dateTime(v) : typeof v === 'object' ? Array.isArray(v) ? v.map(value).join('、') : JSON.stringify(v) : String(v);
    const name = (k) => t(`weldKey.${k}`) === `weldKey.${k}` ? k : t(`weldKey.${k}`);
    return { key: rows.map(([, e]) => e), n: rows.length, content: h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, h('th', { scope: 'col' }, t('weldColumn.enterprise')), h('th', { scope: 'col' }, t('weldColumn.number')), keys.map((k) => h('th', { scope: 'col' }, name(k))))),
      h('tbody', null, rows.length ? rows.map(([enterprise, e]) => h('tr', null, h('td', null, pick(enterprise.name, enterprise.id)), h('td', { class: 'mono' }, e.id), keys.map((k) => h('td', null, value(e.value[k]))))) : h('tr', null, h('td', { colspan: keys.length + 2 }, t('welding.none')))))) };
  }
}

// Administration: accounts and machines' keys, rosters of duty, call-out channels.

import { get, post, Problem, send } from './api.js';
import { catalog } from './catalog.js';
import { fill, h, text } from './dom.js';
import { askForm } from './form.js';
import { count, dateTime } from './format.js';
import { pick, t } from './i18n.js';
import { hasRole } from './session.js';
import './channels.js';
import './rosters.js';

/** The parts with the roles that the API lets look at them; null is for everybody's eyes. */
const VIEWS = {
  accounts: ['administrator'],
  rosters: ['administrator', 'county', 'sector', 'city', 'auditor', 'dutyOfficer', 'operator'],
  channels: ['administrator', 'county', 'sector', 'city', 'auditor'],
};

const ROLES = ['operator', 'dutyOfficer', 'enterprise', 'county', 'sector', 'city', 'auditor', 'administrator', 'monitor', 'relay'];

/** The page at /admin. */
export class AdminPage extends HTMLElement {
  connectedCallback() {
    // Where nobody signs in there are no accounts, and nobody is kept from the rest.
    const views = Object.keys(VIEWS).filter((view) => this.app.user ? hasRole(...VIEWS[view]) : true);
    const asked = new URLSearchParams(location.search).get('view');
    const view = views.includes(asked) ? asked : views[0];
    const tab = (name) => h('a', { class: 'tab', href: `/admin?view=${name}`, 'aria-current': name === view ? 'page' : null }, t(`admin.view.${name}`));
    const part = view ? document.createElement(`davy-${view}`) : h('p', { class: 'empty' }, t('admin.nothing'));
    part.app = this.app;
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.admin')), views.map(tab)), part,
      h('h2', null, t('admin.more')), h('ul', null, [['/rules', 'nav.rules'], ['/callouts?view=silences', 'matters.silences'], ['/status', 'nav.status']].map(([href, name]) => h('li', null, h('a', { href }, t(name)))))));
  }
}

/** The accounts of the page of administration. */
class AccountPanel extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'account-rows' });
    this.keys = h('section', { id: 'account-keys' });
    fill(this, h('div', { class: 'bar' }, h('button', { class: 'primary', id: 'account-new', onclick: () => this.edit(null) }, t('admin.new')), this.note),
      h('p', null, t('admin.about')),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['account', 'name', 'kind', 'roles', 'scope', 'state', 'changed', 'acts'].map((c) => h('th', { scope: 'col' }, t(`admin.${c}`))))), this.rows)), this.keys);
    this.load();
  }

  async load() {
    if (!this.app.user) { text(this.note, t('admin.open')); return; }
    try {
      const { accounts } = await get('accounts', { limit: 500 });
      if (!this.isConnected) return;
      fill(this.rows, accounts.map((a) => h('tr', { class: a.active ? '' : 'state-normal' }, h('td', { class: 'mono' }, a.id), h('td', null, a.displayName), h('td', null, t(`admin.kind.${a.kind}`)), h('td', null, a.roles.map((r) => t(`role.${r}`)).join('、')), h('td', null, this.scope(a.scope)),
        h('td', null, t(a.active ? 'admin.active' : 'admin.closed'), a.kind === 'person' && !a.hasPassword ? h('small', null, ` ${t('admin.noPassword')}`) : null), h('td', { class: 'time' }, dateTime(a.changed)),
        h('td', null, h('div', { class: 'buttons' }, h('button', { dataset: { edit: a.id }, onclick: () => this.edit(a) }, t('admin.edit')), a.kind === 'person' ? h('button', { onclick: () => this.link(a) }, t('admin.link')) : h('button', { onclick: () => this.showKeys(a) }, t('admin.keys')))))));
      text(this.note, t('ledger.shown', { n: count(accounts.length) }));
    } catch (problem) { text(this.note, problem.message); }
  }

  scope(s) { return s.everywhere ? t('admin.everywhere') : [...s.areas, ...s.enterprises.map((id) => pick(catalog.nodes.get(id)?.name, id))].join('、') || '–'; }

  async edit(a) {
    const done = await askForm({ title: t(a ? 'admin.edit' : 'admin.new'), submit: t('form.save'),
      fields: [...(a ? [] : [{ name: 'id', label: t('admin.account'), required: true, maxlength: 64 }]), { name: 'displayName', label: t('admin.name'), required: true, maxlength: 64, value: a?.displayName },
        { name: 'kind', label: t('admin.kind'), type: 'select', value: a?.kind ?? 'person', options: ['person', 'machine'].map((k) => [k, t(`admin.kind.${k}`)]) },
        { name: 'roles', label: t('admin.roles'), type: 'checks', value: a?.roles ?? [], options: ROLES.map((r) => [r, t(`role.${r}`)]) },
        { name: 'everywhere', label: t('admin.scope'), type: 'checks', value: a?.scope.everywhere ? ['1'] : [], options: [['1', t('admin.everywhere')]] },
        { name: 'areas', label: t('admin.areas'), value: a?.scope.areas.join(' ') }, { name: 'enterprises', label: t('admin.enterprises'), type: 'checks', value: a?.scope.enterprises ?? [], options: catalog.tree.map((e) => [e.id, pick(e.name, e.id)]) },
        { name: 'active', label: t('admin.state'), type: 'select', value: a && !a.active ? 'no' : 'yes', options: [['yes', t('admin.active')], ['no', t('admin.closed')]] }],
      send: async (v) => {
        const body = { ...(a ? {} : { id: v.id }), displayName: v.displayName, kind: v.kind, roles: v.roles, active: v.active === 'yes', scope: { everywhere: v.everywhere.length > 0, areas: v.areas.split(/[\s,，、]+/).filter(Boolean), enterprises: v.enterprises } };
        if (!a) return post('accounts', body);
        const response = await fetch(`/api/v1/accounts/${encodeURIComponent(a.id)}`, { method: 'PUT', headers: { 'content-type': 'application/json', 'if-match': `"${a.version}"` }, body: JSON.stringify(body) });
        const answer = await response.json();
        if (!response.ok) throw new Problem(response.status, answer);
        return answer;
      } });
    if (done) this.load();
  }

  async link(a) {
    try {
      const { path, expires } = await post(`accounts/${encodeURIComponent(a.id)}/link`, {});
      const address = `${location.origin}${path}`;
      fill(this.keys, h('h2', null, t('admin.linkFor', { name: a.displayName })), h('p', null, t('admin.linkAbout', { time: dateTime(expires) })), h('input', { readonly: true, value: address, id: 'account-link', 'aria-label': t('admin.link') }));
    } catch (problem) { text(this.note, problem.message); }
  }

  async showKeys(a, made = null) {
    try {
      const { keys } = await get(`accounts/${encodeURIComponent(a.id)}/keys`);
      fill(this.keys, h('h2', null, t('admin.keysOf', { name: a.displayName })), made ? [h('p', null, t('admin.keyOnce')), h('input', { readonly: true, value: made, id: 'account-key', 'aria-label': t('admin.keys') })] : null,
        h('ul', null, keys.map((key) => h('li', null, `${key.purpose} · ${t('hazard.until', { time: dateTime(key.expires) })} `, h('button', { onclick: async () => { await send('DELETE', `accounts/${encodeURIComponent(a.id)}/keys/${encodeURIComponent(key.id)}`); this.showKeys(a); } }, t('admin.removeKey'))))),
        h('button', { onclick: () => this.makeKey(a) }, t('admin.makeKey')));
    } catch (problem) { text(this.note, problem.message); }
  }

  async makeKey(a) {
    const made = await askForm({ title: t('admin.makeKey'), submit: t('admin.makeKey'), fields: [{ name: 'purpose', label: t('admin.purpose'), required: true, maxlength: 100 }, { name: 'days', label: t('admin.days'), type: 'number', min: 1, value: 365, required: true }],
      send: (v) => post(`accounts/${encodeURIComponent(a.id)}/keys`, { purpose: v.purpose, lifetimeDays: Number(v.days) }) });
    if (made) this.showKeys(a, made.text);
  }
}

customElements.define('davy-accounts', AccountPanel);

// One hazard with its whole story: where it stands in the closed loop, what may be done next and by whom, its
// plan, deadlines, evidence, alarms, clocks, and every entry of the ledger.

import { address, get, newKey, post, Problem } from './api.js';
import { ruleText } from './catalog.js';
import { fill, h, symbol, text } from './dom.js';
import { actorField, askForm, compact, held, roleField } from './form.js';
import { dateTime, duration } from './format.js';
import { t } from './i18n.js';
import { deadline, placeName } from './hazards.js';
import { level } from './store.js';

/** The way of a hazard as it is drawn: the main line of the closed loop. */
const LINE = ['registered', 'verified', 'graded', 'assigned', 'planned', 'rectifying', 'submitted', 'accepted', 'sampled', 'closed', 'generalised'];
const REASON = new Set(['verify', 'dismiss', 'grade', 'sendBack', 'close', 'reopen', 'requestExtension', 'grantExtension', 'denyExtension', 'list', 'delist', 'circulate', 'warn']);
const ORDER = ['verify', 'dismiss', 'grade', 'assignCommittee', 'assignSector', 'plan', 'start', 'submit', 'accept', 'sample', 'close', 'generalise', 'sendBack', 'requestExtension', 'grantExtension', 'denyExtension', 'list', 'delist', 'remind', 'supervise', 'circulate', 'warn', 'attach', 'reopen'];

/** The page at /hazard?id=… */
export class HazardPage extends HTMLElement {
  connectedCallback() {
    this.hazardID = new URLSearchParams(location.search).get('id') ?? '';
    this.box = h('article', { class: 'hazard' });
    this.note = h('p', { class: 'error', role: 'alert' });
    fill(this, h('section', { class: 'page' }, h('a', { class: 'back no-print', href: '/hazards' }, `← ${t('nav.hazards')}`), this.note, this.box));
    this.load();
    this.timer = setInterval(() => this.load(), 4000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  get path() { return `hazards/${encodeURIComponent(this.hazardID)}`; }

  async load() {
    if (document.hidden || document.querySelector('dialog[open]')) return;
    try {
      const story = await get(this.path);
      if (!this.isConnected) return;
      text(this.note, '');
      const key = JSON.stringify(story);
      if (key !== this.shown) { this.shown = key; this.show(story); }
    } catch (problem) { text(this.note, problem.message); }
  }

  show(z) {
    this.story = z;
    const acts = ORDER.map((name) => z.acts.find((a) => a.act === name)).filter((a) => a && this.rolesFor(a).length);
    const fact = (name, value) => value === null || value === undefined || value === '' ? null : [h('dt', null, t(`hazard.${name}`)), h('dd', null, value)];
    const plan = z.plan;
    fill(this.box,
      h('header', { class: 'bar' }, h('h1', null, z.title), h('span', { class: 'badge' }, t(`hazardState.${z.state}`)), z.grade ? h('span', { class: `badge grade-${z.grade}` }, t(`grade.${z.grade}`)) : null,
        z.listed ? h('span', { class: 'badge' }, t('hazard.listed', { level: t(`listing.${z.listed}`) })) : null, z.deadline ? h('b', { class: z.isOpen && z.deadline < Date.now() ? 'error' : '' }, deadline(z.deadline, z.isOpen)) : null,
        h('button', { class: 'no-print', onclick: () => print() }, t('ledger.print')), h('a', { class: 'button no-print', href: address(this.path), download: 'hazard.json' }, 'JSON')),
      this.line(z),
      h('div', { class: 'buttons no-print', id: 'hazard-acts' }, acts.map((a) => h('button', { class: this.isNext(z, a.act) ? 'primary' : '', dataset: { act: a.act }, title: a.roles.map((r) => t(`role.${r}`)).join('、'), onclick: () => this.act(a) }, t(`hazardAct.${a.act}`)))),
      h('div', { class: 'hazard-body' },
        h('div', null,
          h('dl', { class: 'facts' }, fact('place', placeName(z.place)), fact('source', t(`hazardSource.${z.source}`)), fact('detail', z.detail), fact('ground', z.ground), fact('basis', z.basis), fact('parent', z.parent ? h('a', { href: `/hazard?id=${encodeURIComponent(z.parent)}` }, z.parent) : ''),
            fact('committee', z.committeeAssignee), fact('sector', z.sectorAssignee), fact('deadline', z.deadline ? dateTime(z.deadline) : ''), fact('asked', z.askedDeadline ? dateTime(z.askedDeadline) : ''), fact('submitter', z.submitter), fact('accepter', z.accepter), fact('sites', z.sites.map(placeName).join('、'))),
          plan ? [h('h2', null, t('hazard.plan')), h('dl', { class: 'facts', id: 'hazard-plan' }, ['responsible', 'measures', 'funds', 'contingency'].map((k) => [h('dt', null, t(`plan.${k}`)), h('dd', null, plan[k])]), h('dt', null, t('plan.deadline')), h('dd', null, dateTime(plan.deadline)))] : null,
          h('h2', null, t('hazard.evidence', { n: z.evidence.length })), z.evidence.length ? h('ul', { class: 'plain', id: 'hazard-evidence' }, z.evidence.map((e) => h('li', null, h('a', { href: address(`${this.path}/evidence/${e.sha256}`), download: e.name }, e.name), ' ', h('small', { class: 'mono', title: e.sha256 }, e.sha256.slice(0, 12))))) : h('p', { class: 'hint' }, t('hazard.noEvidence')),
          z.clocks.length ? [h('h2', null, t('hazard.clocks')), h('ul', { class: 'plain' }, z.clocks.map((c) => h('li', null, t(`clock.${c.state}`) === `clock.${c.state}` ? c.state : t(`clock.${c.state}`), ' · ', dateTime(c.time))))] : null,
          z.alarms.length ? [h('h2', null, t('hazard.alarms', { n: z.alarms.length })), h('ul', { class: 'plain' }, z.alarms.map((a) => h('li', null, symbol(level(a), { size: 15, label: t(`level.${level(a)}`) }), ' ', h('a', { href: `/alarm?id=${encodeURIComponent(a.alarm)}` }, `${dateTime(a.onset)} ${ruleText(a)}`), ` · ${t(`state.${a.state}`)}`)))] : null),
        h('section', null, h('h2', null, t('hazard.story')), h('ol', { class: 'history', id: 'hazard-story' }, z.entries.map((e) => this.entry(e))), z.entriesComplete ? null : h('p', { class: 'hint' }, t('hazard.storyCut')))));
  }

  rolesFor(act) {
    const own = this.app.user?.roles;
    return own ? act.roles.filter((role) => own.includes(role)) : act.roles.filter((role) => role !== 'engine');
  }

  isNext(z, act) { return ['verify', 'grade', 'assignCommittee', 'assignSector', 'plan', 'start', 'submit', 'accept', 'sample', 'close', 'generalise'].includes(act) && act !== 'grade' || (act === 'grade' && z.state === 'verified'); }

  line(z) {
    const at = ['committeeAssigned', 'sectorAssigned'].includes(z.state) ? LINE.indexOf('graded') + .5 : LINE.indexOf(z.state);
    return h('ol', { class: 'loop', 'aria-label': t('hazard.loop') }, LINE.map((state, i) => h('li', { class: z.state === 'dismissed' ? '' : i < at ? 'done' : i === at ? 'now' : '', 'aria-current': i === at ? 'step' : null }, h('span', { class: 'step' }, i + 1), t(`hazardState.${state}`))));
  }

  entry(e) {
    const b = e.body ?? {};
    const said = [b.refusal && t('hazard.refused', { why: held(b.refusal) }), b.reason, b.grade && t(`grade.${b.grade}`), b.assignee, b.deadline && t('hazard.until', { time: dateTime(b.deadline) }), b.level && t(`listing.${b.level}`), b.plan && `${b.plan.responsible}：${b.plan.measures}`, b.evidence?.map((x) => x.name).join('、'), b.sites?.map(placeName).join('、'), b.title].filter(Boolean).join(' · ');
    return h('li', { class: b.refusal ? 'refused' : '' }, h('time', null, dateTime(e.time)), h('b', null, t(`hazardAct.${b.act}`) === `hazardAct.${b.act}` ? b.act ?? t('event.redacted') : t(`hazardAct.${b.act}`)), h('span', null, `${e.actor === 'engine' ? t('role.engine') : e.actor}${b.role && b.role !== 'engine' ? `（${t(`role.${b.role}`)}）` : ''}`), said ? h('span', { class: 'said' }, said) : null,
      b.state ? h('small', null, `→ ${t(`hazardState.${b.state}`)}`) : null, h('a', { class: 'ledger-link', href: `/ledger?view=entries&after=${e.sequence - 1}`, title: e.hash }, `#${e.sequence}`));
  }

  /** Asks for what an act needs, and does it. */
  async act(a) {
    const kind = a.act, z = this.story;
    if (kind === 'attach') { await this.attach(a); return; }
    const fields = [actorField(this.app), roleField(this.app, this.rolesFor(a))];
    if (kind === 'grade') fields.push({ name: 'grade', label: t('hazard.grade'), type: 'select', required: true, value: z.grade, options: ['general', 'major'].map((g) => [g, t(`grade.${g}`)]) });
    if (kind === 'assignCommittee' || kind === 'assignSector') fields.push({ name: 'assignee', label: t('hazard.assignee'), required: true, maxlength: 200 });
    if (kind === 'plan') fields.push({ name: 'responsible', label: t('plan.responsible'), required: true, maxlength: 200 }, { name: 'measures', label: t('plan.measures'), type: 'textarea', required: true, maxlength: 4000 }, { name: 'funds', label: t('plan.funds'), required: true, maxlength: 500 },
      { name: 'deadline', label: t('plan.deadline'), type: 'moment', required: true, value: Date.now() + 7 * 86_400_000 }, { name: 'contingency', label: t('plan.contingency'), type: 'textarea', required: true, maxlength: 4000 });
    if (kind === 'requestExtension') fields.push({ name: 'deadline', label: t('hazard.asked'), type: 'moment', required: true, value: (z.deadline ?? Date.now()) + 7 * 86_400_000 });
    if (kind === 'list') fields.push({ name: 'level', label: t('hazard.listing'), type: 'select', required: true, options: ['county', 'city', 'province'].map((l) => [l, t(`listing.${l}`)]) });
    if (kind === 'generalise') fields.push(z.likeSites?.length ? { name: 'sites', label: t('hazard.sites'), type: 'checks', options: z.likeSites.map((s) => [s, placeName(s)]), value: z.likeSites } : { name: 'site', label: t('hazard.sites'), required: true });
    fields.push({ name: 'reason', label: t(REASON.has(kind) ? 'act.reasonNeeded' : 'act.reason'), required: REASON.has(kind), type: 'textarea', rows: 2, maxlength: 500 });
    const done = await askForm({ title: t(`hazardAct.${kind}`), about: t('hazard.about', { title: z.title }), fields, submit: t(`hazardAct.${kind}`),
      send: ({ responsible, measures, funds, contingency, site, ...v }) => post(`${this.path}/acts`, compact({ ...v, act: kind, enterprise: v.role === 'enterprise' ? z.enterprise : '', sites: site ? [site] : v.sites,
        ...(kind === 'plan' ? { plan: { responsible, measures, funds, contingency, deadline: v.deadline }, deadline: null } : {}) })) });
    if (done) this.load();
  }

  async attach(a) {
    const z = this.story;
    const done = await askForm({ title: t('hazardAct.attach'), fields: [actorField(this.app), roleField(this.app, this.rolesFor(a)), { name: 'file', label: t('hazard.file'), type: 'file', required: true }, { name: 'reason', label: t('act.reason'), maxlength: 500 }], submit: t('hazardAct.attach'),
      send: async ({ file, ...v }) => {
        const response = await fetch(address(`${this.path}/evidence`, compact({ ...v, name: file.name, enterprise: v.role === 'enterprise' ? z.enterprise : '' })), { method: 'POST', headers: { 'content-type': 'application/octet-stream', 'idempotency-key': newKey() }, body: file });
        const body = await response.json();
        if (!response.ok) throw new Problem(response.status, body);
        return body;
      } });
    if (done) this.load();
  }

  key(event) {
    if (event.key === 'Escape') { this.app.go('/hazards'); return true; }
    if (event.key.toLowerCase() === 'e') { this.box.querySelector('[data-act=attach]')?.click(); return true; }
    if (event.key.toLowerCase() === 'd') { this.box.querySelector('#hazard-acts .primary')?.click(); return true; }
    return false;
  }
}

// Call-outs (叫应), reporting clocks, notices and silences: what is open, until when, and what people do with it.

import { get, post } from './api.js';
import { catalog } from './catalog.js';
import { fill, h, refill, symbol, text } from './dom.js';
import { actorField, askForm, compact, roleField } from './form.js';
import { count, dateTime, duration } from './format.js';
import { pick, t } from './i18n.js';
import { placeName, ROLES } from './hazards.js';

const VIEWS = ['callouts', 'clocks', 'notices', 'silences'];

/** The page at /callouts. */
export class CalloutsPage extends HTMLElement {
  connectedCallback() {
    const query = new URLSearchParams(location.search);
    this.view = VIEWS.includes(query.get('view')) ? query.get('view') : 'callouts';
    this.open = query.get('all') !== '1';
    this.note = h('p', { class: 'hint', role: 'status' });
    this.box = h('div', { id: 'matters' });
    const tab = (view) => h('a', { class: 'tab', href: `/callouts?view=${view}`, 'aria-current': this.view === view ? 'page' : null }, t(`matters.${view}`));
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.callouts')), VIEWS.map(tab),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: !this.open, onchange: (e) => this.app.go(`/callouts?view=${this.view}${e.target.checked ? '&all=1' : ''}`) }), t('matters.all')),
      this.view === 'silences' ? h('button', { class: 'primary', id: 'silence-new', onclick: () => this.silence() }, t('silence.new')) : null, this.note), this.box));
    this.load();
    this.timer = setInterval(() => this.load(), 2000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    if (document.hidden || document.querySelector('dialog[open]')) return;
    try {
      const page = await get(this.view, { open: this.open ? 'true' : null, limit: 100 });
      if (!this.isConnected) return;
      const items = page[this.view], show = { callouts: (i) => this.callout(i), clocks: (i) => this.clock(i), notices: (i) => this.notice(i), silences: (i) => this.silenceCard(i) }[this.view];
      const key = JSON.stringify([items, Math.floor(Date.now() / 2000)]);
      if (key === this.shown) return;
      this.shown = key;
      refill(this.box, items.length ? h('ul', { class: 'cards' }, items.map((item) => h('li', { class: item.isOpen ? 'open' : '', dataset: { part: item.id } }, show(item)))) : h('p', { class: 'empty' }, t(`matters.none.${this.view}`)));
      text(this.note, t(page.next === null ? 'ledger.shown' : 'matters.partial', { n: count(items.length) }));
    } catch (problem) { text(this.note, problem.message); }
  }

  facts(pairs) { return h('dl', { class: 'facts' }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== '').map(([name, v]) => [h('dt', null, name), h('dd', null, v)])); }

  callout(c) {
    if (c.unreadable) return [h('header', { class: 'bar' }, h('h2', null, c.id)), h('p', { class: 'error' }, t('callout.unreadable', { why: c.unreadable }))];
    const left = c.nextDeadline ? c.nextDeadline - Date.now() : null;
    return [h('header', { class: 'bar' }, c.priority ? symbol(5 - c.priority, { size: 24, label: t(`level.${5 - c.priority}`) }) : null, h('h2', null, pick(c.say, c.situation || c.id)), h('span', { class: `badge ${c.unanswered ? 'late' : ''}` }, c.unanswered ? t('callout.unanswered') : t(`callout.${c.status}`) === `callout.${c.status}` ? c.status : t(`callout.${c.status}`))),
      h('ol', { class: 'levels' }, (c.levels ?? []).map((level, i) => h('li', { class: i === c.level ? 'now' : i < c.level ? 'done' : '' }, h('b', null, level.name), ' ', level.persons.join('、'), ' ', h('small', null, t('callout.attempts', { n: level.attempts, every: duration(level.intervalMilliseconds) })), i === c.level ? h('small', null, ` · ${t('callout.attempt', { n: c.attempt })}`) : null))),
      this.facts([[t('hazard.place'), c.place ? placeName(c.place) : ''], [t('callout.begun'), dateTime(c.firstTime)], [t('callout.next'), left === null || !c.isOpen ? '' : left >= 0 ? duration(left) : '0s'], [t('callout.confirmedBy'), c.confirmedBy], [t('callout.answered'), c.answerMilliseconds ? duration(c.answerMilliseconds) : ''], [t('callout.feedback'), c.feedback],
        [t('callout.subjects'), (c.subjects ?? []).slice(0, 5).map((s) => h('div', null, s.includes('#') ? h('a', { href: `/alarm?id=${encodeURIComponent(s)}` }, s) : s))]]),
      h('div', { class: 'buttons' }, c.isOpen ? h('button', { class: 'primary', dataset: { act: 'confirm' }, onclick: () => this.ask(c, 'confirm', [this.person(c)]) }, t('callout.confirm')) : null,
        c.confirmedBy && !c.feedback ? h('button', { onclick: () => this.ask(c, 'feedback', [{ name: 'text', label: t('callout.feedback'), type: 'textarea', required: true, maxlength: 4000 }]) }, t('callout.giveFeedback')) : null,
        c.isOpen ? h('button', { onclick: () => this.ask(c, 'cancel', [{ name: 'reason', label: t('act.reasonNeeded'), required: true, maxlength: 500 }]) }, t('callout.cancel')) : null)];
  }

  /** Who has answered: the person signed in where he is one of those called, else the one for whom it is entered. */
  person(c) {
    const called = [...new Set((c.levels ?? []).flatMap((level) => level.persons))], own = this.app.user?.account;
    const isCalled = !this.app.user || called.includes(own);
    return { name: 'person', label: t('callout.person'), type: 'select', required: !isCalled, value: '', options: [['', isCalled ? t('callout.myself') : ''], ...called.map((id) => [id, id])] };
  }

  clock(c) {
    const left = c.due ? c.due - Date.now() : null;
    return [h('header', { class: 'bar' }, h('h2', null, c.name || (t(`clockKind.${c.kind}`) === `clockKind.${c.kind}` ? c.kind ?? c.id : t(`clockKind.${c.kind}`))), c.isOpen && left !== null ? h('b', { class: left < 0 ? 'error' : '' }, left >= 0 ? t('hazard.left', { time: duration(left) }) : t('hazard.overdue', { time: duration(-left) })) : h('span', { class: 'badge' }, t('clock.stopped'))),
      this.facts([[t('clock.about'), c.about?.startsWith('hazard/') ? h('a', { href: `/hazard?id=${encodeURIComponent(c.about)}` }, c.about) : c.about?.includes('#') ? h('a', { href: `/alarm?id=${encodeURIComponent(c.about)}` }, c.about) : c.about], [t('clock.due'), c.due ? dateTime(c.due) : ''], [t('clock.duty'), c.duty], [t('clock.late'), c.late ? duration(c.late) : ''], [t('clock.text'), c.text]]),
      h('div', { class: 'buttons' }, c.isOpen && c.draft ? h('button', { class: 'primary', onclick: () => this.report(c, 'report') }, t('clock.report')) : null, c.text ? h('button', { onclick: () => this.report(c, 'supplement') }, t('clock.supplement')) : null)];
  }

  notice(n) {
    const state = (word) => t(`event.${word}`);
    return [h('header', { class: 'bar' }, n.priority ? symbol(5 - n.priority, { size: 24, label: t(`level.${5 - n.priority}`) }) : null, h('h2', null, pick(n.title, n.id)), h('span', { class: `badge ${['failed', 'lapsed', 'nobody'].includes(n.state) ? 'late' : ''}` }, state(n.state))),
      h('p', null, pick(n.say, '')),
      this.facts([[t('hazard.place'), n.place ? placeName(n.place) : ''], [t('callout.begun'), dateTime(n.firstTime)],
        [t('notice.persons'), (n.persons ?? []).map((p) => h('div', null, p.person, ' ', h('small', null, state(p.state), p.detail ? ` · ${p.detail}` : '')))]])];
  }

  silenceCard(s) {
    return [h('header', { class: 'bar' }, h('h2', null, s.place ? placeName(s.place) : t('filter.all')), s.isOpen && s.until ? h('b', null, t('hazard.left', { time: duration(s.until - Date.now()) })) : h('span', { class: 'badge' }, t('silence.ended'))),
      this.facts([[t('act.reason'), s.reason], [t('silence.author'), s.author], [t('silence.until'), s.until ? dateTime(s.until) : ''], [t('silence.rules'), s.rules?.join('、')]]),
      s.isOpen ? h('div', { class: 'buttons' }, h('button', { onclick: () => this.ask(s, 'end', [{ name: 'reason', label: t('act.reason'), maxlength: 500 }], 'silences') }, t('silence.end'))) : null];
  }

  async ask(item, verb, fields, kind = 'callouts') {
    if (await askForm({ title: t(kind === 'silences' ? 'silence.end' : `callout.${verb === 'feedback' ? 'giveFeedback' : verb}`), fields: [actorField(this.app), roleField(this.app, ROLES), ...fields], submit: t('form.submit'), send: (v) => post(`${kind}/${encodeURIComponent(item.id)}/${verb}`, compact(v)) })) this.again();
  }

  async report(c, verb) {
    const draft = typeof c.draft === 'string' ? c.draft : c.draft?.text ?? (c.draft ? Object.entries(c.draft).map(([k, v]) => `${k}: ${typeof v === 'object' ? JSON.stringify(v) : v}`).join('\n') : '');
    if (await askForm({ title: t(`clock.${verb}`), fields: [actorField(this.app), roleField(this.app, ROLES), { name: 'text', label: t('clock.text'), type: 'textarea', rows: 10, required: true, maxlength: 10_000, value: verb === 'report' ? draft : '' }], submit: t('form.submit'), send: (v) => post(`clocks/${encodeURIComponent(c.id)}/${verb}`, compact(v)) })) this.again();
  }

  async silence() {
    const places = catalog.tree.flatMap(function list(node) { return [[node.path, `${'　'.repeat(node.path.split('/').length - 1)}${pick(node.name, node.id)}`], ...node.children.flatMap(list)]; });
    if (await askForm({ title: t('silence.new'), about: t('silence.about'), fields: [actorField(this.app), roleField(this.app, ROLES), { name: 'path', label: t('hazard.place'), type: 'select', required: true, options: places }, { name: 'until', label: t('silence.until'), type: 'moment', required: true, value: Date.now() + 3_600_000 }, { name: 'reason', label: t('act.reasonNeeded'), required: true, maxlength: 500 }], submit: t('silence.new'), send: (v) => post('silences', compact(v)) })) this.again();
  }

  again() { this.shown = null; this.load(); }
}

// Duty (值班): who is on duty now, each roster's week, exchanges for a time, and changing a roster.

import { get, post, Problem } from './api.js';
import { fill, h, refill, text } from './dom.js';
import { actorField, askForm, compact, refusal, roleField } from './form.js';
import { dateTime } from './format.js';
import { t } from './i18n.js';
import { hasRole } from './session.js';

const CHANGERS = ['county', 'sector', 'city', 'administrator'];
const DAYS = [1, 2, 3, 4, 5, 6, 7];

/** Days in words: neighbours as a span. */
function days(list) {
  if (list.length === 7) return t('roster.daily');
  const spans = [];
  for (const day of list) {
    const last = spans.at(-1);
    if (last && last[1] === day - 1) last[1] = day; else spans.push([day, day]);
  }
  return spans.map(([a, b]) => a === b ? t(`weekday.${a}`) : `${t(`weekday.${a}`)}–${t(`weekday.${b}`)}`).join('、');
}

/** The rosters of the page of administration. */
export class RosterPanel extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.box = h('div', { id: 'rosters' });
    fill(this, h('p', null, t('roster.about')), this.note, this.box);
    this.load();
    this.timer = setInterval(() => this.load(), 10_000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  get mayChange() { return !this.app.user || hasRole(...CHANGERS); }

  name(id) {
    const person = this.persons.get(id);
    return person ? h('span', { title: [id, person.role].filter(Boolean).join(' · ') }, person.name) : h('span', { class: 'mono' }, id);
  }

  names(ids) { return ids.length ? ids.flatMap((id, i) => [i ? '、' : null, this.name(id)]) : '–'; }

  async load() {
    if (document.hidden || document.querySelector('dialog[open]')) return;
    try {
      const answer = await get('rosters');
      if (!this.isConnected) return;
      text(this.note, answer.rosters.length ? '' : t('roster.none'));
      const key = JSON.stringify(answer);
      if (key === this.shown) return;
      this.shown = key;
      this.persons = new Map(answer.persons.map((p) => [p.id, p]));
      refill(this.box, answer.rosters.map((r) => this.roster(r)));
    } catch (problem) { text(this.note, problem.message); }
  }

  roster(r) {
    const row = (when, span, persons) => h('tr', null, h('td', null, when), h('td', { class: 'time' }, span), h('td', null, this.names(persons)));
    return h('section', { class: 'roster', dataset: { roster: r.id, part: r.id } },
      h('header', { class: 'bar' }, h('h2', null, r.id), h('span', { class: 'badge' }, t(r.changed ? 'roster.changed' : 'roster.file')), h('b', { class: 'on-duty' }, t('roster.now'), ' ', this.names(r.onDuty)), h('small', null, r.timeZone)),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['days', 'span', 'persons'].map((c) => h('th', { scope: 'col' }, t(`roster.${c}`))))),
        h('tbody', null, r.shifts.map((s) => row(days(s.days), `${s.from} – ${s.to}${s.to <= s.from ? ` ${t('roster.nextDay')}` : ''}`, s.persons)),
          Object.entries(r.dates).map(([date, persons]) => row(date, t('roster.wholeDay'), persons)),
          row(t('roster.fallback'), '', r.fallback)))),
      r.exchanges.length ? [h('h3', null, t('roster.exchanges')), h('ul', null, r.exchanges.map((e) => h('li', null, `${dateTime(e.from)} – ${dateTime(e.until)} `, this.names(e.persons))))] : null,
      this.mayChange && r.inScope ? h('div', { class: 'buttons' }, h('button', { dataset: { act: 'exchange' }, onclick: () => this.exchange(r) }, t('roster.exchange')), h('button', { dataset: { act: 'edit' }, onclick: () => this.edit(r) }, t('roster.edit')),
        r.changed ? h('button', { dataset: { act: 'reset' }, onclick: () => this.reset(r) }, t('roster.reset')) : null) : null);
  }

  again() { this.shown = null; this.load(); }

  options() { return [...this.persons.values()].map((p) => [p.id, [p.name, p.role].filter(Boolean).join(' · ')]); }

  async exchange(r) {
    if (await askForm({ title: t('roster.exchange'), about: r.id, submit: t('roster.exchange'),
      fields: [actorField(this.app), roleField(this.app, CHANGERS), { name: 'persons', label: t('roster.persons'), type: 'checks', options: this.options() }, { name: 'from', label: t('roster.from'), type: 'moment' }, { name: 'until', label: t('roster.until'), type: 'moment', required: true, value: Date.now() + 12 * 3_600_000 }, { name: 'reason', label: t('act.reason'), maxlength: 500 }],
      send: (v) => post('duties', compact({ ...v, roster: r.id })) })) this.again();
  }

  /** Sends a change of a roster that was seen as `r`. */
  async send(method, path, r, body) {
    const response = await fetch(`/api/v1/rosters/${encodeURIComponent(r.id)}${path}`, { method, headers: { 'content-type': 'application/json', 'if-match': r.tag }, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Problem(response.status, answer);
    return answer;
  }

  async reset(r) {
    if (await askForm({ title: t('roster.reset'), about: t('roster.resetAbout'), submit: t('roster.reset'),
      fields: [actorField(this.app), roleField(this.app, CHANGERS), { name: 'reason', label: t('act.reasonNeeded'), required: true, maxlength: 500 }],
      send: (v) => this.send('POST', '/reset', r, compact(v)) })) this.again();
  }

  async edit(r) {
    if (await editRoster(this, r)) this.again();
  }
}

/** The dialog in which a roster's table is changed; answers the roster as it stands, or null when it was closed. */
function editRoster(panel, r) {
  return new Promise((resolve) => {
    let next = 0;
    const people = (chosen, label) => {
      const known = new Set(panel.options().map(([id]) => id));
      const all = [...panel.options(), ...chosen.filter((id) => !known.has(id)).map((id) => [id, id])];
      return h('select', { multiple: true, size: Math.min(4, all.length), required: label !== t('roster.fallback'), 'aria-label': label }, all.map(([id, words]) => h('option', { value: id, selected: chosen.includes(id) }, words)));
    };
    const chosen = (select) => [...select.selectedOptions].map((o) => o.value);
    const remove = () => h('button', { type: 'button', class: 'remove', onclick: (e) => e.target.closest('.part').remove() }, t('roster.remove'));
    const shift = (s) => {
      const n = next += 1;
      return h('fieldset', { class: 'part shift' }, h('legend', null, t('roster.shift')),
        h('span', { class: 'days' }, DAYS.map((d) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'day', value: d, checked: s.days.includes(d) }), t(`weekday.${d}`)))),
        h('label', { for: `shift-from-${n}` }, t('roster.from')), h('input', { type: 'time', id: `shift-from-${n}`, name: 'from', required: true, value: s.from }),
        h('label', { for: `shift-to-${n}` }, t('roster.until')), h('input', { type: 'time', id: `shift-to-${n}`, name: 'to', required: true, value: s.to }), people(s.persons, t('roster.persons')), remove());
    };
    const date = (day, persons) => h('fieldset', { class: 'part date' }, h('legend', null, t('roster.wholeDay')), h('input', { type: 'date', required: true, 'aria-label': t('roster.day'), value: day }), people(persons, t('roster.persons')), remove());
    const shifts = h('div', { class: 'shifts' }, r.shifts.map(shift));
    const dates = h('div', { class: 'dates' }, Object.entries(r.dates).map(([day, persons]) => date(day, persons)));
    const fallback = people(r.fallback, t('roster.fallback'));
    const reason = h('input', { id: 'roster-reason', required: true, maxlength: 500, autocomplete: 'off' });
    const actor = actorField(panel.app), role = roleField(panel.app, CHANGERS);
    const actorInput = actor.type === 'hidden' ? null : h('input', { id: 'roster-actor', required: true, maxlength: 64, value: actor.value, autocomplete: 'name' });
    const roleInput = h('select', { id: 'roster-role' }, role.options.map(([value, words]) => h('option', { value, selected: value === role.value }, words)));
    const error = h('p', { class: 'error', role: 'alert' });
    const done = h('button', { type: 'submit', class: 'primary', id: 'roster-save' }, t('form.save'));
    const form = h('form', { method: 'dialog' }, h('h2', { id: 'roster-title' }, t('roster.editTitle', { name: r.id })), h('p', null, t('roster.editAbout')),
      shifts, h('button', { type: 'button', id: 'roster-add-shift', onclick: () => shifts.append(shift({ days: DAYS, from: '08:00', to: '20:00', persons: [] })) }, t('roster.addShift')),
      dates, h('button', { type: 'button', id: 'roster-add-date', onclick: () => dates.append(date('', [])) }, t('roster.addDate')),
      h('fieldset', { class: 'part' }, h('legend', null, t('roster.fallback')), fallback),
      actorInput ? [h('label', { for: 'roster-actor' }, actor.label, ' *'), actorInput] : null, h('label', { for: 'roster-role' }, role.label), roleInput, h('label', { for: 'roster-reason' }, t('act.reasonNeeded'), ' *'), reason,
      error, h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, t('cancel')), done));
    const dialog = h('dialog', { class: 'act form roster-edit', 'aria-labelledby': 'roster-title' }, form);
    let answer = null;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      done.disabled = true;
      text(error, '');
      try {
        answer = await panel.send('PUT', '', r, {
          actor: actorInput?.value.trim(), role: roleInput.value, reason: reason.value.trim(),
          shifts: [...shifts.children].map((row) => ({ days: [...row.querySelectorAll('[name=day]:checked')].map((box) => Number(box.value)), from: row.querySelector('[name=from]').value, to: row.querySelector('[name=to]').value, persons: chosen(row.querySelector('select')) })),
          dates: Object.fromEntries([...dates.children].map((row) => [row.querySelector('input').value, chosen(row.querySelector('select'))])),
          fallback: chosen(fallback),
        });
        dialog.close();
      } catch (problem) { text(error, refusal(problem)); }
      done.disabled = false;
    });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

customElements.define('davy-rosters', RosterPanel);

// The dialogs in which a person acts on alarms. An act is done when the ledger has it, not before.

import { act } from './api.js';
import { session } from './session.js';
import { fill, h, text } from './dom.js';
import { t } from './i18n.js';
import { areaName, pointName, ruleText } from './catalog.js';

const MINUTES = [15, 30, 60, 120, 240, 480];

/** Asks who and why, acts on each alarm, and answers whether all acts were recorded. */
export function askAct(kind, alarms, { maximumShelvingMinutes = 480 } = {}) {
  return new Promise((resolve) => {
    const reasons = (t(`reasons.${kind}`) || '').split('|').filter(Boolean);
    const needsReason = ['shelve', 'shelveOnce', 'removeFromService', 'note'].includes(kind);
    // Who is signed in acts; only a console without accounts asks for a name.
    const isOpen = session()?.open ?? true;
    const actor = h('input', { id: 'act-actor', required: true, maxlength: 64, autocomplete: 'name', readonly: isOpen ? null : true,
      value: isOpen ? localStorage.getItem('davy.actor') ?? '' : session().displayName });
    const reason = h('input', { id: 'act-reason', required: needsReason, maxlength: 500, list: 'act-reasons', autocomplete: 'off' });
    const minutes = h('select', { id: 'act-minutes' }, MINUTES.filter((m) => m <= maximumShelvingMinutes)
      .map((m) => h('option', { value: m, selected: m === 30 }, t('minutes', { n: m }))));
    const error = h('p', { class: 'error', role: 'alert' });
    const submit = h('button', { type: 'submit', class: 'primary', id: 'act-submit' }, t(`act.${kind}`));
    const form = h('form', { method: 'dialog' },
      h('h2', { id: 'act-title' }, t(`act.${kind}`)),
      h('ul', { class: 'act-alarms' }, alarms.slice(0, 6).map((a) =>
        h('li', null, h('strong', null, pointName(a.point)), ' ', ruleText(a), h('small', null, ' ', areaName(a.point))))),
      alarms.length > 6 ? h('p', null, t('act.more', { n: alarms.length - 6 })) : null,
      alarms.length > 1 ? h('p', { class: 'warning' }, t('act.several', { n: alarms.length })) : null,
      h('label', { for: 'act-actor' }, t('act.actor')), actor,
      kind === 'shelve' ? [h('label', { for: 'act-minutes' }, t('act.for')), minutes] : null,
      h('label', { for: 'act-reason' }, t(kind === 'note' ? 'act.note' : needsReason ? 'act.reasonNeeded' : 'act.reason')), reason,
      h('datalist', { id: 'act-reasons' }, reasons.map((r) => h('option', { value: r }))),
      h('div', { class: 'chips' }, reasons.map((r) => h('button', { type: 'button', onclick: () => { reason.value = r; submit.focus(); } }, r))),
      error,
      h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, t('cancel')), submit));
    const dialog = h('dialog', { class: 'act', 'aria-labelledby': 'act-title' }, form);
    let done = false;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      submit.disabled = true;
      text(error, '');
      if (isOpen) localStorage.setItem('davy.actor', actor.value.trim());
      const failures = [];
      for (const alarm of alarms) {
        try {
          await act(alarm.alarm, { act: kind, ...(isOpen ? { actor: actor.value.trim() } : {}), reason: reason.value.trim(),
            ...(kind === 'shelve' ? { until: Date.now() + Number(minutes.value) * 60_000 } : {}) });
        } catch (problem) {
          failures.push([alarm, problem]);
        }
      }
      submit.disabled = false;
      if (failures.length === 0) { done = true; dialog.close(); return; }
      fill(error, failures.slice(0, 4).map(([alarm, problem]) =>
        h('span', { class: 'line' }, `${pointName(alarm.point)}: ${t(`problem.${problem.type}`) === `problem.${problem.type}` ? problem.message : t(`problem.${problem.type}`)}`)));
      alarms = failures.map(([alarm]) => alarm);
    });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(done); });
    document.body.append(dialog);
    dialog.showModal();
    (actor.value ? (needsReason ? reason : submit) : actor).focus();
  });
}

/** Shows the keys that work. */
export function showKeys() {
  const keys = ['J K', 'Enter', 'Esc', 'A', 'S', 'N', 'D', 'X', 'U', 'M', '1–4', '/', 'G', '?'];
  const dialog = h('dialog', { class: 'keys' },
    h('h2', null, t('keys.title')),
    h('dl', null, keys.map((key) => [h('dt', null, h('kbd', null, key)), h('dd', null, t(`keys.${key}`))])),
    h('form', { method: 'dialog', class: 'buttons' }, h('button', { class: 'primary' }, t('close'))));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// Dialogs with fields, for everything that people enter besides acts on alarms. Done is what the ledger has.

import { fill, h, text } from './dom.js';
import { localInput, offset, parseLocal } from './format.js';
import { known, t } from './i18n.js';

/** The words for conditions of the workflow that do not hold; other words as they are. */
export const held = (words) => words.match(/^does not hold: (.+)$/)?.[1].split(', ').map((name) => known(`guard.${name}`, name)).join('; ') ?? words;

/** The words for a refusal, in the language in use where there are any. */
export function refusal(problem) {
  const key = `problem.${problem.type}`, words = t(key);
  return words === key ? held(problem.message) : `${words} (${problem.message})`;
}

/** Who acts: the signed-in person, or the name given last. */
export function actorField(app) {
  const user = app.user;
  return user ? { name: 'actor', type: 'hidden', value: '' }
    : { name: 'actor', label: t('act.actor'), required: true, value: localStorage.getItem('davy.actor') ?? '', maxlength: 64 };
}

/**
 * In which role somebody acts, of those that may; of a signed-in person only his own. Who has none of them is not asked:
 * the server knows for whom a duty officer acts.
 */
export function roleField(app, roles) {
  const own = app.user?.roles;
  const list = own ? roles.filter((role) => own.includes(role)) : roles;
  if (!list.length) return { name: 'role', label: t('act.role'), type: 'hidden', value: '', options: [] };
  const last = localStorage.getItem('davy.role');
  return { name: 'role', label: t('act.role'), type: 'select', required: true, value: list.includes(last) ? last : list[0], options: list.map((role) => [role, t(`role.${role}`)]) };
}

function control(field) {
  const id = `field-${field.name}`;
  const common = { id, name: field.name, required: field.required, maxlength: field.maxlength };
  switch (field.type) {
    case 'hidden': return h('input', { type: 'hidden', name: field.name, value: field.value });
    case 'textarea': return h('textarea', { ...common, rows: field.rows ?? 4 }, field.value ?? '');
    case 'select': return h('select', common, field.optional ? h('option', { value: '' }, '–') : null, field.options.map(([value, label]) => h('option', { value, selected: value === field.value }, label)));
    case 'checks': return h('fieldset', { id }, field.options.map(([value, label]) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: field.name, value, checked: field.value?.includes(value) }), label)));
    case 'moment': return h('input', { ...common, type: 'datetime-local', value: field.value ? localInput(field.value) : null });
    case 'file': return h('input', { ...common, type: 'file', accept: field.accept });
    default: return h('input', { ...common, type: field.type ?? 'text', value: field.value ?? null, min: field.min, list: field.choices ? `${id}-choices` : null, autocomplete: field.name === 'actor' ? 'name' : 'off' });
  }
}

/**
 * Asks for values and hands them to `send`, which throws what the server refuses. Answers what `send` answered,
 * or null when the dialog was closed.
 */
export function askForm({ title, about, fields, submit, send }) {
  return new Promise((resolve) => {
    const error = h('p', { class: 'error', role: 'alert' });
    const done = h('button', { type: 'submit', class: 'primary', id: 'form-submit' }, submit);
    const controls = new Map(fields.map((field) => [field, control(field)]));
    const form = h('form', { method: 'dialog' }, h('h2', { id: 'form-title' }, title), about ? h('p', null, about) : null,
      fields.map((field) => field.type === 'hidden' ? controls.get(field) : [h('label', { for: `field-${field.name}` }, field.label, field.required ? ' *' : '', field.type === 'moment' ? ` (${offset(Date.now())})` : ''), controls.get(field),
        field.choices ? h('datalist', { id: `field-${field.name}-choices` }, field.choices.map((c) => h('option', { value: c }))) : null]),
      error, h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, t('cancel')), done));
    const dialog = h('dialog', { class: 'act form', 'aria-labelledby': 'form-title' }, form);
    let answer = null;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const values = {};
      for (const [field, element] of controls) {
        if (field.type === 'checks') values[field.name] = [...element.querySelectorAll('input:checked')].map((box) => box.value);
        else if (field.type === 'moment') values[field.name] = element.value ? parseLocal(element.value) : null;
        else if (field.type === 'file') values[field.name] = element.files[0] ?? null;
        else values[field.name] = element.value.trim();
      }
      if (values.actor) localStorage.setItem('davy.actor', values.actor);
      if (values.role) localStorage.setItem('davy.role', values.role);
      done.disabled = true;
      text(error, '');
      try {
        answer = await send(values);
        dialog.close();
      } catch (problem) { fill(error, refusal(problem)); }
      done.disabled = false;
    });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
    const first = [...controls].find(([field, element]) => field.type !== 'hidden' && !element.value);
    (first?.[1].matches('fieldset') ? first[1].querySelector('input') : first?.[1] ?? done)?.focus();
  });
}

/** Without the members that say nothing. */
export const compact = (values) => Object.fromEntries(Object.entries(values).filter(([, v]) => v !== '' && v !== null && v !== undefined && !(Array.isArray(v) && v.length === 0)));

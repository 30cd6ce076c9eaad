// The dialog in which a call-out channel (通知渠道) is added or changed. Secrets go in and never come out again.

import { Problem } from './api.js';
import { fill, h, text } from './dom.js';
import { actorField, refusal } from './form.js';
import { t } from './i18n.js';

const KINDS = ['webhook', 'dingtalk', 'wecom', 'feishu', 'smtp', 'http', 'mqtt'];
/** The secrets of a kind; `!` marks those that it cannot be without. */
const SECRETS = { webhook: ['secret'], dingtalk: ['url!', 'secret'], wecom: ['url!'], feishu: ['url!', 'secret'], smtp: ['password'], http: ['secret'], mqtt: [] };

const address = (name, path = '') => `/api/v1/channels/${encodeURIComponent(name)}${path}`;

/** A channel as it stands, with the tag that a change has to name. */
export async function readChannel(name) {
  const response = await fetch(address(name), { headers: { accept: 'application/json' } });
  const answer = await response.json();
  if (!response.ok) throw new Problem(response.status, answer);
  return { ...answer, tag: response.headers.get('etag') };
}

/** Sends a change of a channel that was seen with a tag; without one the channel is new. */
export async function sendChannel(method, name, path, tag, body) {
  const response = await fetch(address(name, path), { method, headers: { 'content-type': 'application/json', ...(tag ? { 'if-match': tag } : { 'if-none-match': '*' }) }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

/** One line a person: `name: address`, or `name: phone=… mail=…`. */
const personLine = ({ name, address: own, ...others }) => `${name}: ${own ?? Object.entries(others).map(([k, v]) => `${k}=${v}`).join(' ')}`;

function person(line) {
  const [, name, rest] = line.match(/^([^:：]+)[:：]\s*(.+)$/) ?? [null, line, ''];
  const pairs = rest.trim().split(/\s+/).map((word) => word.match(/^([\w-]+)=(.+)$/));
  return rest && pairs.every(Boolean) ? { name: name.trim(), ...Object.fromEntries(pairs.map(([, k, v]) => [k, v])) } : { name: name.trim(), address: rest.trim() };
}

const lines = (words) => words.split('\n').map((line) => line.trim()).filter(Boolean);

/** Asks for a channel's settings; answers the channel as it stands then, or null when the dialog was closed. */
export function editChannel(app, channel) {
  return new Promise((resolve) => {
    const old = channel?.setting ?? {};
    const inputs = new Map();
    const label = (name, key, required) => h('label', { for: `channel-${name}` }, t(key), required ? ' *' : '');
    const put = (name, element) => { inputs.set(name, element); return element; };
    const input = (name, key, attributes = {}) => [label(name, key, attributes.required), put(name, h('input', { id: `channel-${name}`, autocomplete: 'off', maxlength: 2000, value: old[name] ?? attributes.fallback ?? null, ...attributes }))];
    const area = (name, key, value, rows = 3) => [label(name, key), put(name, h('textarea', { id: `channel-${name}`, rows, spellcheck: 'false' }, value))];
    const select = (name, key, options, value) => [label(name, key), put(name, h('select', { id: `channel-${name}` }, options.map(([id, words]) => h('option', { value: id, selected: id === value }, words))))];
    const parts = {
      webhook: () => input('url', 'channel.url', { type: 'url', required: true }),
      dingtalk: () => [], wecom: () => [], feishu: () => [],
      smtp: () => [input('host', 'channel.host', { required: true }), input('port', 'channel.port', { type: 'number', min: 1, max: 65535 }),
        select('security', 'channel.security', [['starttls', 'STARTTLS'], ['tls', 'TLS'], ['none', t('channel.securityNone')]], old.security ?? 'starttls'), input('from', 'channel.from', { required: true }), input('userName', 'channel.userName')],
      http: () => [input('url', 'channel.url', { required: true }), select('method', 'channel.method', ['POST', 'GET', 'PUT'].map((m) => [m, m]), old.method ?? 'POST'),
        area('headers', 'channel.headers', Object.entries(old.headers ?? {}).map(([k, v]) => `${k}: ${v}`).join('\n'), 2), area('body', 'channel.body', old.body ?? '', 5),
        input('member', 'channel.successMember', { value: old.success?.member ?? null }), input('equals', 'channel.successEquals', { value: old.success?.equals ?? null }), input('retry', 'channel.successRetry', { value: old.success?.retry?.join(', ') ?? null })],
      mqtt: () => input('topic', 'channel.topic', { required: true }),
    };
    const secret = (word) => {
      const name = word.replace('!', ''), isSet = channel?.setting?.kind === kind.value && channel.secrets.some((s) => s.name === name && s.set), required = word.endsWith('!');
      return [label(`secret-${name}`, `channel.secret.${name}`, required && !isSet),
        put(`secret-${name}`, h('input', { id: `channel-secret-${name}`, type: 'password', autocomplete: 'new-password', maxlength: 4000, required: required && !isSet, placeholder: isSet ? t('channel.secretKept') : null })),
        isSet && !required ? h('label', { class: 'check' }, put(`drop-${name}`, h('input', { type: 'checkbox' })), t('channel.secretDrop')) : null];
    };
    const kind = h('select', { id: 'channel-kind' }, KINDS.map((k) => h('option', { value: k, selected: k === (old.kind ?? 'webhook') }, t(`channelKind.${k}`))));
    const box = h('div', { class: 'fields' });
    // Header fields that are not shown stay without being entered again; everything else that is hidden does not.
    const headers = (channel?.hidden ?? []).filter((key) => key.startsWith('headers.')), others = (channel?.hidden ?? []).filter((key) => !key.startsWith('headers.'));
    const drops = () => kind.value === 'http' ? headers.map((key) => h('label', { class: 'check' }, put(`drop-${key}`, h('input', { type: 'checkbox', id: `channel-drop-${key}` })), t('channel.headerDrop', { name: key.slice(8) }))) : [];
    const draw = () => { inputs.clear(); fill(box, parts[kind.value](), drops(), SECRETS[kind.value].map(secret)); };
    kind.addEventListener('change', draw);
    draw();
    const name = channel ? null : h('input', { id: 'channel-name', required: true, maxlength: 128, autocomplete: 'off' });
    const rates = h('input', { id: 'channel-rates', autocomplete: 'off', value: old.rates?.join(', ') ?? null, placeholder: '20/min, 5/s' });
    const group = h('input', { id: 'channel-group', autocomplete: 'off', value: old.group ?? null, placeholder: '30s' });
    const attempts = h('input', { id: 'channel-attempts', type: 'number', min: 1, max: 100, value: old.attempts ?? null, placeholder: '5' });
    const heartbeat = h('input', { id: 'channel-heartbeat', type: 'checkbox', checked: old.heartbeat ?? true });
    const operators = h('textarea', { id: 'channel-operators', rows: 2, spellcheck: 'false' }, (old.operators ?? []).map(personLine).join('\n'));
    const actor = actorField(app);
    const actorInput = actor.type === 'hidden' ? null : h('input', { id: 'channel-actor', required: true, maxlength: 64, value: actor.value, autocomplete: 'name' });
    const reason = h('input', { id: 'channel-reason', required: true, maxlength: 500, autocomplete: 'off' });
    const error = h('p', { class: 'error', role: 'alert' });
    const done = h('button', { type: 'submit', class: 'primary', id: 'channel-save' }, t('form.save'));
    const form = h('form', { method: 'dialog' }, h('h2', { id: 'channel-title' }, channel ? t('channel.editTitle', { name: channel.name }) : t('channel.add')), h('p', null, t('channel.editAbout')),
      others.length ? h('p', { class: 'warning' }, t('channel.hidden', { names: others.join(', '), secret: '{{secret}}' })) : null,
      headers.length ? h('p', { class: 'hint' }, t('channel.hiddenKept', { names: headers.map((key) => key.slice(8)).join(', '), secret: '{{secret}}' })) : null,
      name ? [h('label', { for: 'channel-name' }, t('channel.name'), ' *'), name] : null, label('kind', 'channel.kind'), kind, box,
      label('rates', 'channel.rates'), rates, label('group', 'channel.group'), group, label('attempts', 'channel.attempts'), attempts,
      label('operators', 'channel.operatorLines'), operators, h('label', { class: 'check' }, heartbeat, t('channel.heartbeatAt')),
      actorInput ? [h('label', { for: 'channel-actor' }, actor.label, ' *'), actorInput] : null, label('reason', 'act.reasonNeeded', true), reason,
      error, h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, t('cancel')), done));
    const dialog = h('dialog', { class: 'act form channel-edit', 'aria-labelledby': 'channel-title' }, form);

    const setting = () => {
      const of = (key) => inputs.get(key)?.value.trim() || undefined;
      const success = of('member') ? { member: of('member'), equals: of('equals') ?? '', retry: (of('retry') ?? '').split(/[,，\s]+/).filter(Boolean) } : undefined;
      const headers = lines(of('headers') ?? '').map((line) => line.match(/^([^:]+):\s*(.*)$/)).filter(Boolean).map(([, k, v]) => [k.trim(), v]);
      return { kind: kind.value, url: of('url'), method: of('method'), headers: headers.length ? Object.fromEntries(headers) : undefined, body: of('body'), success, host: of('host'), port: of('port') ? Number(of('port')) : undefined, security: of('security'), from: of('from'), userName: of('userName'), topic: of('topic'),
        rates: rates.value.trim() ? rates.value.split(/[,，\s]+/).filter(Boolean) : undefined, group: group.value.trim() || undefined, attempts: attempts.value ? Number(attempts.value) : undefined, heartbeat: heartbeat.checked,
        operators: lines(operators.value).length ? lines(operators.value).map(person) : undefined };
    };
    const dropped = () => headers.filter((key) => inputs.get(`drop-${key}`)?.checked).map((key) => [key, null]);
    const secrets = () => Object.fromEntries(SECRETS[kind.value].map((word) => word.replace('!', '')).flatMap((key) => inputs.get(`drop-${key}`)?.checked ? [[key, null]] : inputs.get(`secret-${key}`).value ? [[key, inputs.get(`secret-${key}`).value]] : []).concat(dropped()));
    let answer = null;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      done.disabled = true;
      text(error, '');
      if (actorInput) localStorage.setItem('davy.actor', actorInput.value.trim());
      try {
        answer = await sendChannel('PUT', channel?.name ?? name.value.trim(), '', channel?.tag, { actor: actorInput?.value.trim(), reason: reason.value.trim(), setting: setting(), secrets: secrets() });
        dialog.close();
      } catch (problem) { text(error, refusal(problem)); }
      done.disabled = false;
    });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
    (name ?? kind).focus();
  });
}

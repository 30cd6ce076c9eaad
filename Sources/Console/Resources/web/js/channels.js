// The call-out channels (通知渠道): whether they deliver, what they could not, and a test message.

import { get, post } from './api.js';
import { fill, h, text } from './dom.js';
import { editChannel, readChannel, sendChannel } from './channel-form.js';
import { actorField, askForm, compact, refusal } from './form.js';
import { count, dateTime, duration } from './format.js';
import { known, t } from './i18n.js';
import { hasRole } from './session.js';

const COLUMNS = ['name', 'kind', 'waiting', 'delivered', 'unavailable', 'refused', 'deadLetters', 'lastDelivery', 'lastFailure', 'heartbeat'];
const word = (group, name) => known(`${group}.${name}`, name);

/** What is set for a channel, and where that comes from: secrets and addresses of robots are never shown. */
function settings(c) {
  const s = c.settings;
  const notice = c.notice ? h('p', { class: 'warning' }, c.notice) : null;
  if (!s) return [c.name, notice];
  const facts = [['target', s.target], ['rates', s.rates.join('、') || t('channel.unlimited')], ['group', duration(s.groupMilliseconds)], ['attempts', count(s.attempts)], ['operators', s.operators.join('、') || '–'], ['heartbeatAt', s.heartbeat || '–'], ['usedBy', c.usedBy.join('、') || '–']];
  return [notice, h('details', null, h('summary', { class: 'mono' }, c.name), h('dl', { class: 'facts' }, facts.filter(([, value]) => value).map(([name, value]) => [h('dt', null, t(`channel.${name}`)), h('dd', null, value)])),
    c.origin === 'file' ? [h('p', { class: 'hint' }, t('channel.editAt', { file: s.file, section: s.section })), h('pre', { class: 'lines' }, `davy check ${s.file}\ndavy notify ${s.file} --test ${c.name}`)] : null)];
}

/** The channels of the page of administration. */
export class ChannelPanel extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'channel-rows' });
    this.letters = h('section', { id: 'dead-letters' });
    this.deliveries = h('section', { id: 'deliveries' });
    this.mayTest = !this.app.user || hasRole('administrator', 'county', 'city');
    this.mayChange = !this.app.user || hasRole('administrator');
    this.idle = h('section', { id: 'idle-channels' });
    fill(this, h('p', null, t('channel.about')), h('div', { class: 'bar' }, this.mayChange ? h('button', { class: 'primary', id: 'channel-new', onclick: () => this.edit(null) }, t('channel.add')) : null, this.note),
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, [...COLUMNS, ...(this.mayTest ? ['test'] : []), ...(this.mayChange ? ['acts'] : [])].map((c) => h('th', { scope: 'col' }, t(`channel.${c}`))))), this.rows)),
      this.idle, this.letters, this.deliveries);
    this.load();
    this.timer = setInterval(() => this.load(), 5000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    if (document.hidden || document.querySelector('dialog[open]')) return;
    try {
      const [{ channels, idle, missing }, { deadLetters }, { deliveries }] = await Promise.all([get('channels'), get('channels/dead-letters'), get('channels/deliveries')]);
      if (!this.isConnected) return;
      if (!this.told) text(this.note, channels.length ? '' : t('channel.none'));
      const key = JSON.stringify([channels, idle, missing, deadLetters, deliveries]);
      if (key === this.shown) return;
      this.shown = key;
      const { channel: focused, act: focusedAct } = document.activeElement?.dataset ?? {}, open = new Set([...this.rows.querySelectorAll('details[open] summary')].map((e) => e.textContent));
      fill(this.rows, channels.map((c) => h('tr', { class: c.heartbeatMissing ? 'overdue' : '' }, h('td', null, settings(c), c.origin && c.origin !== 'file' ? h('span', { class: 'badge' }, t(`channel.origin.${c.origin}`)) : null), h('td', null, word('channelKind', c.kind)), ['waiting', 'delivered', 'unavailable', 'refused', 'deadLetters'].map((n) => h('td', { class: 'num' }, count(c[n]))),
        h('td', { class: 'time' }, c.lastDelivery ? dateTime(c.lastDelivery) : '–'), h('td', null, c.lastFailure ? [dateTime(c.lastFailure), ' ', h('small', null, c.lastFailureDetail)] : '–'), h('td', null, c.heartbeatMissing ? h('b', { class: 'error' }, t('channel.missing')) : c.lastHeartbeat ? dateTime(c.lastHeartbeat) : '–'),
        this.mayTest ? h('td', null, h('button', { dataset: { channel: c.name }, onclick: () => this.test(c.name) }, t('channel.send'))) : null,
        this.mayChange ? h('td', null, this.acts(c)) : null)));
      for (const summary of this.rows.querySelectorAll('summary')) summary.parentElement.open = open.has(summary.textContent);
      if (focused) [...this.rows.querySelectorAll('button')].find((b) => b.dataset.channel === focused && b.dataset.act === focusedAct)?.focus();
      fill(this.idle, missing.length ? h('p', { class: 'error', role: 'alert' }, t('channel.unknown', { names: missing.join('、') })) : null,
        idle.length ? [h('h2', null, t('channel.idle')), h('ul', null, idle.map((c) => h('li', null, h('span', { class: 'mono' }, c.name), ' ', c.removed ? t('channel.removed') : h('b', { class: 'error' }, c.fault), ' ', this.mayChange ? this.acts({ ...c, origin: 'changed' }) : null)))] : null);
      this.list(this.letters, 'channel.letters', deadLetters.map((l) => h('li', null, `${dateTime(l.time)} · ${l.channel} · ${l.person} · ${l.title} `, h('small', null, l.reason))));
      this.list(this.deliveries, 'channel.deliveries', deliveries.slice(0, 50).map((d) => h('li', null, `${dateTime(d.time)} · ${d.channel} · ${word('deliveryKind', d.kind)} · `, h('b', { class: d.outcome === 'delivered' ? '' : 'error' }, word('outcome', d.outcome)), ` ${d.recipients.join('、')} `, h('small', null, d.detail))));
    } catch (problem) { text(this.note, problem.message); }
  }

  list(box, title, items) { fill(box, items.length ? [h('h2', null, t(title)), h('ul', null, items)] : null); }

  /** What an administrator can do with a channel. */
  acts(c) {
    const act = (name, words, run) => h('button', { dataset: { channel: c.name, act: name }, 'aria-label': `${t(words)} ${c.name}`, onclick: run }, t(words));
    return h('div', { class: 'buttons' }, c.removed ? null : act('edit', 'channel.edit', () => this.edit(c.name)), c.removed ? null : act('remove', 'channel.remove', () => this.end(c.name, 'remove')), c.origin === 'changed' ? act('reset', 'channel.reset', () => this.end(c.name, 'reset')) : null);
  }

  async edit(name) {
    try {
      const done = await editChannel(this.app, name ? await readChannel(name) : null);
      if (done) this.say(t('channel.saved', { name: done.name }));
    } catch (problem) { this.say(refusal(problem)); }
  }

  async end(name, act) {
    try {
      const { tag } = await readChannel(name);
      const done = await askForm({ title: `${t(`channel.${act}`)} · ${name}`, about: t(`channel.${act}About`), submit: t(`channel.${act}`),
        fields: [actorField(this.app), { name: 'reason', label: t('act.reasonNeeded'), required: true, maxlength: 500 }], send: (v) => sendChannel('POST', name, `/${act}`, tag, compact(v)) });
      if (done) this.say(t('channel.saved', { name }));
    } catch (problem) { this.say(refusal(problem)); }
  }

  say(words) {
    this.told = true;
    this.shown = null;
    text(this.note, words);
    this.load();
  }

  async test(name) {
    this.told = true;
    text(this.note, t('channel.sending', { name }));
    try {
      const { outcome, detail } = await post(`channels/${encodeURIComponent(name)}/test`, {});
      text(this.note, `${name}: ${word('outcome', outcome)} ${detail}`);
    } catch (problem) { text(this.note, refusal(problem)); }
    this.load();
  }
}

customElements.define('davy-channels', ChannelPanel);

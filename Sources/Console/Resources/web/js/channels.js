// The call-out channels (通知渠道): whether they deliver, what they could not, and a test message.

import { get, post } from './api.js';
import { fill, h, text } from './dom.js';
import { refusal } from './form.js';
import { count, dateTime, duration } from './format.js';
import { known, t } from './i18n.js';
import { hasRole } from './session.js';

const COLUMNS = ['name', 'kind', 'waiting', 'delivered', 'unavailable', 'refused', 'deadLetters', 'lastDelivery', 'lastFailure', 'heartbeat'];
const word = (group, name) => known(`${group}.${name}`, name);

/** What is set for a channel, and where that is changed: secrets and addresses of robots never leave the service file. */
function settings(c) {
  const s = c.settings;
  if (!s) return c.name;
  const facts = [['target', s.target], ['rates', s.rates.join('、') || t('channel.unlimited')], ['group', duration(s.groupMilliseconds)], ['attempts', count(s.attempts)], ['operators', s.operators.join('、') || '–'], ['heartbeatAt', s.heartbeat || '–']];
  return h('details', null, h('summary', { class: 'mono' }, c.name), h('dl', { class: 'facts' }, facts.filter(([, value]) => value).map(([name, value]) => [h('dt', null, t(`channel.${name}`)), h('dd', null, value)])),
    h('p', { class: 'hint' }, t('channel.editAt', { file: s.file, section: s.section })), h('pre', { class: 'lines' }, `davy check ${s.file}\ndavy notify ${s.file} --test ${c.name}`));
}

/** The channels of the page of administration. */
export class ChannelPanel extends HTMLElement {
  connectedCallback() {
    this.note = h('p', { class: 'hint', role: 'status' });
    this.rows = h('tbody', { id: 'channel-rows' });
    this.letters = h('section', { id: 'dead-letters' });
    this.deliveries = h('section', { id: 'deliveries' });
    this.mayTest = !this.app.user || hasRole('administrator', 'county', 'city');
    fill(this, h('p', null, t('channel.about')), this.note,
      h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, [...COLUMNS, ...(this.mayTest ? ['test'] : [])].map((c) => h('th', { scope: 'col' }, t(`channel.${c}`))))), this.rows)),
      this.letters, this.deliveries);
    this.load();
    this.timer = setInterval(() => this.load(), 5000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    if (document.hidden) return;
    try {
      const [{ channels }, { deadLetters }, { deliveries }] = await Promise.all([get('channels'), get('channels/dead-letters'), get('channels/deliveries')]);
      if (!this.isConnected) return;
      if (!this.told) text(this.note, channels.length ? '' : t('channel.none'));
      const key = JSON.stringify([channels, deadLetters, deliveries]);
      if (key === this.shown) return;
      this.shown = key;
      const focused = document.activeElement?.dataset?.channel, open = new Set([...this.rows.querySelectorAll('details[open] summary')].map((e) => e.textContent));
      fill(this.rows, channels.map((c) => h('tr', { class: c.heartbeatMissing ? 'overdue' : '' }, h('td', null, settings(c)), h('td', null, word('channelKind', c.kind)), ['waiting', 'delivered', 'unavailable', 'refused', 'deadLetters'].map((n) => h('td', { class: 'num' }, count(c[n]))),
        h('td', { class: 'time' }, c.lastDelivery ? dateTime(c.lastDelivery) : '–'), h('td', null, c.lastFailure ? [dateTime(c.lastFailure), ' ', h('small', null, c.lastFailureDetail)] : '–'), h('td', null, c.heartbeatMissing ? h('b', { class: 'error' }, t('channel.missing')) : c.lastHeartbeat ? dateTime(c.lastHeartbeat) : '–'),
        this.mayTest ? h('td', null, h('button', { dataset: { channel: c.name }, onclick: () => this.test(c.name) }, t('channel.send'))) : null)));
      for (const summary of this.rows.querySelectorAll('summary')) summary.parentElement.open = open.has(summary.textContent);
      if (focused) [...this.rows.querySelectorAll('button')].find((b) => b.dataset.channel === focused)?.focus();
      this.list(this.letters, 'channel.letters', deadLetters.map((l) => h('li', null, `${dateTime(l.time)} · ${l.channel} · ${l.person} · ${l.title} `, h('small', null, l.reason))));
      this.list(this.deliveries, 'channel.deliveries', deliveries.slice(0, 50).map((d) => h('li', null, `${dateTime(d.time)} · ${d.channel} · ${word('deliveryKind', d.kind)} · `, h('b', { class: d.outcome === 'delivered' ? '' : 'error' }, word('outcome', d.outcome)), ` ${d.recipients.join('、')} `, h('small', null, d.detail))));
    } catch (problem) { text(this.note, problem.message); }
  }

  list(box, title, items) { fill(box, items.length ? [h('h2', null, t(title)), h('ul', null, items)] : null); }

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

// How the station does: link, journal, ledger, stream; and whether the chain holds.

import { features, get } from './api.js';
import { fill, h, text } from './dom.js';
import { count, dateTime, duration } from './format.js';
import { t } from './i18n.js';
import { session } from './session.js';

/** The page at /status. */
export class StatusPage extends HTMLElement {
  connectedCallback() {
    this.facts = h('dl', { class: 'facts wide', id: 'status-facts' });
    this.result = h('div', { role: 'status', id: 'verify-result' });
    this.button = h('button', { class: 'primary', onclick: () => this.verify() }, t('verify.run'));
    this.relays = h('section', { id: 'status-relay' });
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.status'))), this.facts, this.relays,
      h('h2', null, t('verify.title')), h('p', null, t('verify.about')), this.button, this.result,
      h('h2', null, t('status.links')), h('ul', null, [['/api/v1/openapi.yaml', 'OpenAPI'], ['/api/v1/asyncapi.yaml', 'AsyncAPI'], ['/metrics', 'Prometheus'], ['/healthz', 'healthz'], ['/readyz', 'readyz']].map(([href, name]) => h('li', null, h('a', { href, download: href.endsWith('yaml'), target: '_blank', rel: 'noopener' }, name, ' ', h('code', null, href)))))));
    this.load();
    this.timer = setInterval(() => this.load(), 2000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    this.loadRelays();
    try {
      const { status: s, time, station, streams } = await get('status');
      const good = (ok, words) => h('span', { class: ok ? 'ok' : 'error' }, ok ? '✓ ' : '✕ ', words);
      const facts = [
        ['station', station], ['link', good(s.link === 'connected', `${t(`brokerLink.${s.link}`)} ${s.linkReason}`)],
        ['journal', good(!s.journalFault && !s.damagedSegments, s.journalFault ?? [t('status.upTo', { n: count(s.journalSequence) }),
          ...(s.damagedSegments ? [t('status.damagedSegments', { n: count(s.damagedSegments) })] : [])].join(' · '))],
        ['ledger', good(!s.ledgerFault, s.ledgerFault ?? t('status.ledgerAt', { head: count(s.ledgerHead), position: count(s.ledgerPosition) }))],
        ['behind', count(s.journalSequence - s.ledgerPosition)], ['messages', count(s.messages)], ['readings', count(s.readings)], ['rejects', h('a', { href: '/rejects' }, count(s.rejects))],
        ['lastMessage', s.lastMessage ? dateTime(s.lastMessage) : '–'], ['started', `${dateTime(s.started)} (${duration(time - s.started)})`],
        ['catalog', h('span', { class: 'mono' }, s.catalogVersion.slice(0, 16))], ['streams', count(streams)], ['drops', count(this.app.stream.drops)]];
      fill(this.facts, facts.map(([name, value]) => [h('dt', null, t(`status.${name}`)), h('dd', null, value)]));
    } catch (problem) {
      fill(this.facts, h('dt', null, '✕'), h('dd', { class: 'error' }, problem.message));
    }
  }

  /** What is passed on to the station above and to a historian, and what comes from stations below; for those who see all. */
  async loadRelays() {
    if (!features.has('relay') || !(session()?.open || session()?.scope?.everywhere)) return;
    try {
      const { upward, historian, below } = await get('relay');
      const state = (fault) => h('span', { class: fault ? 'error' : 'ok' }, fault ? `✕ ${fault}` : `✓ ${t('relay.well')}`), time = (ms) => ms ? dateTime(ms) : '–';
      const list = (facts) => h('dl', { class: 'facts wide' }, facts.map(([name, value]) => [h('dt', null, t(`relay.${name}`)), h('dd', null, value)]));
      fill(this.relays,
        upward ? [h('h2', null, t('relay.upward')), list([['above', upward.station || '–'], ['state', state(upward.fault)], ['lag', count(upward.lag)], ['entries', count(upward.entries)], ['readings', count(upward.readings)], ['waiting', count(upward.waitingReadings)], ['lost', count(upward.droppedReadings)], ['refused', count(upward.refused)], ['heard', time(upward.heard)]]),
          upward.deadLetters.length ? h('ul', null, upward.deadLetters.slice(-10).reverse().map((l) => h('li', null, `${dateTime(l.time)} · ${l.sequence === null ? `${l.point ?? ''} ${l.reading}` : `#${l.sequence}`} · `, h('span', { class: 'error' }, l.reason)))) : null] : null,
        historian ? [h('h2', null, t('relay.historian')), list([['state', state(historian.fault)], ['lines', count(historian.lines)], ['waiting', count(historian.waitingReadings + historian.waitingMinutes)], ['refused', count(historian.rejected)], ['lost', count(historian.dropped)], ['heard', time(historian.heard)]])] : null,
        below.length ? [h('h2', null, t('relay.below')), h('div', { class: 'table-box' }, h('table', { class: 'list' }, h('thead', null, h('tr', null, ['station', 'state', 'heard', 'entries', 'readings', 'refused'].map((c) => h('th', { scope: 'col' }, t(`relay.${c}`))))),
          h('tbody', null, below.map((b) => h('tr', { class: b.silent ? 'overdue' : '' }, h('td', null, b.station), h('td', null, state(b.silent ? t('relay.silent') : null)), h('td', { class: 'time' }, time(b.heard)), [b.entries, b.readings, b.refused].map((n) => h('td', { class: 'num' }, count(n))))))))] : null);
    } catch (problem) { fill(this.relays, h('p', { class: 'error' }, problem.message)); }
  }

  async verify() {
    this.button.disabled = true;
    text(this.result, t('verify.running'));
    try {
      const r = await get('verify');
      fill(this.result, h('p', { class: r.intact ? 'ok' : 'error' }, r.intact ? t('verify.intact', { n: count(r.entries), hash: r.headHash.slice(0, 16) }) : t('verify.broken', { n: r.firstBadEntry ?? '?' })),
        h('ul', null, r.findings.map((f) => h('li', null, f))));
    } catch (problem) {
      fill(this.result, h('p', { class: 'error' }, problem.message));
    }
    this.button.disabled = false;
  }
}

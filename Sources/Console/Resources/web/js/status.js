// How the station does: link, journal, ledger, stream; and whether the chain holds.

import { get } from './api.js';
import { fill, h, text } from './dom.js';
import { count, dateTime, duration } from './format.js';
import { t } from './i18n.js';

/** The page at /status. */
export class StatusPage extends HTMLElement {
  connectedCallback() {
    this.facts = h('dl', { class: 'facts wide', id: 'status-facts' });
    this.result = h('div', { role: 'status', id: 'verify-result' });
    this.button = h('button', { class: 'primary', onclick: () => this.verify() }, t('verify.run'));
    fill(this, h('section', { class: 'page' }, h('div', { class: 'bar' }, h('h1', null, t('nav.status'))), this.facts,
      h('h2', null, t('verify.title')), h('p', null, t('verify.about')), this.button, this.result,
      h('h2', null, t('status.links')), h('ul', null, [['/api/v1/openapi.yaml', 'OpenAPI'], ['/api/v1/asyncapi.yaml', 'AsyncAPI'], ['/metrics', 'Prometheus'], ['/healthz', 'healthz'], ['/readyz', 'readyz']].map(([href, name]) => h('li', null, h('a', { href, download: href.endsWith('yaml'), target: '_blank', rel: 'noopener' }, name, ' ', h('code', null, href)))))));
    this.load();
    this.timer = setInterval(() => this.load(), 2000);
  }

  disconnectedCallback() { clearInterval(this.timer); }

  async load() {
    try {
      const { status: s, time, station, streams } = await get('status');
      const good = (ok, words) => h('span', { class: ok ? 'ok' : 'error' }, ok ? '✓ ' : '✕ ', words);
      const facts = [
        ['station', station], ['link', good(s.link === 'connected', `${t(`brokerLink.${s.link}`)} ${s.linkReason}`)],
        ['journal', good(!s.journalFault, s.journalFault ?? t('status.upTo', { n: count(s.journalSequence) }))],
        ['ledger', good(!s.ledgerFault, s.ledgerFault ?? t('status.ledgerAt', { head: count(s.ledgerHead), position: count(s.ledgerPosition) }))],
        ['behind', count(s.journalSequence - s.ledgerPosition)], ['messages', count(s.messages)], ['readings', count(s.readings)], ['rejects', h('a', { href: '/rejects' }, count(s.rejects))],
        ['lastMessage', s.lastMessage ? dateTime(s.lastMessage) : '–'], ['started', `${dateTime(s.started)} (${duration(time - s.started)})`],
        ['catalog', h('span', { class: 'mono' }, s.catalogVersion.slice(0, 16))], ['streams', count(streams)], ['drops', count(this.app.stream.drops)]];
      fill(this.facts, facts.map(([name, value]) => [h('dt', null, t(`status.${name}`)), h('dd', null, value)]));
    } catch (problem) {
      fill(this.facts, h('dt', null, '✕'), h('dd', { class: 'error' }, problem.message));
    }
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

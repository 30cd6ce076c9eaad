// Who is signed in, and the page on which one signs in. The session's cookie is out of a script's reach.

import { get, send } from './api.js';
import { fill, h, text } from './dom.js';
import { language, languages, load, t } from './i18n.js';

let current = null;

/** Who is signed in: account, displayName, roles, scope; null before sign-in. */
export function session() { return current; }

/** Asks the station who is signed in; null when nobody is. */
export async function loadSession() {
  try {
    current = await get('session');
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    current = null;
  }
  return current;
}

/** Ends the session and goes to the sign-in page. */
export async function signOut() {
  await send('DELETE', 'session');
  location.assign('/sign-in');
}

/** Whether the signed-in account has one of the roles. */
export function hasRole(...roles) { return roles.some((role) => current?.roles.includes(role)); }

/** Goes to the sign-in page and, after it, back to where one was. */
export function goToSignIn() {
  if (location.pathname === '/sign-in') return;
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Where to go after signing in: a page of this console, never another address. */
function next() {
  const path = new URLSearchParams(location.search).get('next') ?? '/';
  return /^\/(?![/\\])/.test(path) ? path : '/';
}

/** Account and password, or a one-time link in the address behind #, which is never sent in a request's line. */
export class SignInPage extends HTMLElement {
  connectedCallback() {
    // A link opened in a tab that shows this page already changes nothing but what stands behind #.
    this.opened = () => this.open();
    addEventListener('hashchange', this.opened);
    this.open();
  }

  disconnectedCallback() { removeEventListener('hashchange', this.opened); }

  async open() {
    const link = new URLSearchParams(location.hash.slice(1)).get('link');
    if (!link) { this.ask(); return; }
    history.replaceState(null, '', location.pathname + location.search);
    try {
      current = await send('POST', 'session', { link });
      if (current.hasPassword) location.assign(next()); else this.askPassword();
    } catch (problem) {
      this.ask(this.words(problem));
    }
  }

  ask(message = '') {
    const account = h('input', { id: 'sign-in-account', required: true, maxlength: 48, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' });
    const password = h('input', { id: 'sign-in-password', type: 'password', required: true, maxlength: 256, autocomplete: 'current-password' });
    this.form(t('signIn.title'), message, [
      h('label', { for: 'sign-in-account' }, t('signIn.account')), account,
      h('label', { for: 'sign-in-password' }, t('signIn.password')), password,
    ], [h('button', { type: 'submit', class: 'primary', id: 'sign-in-submit' }, t('signIn.submit'))], async () => {
      current = await send('POST', 'session', { account: account.value.trim().toLowerCase(), password: password.value });
      location.assign(next());
    });
    account.focus();
  }

  askPassword() {
    const one = h('input', { id: 'new-password', type: 'password', required: true, minlength: 10, maxlength: 256, autocomplete: 'new-password' });
    const two = h('input', { id: 'new-password-again', type: 'password', required: true, maxlength: 256, autocomplete: 'new-password' });
    this.form(t('signIn.setPassword', { name: current.displayName }), '', [
      h('input', { type: 'hidden', autocomplete: 'username', value: current.account }),
      h('label', { for: 'new-password' }, t('signIn.newPassword')), one,
      h('label', { for: 'new-password-again' }, t('signIn.again')), two,
    ], [
      h('button', { type: 'button', id: 'sign-in-later', onclick: () => location.assign(next()) }, t('signIn.later')),
      h('button', { type: 'submit', class: 'primary', id: 'sign-in-set' }, t('signIn.set')),
    ], async () => {
      if (one.value !== two.value) throw new Error(t('signIn.differ'));
      await send('PUT', 'session/password', { new: one.value });
      location.assign(next());
    });
    one.focus();
  }

  form(title, message, fields, buttons, submit) {
    const error = h('p', { class: 'error', role: 'alert' }, message);
    const form = h('form', { class: 'sign-in' }, h('h1', null, 'Davy'), h('h2', null, title), fields, error, h('div', { class: 'buttons' }, buttons),
      h('div', { class: 'languages' }, languages.map((code) => h('button', { type: 'button', 'aria-pressed': String(code === language()), onclick: () => this.translate(code) }, code === 'zh' ? '中文' : 'English'))));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = form.querySelector('button[type=submit]');
      button.disabled = true;
      text(error, '');
      try { await submit(); } catch (problem) { text(error, this.words(problem)); }
      button.disabled = false;
    });
    document.title = `${title} · Davy`;
    fill(this, form);
  }

  async translate(code) {
    await load(code);
    if (current && !current.hasPassword) this.askPassword(); else this.ask();
  }

  words(problem) {
    const key = `problem.${problem.type}`;
    return t(key) === key ? problem.message : t(key);
  }
}

customElements.define('davy-sign-in', SignInPage);

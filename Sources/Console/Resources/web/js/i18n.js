// Words. One JSON file a language, all with the same keys; a missing key shows itself as its name.

const LANGUAGES = ['zh', 'en'];
let words = {};
let current = 'zh';

/** The languages there are. */
export const languages = LANGUAGES;

/** The language in use. */
export function language() { return current; }

/** Loads a language and remembers the choice. */
export async function load(code) {
  current = LANGUAGES.includes(code) ? code : 'zh';
  const response = await fetch(`/lang/${current}.json`);
  if (!response.ok) throw new Error(`language ${current}: ${response.status}`);
  words = await response.json();
  localStorage.setItem('davy.language', current);
  document.documentElement.lang = current === 'zh' ? 'zh-CN' : 'en';
}

/** The language to begin with: the address, the last choice, the browser's. */
export function preferred() {
  const wanted = new URLSearchParams(location.search).get('lang') ?? localStorage.getItem('davy.language');
  if (LANGUAGES.includes(wanted)) return wanted;
  return (navigator.language ?? 'zh').toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

/** The word for a key, with {name} places filled in. */
export function t(key, values) {
  const text = words[key] ?? key;
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (place, name) => name in values ? String(values[name]) : place);
}

/** The word for a key, or `fallback` where there is none: for names that the station may add to. */
export function known(key, fallback) { return words[key] ?? fallback; }

/** What an entry of the ledger says has happened, in a word or two. */
export function eventName(body) {
  if (body?.event) return known(`event.${body.event}`, body.event);
  return body?.act ? known(`hazardAct.${body.act}`, body.act) : '';
}

/** A text of the catalog in the language in use, else in the other, else the fallback. */
export function pick(bilingual, fallback = '') {
  if (!bilingual) return fallback;
  if (typeof bilingual === 'string') return bilingual;
  return bilingual[current] || bilingual.zh || bilingual.en || fallback;
}

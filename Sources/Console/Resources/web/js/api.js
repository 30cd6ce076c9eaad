// The HTTP API. Errors come as problem details and are thrown with their words.

/** The first words of the paths that this station's API has: a page without its API is not offered. */
export const features = new Set();

/** Looks into the API's own description. */
export async function loadFeatures() {
  const response = await fetch('/api/v1/openapi.yaml');
  if (!response.ok) throw new Problem(response.status, null);
  for (const [, word] of (await response.text()).matchAll(/^ {2}\/api\/v1\/([a-z]+)/gm)) features.add(word);
}

/** An answer that is not a success. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? body?.title ?? `HTTP ${status}`);
    this.status = status;
    this.type = (body?.type ?? '').replace('urn:davy:problem:', '');
  }
}

async function answer(response) {
  if (response.ok) return response.json();
  if (response.status === 401) dispatchEvent(new Event('davy-signed-out'));
  let body = null;
  try { body = await response.json(); } catch { /* a proxy's own error page has no details */ }
  throw new Problem(response.status, body);
}

/**
 * GET with query parameters; null and undefined are left out. An account that asks too fast is told when to come again
 * (429 with Retry-After), and reading again changes nothing: the page waits instead of staying empty.
 */
export async function get(path, query = {}, signal) {
  for (let waits = 0; ; waits += 1) {
    const response = await fetch(address(path, query), { headers: { accept: 'application/json' }, signal });
    const seconds = Number(response.headers.get('retry-after'));
    if (response.status !== 429 || !(seconds > 0 && seconds <= 10) || waits === 3) return answer(response);
    await new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
    signal?.throwIfAborted();
  }
}

/** Sends a body with a method; answers what comes back, null when that is nothing. */
export async function send(method, path, body) {
  const response = await fetch(address(path), {
    method,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.status === 204 ? null : answer(response);
}

/** The address of a resource with query parameters. */
export function address(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, value);
  }
  // A plus sign is not a blank to every server; %20 is.
  const text = search.toString().replaceAll('+', '%20');
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

/** A key that nobody else uses; `randomUUID` exists only on pages that came by TLS or from this machine. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Acts on an alarm; answers when the act stands in the ledger. */
export async function act(alarm, body) {
  return answer(await fetch(`/api/v1/alarms/${encodeURIComponent(alarm)}/acts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': newKey() },
    body: JSON.stringify(body),
  }));
}

/** POST of JSON; the key makes a repeated request act once. */
export async function post(path, body, key = newKey()) {
  return answer(await fetch(`/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  }));
}

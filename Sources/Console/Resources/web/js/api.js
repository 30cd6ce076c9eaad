// The HTTP API. Errors come as problem details and are thrown with their words.

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
  let body = null;
  try { body = await response.json(); } catch { /* a proxy's own error page has no details */ }
  throw new Problem(response.status, body);
}

/** GET with query parameters; null and undefined are left out. */
export async function get(path, query = {}, signal) {
  return answer(await fetch(address(path, query), { headers: { accept: 'application/json' }, signal }));
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

/** Acts on an alarm; answers when the act stands in the ledger. */
export async function act(alarm, body) {
  return answer(await fetch(`/api/v1/alarms/${encodeURIComponent(alarm)}/acts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: JSON.stringify(body),
  }));
}

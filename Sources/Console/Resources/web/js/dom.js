// Building elements. Text only ever enters the page as text nodes, never as markup.

/** Makes an element: h('td', {class: 'num', onclick: f}, 'text', child, [children]). */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  append(element, children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an SVG element. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  append(element, children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (value === true && name in element && element instanceof HTMLElement) element[name] = true;
    else element.setAttribute(name, value === true ? '' : value);
  }
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/**
 * Replaces what an element holds and puts the focus back on the same button of the same part, by `data-part`: a list
 * that stood still while one of its buttons has the focus would look alive and not be.
 */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const part = focused?.closest('[data-part]')?.dataset.part;
  const controls = (box) => [...box.querySelectorAll('button, a[href], input, select')];
  const find = () => [...element.querySelectorAll('[data-part]')].find((box) => box.dataset.part === part);
  const row = part === undefined ? -1 : controls(find()).indexOf(focused);
  fill(element, ...children);
  // Only the same control again: a key pressed this moment must not meet another act.
  const control = row < 0 ? null : find() && controls(find())[row];
  if (control && control.textContent === focused.textContent) control.focus();
  return element;
}

/** Sets an element's text only if it differs, so that nothing is laid out anew for nothing. */
export function text(element, value) {
  const string = String(value ?? '');
  if (element.textContent !== string) element.textContent = string;
}

/** The level's symbol: shape and digit as well as colour. Level 1 is the most urgent; 0 is bad data. */
export function symbol(level, { hollow = false, size = 20, label = '' } = {}) {
  const fill = hollow ? 'none' : undefined;
  const outline = { class: `sym-shape${hollow ? ' hollow' : ''}` };
  const shapes = {
    1: () => svg('path', { d: 'M12 1 23 12 12 23 1 12Z', ...outline }),
    2: () => svg('path', { d: 'M12 2 23 22H1Z', ...outline }),
    3: () => svg('rect', { x: 2, y: 2, width: 20, height: 20, ...outline }),
    4: () => svg('circle', { cx: 12, cy: 12, r: 11, ...outline }),
    0: () => svg('path', { d: 'M3 3 21 21M21 3 3 21', class: 'sym-cross' }),
  };
  const make = shapes[level] ?? shapes[4];
  const parts = [make()];
  if (level > 0) {
    parts.push(svg('text', { x: 12, y: level === 2 ? 20 : 17, 'text-anchor': 'middle' }, level));
  }
  const element = svg('svg', {
    viewBox: '0 0 24 24', width: size, height: size, class: `sym sym-${level}`,
    role: 'img', 'aria-label': label || null, 'aria-hidden': label ? null : 'true',
  }, parts);
  if (fill) element.classList.add('is-hollow');
  return element;
}

/** Hands a text to the browser as a file. */
export function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Elements without markup in strings: what comes from data is always text.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Puts children in the place of those that are there, unless they are the same: screen readers and focus stay undisturbed. */
export function show(parent, ...children) {
  const next = children.flat().filter(Boolean);
  const same = next.length === parent.childNodes.length && next.every((child, at) => {
    const old = parent.childNodes[at];
    return child instanceof Node ? child.isEqualNode(old) : old.nodeType === Node.TEXT_NODE && old.data === child;
  });
  if (!same) parent.replaceChildren(...next);
}

/** Sets a text only if it differs. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Keeps a list of elements in step with a list of items: `make` once for each key, `update` each time. Elements stay where they are, so
 * that focus and easing go on.
 */
export function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    old.delete(name);
    if (!element) {
      element = make(item);
      element.dataset.key = name;
    }
    update(element, item);
    if (element === before) before = before.nextElementSibling;
    else parent.insertBefore(element, before);
  }
  for (const element of old.values()) element.remove();
}

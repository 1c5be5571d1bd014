// Making and renewing elements. Nothing here, or anywhere on this page, reads text as HTML.

/** An element: properties that start with "on" are handlers, `data` and `class` are what they say, the rest are attributes. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node[name] = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const HANDLERS = ["onclick", "onchange", "oninput", "onkeydown", "onsubmit"];

/** Make `old` look like `fresh` in place, so that focus, scroll, selection and what was typed stay. */
export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return old;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of HANDLERS) old[name] = fresh[name] ?? null;
  // A list of options is only rebuilt when it changed: rebuilding would close it in somebody's face.
  if (old.nodeName === "SELECT" && old.textContent === fresh.textContent) return old;
  renew(old, [...fresh.childNodes]);
  return old;
}

/** Give `parent` these children, reusing what is there: by data-key where there is one, else by place. */
export function renew(parent, children) {
  const keyed = new Map([...parent.children].filter((node) => node.dataset.key).map((node) => [node.dataset.key, node]));
  let place = parent.firstChild;
  for (const fresh of children) {
    const key = fresh.dataset?.key;
    const known = key && keyed.get(key);
    if (known) {
      if (known === place) place = place.nextSibling;
      else parent.insertBefore(known, place);
      if (known !== fresh) morph(known, fresh);
    } else if (!key && place && !place.dataset?.key) {
      const next = place.nextSibling;
      morph(place, fresh);
      place = next;
    } else {
      parent.insertBefore(fresh, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** Like `renew`, for items `{key, version, draw}`: what has the same version is not drawn again. */
export function renewKeyed(parent, items) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  renew(parent, items.map(({ key, version, draw }) => {
    const old = known.get(key);
    if (old && old.version === version) return old;
    const fresh = draw();
    fresh.dataset.key = key;
    if (old) old.version = version;
    fresh.version = version;
    return fresh;
  }));
}

/** Ask for something and return the JSON. */
export async function ask(path, body) {
  const sent = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, sent);
  return answer.json();
}

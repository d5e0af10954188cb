// A JSON value as a tree: folded, copied part by part, drawn only where it is open.
import { copy, h, icon } from "../dom.js";
import { count } from "../format.js";
import { base64, blobChip } from "./text.js";

const FIRST = 60;
const LONG = 280;

/** A number that a double cannot hold as it was written. */
export class Exact {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }
}

/** Parse, keeping the digits of numbers that JavaScript would change. @param {string|null|undefined} text @returns {{ok: boolean, value: any}} */
export function parse(text) {
  if (text == null) return { ok: false, value: null };
  try {
    return { ok: true, value: /** @type {any} */ (JSON.parse)(text, (/** @type {string} */ _key, /** @type {any} */ value, /** @type {{source?: string}} */ context) =>
      typeof value === "number" && context?.source !== undefined && !Number.isSafeInteger(value) && Number.isInteger(value) && String(value) !== context.source ? new Exact(context.source) : value) };
  } catch {
    return { ok: false, value: text };
  }
}

/** JSON text of a parsed value. @param {any} value @returns {string} */
export function stringify(value) {
  const exact = /** @type {string[]} */ ([]);
  const text = JSON.stringify(value, (_key, item) => (item instanceof Exact ? `\u0000${exact.push(item.source) - 1}\u0000` : item), 2) ?? String(value);
  return text.replace(/"\\u0000(\d+)\\u0000"/g, (_all, at) => exact[Number(at)]);
}

/** @param {any} value @param {{open?: number, name?: string}} [how] levels open at first @returns {HTMLElement} */
export function jsonTree(value, { open = 2, name } = {}) {
  const root = node(null, value, open, true);
  // The outermost brackets say nothing: a value that is open at first shows its members at once.
  if (open > 0 && root.classList.contains("sr-json-branch")) root.classList.add("sr-json-bare");
  return h("div.sr-json", { role: "group", "aria-label": name ?? "JSON" }, root);
}

/** @param {any} value */
function isBranch(value) {
  return value !== null && typeof value === "object" && !(value instanceof Exact);
}

/** @param {string|number|null} key @param {any} value @param {number} open @param {boolean} root @returns {HTMLElement} */
function node(key, value, open, root) {
  const label = key === null ? null : [h(typeof key === "number" ? "span.sr-json-index" : "span.sr-json-key", null, String(key)), h("span.sr-json-colon", null, ":")];
  if (!isBranch(value)) return h("div.sr-json-line", null, h("span.sr-json-pad"), label, " ", leaf(value), grab(value));
  const list = Array.isArray(value);
  const keys = list ? null : Object.keys(value);
  const n = list ? value.length : /** @type {string[]} */ (keys).length;
  if (n === 0) return h("div.sr-json-line", null, h("span.sr-json-pad"), label, " ", h("span.sr-json-meta", null, list ? "[]" : "{}"));
  if (list && n > 24 && value.every((/** @type {any} */ item) => typeof item === "number")) {
    return h("div.sr-json-line", null, h("span.sr-json-pad"), label, " ", h("span.sr-blob", null, `${count(n)} numbers`), " ", h("span.sr-json-meta", null, value.slice(0, 3).join(", ") + ", \u2026"), grab(value));
  }
  const inside = h("div.sr-json-inside");
  const summary = h("span.sr-json-meta", null, list ? `[${count(n)}]` : `{${count(n)}}`, h("span.sr-json-peek", null, peek(value)));
  const head = h("button.sr-json-toggle", { type: "button", "aria-expanded": "false" }, icon("caret"), label, " ", summary);
  let shown = 0;
  const more = () => {
    const until = Math.min(shown + (shown ? 500 : FIRST), n);
    for (; shown < until; shown++) inside.append(keys ? node(keys[shown], value[keys[shown]], open - 1, false) : node(shown, value[shown], open - 1, false));
    inside.querySelector(":scope > .sr-json-more")?.remove();
    if (shown < n) inside.append(h("button.sr-link.sr-json-more", { type: "button", click: more }, `${count(n - shown)} more`));
  };
  const set = (/** @type {boolean} */ on) => {
    head.setAttribute("aria-expanded", String(on));
    inside.hidden = !on;
    if (on && !shown) more();
  };
  head.addEventListener("click", () => set(head.getAttribute("aria-expanded") !== "true"));
  set(open > 0);
  return h(root ? "div.sr-json-branch.sr-json-root" : "div.sr-json-branch", null, h("div.sr-json-line", null, head, grab(value)), inside);
}

/** What a folded branch begins with. @param {any} value */
function peek(value) {
  const names = Array.isArray(value) ? value.slice(0, 3).map((item) => (isBranch(item) ? "\u2026" : String(item instanceof Exact ? item.source : item).slice(0, 24))) : Object.keys(value).slice(0, 4);
  return ` ${names.join(", ")}`.slice(0, 70);
}

/** @param {any} value */
function leaf(value) {
  if (value instanceof Exact) return h("span.sr-json-number", null, value.source);
  if (typeof value === "number") return h("span.sr-json-number", null, String(value));
  if (typeof value === "boolean" || value === null) return h("span.sr-json-word", null, String(value));
  const text = String(value);
  const blob = base64(text);
  if (blob) return blobChip(blob);
  if (text.length <= LONG) return h("span.sr-json-string", null, text);
  const box = h("span.sr-json-string", null, text.slice(0, LONG));
  const more = h("button.sr-link", { type: "button" }, ` \u2026 ${count(text.length - LONG)} more`);
  more.addEventListener("click", () => {
    box.textContent = text;
    more.remove();
  });
  return h("span", null, box, more);
}

/** Copies one value; the whole text of a string, JSON of anything else. @param {any} value */
function grab(value) {
  const button = h("button.sr-json-copy", { type: "button", title: "Copy the value", "aria-label": "Copy the value", tabIndex: -1 }, icon("copy"));
  button.addEventListener("click", async () => {
    const done = await copy(typeof value === "string" ? value : stringify(value));
    button.replaceChildren(icon(done ? "check" : "close"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1200);
  });
  return button;
}

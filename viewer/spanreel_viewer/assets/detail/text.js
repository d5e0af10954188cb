// Text of a trace: always text, never markup; long ones folded, binary data named instead of printed.
import { copyButton, h, icon } from "../dom.js";
import { count, size } from "../format.js";

const FOLD_CHARS = 1400;
const FOLD_LINES = 18;
const HEAD_CHARS = 6000;
const DATA_URI = /data:([\w.+-]+\/[\w.+-]+)?(?:;[\w=.-]+)*;base64,([A-Za-z0-9+/_=-]{64,})/g;
const SHOWN_IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const IMAGE_LIMIT = 4_000_000;

/** @typedef {{mime: string, bytes: number, uri: string|null}} Blob64 */

/** Whether a text is base64 and not words: what it would decode to. Pure. @param {string} text @returns {Blob64|null} */
export function base64(text) {
  if (text.length < 200) return null;
  const uri = /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w=.-]+)*;base64,/.exec(text.slice(0, 200));
  const body = uri ? text.slice(uri[0].length) : text;
  const head = body.slice(0, 4096);
  if (!/^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(head)) return null;
  if (body.length > 4096 && !/^[A-Za-z0-9+/_=-]+\s*$/.test(body.slice(-4096))) return null;
  if (!uri && !(/[A-Z]/.test(head) && /[a-z]/.test(head) && /\d/.test(head))) return null;
  const padding = body.endsWith("==") ? 2 : body.endsWith("=") ? 1 : 0;
  const mime = uri?.[1] ?? guess(head);
  return { mime, bytes: Math.max(Math.floor((body.length * 3) / 4) - padding, 0), uri: uri ? text : mime.startsWith("image/") ? `data:${mime};base64,${body}` : null };
}

/** @param {string} head */
function guess(head) {
  if (head.startsWith("iVBORw0KGgo")) return "image/png";
  if (head.startsWith("/9j/")) return "image/jpeg";
  if (head.startsWith("R0lGOD")) return "image/gif";
  if (head.startsWith("UklGR")) return "image/webp";
  if (head.startsWith("JVBERi0")) return "application/pdf";
  return "binary data";
}

/** @param {Blob64} blob */
export function blobChip(blob) {
  const chip = h("span.sr-blob", { title: "base64, not shown as text" }, `${blob.mime}, ${size(blob.bytes)}`);
  if (!blob.uri || !SHOWN_IMAGES.has(blob.mime) || blob.bytes > IMAGE_LIMIT) return chip;
  return h("span.sr-picture", null, h("img", { src: blob.uri, alt: `${blob.mime} in the trace`, loading: "lazy" }), chip);
}

/** The text in pieces, data URIs inside it named. @param {string} text @returns {(string|HTMLElement)[]} */
function pieces(text) {
  const whole = base64(text);
  if (whole) return [blobChip(whole)];
  if (!text.includes(";base64,")) return [text];
  const out = [];
  let from = 0;
  for (const found of text.matchAll(DATA_URI)) {
    out.push(text.slice(from, found.index));
    out.push(blobChip(base64(found[0]) ?? { mime: found[1] ?? "binary data", bytes: Math.floor((found[2].length * 3) / 4), uri: null }));
    from = found.index + found[0].length;
  }
  out.push(text.slice(from));
  return out;
}

/** @param {string} text @param {{mono?: boolean, lines?: number, chars?: number}} [how] @returns {HTMLElement} */
export function textBlock(text, { mono = false, lines = FOLD_LINES, chars = FOLD_CHARS } = {}) {
  const look = mono ? "div.sr-text.sr-mono" : "div.sr-text";
  if (text === "") return h(look, null, h("span.sr-quiet", null, "empty"));
  if (base64(text)) return h(look, null, pieces(text));
  let breaks = 0;
  for (let at = text.indexOf("\n"); at >= 0 && breaks <= lines; at = text.indexOf("\n", at + 1)) breaks++;
  if (text.length <= chars && breaks <= lines) return h(look, null, pieces(text));
  const body = h(`${look}.sr-folded`, { style: `--lines:${lines}` }, pieces(text.slice(0, HEAD_CHARS)));
  const more = h("button.sr-link.sr-unfold", { type: "button", "aria-expanded": "false" });
  const draw = (/** @type {boolean} */ open) => {
    body.classList.toggle("sr-folded", !open);
    body.textContent = "";
    body.append(...pieces(open ? text : text.slice(0, HEAD_CHARS)));
    more.textContent = open ? "Show less" : `Show all ${count(text.length)} characters`;
    more.setAttribute("aria-expanded", String(open));
  };
  let open = false;
  more.addEventListener("click", () => draw((open = !open)));
  draw(false);
  return h("div.sr-foldable", null, body, more);
}

/** A titled part of the detail pane. @param {string} title @param {{copy?: () => string, note?: import("../dom.js").Child}} [how] @param {...import("../dom.js").Child} children */
export function section(title, how, ...children) {
  return h("section.sr-section", null, h("div.sr-section-head", null, h("h3", null, title), how?.note ? h("span.sr-section-note", null, how.note) : null, how?.copy ? copyButton(how.copy, `Copy: ${title}`) : null), children);
}

/** @param {string} summary @param {() => import("../dom.js").Child} inside drawn when opened @param {boolean} [open] */
export function disclosure(summary, inside, open = false) {
  const body = h("div.sr-disclosed");
  const fillOnce = () => {
    if (!body.childNodes.length) body.append(/** @type {Node} */ (inside()));
  };
  const box = /** @type {HTMLDetailsElement} */ (h("details.sr-disclosure", null, h("summary", null, icon("caret"), summary), body));
  box.addEventListener("toggle", () => box.open && fillOnce());
  if (open) {
    fillOnce();
    box.open = true;
  }
  return box;
}

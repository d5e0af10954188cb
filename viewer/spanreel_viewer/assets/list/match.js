// Where a searched text stands: marked where a row shows it, else told by a snippet. Pure but for `marked`.
import { h } from "../dom.js";

/** Characters before a match that are kept: the cell ends with an ellipsis, and the match must stand before it. */
const BEFORE = 16;
/** A match that begins by here is seen without cutting anything: columns show some 35 characters at least. */
const SEEN = 24;

/** The text in pieces: every second one is a match, whatever its case. @param {string} text @param {string} sought @returns {string[]} */
export function pieces(text, sought) {
  const low = text.toLowerCase();
  const needle = sought.toLowerCase();
  // Lower case may be longer than what it stands for (Turkish İ): no place can be told then.
  if (!needle || low.length !== text.length) return [text];
  const out = [];
  let from = 0;
  for (let at = low.indexOf(needle); at >= 0; at = low.indexOf(needle, from)) {
    out.push(text.slice(from, at), text.slice(at, at + needle.length));
    from = at + needle.length;
  }
  out.push(text.slice(from));
  return out;
}

/** The text from where a match is seen, its matches marked; always text, never markup. @param {string} text @param {string} sought @returns {(string|HTMLElement)[]} */
export function marked(text, sought) {
  return pieces(nearMatch(text, sought), sought).map((piece, i) => (i % 2 ? h("mark.sr-hit", { textContent: piece }) : piece));
}

/** The text from shortly before its first match. @param {string} text @param {string} sought */
export function nearMatch(text, sought) {
  const at = pieces(text, sought)[0].length;
  return at <= SEEN || at >= text.length ? text : `\u2026${text.slice(at - BEFORE)}`;
}

/** What a row does not show of its match, and the span to open. @param {any} row @param {string} sought @returns {{span: string, hidden: {name: string, text: string}|null}} */
export function whereFound(row, sought) {
  const has = (/** @type {string|null|undefined} */ text) => Boolean(text) && pieces(String(text), sought).length > 1;
  if (!sought) return { span: "", hidden: null };
  if (has(row.name) || has(row.input_preview) || (row.status !== "error" && has(row.output_preview))) return { span: "", hidden: null };
  if (has(row.worst_error)) return { span: row.error_span_id ?? "", hidden: row.status === "error" ? null : { name: "", text: row.worst_error } };
  if (!row.match) return { span: "", hidden: null };
  return { span: row.match.span_id === row.root_span_id ? "" : row.match.span_id, hidden: { name: row.match.name, text: row.match.text } };
}

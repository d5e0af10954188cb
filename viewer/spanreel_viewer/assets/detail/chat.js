// A conversation as it went: roles in the margin, tool calls with their results, reasoning folded.
import { fill, h, icon, tile } from "../dom.js";
import { count, duration } from "../format.js";
import { jsonTree } from "./json.js";
import { foldedRange, messages, paired } from "./messages.js";
import { disclosure, textBlock } from "./text.js";

/** @typedef {import("./messages.js").Message} Message */
/** @typedef {{go: (spanId: string) => void, results: (id: string, name: string, nth: number) => {id: string, ms: number}|null, asker: (spanId: string) => string}} Links */

/** @param {any[]} list @param {{output?: boolean, links?: Links}} [how] @returns {HTMLElement} */
export function conversation(list, { output = false, links } = {}) {
  const all = paired(messages(list));
  const host = h("div.sr-chat");
  const fold = output ? null : foldedRange(all);
  const draw = (/** @type {boolean} */ open) => {
    const shown = [];
    /** @type {Map<string, number>} */
    const seen = new Map();
    all.forEach((message, i) => {
      if (fold && !open && i >= fold.from && i < fold.to) {
        if (i === fold.from) shown.push(h("button.sr-earlier", { type: "button", click: () => draw(true) }, icon("down"), `${count(fold.to - fold.from)} earlier messages`));
        return;
      }
      shown.push(bubble(message, output, links, seen));
    });
    fill(host, shown);
  };
  draw(false);
  return host;
}

/** @param {Message} message @param {boolean} output @param {Links|undefined} links @param {Map<string, number>} seen */
function bubble(message, output, links, seen) {
  const quiet = message.role === "system" || message.role === "developer";
  const body = message.parts.map((part) => {
    if (part.type === "text") return words(part.text, quiet);
    if (part.type === "reasoning") return disclosure(`Reasoning, ${count(part.text.length)} characters`, () => textBlock(part.text));
    if (part.type === "call") {
      const nth = seen.get(part.name) ?? 0;
      seen.set(part.name, nth + 1);
      return toolCall(part, output ? links : undefined, nth);
    }
    if (part.type === "result") return h("div.sr-call-result", null, value(part.result));
    return jsonTree(part.value, { open: 1 });
  });
  const known = ["system", "developer", "user", "assistant", "tool"].includes(message.role) ? message.role : "other";
  return h(`div.sr-msg.sr-role-${known}${output ? ".sr-answer" : ""}`, null, h("div.sr-role", null, message.role, message.name ? h("span.sr-role-name", null, message.name) : null), h("div.sr-msg-body", null, body.length ? body : h("span.sr-quiet", null, "no content")));
}

/** @param {string} text @param {boolean} quiet */
function words(text, quiet) {
  const trimmed = text.trim();
  if (/^[[{]/.test(trimmed) && trimmed.length < 400_000) {
    try {
      const parsed = JSON.parse(trimmed);
      if (parsed && typeof parsed === "object") return jsonTree(parsed, { open: 2 });
    } catch {
      // Not JSON after all: text.
    }
  }
  return textBlock(text, quiet ? { lines: 5, chars: 420 } : {});
}

/** @param {any} result */
export function value(result) {
  if (typeof result === "string") return words(result, false);
  if (result === null || result === undefined) return h("span.sr-quiet", null, "null");
  return jsonTree(result, { open: 2 });
}

/** @param {import("./messages.js").CallPart} call @param {Links|undefined} links @param {number} nth */
function toolCall(call, links, nth) {
  const ran = links?.results(call.id, call.name, nth) ?? null;
  return h(
    "div.sr-call", null,
    h("div.sr-call-head", null, tile("tool"), h("code", null, call.name || "tool"),
      ran && !ran.id ? h("span.sr-mark.sr-call-left", { title: "No tool span of this trace ran this call" }, "not run") : null,
      ran?.id ? h("button.sr-link", { type: "button", title: "Go to the tool's span", click: () => links?.go(ran.id) }, `ran ${duration(ran.ms)}`, icon("right")) : null),
    h("div.sr-call-sides", null,
      h("div.sr-call-args", null, h("span.sr-side-label", null, "arguments"), value(call.arguments)),
      call.answered ? h("div.sr-call-result", null, h("span.sr-side-label", null, "result"), value(call.result)) : null),
  );
}

// The strip over the list: the store in seven figures, and what the reader should know about it.
import { fill, h, icon } from "../dom.js";
import { cost, costAtLeast, count, duration, percent, plural } from "../format.js";

/** @param {HTMLElement} host @param {any} summary */
export function drawSummary(host, summary) {
  const unpriced = summary.unpriced_calls ?? 0;
  const priceless = unpriced > 0 && !summary.cost_usd;
  fill(
    host,
    tile("Traces", count(summary.traces), summary.running ? `${count(summary.running)} running` : null),
    tile("Failed", summary.traces ? percent(summary.errors / summary.traces) : "\u2013", plural(summary.errors ?? 0, "trace"), summary.errors ? "sr-bad" : ""),
    tile("Median", duration(summary.p50_ms), null, "", over(summary)),
    tile("p95", duration(summary.p95_ms), null, "", over(summary)),
    tile("Tokens", count(summary.tokens ?? (summary.input_tokens ?? 0) + (summary.output_tokens ?? 0)), plural(summary.llm_calls ?? 0, "model call")),
    tile("Cost", priceless ? "no price" : (unpriced ? costAtLeast : cost)(summary.cost_usd ?? 0), unpriced ? `lower bound, ${count(unpriced)} unpriced` : null),
    tile("Lost", count(summary.losses ?? 0), summary.losses ? "see why" : "nothing", summary.losses ? "sr-warned" : "", (summary.loss_lines ?? []).join("\n")),
  );
}

/** @param {string} label @param {string} value @param {string|null} [note] @param {string} [look] @param {string} [title] */
function tile(label, value, note, look = "", title = "") {
  return h(`div.sr-stat${look ? "." + look : ""}`, { title: title || null }, h("dt", null, label), h("dd", null, h("b", null, value), note ? h("span", null, note) : null));
}

/** @param {any} summary */
function over(summary) {
  return `Over all ${count(summary.measured)} finished traces`;
}

/** @param {HTMLElement} host @param {{text: string, hint?: string, level?: string}[]} notices */
export function drawNotices(host, notices) {
  host.hidden = !notices.length;
  fill(host, notices.map((n) => h(`div.sr-notice.sr-notice-${["error", "note"].includes(n.level ?? "") ? n.level : "warn"}`, { role: "status" }, n.level === "note" ? null : icon("alert"), h("span", null, n.text), n.hint ? h("code", null, n.hint) : null)));
}

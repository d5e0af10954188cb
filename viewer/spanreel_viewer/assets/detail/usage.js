// Tokens of a call by what they were, and what they cost.
import { h } from "../dom.js";
import { cost, count, percent, plural } from "../format.js";
import { section } from "./text.js";

/** Disjoint parts of inclusive counts. Pure. @param {any} span @returns {{name: string, tokens: number, look: string}[]} */
export function parts(span) {
  const input = span.input_tokens ?? 0;
  const output = span.output_tokens ?? 0;
  const read = Math.min(span.cache_read_tokens ?? 0, input);
  const written = Math.min(span.cache_write_tokens ?? 0, input - read);
  const reasoning = Math.min(span.reasoning_tokens ?? 0, output);
  return [
    { name: "input", tokens: input - read - written, look: "in" },
    { name: "from cache", tokens: read, look: "cached" },
    { name: "to cache", tokens: written, look: "written" },
    { name: "reasoning", tokens: reasoning, look: "reasoning" },
    { name: "output", tokens: output - reasoning, look: "out" },
  ].filter((part) => part.tokens > 0);
}

const SOURCES = [
  [/^reported/, "as the provider reported"],
  [/^user:?(.*)/, "by your prices"],
  [/^book:?(.*)/, "by the price book"],
  [/^unpriced/, "no known price for this model"],
];

/** @param {string|null} source */
function sourceWords(source) {
  for (const [pattern, words] of SOURCES) if (source && /** @type {RegExp} */ (pattern).test(source)) return /** @type {string} */ (words) + (/^(book|user):/.test(source) ? ` ${source.slice(5)}` : "");
  return source ?? "";
}

/** @param {any} span @returns {HTMLElement|null} */
export function usage(span) {
  const list = parts(span);
  const total = list.reduce((sum, part) => sum + part.tokens, 0);
  const priced = span.cost_usd != null || span.cost_source === "unpriced";
  if (!total && !priced) return null;
  const used = total > 0 || span.search_units > 0;
  return section("Usage", { note: [total ? `${count(total)} tokens` : null, span.search_units ? plural(span.search_units, "search unit") : null, priced ? (span.cost_usd == null ? (used ? "no price" : "no usage") : cost(span.cost_usd)) : null].filter(Boolean).join(", ") },
    total ? h("div.sr-usage-bar", { role: "img", "aria-label": list.map((p) => `${p.name} ${p.tokens}`).join(", ") }, list.map((part) => h(`i.sr-use-${part.look}`, { style: `flex-grow:${part.tokens}` }))) : null,
    total ? h("dl.sr-usage", null, list.map((part) => h("div", null, h("dt", null, h(`i.sr-use-${part.look}`), part.name), h("dd", null, count(part.tokens), h("span.sr-quiet", null, ` ${percent(part.tokens / total)}`))))) : null,
    priced ? h("p.sr-quiet", null, span.cost_usd == null ? "Cost is unknown: " : "Cost ", used || span.cost_usd != null ? sourceWords(span.cost_source) : "the answer told no tokens") : null);
}

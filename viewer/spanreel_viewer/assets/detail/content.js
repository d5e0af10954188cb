// What a span held, by what it is: conversation, documents, tool call, or plain input and output.
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { conversation, value as anyValue } from "./chat.js";
import { documents } from "./documents.js";
import { isConversation } from "./messages.js";
import { jsonTree, parse, stringify } from "./json.js";
import { disclosure, section, textBlock } from "./text.js";
import { usage } from "./usage.js";

/** @typedef {import("./chat.js").Links} Links */

/** @type {Record<string, string>} */
const FINISH = { tool_call: "asks for a tool", tool_calls: "asks for a tool", length: "cut at its limit", max_tokens: "cut at its limit", content_filter: "held back by a content filter" };

/** @param {any} body answer of /api/span @param {Links} links @returns {HTMLElement[]} */
export function content(body, links) {
  const { span } = body;
  const parts = [problem(body), askedBy(body, links), ...inputOutput(body, links), usage(span), instructions(body), prompt(body), scores(body)];
  return /** @type {HTMLElement[]} */ (parts.filter(Boolean));
}

/** Which answer of a model a tool ran for. @param {any} body @param {Links} links */
function askedBy({ span, tool_calls: calls }, links) {
  const call = span.kind === "tool" ? calls?.find((/** @type {any} */ one) => one.ran_as === span.span_id) : null;
  if (!call?.asked_by) return null;
  return h("p.sr-asked", null, "asked by ", h("button.sr-link", { type: "button", title: "Go to the model's answer", click: () => links.go(call.asked_by) }, links.asker(call.asked_by) || "a model"));
}

/** The error first: what, why, where. @param {any} body */
function problem({ span, error }) {
  if (span.status !== "error" && !error) return null;
  const type = error?.type ?? span.error_type ?? "error";
  const message = error?.message ?? span.error_message ?? "";
  const stack = error?.stacktrace ?? "";
  const lines = stack.split("\n").filter((/** @type {string} */ line) => line.trim()).length;
  return h("section.sr-problem", { role: "group", "aria-label": "Error" },
    h("div.sr-problem-type", null, /^\d+$/.test(type) ? `HTTP ${type}` : type),
    message ? textBlock(message, { mono: true, lines: 10, chars: 900 }) : null,
    stack ? disclosure(`Stack trace, ${plural(lines, "line")}`, () => h("pre.sr-stack", { tabIndex: 0 }, stack), lines <= 14) : null);
}

/** What went in and what came out; of a model call the answer first, since the input repeats what came before. @param {any} body @param {Links} links */
function inputOutput(body, links) {
  const { span } = body;
  const output = parse(body.output);
  const given = inputs(body);
  const said = outputs(body, output, links);
  return span.kind === "llm" || isConversation(output.value) ? [...said, ...given] : [...given, ...said];
}

/** @param {any} body */
function inputs(body) {
  const input = parse(body.input);
  if (isConversation(input.value)) return [section("Conversation", { note: plural(input.value.length, "message"), copy: () => body.input }, conversation(input.value))];
  if (body.input == null) return [];
  return [section(body.span.kind === "tool" ? "Arguments" : "Input", { copy: () => copied(input) }, plain(input))];
}

/** @param {any} body @param {{ok: boolean, value: any}} output @param {Links} links */
function outputs(body, output, links) {
  const { span } = body;
  const out = [];
  const found = body.documents?.length ? section("Documents", { note: plural(body.documents.length, "document") }, documents(body.documents)) : null;
  if (isConversation(output.value)) out.push(section("Answer", { note: FINISH[span.finish_reason] ?? null, copy: () => body.output }, conversation(output.value, { output: true, links })), found);
  else if (found) out.push(found);
  else if (body.output != null) out.push(section(span.kind === "tool" ? "Result" : "Output", { copy: () => copied(output) }, plain(output)));
  if (body.input == null && body.output == null && !found) out.push(absent(span));
  else if (body.output == null && span.state === "running") out.push(section("Output", {}, h("p.sr-quiet", null, "Still running: the output comes when the span ends.")));
  else if (body.output == null && span.state === "interrupted") out.push(section("Output", {}, h("p.sr-quiet", null, "The process ended before this span did; there is no output.")));
  return out;
}

/** @param {{ok: boolean, value: any}} parsed */
function copied(parsed) {
  return typeof parsed.value === "string" ? parsed.value : stringify(parsed.value);
}

/** A few named values stand in two columns, each as what it is; anything else as a tree or as text. @param {{ok: boolean, value: any}} parsed */
function plain(parsed) {
  const { value } = parsed;
  if (looksRetrieved(value)) return documents(value.map(asDocument));
  if (!value || typeof value !== "object" || Array.isArray(value)) return anyValue(value);
  const names = Object.keys(value);
  if (!names.length) return h("p.sr-quiet", null, "nothing");
  if (names.length > 12) return jsonTree(value, { open: 2 });
  return h("dl.sr-args", null, names.map((name) => {
    const wide = isConversation(value[name]) || looksRetrieved(value[name]);
    return h(wide ? "div.sr-args-wide" : "div", null, h("dt", { title: name }, name), h("dd", null, member(value[name])));
  }));
}

/** @param {any} value */
function member(value) {
  if (isConversation(value)) return conversation(value);
  if (looksRetrieved(value)) return documents(value.map(asDocument));
  if (typeof value === "string") return textBlock(value);
  if (value !== null && typeof value === "object") return jsonTree(value, { open: 1 });
  return h("span.sr-json-number.sr-mono", null, String(value));
}

/** Rerankers and home-made searches return what documents are: a text and a score. @param {any} value */
function looksRetrieved(value) {
  return Array.isArray(value) && value.length > 0 && value.every((item) => item && typeof item === "object" && typeof item.content === "string" && typeof item.score === "number");
}

/** @param {any} item @param {number} i */
function asDocument(item, i) {
  return { rank: i, id: item.id == null ? null : String(item.id), score: item.score, content: item.content, metadata: item.metadata ? stringify(item.metadata) : null };
}

/** Why there is nothing: not captured, cut, or simply none. @param {any} span */
function absent(span) {
  const why = span.state === "running" ? "Nothing yet: still running." : "No input or output was recorded for this span.";
  return section("Content", {}, h("p.sr-quiet", null, why), h("p.sr-quiet", null, "Where contents are switched off, ", h("code", null, "SPANREEL_CAPTURE=full"), " records them."));
}

/** @param {any} body */
function instructions(body) {
  const found = body.attributes?.["gen_ai.system_instructions"];
  const tools = body.attributes?.["gen_ai.tool.definitions"];
  if (!found && !tools) return null;
  return h("section.sr-section", null,
    found ? disclosure("System instructions", () => anyValue(found)) : null,
    tools ? disclosure(Array.isArray(tools) ? plural(tools.length, "tool offered", "tools offered") : "Tools offered", () => jsonTree(tools, { open: 1 })) : null);
}

/** @param {any} body */
function prompt({ span, attributes }) {
  if (!span.prompt_name) return null;
  const template = attributes?.["spanreel.prompt.template"];
  const variables = attributes?.["spanreel.prompt.variables"];
  return section("Prompt", { note: [span.prompt_name, span.prompt_version].filter(Boolean).join(", version ") },
    template ? disclosure("template", () => textBlock(String(template), { mono: true })) : null,
    variables ? disclosure("variables", () => jsonTree(variables, { open: 1 })) : null);
}

/** @param {any} body */
function scores(body) {
  if (!body.scores?.length) return null;
  return section("Scores", {}, h("dl.sr-args", null, body.scores.map((/** @type {any} */ s) =>
    h("div", null, h("dt", null, s.name), h("dd", null, [s.value != null ? String(s.value) : null, s.label, s.comment, s.source && `by ${s.author ?? s.source}`].filter(Boolean).join(" \u00b7 "))))));
}

/** Attributes as a table, nested values as trees. @param {any} body */
export function attributesTab(body) {
  const entries = Object.entries(body.attributes ?? {});
  const tags = body.span.tags?.length ? section("Tags", {}, h("p", null, body.span.tags.join(", "))) : null;
  const metadata = parse(body.span.metadata);
  return [
    entries.length
      ? section("Attributes", { note: count(entries.length), copy: () => stringify(body.attributes) }, h("dl.sr-attributes", null, entries.map(([name, item]) => h("div", null, h("dt", { title: name }, name), h("dd", null, attribute(item))))))
      : section("Attributes", {}, h("p.sr-quiet", null, "none recorded")),
    metadata.ok && metadata.value ? section("Metadata", {}, jsonTree(metadata.value)) : null,
    tags,
  ].filter(Boolean);
}

/** @param {any} item */
function attribute(item) {
  if (item !== null && typeof item === "object") return jsonTree(item, { open: 0 });
  return textBlock(String(item), { mono: true, lines: 3, chars: 300 });
}

/** The whole row as it is stored, and the exchanges as they went over the wire. @param {any} body */
export function rawTab(body) {
  const { input, output, attempts, ...rest } = body;
  const whole = { ...rest, input: parse(input).value, output: parse(output).value };
  return [
    ...(attempts ?? []).map((/** @type {any} */ attempt, /** @type {number} */ i) => exchange(attempt, i, attempts.length)),
    section("Span", { copy: () => stringify(whole) }, jsonTree(whole, { open: 2 })),
  ];
}

/** @param {any} attempt @param {number} i @param {number} n */
function exchange(attempt, i, n) {
  const meta = attempt.meta ?? {};
  const status = meta.status ?? meta.error_type ?? "no answer";
  return section(n > 1 ? `Attempt ${i + 1} of ${n}` : "Over the wire", { note: `${meta.method ?? ""} ${meta.url ?? ""} \u2192 ${status}` },
    wire("Request", attempt.request), wire("Response", attempt.response), disclosure("Timing and headers", () => jsonTree(meta, { open: 1 })));
}

/** @param {string} title @param {string|null|undefined} text */
function wire(title, text) {
  if (!text) return null;
  return disclosure(`${title}, ${count(text.length)} characters`, () => {
    const parsed = parse(text);
    return parsed.ok && parsed.value && typeof parsed.value === "object" ? jsonTree(parsed.value, { open: 1 }) : textBlock(text, { mono: true, lines: 30, chars: 4000 });
  });
}

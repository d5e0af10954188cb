// The head of the trace: asked, answered, what is wrong, what took the time. One click goes to the span.
import { clock, cost, costAtLeast, count, duration, percent, plural } from "../format.js";
import { copyButton, fill, h, icon } from "../dom.js";
import { follow } from "../url.js";

const MANY = { llm: "model calls", retrieval: "retrievals", tool: "tools", embedding: "embeddings", agent: "agents", chain: "steps", rerank: "reranks", guardrail: "guardrails", evaluator: "evaluators", memory: "memory steps", span: "spans" };
const ONE = { llm: "model call", retrieval: "retrieval", tool: "tool", embedding: "embedding", agent: "agent", chain: "step", rerank: "rerank", guardrail: "guardrail", evaluator: "evaluator", memory: "memory step", span: "span" };

/** @param {HTMLElement} host @param {any} payload @param {import("./model.js").Model} model @param {{go: (place: number) => void, step: (by: 1|-1) => void, back: string}} hooks */
export function drawHead(host, payload, model, hooks) {
  const { trace, story } = payload;
  const tokens = trace.input_tokens == null && trace.output_tokens == null ? null : (trace.input_tokens ?? 0) + (trace.output_tokens ?? 0);
  const lower = trace.unpriced_calls > 0 && trace.cost_usd != null;
  fill(
    host,
    h(
      "div.sr-title", null,
      h("a.sr-back", { href: hooks.back, title: "Back to the list (Esc)", click: (/** @type {MouseEvent} */ e) => follow(e, hooks.back) }, icon("left"), "Traces"),
      h("h1", { title: trace.name }, trace.name || "unnamed"),
      h("span.sr-id", { title: trace.trace_id }, trace.trace_id.slice(0, 8), copyButton(() => trace.trace_id, "Copy the trace id")),
      state(trace),
      h("div.sr-facts", null,
        fact((trace.state === "interrupted" ? "\u2265 " : "") + duration(trace.state === "ended" ? trace.duration_ms : model.total), "", trace.state === "interrupted" ? "Until the last that was recorded" : "Duration"),
        fact(count(trace.span_count), trace.span_count === 1 ? "span" : "spans"),
        fact(tokens == null ? null : count(tokens), "tokens", `${count(trace.input_tokens)} in, ${count(trace.output_tokens)} out`),
        trace.unpriced_calls > 0 && trace.cost_usd == null
          ? fact(tokens ? "no price" : "no usage", "", `${plural(trace.unpriced_calls, "call")} without a known price or without usage`)
          : fact(trace.cost_usd == null ? null : (lower ? costAtLeast : cost)(trace.cost_usd), "", lower ? `A lower bound: ${plural(trace.unpriced_calls, "call")} without a known price` : "Cost"),
        fact(clock(trace.started_ms, Date.now()), "", new Date(trace.started_ms).toISOString()),
        trace.session_id ? h("span.sr-fact.sr-fact-session", { title: `Session ${trace.session_id}` }, trace.session_id) : null,
      ),
      h("div.sr-steps", null,
        h("button.sr-tool", { type: "button", title: "Newer trace (p)", "aria-label": "Newer trace", click: () => hooks.step(-1) }, icon("up")),
        h("button.sr-tool", { type: "button", title: "Older trace (n)", "aria-label": "Older trace", click: () => hooks.step(1) }, icon("down")),
      ),
    ),
    h("div.sr-story", null, asked(story.asked, hooks), answered(story.answered, trace, hooks), wrong(story.wrong, trace, model, hooks), slow(story.slow, model, hooks)),
  );
}

/** @param {any} trace */
function state(trace) {
  if (trace.state === "running") return h("span.sr-mark.sr-mark-running", null, "running");
  if (trace.state === "interrupted") return h("span.sr-mark.sr-mark-warn", { title: "The process ended before the trace did" }, "interrupted");
  if (trace.state === "abandoned") return h("span.sr-mark.sr-mark-warn", { title: "Not read to its end" }, "abandoned");
  if (trace.status === "error") return h("span.sr-mark.sr-mark-error", null, "failed");
  return null;
}

/** @param {string|null} value @param {string} unit @param {string} [title] */
function fact(value, unit, title) {
  return value == null ? null : h("span.sr-fact", { title: title ?? null }, h("b", null, value), unit ? ` ${unit}` : null);
}

/** @param {string} label @param {string} look @param {import("../dom.js").Child} text @param {number|null} at @param {{go: (place: number) => void}} hooks @param {import("../dom.js").Child} [more] @param {string} [where] */
function card(label, look, text, at, hooks, more, where = "") {
  const inside = [h("span.sr-card-label", where ? { title: label + where } : null, label, where), h("span.sr-card-text", null, text), more];
  return at == null || at < 0
    ? h(`div.sr-card.${look}`, null, inside)
    : h(`button.sr-card.${look}`, { type: "button", "data-story": label.toLowerCase(), click: () => hooks.go(at) }, inside);
}

/** @param {any} found @param {any} hooks */
function asked(found, hooks) {
  return found ? card("Asked", "sr-asked", found.text, found.at, hooks) : card("Asked", "sr-asked.sr-none", "No question in the first input", null, hooks);
}

/** @param {any} found @param {any} trace @param {any} hooks */
function answered(found, trace, hooks) {
  if (found) return card("Answered", "sr-answered", found.text, found.at, hooks);
  return card("Answered", "sr-answered.sr-none", trace.state === "running" ? "Not yet: still running" : "No answer was recorded", null, hooks);
}

/** @param {any} found @param {any} trace @param {import("./model.js").Model} model @param {any} hooks */
function wrong(found, trace, model, hooks) {
  const others = [];
  if (found.errors > 1) others.push(`${count(found.errors)} errors in all`);
  if (found.interrupted) others.push(`${plural(found.interrupted, "span")} interrupted`);
  if (found.missing) others.push(`${plural(found.missing, "parent")} missing`);
  if (found.cut != null) others.push("an answer cut at its limit");
  const more = others.length ? h("span.sr-card-more", null, others.join(", ")) : null;
  if (found.at != null) return card(found.fatal ? "What is wrong" : "Failed and caught", found.fatal ? "sr-wrong" : "sr-warned", found.text, found.at, hooks, more, found.at > 0 ? ` in ${model.name[found.at]}` : "");
  if (found.interrupted) return card("What is wrong", "sr-warned", "The process ended before the trace did", found.stopped ?? null, hooks, more, found.stopped > 0 ? ` in ${model.name[found.stopped]}` : "");
  if (trace.state === "abandoned" && found.left != null) return card("What is wrong", "sr-warned", "The reader left before the end", found.left, hooks, more, found.left > 0 ? ` in ${model.name[found.left]}` : "");
  if (found.cut != null) return card("What is wrong", "sr-warned", "An answer was cut at its output limit", found.cut, hooks);
  if (found.missing) return card("What is wrong", "sr-warned", "Parts of this trace were not recorded", null, hooks, more);
  if (trace.state === "running") return card("What is wrong", "sr-calm", "Nothing so far", null, hooks);
  return card("What is wrong", "sr-calm", [icon("check"), "Nothing wrong"], null, hooks);
}

/** @param {any} found @param {import("./model.js").Model} model @param {any} hooks */
function slow(found, model, hooks) {
  if (!found) return card("Time went to", "sr-slow", "This one span", model.length ? 0 : null, hooks);
  const kind = /** @type {keyof typeof ONE} */ (found.kind in ONE ? found.kind : "span");
  const what = found.steps === 1 ? `1 ${ONE[kind]}` : `${count(found.steps)} ${MANY[kind]}`;
  const longest = found.steps === 1 ? model.name[found.at] : `longest ${model.name[found.at]}`;
  return card("Time went to", "sr-slow", [h("b", null, percent(found.share)), ` in ${what}`], found.at, hooks, h("span.sr-card-more", null, `${longest}, ${duration(model.wait[found.at])}`));
}

// The detail pane: facts at once from what the tree knows, the body as soon as it is here.
import { copy, fill, h, icon, tile } from "../dom.js";
import { cost, count, duration } from "../format.js";
import { Recent, get } from "../net.js";
import { ABANDONED, ERROR, INTERRUPTED, RETRIED, RUNNING } from "../trace/model.js";
import { attributesTab, content, rawTab } from "./content.js";
import { parse } from "./json.js";

/** @typedef {import("../trace/model.js").Model} Model */

const TABS = [["content", "Content"], ["attributes", "Attributes"], ["raw", "Raw"]];
/** Held keys pass many spans; only the one that is stayed on is fetched. */
const SETTLE_MS = 45;

/** @type {Recent<any>} */
const bodies = new Recent(160);

export class Pane {
  /** @param {{go: (spanId: string) => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    this.tab = "content";
    this.key = "";
    this.timer = 0;
    /** @type {AbortController|null} */
    this.asking = null;
    this.head = h("header.sr-detail-head");
    this.tabs = h("div.sr-tabs", { role: "tablist", "aria-label": "Parts of the span" }, TABS.map(([name, label]) =>
      h("button.sr-tab", { type: "button", role: "tab", id: `sr-tab-${name}`, "aria-controls": "sr-detail-body", "data-tab": name, click: () => this.choose(name), keydown: (/** @type {KeyboardEvent} */ e) => this.tabKey(e) }, label)));
    this.body = h("div.sr-detail-body", { role: "tabpanel", id: "sr-detail-body", tabIndex: 0 });
    this.root = h("aside.sr-detail", { "data-testid": "span-detail", "aria-label": "The selected span" }, this.head, this.tabs, this.body);
    this.marks();
  }

  /** @param {KeyboardEvent} event */
  tabKey(event) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = TABS.findIndex(([name]) => name === this.tab);
    this.choose(TABS[(at + step + TABS.length) % TABS.length][0]);
    /** @type {HTMLElement|null} */ (this.tabs.querySelector("[aria-selected=true]"))?.focus();
  }

  /** @param {string} name */
  choose(name) {
    this.tab = name;
    this.marks();
    this.draw();
    this.body.scrollTop = 0;
  }

  marks() {
    for (const tab of this.tabs.children) {
      const on = /** @type {HTMLElement} */ (tab).dataset.tab === this.tab;
      tab.setAttribute("aria-selected", String(on));
      /** @type {HTMLElement} */ (tab).tabIndex = on ? 0 : -1;
    }
    this.body.setAttribute("aria-labelledby", `sr-tab-${this.tab}`);
  }

  /** @param {string} traceId @param {Model} model @param {number} place @param {any} trace */
  show(traceId, model, place, trace) {
    this.trace = trace;
    const key = `${traceId}/${model.id[place]}`;
    this.model = model;
    this.place = place;
    const same = key === this.key;
    this.key = key;
    this.root.dataset.spanId = model.id[place];
    this.facts(null);
    if (same && this.content) return this.facts(this.content.span);
    clearTimeout(this.timer);
    this.asking?.abort();
    this.content = bodies.get(key) ?? null;
    if (this.content) return this.arrived(this.content);
    this.root.dataset.state = "loading";
    this.timer = window.setTimeout(() => this.fetch(traceId, model.id[place], key), SETTLE_MS * (performance.now() - (this.shown ?? -1e9) < 300 ? 1 : 0));
    this.shown = performance.now();
  }

  /** The same span again with newer data. @param {string} traceId @param {Model} model @param {number} place */
  refresh(traceId, model, place) {
    const was = this.content?.span?.state;
    this.model = model;
    this.place = place;
    if (was && was !== "running") return;
    bodies.drop(this.key);
    this.fetch(traceId, model.id[place], `${traceId}/${model.id[place]}`);
  }

  /** @param {string} traceId @param {string} spanId @param {string} key */
  async fetch(traceId, spanId, key) {
    this.asking = new AbortController();
    const { signal } = this.asking;
    const slow = window.setTimeout(() => this.key === key && !this.content && fill(this.body, h("div.sr-sk-lines", { "aria-label": "Loading" })), 160);
    try {
      const answer = await get("/api/span", { trace: traceId, span: spanId }, signal);
      if (signal.aborted || this.key !== key) return;
      answer.attributes = parse(answer.attributes).value ?? {};
      if (answer.span.state !== "running") bodies.set(key, answer);
      this.arrived(answer);
    } catch (error) {
      if (signal.aborted || this.key !== key) return;
      this.root.dataset.state = "failed";
      fill(this.body, h("p.sr-quiet.sr-pad", null, /** @type {Error} */ (error).message), h("button.sr-button.sr-pad", { type: "button", click: () => this.fetch(traceId, spanId, key) }, "Try again"));
    } finally {
      clearTimeout(slow);
    }
  }

  /** @param {any} answer */
  arrived(answer) {
    this.content = answer;
    this.facts(answer.span);
    this.draw();
    this.body.scrollTop = 0;
    this.root.dataset.state = "ready";
  }

  draw() {
    const { content: held } = this;
    if (!held) return;
    const parts = this.tab === "attributes" ? attributesTab(held) : this.tab === "raw" ? rawTab(held) : content(held, { go: this.hooks.go, results: (id, name, nth) => this.result(id, name, nth), asker: (id) => this.named(id) });
    fill(this.body, parts);
  }

  /** The name of another span of this trace. @param {string} id */
  named(id) {
    const at = this.model?.id.indexOf(id) ?? -1;
    return this.model && at >= 0 ? this.model.name[at] : "";
  }

  /** What became of a call that this span asked for: the tool's span, or that none ran. @param {string} id @param {string} name @param {number} nth the how many-th of that name */
  result(id, name, nth) {
    const asked = /** @type {any[]} */ (this.content?.tool_calls ?? []).filter((call) => call.asked_by === this.content.span.span_id && call.name === name);
    const call = (id && asked.find((one) => one.id === id)) || asked[nth];
    if (!call) return null;
    if (!call.ran_as) return this.trace?.state === "running" ? null : { id: "", ms: 0 };
    const at = this.model?.id.indexOf(call.ran_as) ?? -1;
    return this.model && at >= 0 ? { id: call.ran_as, ms: this.model.end[at] - this.model.start[at] } : null;
  }

  /** @param {any} span the stored row, where it is here already */
  facts(span) {
    const { model, place } = this;
    if (!model || place === undefined) return;
    const bits = model.flags[place];
    const tokens = (model.input[place] ?? 0) + (model.output[place] ?? 0);
    const first = model.first[place];
    const models = span && [span.request_model, span.response_model].filter((name, i, all) => name && all.indexOf(name) === i);
    const list = [
      ["duration", duration(model.end[place] - model.start[place]) + (bits & RUNNING ? " so far" : "")],
      ["begins at", model.start[place] ? `+${duration(model.start[place])}` : null],
      ["first token", first == null ? null : duration(first)],
      ["tokens", tokens ? `${count(model.input[place] ?? 0)} in, ${count(model.output[place] ?? 0)} out` : null],
      ["cost", model.cost[place] == null ? null : cost(model.cost[place])],
      ["model", models?.length ? models.join(" \u2192 ") : null],
      ["provider", span?.provider ?? null],
      ["speed", span?.output_tokens_per_s ? `${count(span.output_tokens_per_s)} tokens/s` : null],
      ["attempts", bits & RETRIED && span?.attempts ? count(span.attempts) : null],
      ["state", bits & RUNNING ? "running" : bits & INTERRUPTED ? "interrupted" : bits & ABANDONED ? "abandoned" : null],
    ];
    const link = h("button.sr-tool", { type: "button", title: "Copy a link to this span", "aria-label": "Copy a link to this span" }, icon("link"));
    link.addEventListener("click", async () => {
      await copy(`${location.origin}/trace?trace=${this.key.replace("/", "&span=")}`);
      fill(link, icon("check"));
      setTimeout(() => fill(link, icon("link")), 1200);
    });
    fill(this.head,
      h("div.sr-detail-title", null, tile(model.kind[place]), h("h2", { title: model.name[place] }, model.name[place]), bits & ERROR ? h("span.sr-mark.sr-mark-error", null, "error") : null, h("span.sr-detail-kind", null, model.kind[place]), link),
      h("dl.sr-detail-facts", null, list.filter(([, text]) => text).map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, text)))));
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
  }
}

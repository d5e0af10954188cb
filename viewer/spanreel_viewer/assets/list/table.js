// The list of traces as virtual rows: pages come as they are scrolled to.
import { fill, h, icon, write } from "../dom.js";
import { clock, cost, costAtLeast, count, duration, model as shortModel, plural } from "../format.js";
import { href } from "../url.js";
import { marked, whereFound } from "./match.js";

/** @typedef {{row: (index: number) => any, want: (first: number, last: number) => void, total: number, sought: string}} Source */

const WIDE = 34;
const NARROW = 62;
/** Browsers do not draw elements taller than about 33 million pixels. */
const MOST_ROWS = 400_000;
const HEADS = [["started", "Started"], ["name", "Name"], ["input", "Asked"], ["output", "Answered"], ["model", "Model"], ["session", "Session"], ["latency", "Duration"], ["tokens", "Tokens"], ["cost", "Cost"], ["errors", "Failed steps"]];

export class Table {
  /** @param {Source} source @param {{open: (id: string, event?: MouseEvent) => void, picked: (index: number) => void, near: (id: string) => void}} hooks */
  constructor(source, hooks) {
    this.source = source;
    this.hooks = hooks;
    this.selected = "";
    this.slowest = 1;
    this.frame = 0;
    this.body = h("div.sr-list-rows", { role: "rowgroup" });
    this.scroller = h("div.sr-scroll", { tabIndex: -1 }, this.body);
    this.root = h("div.sr-list", { role: "grid", "aria-label": "Traces", "data-testid": "trace-list" },
      h("div.sr-list-heads", { role: "row" }, HEADS.map(([name, label]) => h(`span.sr-l-${name}`, { role: "columnheader" }, label))), this.scroller);
    /** @type {Map<number, HTMLElement & {drawn?: string}>} */
    this.live = new Map();
    /** @type {(HTMLElement & {drawn?: string})[]} */
    this.idle = [];
    this.scroller.addEventListener("scroll", () => this.later(), { passive: true });
    this.body.addEventListener("click", (e) => {
      const row = /** @type {HTMLElement} */ (e.target).closest(".sr-trace-row");
      if (row instanceof HTMLElement && row.dataset.traceId) this.hooks.open(row.dataset.traceId, /** @type {MouseEvent} */ (e));
    });
    this.body.addEventListener("pointerover", (e) => {
      const row = /** @type {HTMLElement} */ (e.target).closest(".sr-trace-row");
      if (row instanceof HTMLElement && row.dataset.traceId) this.hooks.near(row.dataset.traceId);
    });
  }

  get rowHeight() {
    return this.scroller.clientWidth && this.scroller.clientWidth < 760 ? NARROW : WIDE;
  }

  get rows() {
    return Math.min(Math.max(this.source.total, 0), MOST_ROWS);
  }

  later() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  /** @returns {{first: number, last: number}} rows in view */
  view() {
    const height = this.rowHeight;
    const first = Math.floor(this.scroller.scrollTop / height);
    return { first, last: Math.min(Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / height) - 1, this.rows - 1) };
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.root.isConnected) return;
    const height = this.rowHeight;
    this.root.classList.toggle("sr-narrow", height === NARROW);
    this.root.setAttribute("aria-rowcount", String(this.rows + 1));
    this.body.style.height = `${this.rows * height}px`;
    this.root.style.setProperty("--gutter", `${this.scroller.offsetWidth - this.scroller.clientWidth}px`);
    const { first, last } = this.view();
    this.source.want(first, Math.max(last, 0));
    const low = Math.max(first - 6, 0);
    const high = Math.min(last + 6, this.rows - 1);
    for (const [index, node] of this.live) {
      if (index >= low && index <= high) continue;
      this.live.delete(index);
      node.hidden = true;
      node.drawn = undefined;
      delete node.dataset.traceId;
      this.idle.push(node);
    }
    for (let i = low; i <= high; i++) {
      const longest = this.source.row(i)?.duration_ms ?? 0;
      if (longest > this.slowest) this.slowest = longest;
    }
    for (let index = low; index <= high; index++) this.row(index, height);
  }

  /** @param {number} index @param {number} height */
  row(index, height) {
    let node = this.live.get(index);
    if (!node) {
      node = this.idle.pop() ?? blank();
      node.hidden = false;
      if (!node.isConnected) this.body.append(node);
      this.live.set(index, node);
    }
    node.style.transform = `translateY(${index * height}px)`;
    const data = this.source.row(index);
    const selected = !!data && data.trace_id === this.selected;
    node.setAttribute("aria-selected", String(selected));
    node.setAttribute("aria-rowindex", String(index + 2));
    node.tabIndex = selected ? 0 : -1;
    const key = data ? `${data.trace_id}|${data.state}|${data.span_count}|${data.duration_ms}|${data.error_count}|${Math.round(this.slowest)}|${data.output_preview ?? ""}|${this.source.sought}` : "";
    if (node.drawn === key) return;
    node.drawn = key;
    if (data) dress(node, data, this.slowest, this.source.sought);
    else undress(node);
  }

  /** @param {string} id */
  element(id) {
    return /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-trace-id="${CSS.escape(id)}"]:not([hidden])`));
  }

  /** @param {number} index */
  reveal(index) {
    const height = this.rowHeight;
    const { scroller } = this;
    if (index * height < scroller.scrollTop) scroller.scrollTop = index * height;
    else if ((index + 1) * height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = (index + 1) * height - scroller.clientHeight;
  }

  /** @param {boolean} [focus] */
  mark(focus = false) {
    this.draw();
    if (focus) (this.element(this.selected) ?? this.scroller).focus({ preventScroll: true });
  }
}

/** @returns {HTMLElement & {drawn?: string}} */
function blank() {
  return h("div.sr-trace-row", { role: "row", tabIndex: -1 }, HEADS.map(([name]) => h(`div.sr-l-${name}`, { role: "gridcell" })));
}

/** @param {HTMLElement} node */
function undress(node) {
  delete node.dataset.traceId;
  node.classList.add("sr-waiting");
  for (const cell of node.children) cell.textContent = "";
}

/** @param {HTMLElement} node @param {any} row @param {number} slowest @param {string} sought */
function dress(node, row, slowest, sought) {
  node.classList.remove("sr-waiting");
  node.dataset.traceId = row.trace_id;
  const failed = row.status === "error";
  const found = whereFound(row, sought);
  node.classList.toggle("sr-failed", failed);
  const [started, name, input, output, model, session, latency, tokens, price, errors] = /** @type {HTMLElement[]} */ ([...node.children]);
  write(started, clock(row.started_ms, Date.now()));
  started.title = new Date(row.started_ms).toISOString();
  fill(name, failed ? h("span.sr-row-failed", { title: "failed", role: "img", "aria-label": "failed" }, icon("alert")) : null, h("a.sr-row-link", { href: href("/trace", { trace: row.trace_id, span: found.span }), tabIndex: -1, title: row.name }, marked(row.name || "unnamed", sought)), state(row));
  fill(input, marked(row.input_preview ?? "", sought));
  input.title = row.input_preview ?? "";
  const [said, look] = row.worst_error && failed ? [row.worst_error, "span.sr-row-error"] : [row.output_preview ?? "", "span"];
  fill(output, found.hidden ? hiddenMatch(found.hidden, sought) : h(look, { title: said }, marked(said, sought)));
  output.classList.toggle("sr-void", !said && !found.hidden);
  const models = row.models ?? [];
  fill(model, models.length ? [h("span", { title: models.join(", ") }, shortModel(models[0])), models.length > 1 ? h("span.sr-plus", null, `+${models.length - 1}`) : null] : null);
  write(session, row.session_id ?? "");
  session.title = row.session_id ?? "";
  const running = row.state === "running";
  const share = Math.min((row.duration_ms ?? 0) / slowest, 1);
  fill(latency, h("span.sr-latency-text", null, length(row)), h(`span.sr-latency${running ? ".sr-running" : ""}`, { "aria-hidden": "true" }, h("i", { style: `width:${running ? 100 : Math.max(share * 100, 1.5).toFixed(1)}%` })));
  const sum = row.input_tokens == null && row.output_tokens == null ? null : (row.input_tokens ?? 0) + (row.output_tokens ?? 0);
  write(tokens, sum ? count(sum) : "");
  const lower = row.unpriced_calls > 0;
  write(price, row.cost_usd == null ? (lower ? (sum ? "no price" : "no usage") : "") : (lower ? costAtLeast : cost)(row.cost_usd));
  price.title = lower ? `${plural(row.unpriced_calls, "call")} without a known price or without usage${row.cost_usd == null ? "" : ": a lower bound"}` : "";
  fill(errors, row.error_count ? h(`span.sr-count${failed ? "" : ".sr-caught"}`, { title: `${plural(row.error_count, "span")} failed${failed ? "" : ", caught on the way"}` + (row.worst_error ? `\n${row.worst_error}` : "") }, count(row.error_count)) : null);
}

/** A match that the row does not show: in which step, and the words around it. @param {{name: string, text: string}} hidden @param {string} sought */
function hiddenMatch(hidden, sought) {
  const title = hidden.name ? `in ${hidden.name}: ${hidden.text}` : hidden.text;
  return h("span.sr-row-match", { title }, hidden.name ? h("span.sr-row-where", null, `in ${hidden.name}: `) : null, marked(hidden.text, sought));
}

/** How long: so far while it runs, at least until what was seen last where its end was not, unknown where nothing was. @param {any} row */
function length(row) {
  if (row.state === "running") return duration(Math.max(Date.now() - row.started_ms, 0));
  if (row.state !== "ended" && !(row.duration_ms > 0)) return duration(null);
  return (row.state === "interrupted" ? "\u2265 " : "") + duration(row.duration_ms);
}

/** @param {any} row */
function state(row) {
  if (row.state === "running") return h("span.sr-mark.sr-mark-running", null, "running");
  if (row.state === "interrupted" || row.state === "abandoned") return h("span.sr-mark.sr-mark-warn", null, row.state);
  return null;
}


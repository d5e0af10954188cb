// Virtual rows: as many elements as fit the view, moved and rewritten while scrolling.
import { count, cost, duration, plural } from "../format.js";
import { h, icon, tile, write } from "../dom.js";
import {
  ABANDONED, DUPLICATE, EARLY, ERROR, FOREIGN_PARENT, INTERRUPTED, MISSING_PARENT, RETRIED, RUNNING, TRUNCATED, errorsBelow, passedOn,
} from "./model.js";

export const ROW = 26;
const SPARE = 6;

/** @typedef {import("./model.js").Model} Model */
/** @typedef {{model: Model, rows: number[], folded: Set<number>, open: boolean, selected: number, window: import("./time.js").Window, hits: Set<number>|null, barWidth: number, laneWidth: number}} View */
/** @typedef {{root: HTMLElement, guide: HTMLElement, caret: HTMLElement, tile: HTMLElement, name: HTMLElement, marks: HTMLElement, below: HTMLElement, tokens: HTMLElement, cost: HTMLElement, lane: HTMLElement, bar: HTMLElement, wait: HTMLElement, label: HTMLElement, place: number, drawn: string}} Slot */

/** @returns {Slot} */
function slot() {
  const guide = h("span.sr-guide");
  const caret = h("span.sr-caret", { "aria-hidden": "true" }, icon("caret"));
  const letter = h("span.sr-tile-slot");
  const name = h("span.sr-name");
  const marks = h("span.sr-marks");
  const below = h("span.sr-below");
  const tokens = h("div.sr-num.sr-col-tokens", { role: "gridcell" });
  const price = h("div.sr-num.sr-col-cost", { role: "gridcell" });
  const wait = h("span.sr-bar-wait");
  const bar = h("span.sr-bar-fill", null, wait);
  const label = h("span.sr-bar-label");
  const lane = h("div.sr-lane", { role: "gridcell" }, bar, label);
  const root = h("div.sr-row", { role: "row", tabIndex: -1 }, h("div.sr-cell-name", { role: "gridcell" }, guide, caret, letter, name, below, marks), tokens, price, lane);
  return { root, guide, caret, tile: letter, name, marks, below, tokens, cost: price, lane, bar, wait, label, place: -1, drawn: "" };
}

/** Draws the rows of a view into a canvas element as tall as all of them. */
export class Rows {
  /** @param {HTMLElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Map<number, Slot>} */
    this.live = new Map();
    /** @type {Slot[]} */
    this.idle = [];
  }

  /** The element of a span, where it is in view. @param {number} place */
  element(place) {
    return this.live.get(place)?.root ?? null;
  }

  /** @param {View} view @param {number} scrollTop @param {number} height @returns {{first: number, last: number}} the rows in view */
  draw(view, scrollTop, height) {
    const { rows } = view;
    const first = Math.max(Math.floor(scrollTop / ROW), 0);
    const last = Math.min(Math.ceil((scrollTop + height) / ROW) - 1, rows.length - 1);
    const low = Math.max(first - SPARE, 0);
    const high = Math.min(last + SPARE, rows.length - 1);
    const wanted = new Set();
    for (let r = low; r <= high; r++) wanted.add(rows[r]);
    for (const [place, kept] of this.live) {
      if (wanted.has(place)) continue;
      this.live.delete(place);
      this.idle.push(kept);
      kept.place = -1;
      kept.drawn = "";
    }
    for (let r = low; r <= high; r++) {
      const place = rows[r];
      let found = this.live.get(place);
      if (!found) {
        found = this.idle.pop() ?? slot();
        if (!found.root.isConnected) this.canvas.append(found.root);
        found.root.hidden = false;
        this.live.set(place, found);
      }
      this.row(found, view, place, r);
    }
    for (const spare of this.idle) {
      if (spare.root.hidden) continue;
      spare.root.hidden = true;
      delete spare.root.dataset.spanId;
      spare.root.removeAttribute("aria-selected");
    }
    return { first, last };
  }

  /** @param {Slot} s @param {View} view @param {number} place @param {number} index */
  row(s, view, place, index) {
    const { model } = view;
    s.root.style.transform = `translateY(${index * ROW}px)`;
    const folded = view.folded.has(place) && !view.open;
    const key = `${model.id[place]}|${folded}|${model.flags[place]}|${view.hits?.has(place) ?? ""}|${model.size[place]}|${index}`;
    if (s.place !== place || s.drawn !== key) {
      s.place = place;
      s.drawn = key;
      this.fixedParts(s, view, place, index, folded);
    }
    const selected = place === view.selected;
    if ((s.root.getAttribute("aria-selected") === "true") !== selected || !s.root.hasAttribute("aria-selected")) {
      s.root.setAttribute("aria-selected", String(selected));
      s.root.tabIndex = selected ? 0 : -1;
    }
    this.bar(s, view, place);
  }

  /** @param {Slot} s @param {View} view @param {number} place @param {number} index @param {boolean} folded */
  fixedParts(s, view, place, index, folded) {
    const { model } = view;
    const kind = model.kind[place];
    const parent = model.size[place] > 0;
    s.root.dataset.spanId = model.id[place];
    s.root.setAttribute("aria-level", String(model.depth[place] + 1));
    s.root.setAttribute("aria-rowindex", String(index + 2));
    if (parent) s.root.setAttribute("aria-expanded", String(!folded));
    else s.root.removeAttribute("aria-expanded");
    s.root.classList.toggle("sr-dim", view.hits !== null && !view.hits.has(place));
    s.root.classList.toggle("sr-failed", (model.flags[place] & ERROR) !== 0);
    s.guide.style.setProperty("--depth", String(model.depth[place]));
    s.caret.classList.toggle("sr-leaf", !parent);
    s.tile.textContent = "";
    s.tile.append(tile(kind));
    write(s.name, model.name[place]);
    s.name.title = model.name[place];
    write(s.below, folded && parent ? `+${count(model.size[place])}` : "");
    const tokens = (model.input[place] ?? 0) + (model.output[place] ?? 0);
    write(s.tokens, tokens ? count(tokens) : "");
    write(s.cost, model.cost[place] == null ? "" : cost(model.cost[place]));
    s.marks.textContent = "";
    s.marks.append(...marks(model, place, folded));
    s.bar.style.setProperty("--kind", `var(--sr-kind-${kind}, var(--sr-kind-span))`);
    s.bar.classList.toggle("sr-running", (model.flags[place] & RUNNING) !== 0);
    s.bar.classList.toggle("sr-broken", (model.flags[place] & (INTERRUPTED | ABANDONED)) !== 0);
    s.bar.classList.toggle("sr-error", (model.flags[place] & ERROR) !== 0);
  }

  /** @param {Slot} s @param {View} view @param {number} place */
  bar(s, view, place) {
    const { model, window, barWidth, laneWidth } = view;
    const scale = barWidth / (window.to - window.from);
    const left = (model.start[place] - window.from) * scale;
    const right = (model.end[place] - window.from) * scale;
    const from = Math.min(Math.max(left, -4), laneWidth + 4);
    const to = Math.min(Math.max(right, -4), laneWidth + 4);
    const wide = Math.max(to - from, right < 0 || left > laneWidth ? 0 : 2);
    s.bar.style.transform = `translateX(${from.toFixed(1)}px)`;
    s.bar.style.width = `${wide.toFixed(1)}px`;
    const first = model.first[place];
    if (first == null) s.wait.style.width = "0";
    else s.wait.style.width = `${Math.min(Math.max(left + first * scale - from, 0), wide).toFixed(1)}px`;
    s.wait.classList.toggle("sr-on", first != null);
    write(s.label, duration(model.end[place] - model.start[place]));
    const inView = right >= 0 && left <= laneWidth;
    const edge = from + wide;
    let at = edge + 6;
    let inside = false;
    if (at + 52 > laneWidth) {
      if (from > 62) at = from - 6;
      else {
        at = Math.min(edge, laneWidth) - 5;
        inside = true;
      }
      s.label.style.transform = `translateX(${at.toFixed(1)}px) translateX(-100%)`;
    } else s.label.style.transform = `translateX(${at.toFixed(1)}px)`;
    s.label.style.visibility = inView ? "visible" : "hidden";
    s.label.classList.toggle("sr-inside", inside);
  }
}

/** @param {Model} model @param {number} place @param {boolean} folded @returns {HTMLElement[]} */
function marks(model, place, folded) {
  const bits = model.flags[place];
  const out = [];
  const mark = (/** @type {string} */ look, /** @type {string} */ text, /** @type {string} */ title) => out.push(h(`span.sr-mark.sr-mark-${look}`, { title }, text));
  if (bits & ERROR && !passedOn(model, place)) mark("error", "error", model.error[place] ?? "error");
  else if (bits & ERROR) mark("passed", "failed", "Failed through a span below");
  if (folded && !(bits & ERROR)) {
    const below = errorsBelow(model, place);
    if (below) mark("passed", plural(below, "error"), "In the folded spans below");
  }
  if (bits & RUNNING) mark("running", "running", "Still running");
  if (bits & INTERRUPTED) mark("warn", "interrupted", "Its process ended before it did");
  if (bits & ABANDONED) mark("warn", "abandoned", "Never finished: its stream was dropped");
  if (bits & RETRIED) mark("plain", "after retries", "More than one attempt");
  if (bits & TRUNCATED) mark("warn", "cut at limit", "The model stopped at its output limit");
  if (bits & MISSING_PARENT) mark("warn", "parent missing", "The span above was not recorded");
  if (bits & FOREIGN_PARENT) mark("plain", "from outside", "Its parent belongs to another tracer");
  if (bits & DUPLICATE) mark("plain", bits & ERROR ? "retried" : "counted once", bits & ERROR ? "The call was sent again; it counts as the last attempt went" : "The same call as another span; tokens and cost are counted there");
  if (bits & EARLY) mark("warn", "clock", "Starts before its parent: two clocks differ");
  return out;
}

// Tree and waterfall: heads, time axis, minimap, virtual rows. Knows nothing of keys, routes and detail.
import { tick } from "../format.js";
import { fill, h } from "../dom.js";
import { paint, steer, strip } from "./minimap.js";
import { ROW, Rows } from "./rows.js";
import { clamp, followWindow, ticks } from "./time.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./time.js").Window} Window */

/** Pixels kept free at the right, so that the duration of the longest bar stands beside it. */
const LABEL_ROOM = 60;

export class Tree {
  /** @param {{pick: (place: number) => void, toggle: (place: number) => void, moved: () => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    /** @type {import("./rows.js").View|null} */
    this.view = null;
    this.follow = false;
    this.frame = 0;
    this.tall = -1;
    this.seen = 0;
    this.gutter = 0;
    this.stale = true;
    this.drawn = "";
    this.canvas = h("canvas.sr-strip-canvas");
    this.lens = h("div.sr-lens");
    this.strip = h("div.sr-strip", { "aria-hidden": "true", title: "Drag to zoom, double click for the whole trace" }, this.canvas, this.lens);
    this.axis = h("div.sr-axis");
    this.lines = h("div.sr-lines", { "aria-hidden": "true" });
    this.body = h("div.sr-rows", { role: "rowgroup" });
    this.scroller = h("div.sr-scroll", { tabIndex: -1 }, this.body);
    this.note = h("div.sr-no-match", { hidden: true });
    const heads = h("div.sr-heads", { role: "row" },
      h("span.sr-cell-name", { role: "columnheader" }, "Span"),
      h("span.sr-num.sr-col-tokens", { role: "columnheader" }, "Tokens"),
      h("span.sr-num.sr-col-cost", { role: "columnheader" }, "Cost"),
      h("span.sr-axis-cell", { role: "columnheader", "aria-label": "Time" }, this.axis));
    this.root = h("div.sr-tree", null, this.strip,
      h("div.sr-grid", { role: "treegrid", "aria-label": "Spans", "data-testid": "trace-tree" }, heads, h("div.sr-viewport", null, this.lines, this.scroller, this.note)));
    this.rows = new Rows(this.body);
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.later(), { passive: true });
    this.body.addEventListener("click", (e) => {
      const row = /** @type {HTMLElement} */ (e.target).closest(".sr-row");
      const place = this.placeOf(row);
      if (place < 0) return;
      if (/** @type {HTMLElement} */ (e.target).closest(".sr-caret:not(.sr-leaf)")) this.hooks.toggle(place);
      else this.hooks.pick(place);
    });
    this.body.addEventListener("dblclick", (e) => {
      const place = this.placeOf(/** @type {HTMLElement} */ (e.target).closest(".sr-row"));
      if (place >= 0) this.hooks.toggle(place);
    });
    this.scroller.addEventListener("wheel", (e) => {
      if (!this.view || (!e.ctrlKey && Math.abs(e.deltaX) <= Math.abs(e.deltaY))) return;
      e.preventDefault();
      const { window, barWidth, model } = this.view;
      const span = window.to - window.from;
      if (e.ctrlKey) {
        const box = this.axis.getBoundingClientRect();
        const share = Math.min(Math.max((e.clientX - box.left) / Math.max(box.width, 1), 0), 1);
        const around = window.from + span * share;
        const factor = Math.exp(Math.min(Math.max(e.deltaY, -60), 60) / 120);
        this.setWindow(clamp({ from: around - (around - window.from) * factor, to: around + (window.to - around) * factor }, model.total));
      } else {
        const by = (e.deltaX / Math.max(barWidth, 1)) * span;
        this.setWindow(clamp({ from: window.from + by, to: window.to + by }, model.total));
      }
    }, { passive: false });
    steer(this.strip, {
      total: () => this.view?.model.total ?? 1,
      window: () => this.view?.window ?? { from: 0, to: 1 },
      set: (window) => this.view && this.setWindow(clamp(window, this.view.model.total)),
      all: () => this.view && this.setWindow({ from: 0, to: this.view.model.total }),
    });
  }

  /** @param {Element|null} row */
  placeOf(row) {
    const id = row instanceof HTMLElement ? row.dataset.spanId : undefined;
    return id === undefined ? -1 : (this.view?.model.place.get(id) ?? -1);
  }

  /** A window chosen by hand ends following. @param {Window} window */
  setWindow(window) {
    if (!this.view) return;
    this.follow = false;
    this.view.window = window;
    this.hooks.moved();
    this.later();
  }

  later() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { view, scroller } = this;
    if (!view || !scroller.isConnected) return;
    const height = view.rows.length * ROW;
    if (this.tall !== height) {
      this.tall = height;
      this.body.style.height = `${height}px`;
    }
    this.measure();
    const top = scroller.scrollTop;
    if (this.follow) {
      const last = Math.min(Math.ceil((top + this.seen) / ROW) - 1, view.rows.length - 1);
      view.window = followWindow(view.model, view.rows, Math.floor(top / ROW), last);
    }
    this.rows.draw(view, top, this.seen);
    this.drawAxis();
  }

  /** Sizes are read once and kept until the panes change: reading them costs a layout each frame. */
  measure() {
    if (!this.stale && this.view && this.view.barWidth > 0) return;
    this.stale = false;
    this.seen = this.scroller.clientHeight;
    this.gutter = this.scroller.offsetWidth - this.scroller.clientWidth;
    this.root.style.setProperty("--gutter", `${this.gutter}px`);
    if (!this.view) return;
    const lane = Math.max(this.axis.clientWidth, 1);
    this.view.laneWidth = lane;
    this.view.barWidth = lane >= LABEL_ROOM * 4 ? lane - LABEL_ROOM : lane;
  }

  resized() {
    this.stale = true;
    this.drawn = "";
    this.later();
    this.drawStrip();
  }

  drawAxis() {
    const { view } = this;
    if (!view) return;
    const { window, barWidth, laneWidth, model } = view;
    const left = (100 * window.from) / model.total;
    this.lens.style.left = `${left}%`;
    this.lens.style.width = `${Math.max((100 * (window.to - window.from)) / model.total, 0.15)}%`;
    this.lens.hidden = window.to - window.from >= model.total * 0.999;
    const key = `${window.from}|${window.to}|${barWidth}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const scale = barWidth / (window.to - window.from);
    const { step, at } = ticks({ from: window.from, to: window.from + laneWidth / scale }, laneWidth);
    const places = at.map((ms) => ({ ms, x: (ms - window.from) * scale }));
    fill(this.axis, places.filter(({ x }) => x < laneWidth - 44).map(({ ms, x }) => h("span.sr-tick", { style: `transform:translateX(${x.toFixed(1)}px)` }, tick(ms, step))));
    fill(this.lines, places.map(({ x }) => h("i", { style: `transform:translateX(${x.toFixed(1)}px)` })));
  }

  drawStrip() {
    const model = this.view?.model;
    const width = this.canvas.clientWidth;
    if (!model || !width) return;
    const style = getComputedStyle(this.root);
    paint(/** @type {HTMLCanvasElement} */ (this.canvas), strip(model, width), (kind) => style.getPropertyValue(`--sr-kind-${kind}`) || style.getPropertyValue("--sr-kind-span"), style.getPropertyValue("--sr-error"));
  }

  /** Bring a row into view; `centre` for jumps, else the least move. @param {number} index @param {boolean} centre */
  reveal(index, centre) {
    const top = index * ROW;
    const { scroller } = this;
    this.measure();
    const low = scroller.scrollTop;
    const margin = centre ? 0 : ROW * 2;
    if (top >= low + margin && top + ROW <= low + this.seen - margin) return;
    if (centre) scroller.scrollTop = top - this.seen / 2 + ROW;
    else if (top < low + margin) scroller.scrollTop = top - margin;
    else scroller.scrollTop = top + ROW + margin - this.seen;
  }
}

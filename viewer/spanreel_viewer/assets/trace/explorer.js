// The trace page's state and moves: what is selected, folded, filtered, and what follows from it.
import { fill, h } from "../dom.js";
import { duration } from "../format.js";
import { Pane } from "../detail/pane.js";
import { drawHead } from "./head.js";
import * as m from "./model.js";
import { handle } from "./split.js";
import { spanWindow, zoom } from "./time.js";
import { drawChips, drawErrors, toolbar } from "./tools.js";
import { Tree } from "./tree.js";

const OPEN_ROWS = 4000;

/** @typedef {{leave: () => void, step: (by: 1|-1) => void, back: () => string, selected: (spanId: string) => void}} Hooks */

/** Where a trace is opened: at the step in which its failure began, else at its first. @param {any} wrong */
const opening = (wrong) => (wrong.fatal ? wrong.at : 0);

export class Explorer {
  /** @param {Hooks} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    this.traceId = "";
    this.query = "";
    /** @type {Set<string>} */
    this.kinds = new Set();
    /** @type {number[]|null} */
    this.found = null;
    this.tree = new Tree({ pick: (place) => this.select(place, { focus: true }), toggle: (place) => this.toggle(place), moved: () => this.modes() });
    this.tools = toolbar({
      find: (query) => this.filter(query, this.kinds),
      toggleKind: () => {},
      error: (step) => this.error(step),
      hit: (step) => this.hit(step),
      leave: () => this.focus(),
      zoom: (factor) => this.zoom(factor),
      fit: () => this.fit(),
      followMode: () => this.followMode(),
      fold: () => this.foldAll(),
    });
    this.pane = new Pane({ go: (spanId) => this.go(spanId) });
    this.head = h("section.sr-head", { "aria-label": "The trace in short" });
    this.said = h("div.sr-said", { "aria-live": "polite" });
    this.split = h("div.sr-panes");
    const left = h("section.sr-left", { "aria-label": "Spans" }, this.tools.root, this.tree.root);
    this.split.append(left, handle(this.split, () => this.tree.resized()), this.pane.root);
    this.root = h("div.sr-explorer", null, this.head, this.split, this.said);
    this.watcher = new ResizeObserver(() => this.tree.resized());
    this.watcher.observe(left);
  }

  /** @returns {m.Model} */
  get model() {
    return /** @type {import("./rows.js").View} */ (this.tree.view).model;
  }

  get selected() {
    return this.tree.view?.selected ?? -1;
  }

  /** Show a trace, or the same one anew with what came since. @param {any} payload @param {string} spanId */
  show(payload, spanId) {
    const model = m.build(payload.spans);
    const again = this.traceId === payload.trace.trace_id && this.tree.view !== null;
    const old = this.tree.view;
    const keptId = again && old ? old.model.id[old.selected] : spanId;
    this.traceId = payload.trace.trace_id;
    this.payload = payload;
    this.shownAt = performance.now();
    const folded = again && old ? new Set([...old.folded].map((place) => model.place.get(old.model.id[place]) ?? -1)) : m.firstFolds(model, OPEN_ROWS);
    const whole = !again || !old || old.window.to - old.window.from >= old.model.total * 0.999;
    this.tree.view = {
      model, folded, open: false, rows: [], hits: null, barWidth: 0, laneWidth: 0, selected: model.place.get(keptId) ?? (spanId ? 0 : opening(payload.story.wrong)),
      window: whole || !old ? { from: 0, to: model.total } : old.window,
    };
    if (!again) {
      this.tree.follow = m.wantsFollow(model);
      this.tree.scroller.scrollTop = 0;
      this.query = "";
      this.kinds.clear();
      /** @type {HTMLInputElement} */ (this.tools.input).value = "";
    }
    drawHead(this.head, payload, model, { go: (place) => this.select(place, { focus: true, centre: true }), step: (by) => this.hooks.step(by), back: this.hooks.back() });
    drawErrors(this.tools.errors, m.errorPlaces(model).length, (step) => this.error(step));
    this.tree.stale = true;
    this.refilter();
    this.modes();
    if (spanId && !model.place.has(spanId) && !again) this.say("That span is not in this trace; the first one is shown.");
    if (!again) this.select(this.selected, { centre: true });
    else this.pane.refresh(payload.trace.trace_id, model, this.selected);
    this.tree.draw();
    this.tree.resized();
    if (!again) requestAnimationFrame(() => this.settle());
  }

  /** What runs grows, also while nothing new was recorded. */
  grow() {
    const { view } = this.tree;
    if (!view || !this.payload) return;
    const { model } = view;
    const now = this.payload.spans.now + performance.now() - this.shownAt;
    const whole = view.window.from === 0 && view.window.to >= model.total;
    for (let i = 0; i < model.length; i++) if (model.flags[i] & m.RUNNING) model.end[i] = Math.max(now, model.start[i]);
    model.total = Math.max(model.total, now);
    if (whole) view.window = { from: 0, to: model.total };
    const total = this.head.querySelector(".sr-fact b");
    if (total) total.textContent = duration(model.total);
    this.tree.later();
  }

  /** Once the head has its height, the selected row is still in view. */
  settle() {
    const { view } = this.tree;
    if (!view || !this.root.isConnected) return;
    this.tree.stale = true;
    const index = this.indexOf(view.selected);
    if (index >= 0) this.tree.reveal(index, true);
    this.tree.draw();
  }

  /** @param {number} place @param {{focus?: boolean, centre?: boolean}} [how] */
  select(place, { focus = false, centre = false } = {}) {
    const { view } = this.tree;
    if (!view || place < 0 || place >= view.model.length) return;
    this.openTo(place);
    view.selected = place;
    const index = this.indexOf(place);
    if (index >= 0) this.tree.reveal(index, centre);
    this.tree.draw();
    if (focus) this.focus();
    this.pane.show(this.traceId, view.model, place, (this.payload?.trace ?? {}));
    this.hooks.selected(view.model.id[place]);
  }

  /** Select by id; a span outside the filter ends the filter. @param {string} spanId */
  go(spanId) {
    const place = this.model.place.get(spanId);
    if (place !== undefined) this.select(place, { centre: true, focus: true });
  }

  /** @param {number} place */
  openTo(place) {
    const { view } = this.tree;
    if (!view) return;
    let changed = false;
    if (this.found && this.indexOf(place) < 0) {
      this.query = "";
      this.kinds.clear();
      /** @type {HTMLInputElement} */ (this.tools.input).value = "";
      this.refilter();
    }
    for (const above of m.ancestors(view.model, place)) changed = view.folded.delete(above) || changed;
    if (changed) this.rebuild();
  }

  /** Rows are in reading order, so a place is found by halving. @param {number} place */
  indexOf(place) {
    const rows = this.tree.view?.rows ?? [];
    let low = 0;
    let high = rows.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (rows[middle] === place) return middle;
      if (rows[middle] < place) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** @param {number} by rows */
  move(by) {
    const rows = this.tree.view?.rows ?? [];
    if (!rows.length) return;
    const index = this.indexOf(this.selected);
    const next = index < 0 ? 0 : Math.min(Math.max(index + by, 0), rows.length - 1);
    this.select(rows[next], { focus: true });
  }

  /** @param {"first"|"last"} end */
  edge(end) {
    const rows = this.tree.view?.rows ?? [];
    if (rows.length) this.select(rows[end === "first" ? 0 : rows.length - 1], { focus: true });
  }

  inward() {
    const { view } = this.tree;
    if (!view || !view.model.size[view.selected]) return;
    if (view.folded.has(view.selected) && !view.open) this.toggle(view.selected);
    else this.move(1);
  }

  outward() {
    const { view } = this.tree;
    if (!view) return;
    const place = view.selected;
    if (view.model.size[place] && !view.folded.has(place) && !view.open) this.toggle(place);
    else if (view.model.parent[place] >= 0) this.select(view.model.parent[place], { focus: true });
  }

  /** @param {number} place */
  toggle(place) {
    const { view } = this.tree;
    if (!view || !view.model.size[place] || view.open) return;
    if (!view.folded.delete(place)) {
      view.folded.add(place);
      if (view.selected > place && view.selected <= place + view.model.size[place]) this.select(place);
    }
    this.rebuild();
    this.tree.draw();
  }

  /** @param {boolean} [fold] without it: unfold if anything is folded below the first level */
  foldAll(fold) {
    const { view } = this.tree;
    if (!view) return;
    const close = fold ?? view.folded.size === 0;
    view.folded.clear();
    if (close) for (let i = 0; i < view.model.length; i++) if (view.model.size[i] && view.model.depth[i] > 0) view.folded.add(i);
    if (close) {
      const above = m.ancestors(view.model, view.selected);
      const shown = above.length > 1 ? above[above.length - 2] : view.selected;
      if (shown !== view.selected) this.select(shown);
      for (let i = 0; i < view.model.length; i++) if (view.model.size[i] && view.model.depth[i] > 0) view.folded.add(i);
    }
    this.rebuild();
    this.tree.reveal(this.indexOf(this.selected), true);
    this.tree.draw();
  }

  /** @param {string} query @param {Set<string>} kinds */
  filter(query, kinds) {
    this.query = query;
    this.kinds = kinds;
    this.refilter();
    const { view } = this.tree;
    if (view && this.found?.length && !view.hits?.has(view.selected)) {
      const place = this.found[0];
      view.selected = place;
      this.tree.reveal(this.indexOf(place), true);
      this.pane.show(this.traceId, view.model, place, (this.payload?.trace ?? {}));
      this.hooks.selected(view.model.id[place]);
    }
    this.tree.draw();
  }

  refilter() {
    const { view } = this.tree;
    if (!view) return;
    this.found = m.matches(view.model, this.query, this.kinds);
    view.hits = this.found ? new Set(this.found) : null;
    view.open = this.found !== null;
    this.keep = this.found ? m.withAncestors(view.model, this.found) : null;
    this.rebuild();
    this.tools.hits.textContent = this.query ? (this.found?.length ? `${this.found.length}` : "none") : "";
    drawChips(this.tools.chips, view.model.kinds, this.kinds, (kind) => {
      const kinds = new Set(this.kinds);
      if (!kinds.delete(kind)) kinds.add(kind);
      this.filter(this.query, kinds);
    });
    this.tree.note.hidden = view.rows.length > 0;
    fill(this.tree.note, "No span matches. ", h("button.sr-link", { type: "button", click: () => this.filter("", new Set()) }, "Show all"));
  }

  rebuild() {
    const { view } = this.tree;
    if (view) view.rows = m.visible(view.model, view.folded, this.keep ?? null);
    this.tree.root.querySelector("[role=treegrid]")?.setAttribute("aria-rowcount", String((view?.rows.length ?? 0) + 1));
  }

  /** @param {1|-1} step */
  hit(step) {
    if (!this.found?.length) return;
    const at = this.found.indexOf(this.selected);
    this.select(this.found[(at + step + this.found.length) % this.found.length], { centre: true });
  }

  /** @param {1|-1} step */
  error(step) {
    const place = m.nextError(this.model, this.selected, step);
    if (place < 0) this.say("No errors in this trace");
    else this.select(place, { centre: true, focus: true });
  }

  /** @param {number} factor */
  zoom(factor) {
    const { view } = this.tree;
    if (!view) return;
    const { window, model, selected } = view;
    const middle = (window.from + window.to) / 2;
    const inside = model.start[selected] < window.to && model.end[selected] > window.from && model.end[selected] - model.start[selected] < window.to - window.from;
    this.tree.setWindow(zoom(window, factor, inside ? (model.start[selected] + model.end[selected]) / 2 : middle, model.total));
  }

  fit() {
    this.tree.setWindow({ from: 0, to: this.model.total });
  }

  zoomToSpan() {
    if (this.selected >= 0) this.tree.setWindow(spanWindow(this.model, this.selected));
  }

  followMode() {
    this.tree.follow = !this.tree.follow;
    if (!this.tree.follow && this.tree.view) this.tree.view.window = { from: 0, to: this.model.total };
    this.modes();
    this.tree.later();
  }

  modes() {
    const { view, follow } = this.tree;
    this.tools.followButton.setAttribute("aria-pressed", String(follow));
    const whole = !!view && !follow && view.window.to - view.window.from >= view.model.total * 0.999;
    this.tools.fitButton.setAttribute("aria-pressed", String(whole));
  }

  /** The selected row takes the keyboard; the container where the row is out of view. */
  focus() {
    const row = this.tree.rows.element(this.selected);
    (row ?? this.tree.scroller).focus({ preventScroll: true });
  }

  /** @param {string} text */
  say(text) {
    this.said.textContent = text;
    this.said.classList.add("sr-on");
    clearTimeout(this.saying);
    this.saying = window.setTimeout(() => this.said.classList.remove("sr-on"), 2600);
  }

  close() {
    this.watcher.disconnect();
    this.pane.close();
    cancelAnimationFrame(this.tree.frame);
  }
}

// The list page: figures, filters, rows, keys, and what is new, without losing the reader's place.
import { fill, h, icon, raiseCurtain, typing } from "../dom.js";
import { openHelp } from "../help.js";
import { Watch, get, trace } from "../net.js";
import { href, navigate, replace } from "../url.js";
import { filterBar, fromAddress, isAsking } from "./filters.js";
import { firstRun, noMatch } from "./first.js";
import { whereFound } from "./match.js";
import { kept, opened } from "./memory.js";
import { Pages } from "./pages.js";
import { drawNotices, drawSummary } from "./summary.js";
import { Table } from "./table.js";

/** @type {WeakMap<HTMLElement, () => void>} */
const mounted = new WeakMap();

/** @param {{parentElement: HTMLElement}} context @returns {() => void} */
export function mount({ parentElement }) {
  const stop = mounted.get(parentElement);
  if (stop) return stop;
  const page = new List(parentElement);
  const end = () => {
    mounted.delete(parentElement);
    page.close();
  };
  mounted.set(parentElement, end);
  return end;
}

class List {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.query = fromAddress(new URLSearchParams(location.search));
    this.pages = new Pages(
      async (offset, limit, signal) => {
        const answer = await get("/api/traces", { ...this.query, offset, limit }, signal);
        this.watch?.since(answer.token);
        return answer;
      },
      () => this.arrived(),
      (error) => this.failed(error),
    );
    const { pages } = this;
    const sought = () => this.query.q;
    this.table = new Table(
      { row: (i) => pages.row(i), want: (a, b) => pages.want(a, b), get total() { return pages.total; }, get sought() { return sought(); } },
      { open: (id, event) => this.open(id, event), picked: () => {}, near: (id) => this.near(id) },
    );
    this.filters = filterBar((query) => this.ask(query), () => this.toRows());
    this.summary = h("dl.sr-summary", { "data-testid": "summary", "aria-label": "The store in figures" });
    this.notices = h("div.sr-notices", { hidden: true });
    this.over = h("div.sr-over", { hidden: true });
    this.root = h("main.sr.sr-page.sr-traces", { "data-testid": "traces-page", "data-state": "loading" }, this.notices, this.summary, this.filters.root, this.table.root, this.over);
    host.append(this.root);
    this.filters.set(this.query);
    this.sized = new ResizeObserver(() => this.table.later());
    this.sized.observe(this.root);
    this.keys = (/** @type {KeyboardEvent} */ e) => this.key(e);
    window.addEventListener("keydown", this.keys, true);
    this.moved = () => this.address();
    window.addEventListener("popstate", this.moved);
    this.watch = new Watch(() => this.renew());
    document.title = "Traces \u00b7 spanreel";
    this.returning = kept.current !== "" && JSON.stringify(kept.query) === JSON.stringify(this.asked());
    this.table.selected = kept.current;
    this.pages.want(0, 0);
    this.figures();
  }

  /** The query without what is not asked. @returns {Record<string, string>} */
  asked() {
    return Object.fromEntries(Object.entries(this.query).filter(([, value]) => value));
  }

  address() {
    if (location.pathname !== "/") return;
    const query = fromAddress(new URLSearchParams(location.search));
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.filters.set(query);
    this.ask(query);
  }

  /** @param {import("./filters.js").Query} query */
  ask(query) {
    this.query = query;
    kept.query = this.asked();
    replace({ ...query }, 60);
    this.pages.reset();
    this.table.slowest = 1;
    this.table.scroller.scrollTop = 0;
    this.root.dataset.state = "loading";
    this.pages.want(0, 0);
  }

  arrived() {
    const { pages, table } = this;
    kept.query = this.asked();
    kept.ids = pages.ids();
    this.filters.found(pages.total, isAsking(this.query));
    this.root.dataset.state = "ready";
    raiseCurtain();
    const empty = pages.total === 0;
    this.over.hidden = !empty;
    table.root.hidden = empty;
    const first = empty && !isAsking(this.query);
    this.root.classList.toggle("sr-first-run", first);
    if (empty) fill(this.over, first ? firstRun(this.place ?? "", this.others) : noMatch(() => this.filters.clear()));
    table.draw();
    if (this.returning) {
      this.returning = false;
      table.scroller.scrollTop = kept.scroll;
      table.mark(true);
    }
  }

  /** @param {any} error */
  failed(error) {
    this.root.dataset.state = "failed";
    raiseCurtain();
    this.over.hidden = false;
    this.table.root.hidden = true;
    fill(this.over, h("div.sr-empty", { role: "alert" }, icon("alert"), h("h2", null, "The store could not be read"), h("p.sr-mono", null, error?.message ?? String(error)), h("p", null, error?.hint ?? "")));
    window.setTimeout(() => this.root.isConnected && this.root.dataset.state === "failed" && (this.pages.reset(), this.pages.want(0, 0)), 3000);
  }

  async figures() {
    try {
      const summary = await get("/api/summary", {});
      this.place = summary.store_path;
      this.others = summary.others ?? [];
      if (this.pages.total === 0) this.arrived();
      drawSummary(this.summary, summary);
      drawNotices(this.notices, summary.notices ?? []);
      this.filters.facets(summary.facets);
    } catch (error) {
      drawNotices(this.notices, [{ text: /** @type {Error} */ (error).message, level: "error" }]);
    }
  }

  /** Something changed: the rows in view are read again, and stay where they are. */
  async renew() {
    const { table, pages } = this;
    const { first, last } = table.view();
    try {
      const added = await pages.renew(first, Math.max(last, first));
      const scrolled = table.scroller.scrollTop > 4;
      this.arrived();
      if (added && scrolled) table.scroller.scrollTop += added * table.rowHeight;
      table.draw();
      this.figures();
    } catch {
      // The next change asks again.
    }
  }

  /** Bring a trace before it is asked for. @param {string} id */
  near(id) {
    clearTimeout(this.nearing);
    this.nearing = window.setTimeout(() => trace(id).catch(() => {}), 90);
  }

  /** @param {string} id @param {MouseEvent} [event] */
  open(id, event) {
    if (event && (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0)) return;
    if (getSelection()?.toString()) return;
    event?.preventDefault();
    trace(id).catch(() => {});
    this.table.selected = id;
    this.table.draw();
    opened(id);
    kept.scroll = this.table.scroller.scrollTop;
    const row = this.pages.row(this.pages.find(id));
    navigate(href("/trace", { trace: id, span: row ? whereFound(row, this.query.q).span : "" }));
  }

  toRows() {
    if (this.pages.find(this.table.selected) < 0) this.pick(0);
    else this.table.mark(true);
  }

  /** @param {number} index */
  pick(index) {
    const total = this.table.rows;
    if (!total) return;
    const at = Math.min(Math.max(index, 0), total - 1);
    const row = this.pages.row(at);
    this.table.reveal(at);
    if (!row) return this.table.draw();
    this.table.selected = row.trace_id;
    kept.current = row.trace_id;
    this.table.mark(true);
    this.near(row.trace_id);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    if (/** @type {HTMLElement} */ (event.target).closest?.(".sr-help, button, select") && event.key === "Enter") return;
    const at = this.pages.find(this.table.selected);
    /** @type {Record<string, () => void>} */
    const actions = {
      j: () => this.pick(at + 1), ArrowDown: () => this.pick(at + 1), k: () => this.pick(at - 1), ArrowUp: () => this.pick(at - 1),
      PageDown: () => this.pick(at + 20), PageUp: () => this.pick(at - 20), Home: () => this.pick(0), End: () => this.pick(this.table.rows - 1),
      Enter: () => (at >= 0 ? this.open(this.table.selected) : undefined), "/": () => this.filters.input.focus(), "?": () => openHelp(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  close() {
    kept.scroll = this.table.scroller.scrollTop || kept.scroll;
    this.watch.stop();
    this.pages.reset();
    this.sized.disconnect();
    window.removeEventListener("keydown", this.keys, true);
    window.removeEventListener("popstate", this.moved);
    this.root.remove();
  }
}

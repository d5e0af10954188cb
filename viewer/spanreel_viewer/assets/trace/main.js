// The trace page: which trace the address names, loading, states, live growth.
import { fill, h, icon, raiseCurtain } from "../dom.js";
import { Watch, get, trace } from "../net.js";
import { drop, href, navigate, param, replace } from "../url.js";
import * as memory from "../list/memory.js";
import { Explorer } from "./explorer.js";
import { bindKeys } from "./keys.js";

/** @type {WeakMap<HTMLElement, () => void>} */
const mounted = new WeakMap();

/** @param {{parentElement: HTMLElement}} context @returns {() => void} */
export function mount({ parentElement }) {
  const stop = mounted.get(parentElement);
  if (stop) return stop;
  const page = new Page(parentElement);
  const end = () => {
    mounted.delete(parentElement);
    page.close();
  };
  mounted.set(parentElement, end);
  return end;
}

class Page {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.root = h("main.sr.sr-page.sr-trace", { "data-testid": "trace-page", "data-state": "loading" });
    host.append(this.root);
    this.id = "";
    /** @type {Explorer|null} */
    this.explorer = null;
    /** @type {Watch|null} */
    this.watch = null;
    this.unbind = bindKeys(() => this.explorer);
    this.moved = () => this.arrived();
    window.addEventListener("popstate", this.moved);
    this.themed = () => this.explorer?.tree.resized();
    window.addEventListener("spanreel:theme", this.themed);
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.media.addEventListener("change", this.themed);
    this.open(param("trace"), param("span"));
  }

  arrived() {
    drop();
    if (location.pathname !== "/trace") return;
    const id = param("trace");
    if (id !== this.id) this.open(id, param("span"));
    else if (this.explorer && param("span")) this.explorer.go(param("span"));
  }

  /** @param {string} id @param {string} spanId */
  async open(id, spanId) {
    this.id = id;
    this.watch?.stop();
    clearInterval(this.growing);
    if (!id) return this.state("none", "No trace is named", "The address needs a trace: /trace?trace=ID. Choose one from the list.");
    const slow = window.setTimeout(() => this.loading(), this.explorer ? 250 : 0);
    try {
      const payload = await trace(id);
      clearTimeout(slow);
      if (this.id === id) this.show(payload, spanId);
    } catch (error) {
      clearTimeout(slow);
      if (this.id === id) this.failed(error, spanId);
    }
  }

  /** @param {any} payload @param {string} spanId */
  show(payload, spanId) {
    const began = performance.now();
    const full = payload.trace.trace_id;
    if (full !== this.id) replace({ trace: full }, 0);
    this.id = full;
    if (!this.explorer) {
      this.explorer = new Explorer({
        leave: () => navigate(memory.backTo()),
        back: () => memory.backTo(),
        step: (by) => this.step(by),
        selected: (span) => replace({ span }),
      });
      fill(this.root, this.explorer.root);
    } else if (!this.explorer.root.isConnected) fill(this.root, this.explorer.root);
    document.title = `${payload.trace.name || "trace"} \u00b7 spanreel`;
    this.explorer.show(payload, spanId);
    memory.opened(full);
    this.root.dataset.state = "ready";
    this.root.dataset.drawMs = (performance.now() - began).toFixed(1);
    raiseCurtain();
    this.grow(payload);
  }

  /** While spans run, look for more of them. @param {any} payload */
  grow(payload) {
    this.watch?.stop();
    clearInterval(this.growing);
    if (payload.trace.state !== "running") return;
    this.watch = new Watch(() => this.again());
    this.watch.token = payload.token ?? null;
    clearInterval(this.growing);
    this.growing = window.setInterval(() => this.explorer?.grow(), 1000);
  }

  async again() {
    const id = this.id;
    try {
      const payload = await trace(id, { fresh: true });
      if (this.id === id && this.explorer) this.show(payload, "");
    } catch {
      // The next look tells; what is on show stays.
    }
  }

  /** @param {1|-1} by */
  async step(by) {
    const id = await memory.neighbour(this.id, by, get);
    if (id) {
      // Leafing is not a journey: Back returns to the list from wherever it ended.
      drop();
      history.replaceState(history.state, "", href("/trace", { trace: id }));
      this.open(id, "");
    } else this.explorer?.say(by > 0 ? "This is the oldest trace of the list" : "This is the newest trace of the list");
  }

  loading() {
    this.root.dataset.state = "loading";
    if (this.explorer?.root.isConnected) return;
    fill(this.root, h("div.sr-skeleton", { "aria-label": "Loading the trace" }, h("div.sr-sk-head"), h("div.sr-sk-body")));
    raiseCurtain();
  }

  /** @param {any} error @param {string} spanId */
  failed(error, spanId) {
    if (error?.status === 404) return this.state("missing", "No such trace here", error.hint || "It may have been pruned, or it is in another store.", error.message);
    if (error?.status === 409) return this.state("ambiguous", "More than one trace begins like that", error.hint ?? "", error.message);
    const id = this.id;
    window.setTimeout(() => this.id === id && this.root.isConnected && this.root.dataset.state === "failed" && this.open(id, spanId), 3000);
    return this.state("failed", "The trace could not be read", error?.hint ?? "", error?.message ?? String(error));
  }

  /** @param {string} state @param {string} title @param {string} hint @param {string} [detail] */
  state(state, title, hint, detail) {
    this.root.dataset.state = state;
    this.explorer?.close();
    this.explorer = null;
    const back = memory.backTo();
    fill(this.root, h("div.sr-empty", { role: "status" }, icon("alert"), h("h2", null, title), detail ? h("p.sr-mono", null, detail) : null, h("p", null, hint), h("a.sr-button", { href: back, click: (/** @type {MouseEvent} */ e) => { e.preventDefault(); navigate(back); } }, "All traces")));
    raiseCurtain();
  }

  close() {
    this.watch?.stop();
    clearInterval(this.growing);
    this.unbind();
    window.removeEventListener("popstate", this.moved);
    window.removeEventListener("spanreel:theme", this.themed);
    this.media.removeEventListener("change", this.themed);
    this.explorer?.close();
    this.root.remove();
  }
}

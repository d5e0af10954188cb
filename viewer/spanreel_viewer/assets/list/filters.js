// Search, status, model and kind: what is asked stands in the address.
import { fill, h, icon } from "../dom.js";
import { count } from "../format.js";

const STATUSES = [["", "All"], ["error", "Failed"], ["ok", "Fine"], ["running", "Running"]];

/** @typedef {{q: string, status: string, model: string, kind: string}} Query */

/** @param {URLSearchParams} params @returns {Query} */
export function fromAddress(params) {
  const of = (/** @type {string} */ name) => params.get(name) ?? "";
  const status = STATUSES.some(([value]) => value === of("status")) ? of("status") : "";
  return { q: of("q"), status, model: of("model"), kind: of("kind") };
}

/** @param {Query} query */
export function isAsking(query) {
  return Boolean(query.q || query.status || query.model || query.kind);
}

/** @param {(query: Query) => void} changed @param {(where: "down"|"leave"|"open") => void} leave */
export function filterBar(changed, leave) {
  /** @type {Query} */
  let query = { q: "", status: "", model: "", kind: "" };
  let timer = 0;
  const put = (/** @type {Partial<Query>} */ part) => {
    query = { ...query, ...part };
    clearTimeout(timer);
    draw();
    changed(query);
  };
  const input = /** @type {HTMLInputElement} */ (h("input.sr-find-input", { type: "search", placeholder: "Search names, inputs and outputs", "aria-label": "Search traces", "data-testid": "trace-search", spellcheck: false, autocomplete: "off" }));
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => put({ q: input.value.trim() }), 140);
  });
  input.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      if (input.value) {
        input.value = "";
        put({ q: "" });
      } else leave("leave");
    } else if (e.key === "ArrowDown") leave("down");
    else if (e.key === "Enter") {
      put({ q: input.value.trim() });
      leave("down");
    } else return;
    e.preventDefault();
    e.stopPropagation();
  });
  const segments = h("div.sr-segments", { role: "group", "aria-label": "Status" }, STATUSES.map(([value, label]) =>
    h("button", { type: "button", "data-status": value, click: () => put({ status: value }) }, label)));
  const model = select("Any model", "Model", (value) => put({ model: value }));
  const kind = select("Any kind", "Holds a span of kind", (value) => put({ kind: value }));
  const found = h("span.sr-found", { "aria-live": "polite" });
  const clear = h("button.sr-button.sr-clear", { type: "button", hidden: true, click: () => put({ q: "", status: "", model: "", kind: "" }) }, icon("close"), "Clear");
  const root = h("div.sr-filters", { role: "search" }, h("label.sr-find", null, icon("search"), input, h("kbd.sr-hint", { "aria-hidden": "true" }, "/")), segments, model.root, kind.root, clear, found);

  function draw() {
    if (document.activeElement !== input || input.value.trim() !== query.q) input.value = query.q;
    for (const button of segments.children) button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.status === query.status));
    model.set(query.model);
    kind.set(query.kind);
    clear.hidden = !isAsking(query);
  }

  return {
    root,
    input,
    /** @param {Query} given */
    set(given) {
      query = given;
      input.value = given.q;
      draw();
    },
    /** @param {any} facets */
    facets(facets) {
      model.options(facets?.models ?? []);
      kind.options(facets?.kinds ?? []);
      draw();
    },
    /** @param {number} total @param {boolean} asking */
    found(total, asking) {
      found.textContent = total < 0 || !asking ? "" : `${count(total)} found`;
    },
    clear: () => put({ q: "", status: "", model: "", kind: "" }),
  };
}

/** @param {string} all @param {string} label @param {(value: string) => void} changed */
function select(all, label, changed) {
  const box = /** @type {HTMLSelectElement} */ (h("select.sr-select", { "aria-label": label, title: label }));
  /** @type {{value: string, count?: number}[]} */
  let list = [];
  box.addEventListener("change", () => changed(box.value));
  const fillBox = (/** @type {string} */ value) => {
    const known = list.some((item) => item.value === value) || !value ? list : [{ value }, ...list];
    fill(box, h("option", { value: "" }, all), known.map((item) => h("option", { value: item.value }, item.count == null ? item.value : `${item.value}  (${count(item.count)})`)));
    box.value = value;
    box.classList.toggle("sr-set", value !== "");
  };
  fillBox("");
  return {
    root: box,
    /** @param {string} value */
    set: (value) => (box.value === value && (!value || box.classList.contains("sr-set")) ? undefined : fillBox(value)),
    /** @param {{value: string, count?: number}[]} given */
    options: (given) => {
      if (JSON.stringify(given) === JSON.stringify(list)) return;
      list = given;
      fillBox(box.value);
    },
  };
}

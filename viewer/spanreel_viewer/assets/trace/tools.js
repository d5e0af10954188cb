// Above the tree: find, kinds, errors, zoom.
import { count } from "../format.js";
import { fill, h, icon, tile } from "../dom.js";

/**
 * @typedef {object} Hooks
 * @property {(query: string) => void} find
 * @property {(kind: string) => void} toggleKind
 * @property {(step: 1|-1) => void} error
 * @property {(step: 1|-1) => void} hit
 * @property {() => void} leave
 * @property {(factor: number) => void} zoom
 * @property {() => void} fit
 * @property {() => void} followMode
 * @property {(all: boolean) => void} fold
 */

/** @param {Hooks} hooks */
export function toolbar(hooks) {
  const input = /** @type {HTMLInputElement} */ (
    h("input.sr-find-input", { type: "search", placeholder: "Find a span", "aria-label": "Find a span by name, kind or error", spellcheck: false, autocomplete: "off" })
  );
  const hits = h("span.sr-hits", { "aria-live": "polite" });
  const hint = h("kbd.sr-hint", { "aria-hidden": "true" }, "/");
  const chips = h("div.sr-chips", { role: "group", "aria-label": "Kinds" });
  const errors = h("div.sr-errors");
  const followButton = button("Follow", "The time axis fits the rows in view (w)", hooks.followMode);
  const fitButton = button("Fit", "The whole trace (0)", hooks.fit);
  input.addEventListener("input", () => hooks.find(input.value));
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter") {
      e.preventDefault();
      hooks.hit(e.shiftKey ? -1 : 1);
    } else if (e.key === "Escape") {
      e.preventDefault();
      input.value = "";
      hooks.find("");
      hooks.leave();
    } else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      hooks.leave();
    } else return;
    e.stopPropagation();
  });
  const root = h(
    "div.sr-tools", null,
    h("label.sr-find", null, icon("search"), input, hits, hint),
    chips,
    errors,
    h("div.sr-zoom", null,
      h("button.sr-tool", { type: "button", title: "Fold all ([)", "aria-label": "Fold all", click: () => hooks.fold(true) }, icon("fold")),
      h("button.sr-tool", { type: "button", title: "Zoom out (\u2212)", "aria-label": "Zoom out", click: () => hooks.zoom(1.6) }, icon("minus")),
      h("button.sr-tool", { type: "button", title: "Zoom in (+)", "aria-label": "Zoom in", click: () => hooks.zoom(1 / 1.6) }, icon("plus")),
      fitButton,
      followButton,
    ),
  );
  return { root, input, hits, chips, errors, followButton, fitButton };
}

/** @param {string} text @param {string} title @param {() => void} click */
function button(text, title, click) {
  return h("button.sr-button", { type: "button", title, click }, text);
}

/** @param {HTMLElement} host @param {Map<string, number>} kinds @param {Set<string>} chosen @param {(kind: string) => void} toggle */
export function drawChips(host, kinds, chosen, toggle) {
  const order = [...kinds].sort((a, b) => b[1] - a[1]);
  fill(
    host,
    order.length < 2 ? null : order.map(([kind, n]) =>
      h("button.sr-chip", { type: "button", "aria-pressed": String(chosen.has(kind)), title: `Only ${kind}`, click: () => toggle(kind) }, tile(kind), h("span.sr-chip-name", null, kind), h("span.sr-chip-count", null, count(n))),
    ),
  );
}

/** @param {HTMLElement} host @param {number} n @param {(step: 1|-1) => void} go */
export function drawErrors(host, n, go) {
  fill(host, n === 0 ? null : h("button.sr-button.sr-error-button", { type: "button", title: "Next error (e), previous (E)", click: (/** @type {MouseEvent} */ e) => go(e.shiftKey ? -1 : 1) }, icon("alert"), n === 1 ? "1 error" : `${count(n)} errors`));
}

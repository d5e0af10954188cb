// One key set for the trace page. Keys are taken before Streamlit's own and never while the person types.
import { typing } from "../dom.js";
import { openHelp } from "../help.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** @type {Record<string, (explorer: Explorer) => void>} */
const ACTIONS = {
  ArrowDown: (x) => x.move(1),
  j: (x) => x.move(1),
  ArrowUp: (x) => x.move(-1),
  k: (x) => x.move(-1),
  PageDown: (x) => x.move(20),
  PageUp: (x) => x.move(-20),
  ArrowRight: (x) => x.inward(),
  l: (x) => x.inward(),
  ArrowLeft: (x) => x.outward(),
  h: (x) => x.outward(),
  Home: (x) => x.edge("first"),
  End: (x) => x.edge("last"),
  "/": (x) => x.tools.input.focus(),
  e: (x) => x.error(1),
  E: (x) => x.error(-1),
  f: (x) => x.zoomToSpan(),
  0: (x) => x.fit(),
  "+": (x) => x.zoom(1 / 1.6),
  "=": (x) => x.zoom(1 / 1.6),
  "-": (x) => x.zoom(1.6),
  w: (x) => x.followMode(),
  "[": (x) => x.foldAll(true),
  "]": (x) => x.foldAll(false),
  n: (x) => x.hooks.step(1),
  p: (x) => x.hooks.step(-1),
  "?": () => openHelp(),
  Escape: (x) => x.hooks.leave(),
};

const MOVES = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "PageDown", "PageUp", "Home", "End"]);

/** @param {() => Explorer|null} current @returns {() => void} stop listening */
export function bindKeys(current) {
  const down = (/** @type {KeyboardEvent} */ event) => {
    const explorer = current();
    const action = ACTIONS[event.key];
    if (!explorer || !action || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    const target = /** @type {HTMLElement} */ (event.target);
    // In the detail pane the arrows scroll the text; letters still move the selection.
    if (MOVES.has(event.key) && explorer.pane.root.contains(target)) return;
    if (target.closest?.(".sr-help")) return;
    event.preventDefault();
    event.stopPropagation();
    action(explorer);
  };
  window.addEventListener("keydown", down, true);
  return () => window.removeEventListener("keydown", down, true);
}

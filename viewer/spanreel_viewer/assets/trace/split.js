// The handle between tree and detail: dragged, or moved by the arrow keys; the share is kept.
import { h } from "../dom.js";

const KEY = "spanreel.split";

/** @param {HTMLElement} host the grid that holds both panes @param {() => void} changed @returns {HTMLElement} */
export function handle(host, changed) {
  let share = 0.56;
  try {
    share = Number(localStorage.getItem(KEY)) || share;
  } catch {
    // Not kept in a private window.
  }
  const bar = h("div.sr-split", { role: "separator", tabIndex: 0, "aria-label": "Width of the tree", "aria-valuemin": 20, "aria-valuemax": 80 });
  const upright = () => getComputedStyle(bar).cursor === "col-resize";
  const apply = (/** @type {number} */ value) => {
    share = Math.min(Math.max(value, 0.2), 0.8);
    host.style.setProperty("--share", String(share));
    bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    changed();
  };
  const keep = () => {
    try {
      localStorage.setItem(KEY, share.toFixed(3));
    } catch {
      // As above.
    }
  };
  bar.addEventListener("pointerdown", (e) => {
    e.preventDefault();
    bar.setPointerCapture(e.pointerId);
    host.classList.add("sr-dragging");
    const move = (/** @type {PointerEvent} */ m) => {
      const box = host.getBoundingClientRect();
      apply(upright() ? (m.clientX - box.left) / box.width : (m.clientY - box.top) / box.height);
    };
    const end = () => {
      bar.removeEventListener("pointermove", move);
      bar.removeEventListener("pointerup", end);
      bar.removeEventListener("pointercancel", end);
      host.classList.remove("sr-dragging");
      keep();
    };
    bar.addEventListener("pointermove", move);
    bar.addEventListener("pointerup", end);
    bar.addEventListener("pointercancel", end);
  });
  bar.addEventListener("dblclick", () => {
    apply(0.56);
    keep();
  });
  bar.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -0.02, ArrowUp: -0.02, ArrowRight: 0.02, ArrowDown: 0.02 }[e.key];
    if (step === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    apply(share + step);
    keep();
  });
  apply(share);
  return bar;
}

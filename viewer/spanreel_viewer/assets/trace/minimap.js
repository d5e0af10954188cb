// The whole trace in 34 pixels of height: a film strip. Each pixel column holds how many steps ran then, by kind;
// errors are a line on top whose strength is their number, so that a thousand of them still leave a picture.
import { ERROR, passedOn } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {{kinds: string[], counts: Float64Array[], errors: Float64Array, most: number, mostErrors: number}} Strip */

/** Count the steps (spans with nothing below) that run in each pixel column. Pure. @param {Model} model @param {number} width @returns {Strip} */
export function strip(model, width) {
  const kinds = [...model.kinds.keys()];
  const code = new Map(kinds.map((kind, i) => [kind, i]));
  const counts = kinds.map(() => new Float64Array(width + 1));
  const errors = new Float64Array(width);
  const scale = width / model.total;
  for (let i = 0; i < model.length; i++) {
    const from = Math.min(Math.floor(model.start[i] * scale), width - 1);
    const to = Math.min(Math.max(Math.ceil(model.end[i] * scale), from + 1), width);
    if (model.size[i] === 0) {
      const row = counts[/** @type {number} */ (code.get(model.kind[i]))];
      row[from] += 1;
      row[to] -= 1;
    }
    if (model.flags[i] & ERROR && !passedOn(model, i)) errors[Math.min(to, width) - 1] += 1;
  }
  let most = 0;
  const sums = new Float64Array(width);
  for (const row of counts) {
    for (let x = 1; x < width; x++) row[x] += row[x - 1];
    for (let x = 0; x < width; x++) sums[x] += row[x];
  }
  for (const sum of sums) if (sum > most) most = sum;
  let mostErrors = 0;
  for (const n of errors) if (n > mostErrors) mostErrors = n;
  return { kinds, counts, errors, most, mostErrors };
}

/** @param {HTMLCanvasElement} canvas @param {Strip} drawn @param {(kind: string) => string} colour @param {string} red */
export function paint(canvas, drawn, colour, red) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  if (!pen || !width) return;
  pen.scale(ratio, ratio);
  const top = drawn.mostErrors ? 6 : 2;
  const room = height - top - 2;
  const columns = drawn.errors.length;
  for (let x = 0; x < columns; x++) {
    let sum = 0;
    for (const row of drawn.counts) sum += row[x];
    if (sum > 0) {
      const tall = room * (0.55 + 0.45 * Math.sqrt(sum / drawn.most));
      let y = height - 1;
      drawn.kinds.forEach((kind, k) => {
        const part = (drawn.counts[k][x] / sum) * tall;
        if (part <= 0) return;
        pen.fillStyle = colour(kind);
        pen.fillRect(x, y - part, 1, part);
        y -= part;
      });
    }
    if (drawn.errors[x]) {
      pen.globalAlpha = 0.45 + 0.55 * (drawn.errors[x] / drawn.mostErrors);
      pen.fillStyle = red;
      pen.fillRect(x - 0.5, 1, 2, 4);
      pen.globalAlpha = 1;
    }
  }
}

/**
 * Dragging a window out of the strip, moving it, double click for everything.
 * @param {HTMLElement} area @param {{total: () => number, window: () => import("./time.js").Window, set: (window: import("./time.js").Window) => void, all: () => void}} hooks
 */
export function steer(area, hooks) {
  const at = (/** @type {PointerEvent} */ e) => {
    const box = area.getBoundingClientRect();
    return Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1) * hooks.total();
  };
  area.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    const begun = at(e);
    const held = hooks.window();
    const inside = begun > held.from && begun < held.to && held.to - held.from < hooks.total() * 0.95;
    area.setPointerCapture(e.pointerId);
    const move = (/** @type {PointerEvent} */ m) => {
      const now = at(m);
      if (inside) hooks.set({ from: held.from + now - begun, to: held.to + now - begun });
      else if (Math.abs(now - begun) > hooks.total() * 0.004) hooks.set({ from: Math.min(begun, now), to: Math.max(begun, now) });
    };
    const end = () => {
      area.removeEventListener("pointermove", move);
      area.removeEventListener("pointerup", end);
      area.removeEventListener("pointercancel", end);
    };
    area.addEventListener("pointermove", move);
    area.addEventListener("pointerup", end);
    area.addEventListener("pointercancel", end);
  });
  area.addEventListener("dblclick", () => hooks.all());
}

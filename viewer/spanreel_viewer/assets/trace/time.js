// The time axis: windows, ticks, places in pixels. Pure.

/** @typedef {{from: number, to: number}} Window milliseconds */
/** @typedef {import("./model.js").Model} Model */

/** The distance of ticks: 1, 2 or 5 times a power of ten below a minute, then minutes and hours. @param {number} span ms @param {number} most */
export function tickStep(span, most) {
  const rough = span / Math.max(most, 1);
  for (const long of [60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000]) {
    if (rough > 30_000 && rough <= long) return long;
  }
  if (rough > 86_400_000) return Math.ceil(rough / 86_400_000) * 86_400_000;
  if (rough > 10_000) return rough <= 20_000 ? 20_000 : 30_000;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-6)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= rough * 0.999999) return factor * power;
  return 10 * power;
}

/** @param {Window} window @param {number} width px @returns {{step: number, at: number[]}} */
export function ticks(window, width) {
  const step = tickStep(window.to - window.from, Math.floor(width / 74));
  const at = [];
  for (let n = Math.ceil(window.from / step - 1e-9); n * step <= window.to && at.length < 60; n++) at.push(n * step);
  return { step, at };
}

/** @param {Window} window @param {number} total @param {number} [least] ms @returns {Window} */
export function clamp(window, total, least = Math.max(total / 200_000, 0.001)) {
  const span = Math.min(Math.max(window.to - window.from, least), total);
  const from = Math.min(Math.max(window.from, 0), total - span);
  return { from, to: from + span };
}

/** @param {Window} window @param {number} factor below 1 is closer @param {number} around ms @param {number} total @returns {Window} */
export function zoom(window, factor, around, total) {
  return clamp({ from: around - (around - window.from) * factor, to: around + (window.to - around) * factor }, total);
}

/**
 * The window that shows the rows in view: what is spread out below a row counts by its own rows, not by the
 * long bar above them.
 * @param {Model} model @param {number[]} rows @param {number} first index into rows @param {number} last index into rows, inclusive @returns {Window}
 */
export function followWindow(model, rows, first, last) {
  let from = Infinity;
  let to = -Infinity;
  const take = (/** @type {number} */ i) => {
    if (model.start[i] < from) from = model.start[i];
    if (model.end[i] > to) to = model.end[i];
  };
  for (let r = first; r <= last && r < rows.length; r++) {
    const spread = r + 1 < rows.length && model.parent[rows[r + 1]] === rows[r];
    if (!spread) take(rows[r]);
  }
  if (from > to) for (let r = first; r <= last && r < rows.length; r++) take(rows[r]);
  if (from > to) return { from: 0, to: model.total };
  const pad = Math.max((to - from) * 0.03, model.total / 100_000);
  return clamp({ from: from - pad, to: to + pad * 3 }, model.total);
}

/** Around one span, with air. @param {Model} model @param {number} place @returns {Window} */
export function spanWindow(model, place) {
  const length = Math.max(model.end[place] - model.start[place], model.total / 50_000);
  return clamp({ from: model.start[place] - length * 0.15, to: model.start[place] + length * 1.35 }, model.total);
}

// A trace in the browser: parallel lists in reading order, and pure functions over them.

export const ERROR = 1;
export const RUNNING = 2;
export const INTERRUPTED = 4;
export const ABANDONED = 8;
export const MISSING_PARENT = 16;
export const FOREIGN_PARENT = 32;
export const RETRIED = 64;
export const DUPLICATE = 128;
export const UNPRICED = 256;
export const EARLY = 512;
export const TRUNCATED = 1024;

/**
 * @typedef {object} Model
 * @property {number} length
 * @property {string[]} id
 * @property {string[]} name
 * @property {string[]} kind
 * @property {number[]} start milliseconds after the start of the trace
 * @property {number[]} end a running span ends now
 * @property {(number|null)[]} first first token, milliseconds after the span's start
 * @property {(number|null)[]} input
 * @property {(number|null)[]} output
 * @property {(number|null)[]} cost
 * @property {number[]} flags
 * @property {Record<number, string>} error of the spans that failed
 * @property {number[]} depth
 * @property {number[]} parent
 * @property {number[]} size spans below
 * @property {number[]} wait milliseconds the trace waited for exactly this span
 * @property {number} total milliseconds
 * @property {number} t0 epoch milliseconds
 * @property {Map<string, number>} place id -> position
 * @property {Map<string, number>} kinds kind -> spans
 */

/** @param {any} table the `spans` part of /api/trace @returns {Model} */
export function build(table) {
  const c = table.columns;
  const kind = c.kind.map((/** @type {number} */ code) => table.kinds[code]);
  const end = c.end.map((/** @type {number|null} */ value, /** @type {number} */ i) => value ?? Math.max(table.now, c.start[i]));
  const kinds = new Map();
  for (const name of kind) kinds.set(name, (kinds.get(name) ?? 0) + 1);
  let total = 0;
  for (const value of end) if (value > total) total = value;
  return {
    ...c,
    error: table.errors,
    kind,
    end,
    kinds,
    length: c.id.length,
    name: c.name.map((/** @type {number} */ code) => table.names[code]),
    total: Math.max(total, 0.001),
    t0: table.t0_ms,
    place: new Map(c.id.map((/** @type {string} */ id, /** @type {number} */ i) => [id, i])),
  };
}

/**
 * Positions of the rows on show: what is folded hides what is below it, and a filter keeps matches and their ancestors.
 * @param {Model} model @param {Set<number>} folded @param {Uint8Array|null} keep @returns {number[]}
 */
export function visible(model, folded, keep) {
  const rows = [];
  for (let i = 0; i < model.length; ) {
    if (keep && !keep[i]) {
      i += model.size[i] + 1;
      continue;
    }
    rows.push(i);
    i += !keep && folded.has(i) ? model.size[i] + 1 : 1;
  }
  return rows;
}

/**
 * Spans that match: every word in the name, the kind or the error, and one of the chosen kinds.
 * @param {Model} model @param {string} query @param {Set<string>} kinds @returns {number[]|null} null where nothing is asked
 */
export function matches(model, query, kinds) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length && !kinds.size) return null;
  const found = [];
  for (let i = 0; i < model.length; i++) {
    if (kinds.size && !kinds.has(model.kind[i])) continue;
    if (words.length) {
      const text = `${model.name[i]} ${model.kind[i]} ${model.error[i] ?? ""} ${model.id[i]}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    found.push(i);
  }
  return found;
}

/** Matches and everything above them. @param {Model} model @param {number[]} found @returns {Uint8Array} */
export function withAncestors(model, found) {
  const keep = new Uint8Array(model.length);
  for (const place of found) for (let i = place; i >= 0 && !keep[i]; i = model.parent[i]) keep[i] = 1;
  return keep;
}

/** Above a span, nearest first. @param {Model} model @param {number} place @returns {number[]} */
export function ancestors(model, place) {
  const above = [];
  for (let i = model.parent[place]; i >= 0; i = model.parent[i]) above.push(i);
  return above;
}

/** The next span with an error of its own (not one that only passed it on), around the end. @param {Model} model @param {number} from @param {1|-1} step @returns {number} -1 where there is none */
export function nextError(model, from, step) {
  for (let n = 1; n <= model.length; n++) {
    const i = (((from + step * n) % model.length) + model.length) % model.length;
    if (model.flags[i] & ERROR && !passedOn(model, i)) return i;
  }
  return -1;
}

/** The error came from a span below. @param {Model} model @param {number} place */
export function passedOn(model, place) {
  for (let i = place + 1; i <= place + model.size[place]; i += model.size[i] + 1) if (model.flags[i] & ERROR) return true;
  return false;
}

/** @param {Model} model */
export function errorPlaces(model) {
  const places = [];
  for (let i = 0; i < model.length; i++) if (model.flags[i] & ERROR && !passedOn(model, i)) places.push(i);
  return places;
}

/** Long sequences are unreadable on one axis: the typical span would be a sliver. @param {Model} model */
export function wantsFollow(model) {
  if (model.length < 20) return false;
  const lengths = model.start.map((start, i) => model.end[i] - start).sort((a, b) => a - b);
  return lengths[lengths.length >> 1] < model.total / 120;
}

/** Where a huge trace starts folded, so that it opens as an overview. @param {Model} model @param {number} limit rows @returns {Set<number>} */
export function firstFolds(model, limit) {
  const folded = new Set();
  if (model.length <= limit) return folded;
  const atDepth = [];
  for (const depth of model.depth) atDepth[depth] = (atDepth[depth] ?? 0) + 1;
  let shown = 0;
  let deepest = 0;
  for (; deepest < atDepth.length; deepest++) {
    shown += atDepth[deepest];
    if (shown > limit && deepest > 1) break;
  }
  for (let i = 0; i < model.length; i++) if (model.size[i] && model.depth[i] >= deepest - 1) folded.add(i);
  return folded;
}

/** Errors below each folded row are told on it. @param {Model} model @param {number} place */
export function errorsBelow(model, place) {
  let n = 0;
  for (let i = place + 1; i <= place + model.size[place]; i++) if (model.flags[i] & ERROR && !passedOn(model, i)) n++;
  return n;
}

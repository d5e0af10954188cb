// How a value is written, once: the same rules as format.py (a test holds both to it).
// Every function is a function of the value alone, so one value never shows in two formats.

export const MISSING = "\u2013";

/** @param {number} value non-negative @param {number} digits */
function fixed(value, digits) {
  const scaled = Math.floor(value * 10 ** digits + 0.5);
  if (digits === 0) return String(scaled);
  const unit = 10 ** digits;
  const part = scaled % unit;
  return `${(scaled - part) / unit}.${String(part).padStart(digits, "0")}`;
}

/** @param {number} whole */
function grouped(whole) {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A whole number with thousands separators; from a million on `1.25M`. @param {number|null|undefined} value @returns {string} */
export function count(value) {
  if (value == null) return MISSING;
  if (value < 0) return "-" + count(-value);
  const whole = Math.floor(value + 0.5);
  if (whole < 1e6) return grouped(whole);
  if (whole < 1e9) return fixed(whole / 1e6, whole < 9_995_000 ? 2 : 1) + "M";
  return fixed(whole / 1e9, 2) + "B";
}

/** A length of time. @param {number|null|undefined} ms @returns {string} */
export function duration(ms) {
  if (ms == null) return MISSING;
  if (ms < 0) return "-" + duration(-ms);
  if (ms < 0.0005) return "0 ms";
  if (ms < 0.9995) return fixed(ms * 1000, 0) + " \u00b5s";
  if (ms < 9.95) return fixed(ms, 1) + " ms";
  if (ms < 999.5) return fixed(ms, 0) + " ms";
  if (ms < 9995) return fixed(ms / 1000, 2) + " s";
  if (ms < 59950) return fixed(ms / 1000, 1) + " s";
  return longDuration(Math.floor(ms / 1000 + 0.5));
}

/** @param {number} seconds */
function longDuration(seconds) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60 + 0.5);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  const hours = Math.floor(seconds / 3600 + 0.5);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** US dollars. @param {number|null|undefined} usd @returns {string} */
export function cost(usd) {
  if (usd == null) return MISSING;
  if (usd < 0) return "-" + cost(-usd);
  if (usd === 0) return "$0";
  if (usd < 0.00005) return "<$0.0001";
  if (usd < 0.09995) return "$" + fixed(usd, 4);
  if (usd < 999.995) return "$" + fixed(usd, 2);
  return "$" + grouped(Math.floor(usd + 0.5));
}

/** A cost of which some part is not known: never less than this. @param {number|null|undefined} usd @returns {string} */
export function costAtLeast(usd) {
  const text = cost(usd);
  return text.startsWith("<") || text === "$0" ? "> $0" : "\u2265 " + text;
}

/** A model's name without the date of its version. @param {string} name @returns {string} */
export function model(name) {
  return name.replace(/-20\d\d-?\d\d-?\d\d$/, "");
}

/** A share between 0 and 1. @param {number|null|undefined} share @returns {string} */
export function percent(share) {
  if (share == null) return MISSING;
  if (share === 0) return "0 %";
  if (share < 0.0005) return "<0.1 %";
  if (share < 0.0995) return fixed(share * 100, 1) + " %";
  return fixed(share * 100, 0) + " %";
}

/** Bytes in decimal units. @param {number|null|undefined} octets @returns {string} */
export function size(octets) {
  if (octets == null) return MISSING;
  if (octets < 999.5) return fixed(octets, 0) + " B";
  let value = octets;
  for (const unit of ["kB", "MB"]) {
    value /= 1000;
    if (value < 9.95) return `${fixed(value, 1)} ${unit}`;
    if (value < 999.5) return `${fixed(value, 0)} ${unit}`;
  }
  return fixed(value / 1000, 1) + " GB";
}

/** A relevance or evaluation score, three decimals at most. @param {number|null|undefined} value @returns {string} */
export function score(value) {
  if (value == null) return MISSING;
  if (value < 0) return "-" + score(-value);
  const text = fixed(value, 3);
  return text.replace(/0+$/, "").replace(/\.$/, "");
}

/** One kind of thing, counted: `1 span`, `12 spans`. @param {number} n @param {string} one @param {string} [many] */
export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : (many ?? one + "s")}`;
}

/** A tick of the time axis; `step` is the distance of ticks, a round number. @param {number} ms @param {number} step @returns {string} */
export function tick(ms, step) {
  if (ms === 0) return "0";
  if (step >= 60_000) return duration(ms);
  if (step >= 1000) return ms < 59_950 ? `${fixed(ms / 1000, 0)} s` : duration(ms);
  if (ms >= 1000) {
    const digits = step >= 100 ? 1 : step >= 10 ? 2 : 3;
    return `${fixed(ms / 1000, digits)} s`;
  }
  if (step >= 1) return `${fixed(ms, 0)} ms`;
  return step >= 0.1 ? `${fixed(ms, 1)} ms` : `${fixed(ms * 1000, 0)} \u00b5s`;
}

/** Wall clock, local: today `14:02:31`, else `24 Nov 14:02`. @param {number} epochMs @param {number} nowMs */
export function clock(epochMs, nowMs) {
  const at = new Date(epochMs);
  const now = new Date(nowMs);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return `${time}:${two(at.getSeconds())}`;
  const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][at.getMonth()];
  const year = at.getFullYear() === now.getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${month}${year} ${time}`;
}

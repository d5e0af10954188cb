// Building elements. What comes out of a trace reaches the page through textContent and attributes only.

/** @typedef {Node|string|number|null|undefined|false} Child */

/**
 * An element: `h("button.sr-chip", {title: "..."}, "text")`. Functions in `props` become listeners,
 * `data`-, `aria-` and `role` attributes, everything else properties.
 * @param {string} spec tag and classes @param {Record<string, any>|null} [props] @param {...(Child|Child[])} children
 * @returns {HTMLElement}
 */
export function h(spec, props, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else if (key.includes("-") || key === "role" || key === "for") node.setAttribute(key, String(value));
    else if (key === "style") node.style.cssText = value;
    else /** @type {any} */ (node)[key] = value;
  }
  add(node, children);
  return node;
}

/** @param {Element|DocumentFragment} node @param {(Child|Child[])[]} children */
export function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child != null && child !== false) node.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what an element holds. @param {Element} node @param {...(Child|Child[])} children */
export function fill(node, ...children) {
  node.textContent = "";
  add(node, children);
}

/** Write text only where it changed: rows are drawn again many times a second. @param {Node} node @param {string} text */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
/** Paths on a 16 x 16 grid, stroked. @type {Record<string, string>} */
const PATHS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.8 10.8 14 14",
  copy: "M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1",
  check: "M3 8.5 6.5 12 13 4.5",
  link: "M6.5 9.5 9.5 6.5M5 8 3.2 9.8a2.1 2.1 0 0 0 3 3L8 11M8 5l1.8-1.8a2.1 2.1 0 0 1 3 3L11 8",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  up: "M3 10l5-5 5 5",
  down: "M3 6l5 5 5-5",
  caret: "M6 4l4 4-4 4",
  alert: "M8 2 1.8 13.5h12.4ZM8 6.5v3.2M8 11.6v.2",
  close: "M4 4l8 8M12 4l-8 8",
  help: "M6 6.2A2 2 0 1 1 8.6 8c-.5.2-.6.5-.6 1v.4M8 11.6v.2M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Z",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  auto: "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM8 1.5v13",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  retry: "M13 3v3.5H9.5M12.7 6.3A5.2 5.2 0 1 0 13 9.5",
  fold: "M4 6l4 4 4-4",
  store: "M3 4.2C3 3 13 3 13 4.2v7.6C13 13 3 13 3 11.8ZM3 4.2c0 1.3 10 1.3 10 0M3 8c0 1.3 10 1.3 10 0",
};

/** @param {string} name @param {string} [extra] further classes @returns {SVGElement} */
export function icon(name, extra) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", extra ? `sr-icon ${extra}` : "sr-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? "");
  svg.append(path);
  return svg;
}

/** The letter tile of a kind. @param {string} kind */
export function tile(kind) {
  const letters = { agent: "A", llm: "L", tool: "T", retrieval: "R", chain: "C", embedding: "E", guardrail: "G", evaluator: "V", rerank: "K", memory: "M", span: "S" };
  const known = kind in letters ? kind : "span";
  return h("span.sr-tile", { title: kind, style: `background:var(--sr-kind-${known});color:var(--sr-ink-${known})`, "aria-hidden": "true" }, letters[/** @type {keyof typeof letters} */ (known)]);
}

/** A button that copies a text and says so. @param {() => string} text @param {string} label */
export function copyButton(text, label) {
  const button = h("button.sr-copy", { type: "button", title: label, "aria-label": label }, icon("copy"));
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copy(text());
    fill(button, icon(done ? "check" : "close"));
    button.classList.toggle("sr-done", done);
    setTimeout(() => {
      fill(button, icon("copy"));
      button.classList.remove("sr-done");
    }, 1200);
  });
  return button;
}

/** @param {string} text @returns {Promise<boolean>} */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** True while the person types, so that single keys are text. @param {Event} event */
export function typing(event) {
  const node = /** @type {HTMLElement|null} */ (event.composedPath()[0] ?? null);
  return !!node && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName ?? ""));
}

/** Take the first picture away: the application is there. */
export function raiseCurtain() {
  document.getElementById("sr-curtain")?.remove();
}

// The bar over every page: name, pages, the store that is looked at, theme, help.
import { fill, h, icon } from "./dom.js";
import { openHelp } from "./help.js";
import { follow } from "./url.js";

/** @typedef {{label: string, path: string}} Page */

/** @param {{parentElement: HTMLElement, data: {pages: Page[], store: string, store_path: string}}} context */
export function mount({ parentElement, data }) {
  let bar = /** @type {HTMLElement|null} */ (parentElement.querySelector(".sr-bar"));
  if (!bar) {
    bar = h("header.sr-bar.sr", { role: "banner" });
    parentElement.append(bar);
  }
  const here = location.pathname;
  fill(
    bar,
    h("a.sr-brand", { href: "/", "aria-label": "spanreel, all traces", click: (/** @type {MouseEvent} */ e) => follow(e, "/") }, logo(), "spanreel"),
    h(
      "nav.sr-pages",
      { "aria-label": "Pages" },
      data.pages.map((page) =>
        h("a", { href: page.path, "aria-current": page.path === here ? "page" : null, click: (/** @type {MouseEvent} */ e) => follow(e, page.path) }, page.label),
      ),
    ),
    h("div.sr-bar-space"),
    h("span.sr-store", { title: data.store_path }, icon("store"), h("span", null, data.store)),
    themeButton(),
    h("button.sr-tool", { type: "button", title: "Keys (?)", "aria-label": "Show the keys", click: () => openHelp() }, icon("help")),
  );
}

function logo() {
  const mark = h("img.sr-logo", { src: "/assets/icon.svg", alt: "", width: 18, height: 18 });
  return mark;
}

const MODES = /** @type {const} */ (["auto", "light", "dark"]);
const PICTURE = { auto: "auto", light: "sun", dark: "moon" };
const SAYS = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function themeButton() {
  const root = document.documentElement;
  const now = () => /** @type {typeof MODES[number]} */ (root.dataset.theme ?? "auto");
  const button = h("button.sr-tool", { type: "button" });
  const draw = () => {
    fill(button, icon(PICTURE[now()]));
    button.title = SAYS[now()];
    button.setAttribute("aria-label", SAYS[now()]);
  };
  button.addEventListener("click", () => {
    const next = MODES[(MODES.indexOf(now()) + 1) % MODES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("spanreel.theme", next);
    } catch {
      // Not kept then; the choice holds for this page.
    }
    dispatchEvent(new CustomEvent("spanreel:theme"));
    draw();
  });
  draw();
  return button;
}

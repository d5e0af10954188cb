// The keys, in one place: what the help shows is what is bound.
import { h, icon } from "./dom.js";

/** @type {[string, [string, string][]][]} */
export const KEYS = [
  ["Traces", [["j k  \u2193 \u2191", "next, previous trace"], ["Enter", "open it"], ["/", "search"], ["Home End", "newest, oldest"], ["Esc", "leave the search"]]],
  ["Trace", [
    ["j k  \u2193 \u2191", "next, previous span"],
    ["l h  \u2192 \u2190", "open or go in, close or go out"],
    ["Home End", "first, last span"],
    ["/", "find a span"],
    ["Enter", "next match while finding"],
    ["e  E", "next, previous error"],
    ["f", "zoom to the span"],
    ["0", "the whole trace"],
    ["+ \u2212", "zoom in, out"],
    ["w", "follow: the time axis fits the rows in view"],
    ["[ ]", "fold all, unfold all"],
    ["n p", "next, previous trace"],
    ["Esc", "back to the list"],
  ]],
];

/** Open the sheet of keys; Esc, ? or a click beside it closes it. */
export function openHelp() {
  const open = document.querySelector(".sr-help");
  if (open) {
    open.remove();
    return;
  }
  const before = /** @type {HTMLElement|null} */ (document.activeElement);
  const close = () => {
    sheet.remove();
    before?.focus?.({ preventScroll: true });
  };
  const shut = h("button.sr-tool", { type: "button", "aria-label": "Close", click: close }, icon("close"));
  const sheet = h(
    "div.sr-help.sr",
    {
      role: "dialog", "aria-modal": "true", "aria-label": "Keys",
      click: (/** @type {Event} */ e) => e.target === sheet && close(),
      keydown: (/** @type {KeyboardEvent} */ e) => {
        e.stopPropagation();
        if (e.key === "Escape" || e.key === "?") close();
        if (e.key === "Tab") {
          e.preventDefault();
          shut.focus();
        }
      },
    },
    h(
      "div.sr-help-card", null,
      h("div.sr-help-head", null, h("h2", null, "Keys"), shut),
      h("div.sr-help-columns", null, KEYS.map(([title, keys]) =>
        h("section", null, h("h3", null, title), h("dl", null, keys.map(([key, what]) => [
          h("dt", null, key.split(/\s+/).map((k) => h("kbd", null, k))),
          h("dd", null, what),
        ]))),
      )),
    ),
  );
  document.body.append(sheet);
  shut.focus();
}

// An empty store teaches: three lines of code, or the demo, and the page waits for the first span.
import { copyButton, h, icon } from "../dom.js";

const CODE = "import spanreel\n\n@spanreel.trace\ndef answer(question: str) -> str: ...";
const DEMO = "spanreel demo";

/** @param {string} store @param {string[]} [others] paths of stores that hold something */
export function firstRun(store, others = []) {
  return h("div.sr-first", { "data-testid": "first-run" },
    h("h2", null, "Nothing recorded yet"),
    h("p", null, "Put one line above a function that calls a model. Its model calls, retrievals and tools are recorded from then on, whichever client they use."),
    h("div.sr-code", null, h("pre", null, CODE), copyButton(() => CODE, "Copy the code")),
    h("p", null, "Run your program, and its trace shows here within a second. No program at hand? This records one:"),
    h("div.sr-code", null, h("pre", null, DEMO), copyButton(() => DEMO, "Copy the command")),
    h("p.sr-waiting-line", { role: "status" }, h("i.sr-pulse"), "Waiting for the first span in ", h("code", null, store || "this store")),
    others.length ? h("div.sr-others", null, h("p", null, "Other stores of yours that hold traces:"), others.map((path) => {
      const command = `spanreel view --store ${/[^\w./-]/.test(path) ? `'${path.replaceAll("'", "'\\''")}'` : path}`;
      return h("div.sr-code", null, h("pre", null, command), copyButton(() => command, "Copy the command"));
    })) : null);
}

/** @param {() => void} clear */
export function noMatch(clear) {
  return h("div.sr-empty", { role: "status", "data-testid": "no-match" }, icon("search"), h("h2", null, "No trace matches"), h("p", null, "Fewer words or another filter may find it."), h("button.sr-button", { type: "button", click: clear }, "Show all traces"));
}

// Retrieved documents in their order, with scores as numbers and as length.
import { copyButton, h } from "../dom.js";
import { score } from "../format.js";
import { jsonTree, parse } from "./json.js";
import { disclosure, textBlock } from "./text.js";

/** @typedef {{rank: number, id: string|null, score: number|null, content: string|null, metadata: string|null}} Document */

/** @param {Document[]} list @returns {HTMLElement} */
export function documents(list) {
  const scores = list.map((d) => d.score).filter((s) => typeof s === "number");
  const most = Math.max(...scores, 0);
  return h("ol.sr-docs", null, list.map((doc, i) => {
    const share = doc.score != null && most > 0 ? Math.max(doc.score / most, 0) : 0;
    const meta = parse(doc.metadata);
    const filled = meta.ok && meta.value && typeof meta.value === "object" && Object.keys(meta.value).length > 0;
    return h("li.sr-doc", null,
      h("div.sr-doc-head", null, h("span.sr-doc-rank", null, String((doc.rank ?? i) + (list[0]?.rank === 0 ? 1 : 0))), h("span.sr-doc-id", { title: doc.id ?? "" }, doc.id ?? "document"),
        doc.score == null ? null : [h("span.sr-meter", { "aria-hidden": "true" }, h("i", { style: `width:${(share * 100).toFixed(1)}%` })), h("span.sr-doc-score", { title: "score" }, score(doc.score))],
        doc.content ? copyButton(() => doc.content ?? "", "Copy the document") : null),
      doc.content == null ? h("p.sr-quiet", null, "content not recorded") : textBlock(doc.content, { lines: 4, chars: 420 }),
      filled ? disclosure("metadata", () => jsonTree(meta.value, { open: 2 })) : null);
  }));
}

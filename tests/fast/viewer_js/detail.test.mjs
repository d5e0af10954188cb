import assert from "node:assert/strict";
import { test } from "node:test";
import { foldedRange, isConversation, loose, messages, paired } from "../../../viewer/spanreel_viewer/assets/detail/messages.js";
import { base64 } from "../../../viewer/spanreel_viewer/assets/detail/text.js";
import { Exact, parse, stringify } from "../../../viewer/spanreel_viewer/assets/detail/json.js";
import { parts } from "../../../viewer/spanreel_viewer/assets/detail/usage.js";
import { fromAddress, isAsking } from "../../../viewer/spanreel_viewer/assets/list/filters.js";
import { nearMatch, pieces, whereFound } from "../../../viewer/spanreel_viewer/assets/list/match.js";
import { Pages } from "../../../viewer/spanreel_viewer/assets/list/pages.js";

test("the convention's and a provider's messages become one shape", () => {
  const ours = [{ role: "assistant", parts: [{ type: "text", content: "hi" }, { type: "tool_call", id: "1", name: "f", arguments: { a: 1 } }] }];
  const theirs = [{ role: "assistant", content: "hi", tool_calls: [{ id: "1", function: { name: "f", arguments: '{"a":1}' } }] }];
  assert.deepEqual(messages(ours)[0].parts, messages(theirs)[0].parts);
  assert.equal(isConversation([{ role: "user" }]), true);
  for (const not of [null, [], "x", [{ a: 1 }], { role: "user" }]) assert.equal(isConversation(not), false);
  assert.deepEqual(loose('[1, 2'), "[1, 2");
});

test("results stand beside their calls, and unknown results stay", () => {
  const list = paired(messages([
    { role: "assistant", parts: [{ type: "tool_call", id: "1", name: "f", arguments: {} }] },
    { role: "tool", parts: [{ type: "tool_call_response", id: "1", response: { ok: true } }] },
    { role: "tool", tool_call_id: "9", content: "late" },
  ]));
  assert.equal(list.length, 2);
  assert.deepEqual(list[0].parts[0].result, { ok: true });
  assert.equal(list[1].parts[0].type, "result");
});

test("history folds up to what the user said last", () => {
  const part = (type) => ({ type, text: "", result: "" });
  const talk = (...roles) => roles.map((role) => ({ role, name: "", parts: [part(role === "result" ? "result" : "text")], finish: "" }));
  assert.equal(foldedRange(talk("system", "user")), null);
  assert.equal(foldedRange(talk("system", "user", "assistant", "tool")), null);
  assert.deepEqual(foldedRange(talk("system", "user", "assistant", "user")), { from: 1, to: 3 });
  assert.deepEqual(foldedRange(talk("user", "assistant", "user", "assistant", "tool")), { from: 0, to: 2 });
  const results = talk("user", "assistant", "assistant").concat([{ role: "user", name: "", parts: [part("result")], finish: "" }]);
  assert.equal(foldedRange(results), null, "a tool's result in the user's name is not the user");
  assert.deepEqual(foldedRange(talk(...Array(9).fill("assistant"))), { from: 0, to: 5 });
});

test("base64 is told from words", () => {
  const png = "iVBORw0KGgo" + "Ab1/".repeat(100);
  assert.equal(base64(png)?.mime, "image/png");
  assert.equal(base64(`data:audio/wav;base64,${"QUJD".repeat(80)}`)?.mime, "audio/wav");
  assert.equal(base64("words ".repeat(100)), null);
  assert.equal(base64("a".repeat(500)), null);
  assert.equal(base64("short"), null);
});

test("numbers keep their digits", () => {
  const { value } = parse('{"id": 12345678901234567890, "x": 1.5}');
  if (!(value.id instanceof Exact)) return; // An engine without source text access shows the nearest double.
  assert.match(stringify(value), /"id": 12345678901234567890/);
  assert.equal(parse("not json").ok, false);
  assert.equal(parse(null).ok, false);
});

test("parts of usage are disjoint and add up", () => {
  const sum = (span) => parts(span).reduce((n, part) => n + part.tokens, 0);
  assert.equal(sum({ input_tokens: 100, output_tokens: 50, cache_read_tokens: 80, cache_write_tokens: 30, reasoning_tokens: 20 }), 150);
  assert.equal(sum({ input_tokens: 10, output_tokens: null, cache_read_tokens: 99 }), 10);
  assert.deepEqual(parts({}), []);
});

test("filters come from the address, nonsense is dropped", () => {
  const query = fromAddress(new URLSearchParams("q=x&status=banana&model=m"));
  assert.deepEqual(query, { q: "x", status: "", model: "m", kind: "" });
  assert.equal(isAsking(query), true);
  assert.equal(isAsking(fromAddress(new URLSearchParams(""))), false);
});

test("pages are fetched once, as they are wanted, and renewed in place", async () => {
  const asked = [];
  let total = 450;
  const pages = new Pages(async (offset, limit) => {
    asked.push(offset);
    return { rows: Array.from({ length: Math.min(limit, total - offset) }, (_, i) => ({ trace_id: `t${offset + i}` })), total };
  }, () => {}, assert.fail);
  pages.want(0, 30);
  pages.want(0, 30);
  await new Promise((done) => setTimeout(done));
  assert.deepEqual(asked, [0]);
  assert.equal(pages.row(7).trace_id, "t7");
  assert.equal(pages.row(150), undefined);
  pages.want(140, 210);
  await new Promise((done) => setTimeout(done));
  assert.deepEqual(asked, [0, 100, 200]);
  assert.equal(pages.find("t205"), 205);
  total = 453;
  assert.equal(await pages.renew(140, 160), 3);
  assert.equal(pages.find("t205"), -1, "a page out of view is forgotten");
});

test("matches are told apart whatever their case", () => {
  assert.deepEqual(pieces("Refund, refund!", "REFUND"), ["", "Refund", ", ", "refund", "!"]);
  assert.deepEqual(pieces("nothing", "x"), ["nothing"]);
  assert.deepEqual(pieces("any", ""), ["any"]);
  assert.deepEqual(pieces("\u0130x", "x"), ["\u0130x"], "lower case that is longer tells no place");
  assert.equal(nearMatch("a".repeat(40) + "hit", "hit"), "\u2026" + "a".repeat(16) + "hit");
  assert.equal(nearMatch("hit at once", "hit"), "hit at once");
});

test("a match leads to its span where the row does not show it", () => {
  const row = { name: "desk", input_preview: "Where is it?", output_preview: "There", status: "ok", root_span_id: "r", match: { span_id: "s", name: "tool", text: "the parcel" } };
  assert.deepEqual(whereFound(row, "parcel"), { span: "s", hidden: { name: "tool", text: "the parcel" } });
  assert.deepEqual(whereFound(row, "where"), { span: "", hidden: null }, "the row shows it");
  assert.deepEqual(whereFound(row, ""), { span: "", hidden: null });
  const failed = { ...row, status: "error", worst_error: "Boom: parcel lost", error_span_id: "e" };
  assert.deepEqual(whereFound(failed, "parcel"), { span: "e", hidden: null });
  assert.deepEqual(whereFound({ ...failed, status: "ok" }, "parcel"), { span: "e", hidden: { name: "", text: "Boom: parcel lost" } });
  assert.equal(whereFound({ ...row, match: { ...row.match, span_id: "r" } }, "parcel").span, "");
});

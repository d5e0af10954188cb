import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "../../../viewer/spanreel_viewer/assets/trace/model.js";
import { clamp, followWindow, spanWindow, tickStep, ticks, zoom } from "../../../viewer/spanreel_viewer/assets/trace/time.js";
import { strip } from "../../../viewer/spanreel_viewer/assets/trace/minimap.js";

/** root(0) > a(1) > b(2), c(3, error); d(4) */
function small() {
  return m.build({
    t0_ms: 0, now: 100, names: ["root", "a", "b", "c", "d"], kinds: ["chain", "llm"], errors: { 3: "Boom: x" },
    columns: {
      id: ["i0", "i1", "i2", "i3", "i4"], name: [0, 1, 2, 3, 4], kind: [0, 0, 1, 1, 1], start: [0, 0, 0, 20, 60], end: [90, 50, 20, 50, null],
      first: [null, null, 5, null, null], input: [null, null, 1, 2, 3], output: [null, null, 1, 2, 3], cost: [null, null, 0.1, null, null],
      flags: [0, m.ERROR, 0, m.ERROR, m.RUNNING], depth: [0, 1, 2, 2, 1], parent: [-1, 0, 1, 1, 0], size: [4, 2, 0, 0, 0], wait: [0, 0, 20, 30, 40],
    },
  });
}

test("a running span ends now and stretches the trace", () => {
  const model = small();
  assert.equal(model.end[4], 100);
  assert.equal(model.total, 100);
});

test("folding hides what is below, a filter keeps ancestors", () => {
  const model = small();
  assert.deepEqual(m.visible(model, new Set(), null), [0, 1, 2, 3, 4]);
  assert.deepEqual(m.visible(model, new Set([1]), null), [0, 1, 4]);
  assert.deepEqual(m.visible(model, new Set([0]), null), [0]);
  const found = m.matches(model, "c", new Set());
  assert.deepEqual(found, [0, 1, 3], "chain is a kind and c a name");
  assert.deepEqual(m.matches(model, "boom", new Set(["llm"])), [3]);
  assert.deepEqual(m.visible(model, new Set([0]), m.withAncestors(model, [3])), [0, 1, 3], "folds do not hide matches");
  assert.equal(m.matches(model, "", new Set()), null);
});

test("errors are found where they began", () => {
  const model = small();
  assert.deepEqual(m.errorPlaces(model), [3]);
  assert.equal(m.passedOn(model, 1), true);
  assert.equal(m.nextError(model, 4, 1), 3);
  assert.equal(m.nextError(model, 3, -1), 3);
  assert.equal(m.errorsBelow(model, 0), 1);
  assert.deepEqual(m.ancestors(model, 3), [1, 0]);
});

test("a large trace opens folded, a small one whole", () => {
  const model = small();
  assert.equal(m.firstFolds(model, 10).size, 0);
  const wide = { ...model, length: 5 };
  assert.ok(m.visible(wide, m.firstFolds(wide, 3), null).length <= 5);
});

test("ticks are round, within the window and not too many", () => {
  for (const span of [0.004, 0.7, 3, 12, 99, 450, 1234, 9000, 59000, 61000, 448000, 4.4e6, 9e7, 1e9]) {
    for (const width of [120, 400, 900]) {
      const window = { from: span / 3, to: span / 3 + span };
      const { step, at } = ticks(window, width);
      assert.ok(step > 0 && at.length <= 60, `${span} ${width}`);
      assert.ok(at.every((t) => t >= window.from - step * 1e-6 && t <= window.to), `${span}`);
      assert.ok(at.length <= Math.floor(width / 74) + 2, `${span} ${width} ${at.length}`);
    }
  }
  assert.equal(tickStep(1000, 5), 200);
  assert.equal(tickStep(1000, 4), 500);
  assert.equal(tickStep(600_000, 5), 120_000);
});

test("windows stay inside the trace", () => {
  const total = 1000;
  for (const [from, to] of [[-50, 20], [900, 1500], [0, 5000], [10, 10]]) {
    const window = clamp({ from, to }, total);
    assert.ok(window.from >= 0 && window.to <= total && window.to > window.from);
  }
  const closer = zoom({ from: 0, to: 1000 }, 0.5, 500, total);
  assert.deepEqual(closer, { from: 250, to: 750 });
});

test("following fits the rows in view, not the long bar above them", () => {
  const model = small();
  const window = followWindow(model, [0, 1, 2, 3, 4], 0, 2);
  assert.ok(window.from <= 0.01 && window.to < 40, JSON.stringify(window));
  const one = spanWindow(model, 3);
  assert.ok(one.from < 20 && one.to > 50);
});

test("the strip counts steps per pixel column and errors once", () => {
  const model = small();
  const drawn = strip(model, 50);
  const sum = (x) => drawn.counts.reduce((n, row) => n + row[x], 0);
  assert.equal(sum(5), 1);
  assert.equal(sum(27), 0, "nothing ran between 50 and 60 ms");
  assert.equal(sum(40), 1);
  assert.equal(drawn.errors.reduce((a, b) => a + b, 0), 1);
});

"""50,000 spans without a pause: what is lost, and by how much the process grows."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from bench import child
from bench.corpus import Text, cached
from bench.report import Measured, Plan

MUST_MB = 20.0
SPANS = 50_000
BODY = 1_000
_RSS, _PEAK = "VmRSS", "VmHWM"


def _memory(key: str) -> float:
    """Return a figure of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def main(corpus: str, store: str, size: str, count: str) -> None:
    """Record spans with `size` characters each way; answer peak minus start of the resident set, in MB."""
    import spanreel

    spanreel.configure(store=store, keeper="off")

    @spanreel.trace
    def call(prompt: str) -> str:
        return answers(prompt)

    body = int(size)
    text = Text(corpus)
    half = body // 2

    def answers(prompt: str) -> str:
        return text.take(half) if half else prompt

    for _ in range(50):
        call(text.take(half))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _memory(_RSS)
    for i in range(int(count)):
        call(text.take(half) if half else str(i))
    child.answer(_memory(_PEAK) - before)


def burst(plan: Plan) -> Measured:
    """Tiny bodies as in the peers' harness, and 1 kB of natural text."""
    from spanreel_exporters.duckdb.ingest import catch_up
    from spanreel_exporters.duckdb.reader import DuckReader

    count = plan.pick(SPANS, 5_000)
    corpus = cached(plan.scratch)
    lost, grown = {}, {}
    for size in (0, BODY):
        with child.scratch(plan.scratch, "burst") as folder:
            store = folder / "store"
            grown[size] = child.run("burst", corpus, store, size, count)
            catch_up(store, timeout=300)
            with DuckReader(store) as reader:
                row = reader.connection.execute("SELECT count(*) FROM spans WHERE state = 'ended'").fetchone()
            lost[size] = count + 50 - (int(row[0]) if row else 0)
    return Measured(
        f"{sum(lost.values())} lost; RSS +{grown[0]:.1f} MB (tiny), +{grown[BODY]:.1f} MB (1 kB)",
        not any(lost.values()) and max(grown.values()) <= MUST_MB,
        f"2 x {count} spans",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

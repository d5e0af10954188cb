"""What a span takes on disk once it is in the database."""

from __future__ import annotations

from pathlib import Path

from bench import child, workload
from bench.corpus import cached
from bench.report import Measured, Plan

MUST_PLAIN, MUST_WIRE = 400.0, 600.0
SPANS = 50_000
BODY = 1_000


def _bytes(store: Path) -> tuple[float, float]:
    """Take all in; return the bytes on disk then, and after what the keeper does to a store that is quiet."""
    from spanreel_exporters.duckdb import keeper
    from spanreel_exporters.duckdb.ingest import catch_up

    catch_up(store, timeout=600)
    keeper.settle(store)
    taken_in = _on_disk(store)
    keeper.pack(store)
    return taken_in, _on_disk(store)


def _on_disk(store: Path) -> float:
    return float(
        sum(path.stat().st_size for path in store.iterdir() if path.name.startswith("traces.duckdb"))
    )


def size(plan: Plan) -> Measured:
    """1 kB of natural text a span: told by API, and with the wire bytes of every LLM call kept."""
    spans = plan.pick(SPANS, 5_000)
    corpus = cached(plan.scratch)
    found: dict[str, float] = {}
    notes = []
    for shape in ("api", "wire", "wire-only"):
        with child.scratch(plan.scratch, "size") as folder:
            made = workload.record(folder / "store", corpus, body=BODY, spans=spans, shape=shape)
            taken_in, packed = _bytes(folder / "store")
            found[shape] = packed / made
            notes.append(f"{shape} {taken_in / made:.0f}")
    return Measured(
        f"{found['api']:.0f} without, {found['wire-only']:.0f} with (9 of 10 spans are calls on the wire)",
        found["api"] <= MUST_PLAIN and found["wire-only"] <= MUST_WIRE,
        f"2 x {spans} spans",
        None,
        (
            f"5 of 10 on the wire: {found['wire']:.0f}; before the keeper packs a quiet store: {', '.join(notes)}",
        ),
    )

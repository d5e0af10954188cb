"""What a span takes on disk once it is in the database."""

from __future__ import annotations

from pathlib import Path

from bench import child, workload
from bench.corpus import cached
from bench.report import Measured, Plan

MUST_PLAIN, MUST_WIRE = 400.0, 600.0
SPANS = 50_000
BODY = 1_000


def _bytes(store: Path) -> tuple[float, str]:
    """Take all in, checkpoint; return the file's bytes and the largest tables by blocks."""
    from spanreel_exporters.duckdb import connection, locks
    from spanreel_exporters.duckdb.ingest import catch_up

    catch_up(store, timeout=600)
    with locks.exclusive(store, timeout_s=10.0), connection.writer(store) as con:
        con.execute("CHECKPOINT store")
        block, total, free = con.execute(
            "SELECT block_size, total_blocks, free_blocks FROM pragma_database_size() WHERE database_name = 'store'"
        ).fetchall()[0]
    whole = sum(path.stat().st_size for path in store.iterdir() if path.name.startswith("traces.duckdb"))
    return float(whole), f"{free} of {total} blocks of {block >> 10} kB free"


def size(plan: Plan) -> Measured:
    """1 kB of natural text a span: told by API, and with the wire bytes of every LLM call kept."""
    spans = plan.pick(SPANS, 5_000)
    corpus = cached(plan.scratch)
    found: dict[str, float] = {}
    notes = []
    for shape in ("api", "wire", "wire-only"):
        with child.scratch(plan.scratch, "size") as folder:
            made = workload.record(folder / "store", corpus, body=BODY, spans=spans, shape=shape)
            whole, blocks = _bytes(folder / "store")
            found[shape] = whole / made
            notes.append(f"{shape}: {blocks}")
    return Measured(
        f"{found['api']:.0f} without, {found['wire-only']:.0f} with (9 of 10 spans are calls on the wire)",
        found["api"] <= MUST_PLAIN and found["wire-only"] <= MUST_WIRE,
        f"2 x {spans} spans",
        None,
        (f"5 of 10 on the wire: {found['wire']:.0f}; {'; '.join(notes)}",),
    )

"""How fast one core takes a journal into the database, dialect and pricing included."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bench import child, workload
from bench.corpus import cached
from bench.report import Measured, Plan

MUST = {1_000: 12_000.0, 10_000: 4_000.0}
AIM = {1_000: 25_000.0, 10_000: 8_000.0}
SPANS = {1_000: 40_000, 10_000: 10_000}


def main(store: str, profile: str = "") -> None:
    """Catch up on one core; answer spans and seconds. With a second argument, a profile is printed instead."""
    from spanreel_exporters.duckdb.ingest import catch_up

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if profile:
        import cProfile

        cProfile.runctx("catch_up(Path(store), timeout=600)", globals() | locals(), {}, sort=profile)
        return
    began, cpu = time.perf_counter(), time.process_time()
    report = catch_up(Path(store), timeout=600)
    seconds = time.perf_counter() - began
    child.answer(
        {"spans": report.spans, "seconds": seconds, "cpu": time.process_time() - cpu, "held": report.held_s}
    )


def ingest(plan: Plan) -> Measured:
    """Spans with 1 kB and 10 kB of input and output together; LLM calls told by API, and seen on the wire."""
    corpus = cached(plan.scratch)
    rates: dict[tuple[int, str], float] = {}
    holds = []
    for body, spans in SPANS.items():
        for shape in ("api", "wire"):
            with child.scratch(plan.scratch, "ingest") as folder:
                made = workload.record(
                    folder / "s", corpus, body=body, spans=plan.pick(spans, spans // 10), shape=shape
                )
                found = child.run("ingest", folder / "s")
            if found["spans"] != made:
                raise child.ChildError(f"{found['spans']} of {made} spans were taken in")
            rates[body, shape] = made / found["seconds"]
            holds.append(found["held"])
    api = {body: rates[body, "api"] for body in SPANS}
    return Measured(
        f"{api[1_000]:,.0f} / {api[10_000]:,.0f} spans/s",
        all(api[body] >= MUST[body] for body in api),
        f"{plan.pick(SPANS[1_000], SPANS[1_000] // 10)} / {plan.pick(SPANS[10_000], SPANS[10_000] // 10)} spans",
        all(api[body] >= AIM[body] for body in api),
        ((
            f"half of the spans LLM calls on the wire: {rates[1_000, 'wire']:,.0f} / {rates[10_000, 'wire']:,.0f} spans/s; "
            f"longest hold of the store's lock {max(holds):.2f} s"
        ),),
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])

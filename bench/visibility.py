"""How long after its end a span is a row in the reader, and how long after its start a running one is seen."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import child
from bench.corpus import Text, cached
from bench.report import Measured, Plan, quantile

MUST_S = 1.0
WRITERS, RATE = 4, 100
READERS, HOLD = 8, 0.3
PAUSE = 0.1
"""Seconds between two looks of the one who watches (a viewer that refreshes)."""
RUNNING_S = 2.5
"""Seconds that a span runs whose start is watched for."""
WINDOW_NS = 15_000_000_000
_ROWS = "SELECT span_id, name, state, start_ns, duration_ms FROM spans WHERE start_ns > ?"


def write(corpus: str, store: str, seconds: str, keeper: str) -> None:
    """Record RATE spans a second with 1 kB bodies, and one long-running span each second; answer how many."""
    import spanreel

    spanreel.configure(store=store, keeper="on" if keeper == "on" else "off", service_name="bench")
    text = Text(corpus)

    @spanreel.trace
    def short(prompt: str) -> str:
        del prompt
        return text.take(500)

    @spanreel.trace
    def long() -> None:
        time.sleep(RUNNING_S)

    threads: list[threading.Thread] = []
    began = time.monotonic()
    count = int(float(seconds) * RATE)
    for number in range(count):
        if number % RATE == 0:
            threads.append(threading.Thread(target=long))
            threads[-1].start()
        short(text.take(500))
        time.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))
    for thread in threads:
        thread.join()
    child.answer([count, len(threads)])


def watch(store: str, seconds: str) -> None:
    """Look at the store again and again; answer the delays in seconds, of ended and of running spans."""
    from spanreel_exporters.duckdb.reader import DuckReader

    path = Path(store)
    ended: dict[str, float] = {}
    running: dict[str, float] = {}
    looks: list[float] = []
    print("ready", flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        if not path.is_dir():
            time.sleep(0.01)
            continue
        began = time.monotonic()
        with DuckReader(path) as reader:
            rows: list[Any] = reader.connection.execute(_ROWS, [time.time_ns() - WINDOW_NS]).fetchall()
        now = time.time_ns()
        looks.append(time.monotonic() - began)
        for span_id, name, state, start_ns, duration_ms in rows:
            if state == "ended" and name.endswith("short"):
                ended.setdefault(span_id, (now - start_ns) / 1e9 - duration_ms / 1e3)
            elif state == "running" and name.endswith("long"):
                running.setdefault(span_id, (now - start_ns) / 1e9)
        time.sleep(PAUSE)
    child.answer({"ended": list(ended.values()), "running": list(running.values()), "looks": looks})


def read(store: str, seconds: str) -> None:
    """Open the store for HOLD seconds at a time, over and over."""
    from spanreel_exporters.duckdb.reader import DuckReader

    path = Path(store)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        if not path.is_dir():
            time.sleep(0.01)
            continue
        with DuckReader(path) as reader:
            began = time.monotonic()
            reader.traces(limit=100)
            time.sleep(max(0.0, HOLD - (time.monotonic() - began)))
    child.answer(0)


def _one(plan: Plan, *, readers: int, keeper: str) -> dict[str, Any]:
    seconds = 8.0 if not plan.quick else 2.0
    whole = seconds + RUNNING_S + 1.5
    corpus = cached(plan.scratch)
    with child.scratch(plan.scratch, "visibility") as folder:
        store = folder / "store"
        watcher = child.start("visibility", "watch", store, whole)
        others = [child.start("visibility", "read", store, whole) for _ in range(readers)]
        try:
            if watcher.stdout is not None:
                watcher.stdout.readline()
            time.sleep(1.0 if readers else 0.0)  # until the others have imported DuckDB
            writers = [
                child.start("visibility", "write", corpus, store, seconds, keeper) for _ in range(WRITERS)
            ]
            others += writers
            made = [child.finish(writer) for writer in writers]
            found: dict[str, Any] = child.finish(watcher)
            for other in others[:readers]:
                child.finish(other)
        finally:
            for process in (watcher, *others):
                child.end_group(process)
    found["made"] = sum(pair[0] for pair in made)
    found["made_running"] = sum(pair[1] for pair in made)
    return found


def visibility(plan: Plan) -> Measured:
    """4 processes x 100 spans/s: with the keeper, with 8 readers beside it, and without a keeper."""
    settings = {"alone": (0, "on"), "8 readers": (READERS, "on"), "no keeper": (0, "off")}
    found = {
        label: _one(plan, readers=readers, keeper=keeper) for label, (readers, keeper) in settings.items()
    }
    parts, notes, reached = [], [], True
    for label, result in found.items():
        p99, running = quantile(result["ended"], 0.99), quantile(result["running"], 1.0)
        missing = result["made"] - len(result["ended"]) + result["made_running"] - len(result["running"])
        reached = reached and p99 <= MUST_S and running <= MUST_S and not missing
        parts.append(f"{label} p99 {p99:.2f} s, running {running:.2f} s")
        notes.append(
            f"{label}: p50 {quantile(result['ended'], 0.5):.2f} s, max {quantile(result['ended'], 1.0):.2f} s, a look takes "
            f"{quantile(result['looks'], 0.5) * 1e3:.0f} ms (p99 {quantile(result['looks'], 0.99) * 1e3:.0f}); never seen: {missing}"
        )
    count = " + ".join(str(len(result["ended"])) for result in found.values())
    return Measured("; ".join(parts), reached, f"{count} spans", None, tuple(notes))


if __name__ == "__main__":
    _parts: dict[str, Callable[..., None]] = {"write": write, "watch": watch, "read": read}
    _parts[sys.argv[1]](*sys.argv[2:])

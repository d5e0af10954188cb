"""How long the reader takes over a large store: the trace list, one trace, a phrase in bodies.

The store is made by the real recorder and ingest up to a tenth (a fifth for bodies of 10 kB); DuckDB then
copies those rows with new ids, new numbers and later times into the real tables, in the order of ingest.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import child, workload
from bench.corpus import cached
from bench.report import Measured, Plan, quantile

if TYPE_CHECKING:
    import duckdb

MUST_LIST_MS, MUST_TRACE_MS, MUST_SEARCH_MS = 60.0, 30.0, 1_000.0
SPANS, COPIES = 1_000_000, 10
BODY = 300
SEARCH_SPANS, SEARCH_COPIES = 100_000, 5
SEARCH_BODY = 10_000
PHRASE = "the heron on the ninth pier"
EVERY = 20
"""Every so many traces one question holds the phrase: one span of 200."""
RARE = "a lighthouse keeper of Ouessant"
HITS = 50
_IDS = """
  seq + $k::BIGINT * $n AS seq, md5(trace_id || $k) AS trace_id
"""
_SPANS = f"""
INSERT INTO store.span_row SELECT * REPLACE (
  {_IDS.strip()}, left(md5(span_id || $k), 16) AS span_id, left(md5(parent_id || $k), 16) AS parent_id,
  start_ns + $k::BIGINT * $width AS start_ns, end_ns + $k::BIGINT * $width AS end_ns
) FROM store.span_row WHERE seq <= $n
"""
_TRACES = """
INSERT INTO store.trace_row SELECT * REPLACE (
  md5(trace_id || $k) AS trace_id, first_seq + $k::BIGINT * $n AS first_seq, last_seq + $k::BIGINT * $n AS last_seq,
  root_seq + $k::BIGINT * $n AS root_seq, left(md5(root_span_id || $k), 16) AS root_span_id,
  left(md5(error_span_id || $k), 16) AS error_span_id,
  start_ns + $k::BIGINT * $width AS start_ns, end_ns + $k::BIGINT * $width AS end_ns
) FROM store.trace_row WHERE first_seq <= $n
"""
_SHIFTED = "SELECT * REPLACE (seq + $k::BIGINT * $n AS seq)"
_BODIES = f"INSERT INTO store.body_text {_SHIFTED} FROM store.body_text WHERE seq <= $n"
_PREVIEWS = f"INSERT INTO store.preview {_SHIFTED} FROM store.preview WHERE seq <= $n"
_DOCUMENTS = f"INSERT INTO store.document_row {_SHIFTED} FROM store.document_row WHERE seq <= $n"


def multiply(store: Path, copies: int) -> int:
    """Copy what is in the store until it is there `copies` times; return the number of spans."""
    from spanreel_exporters.duckdb import connection, locks

    with locks.exclusive(store, timeout_s=10.0), connection.writer(store) as con:
        con.execute("SET memory_limit = '2GB'")
        n, width = con.execute(
            "SELECT max(seq), max(end_ns) - min(start_ns) + 1 FROM store.span_row"
        ).fetchall()[0]
        for k in range(1, copies):
            for text in (_SPANS, _TRACES, _BODIES, _PREVIEWS, _DOCUMENTS):
                wanted = {"k": k, "n": n, "width": width}
                con.execute(text, {name: value for name, value in wanted.items() if f"${name}" in text})
            con.execute("CHECKPOINT store")
        con.execute("UPDATE store.meta SET next_seq = $next", {"next": n * copies + 1})
        con.execute("CHECKPOINT store")
        return int(con.execute("SELECT count(*) FROM store.span_row").fetchall()[0][0])


def _make(plan: Plan, store: Path, *, body: int, spans: int, copies: int) -> int:
    from spanreel_exporters.duckdb.ingest import catch_up

    corpus = cached(plan.scratch)
    workload.record(store, corpus, body=body, spans=spans // copies, phrase=PHRASE, every=EVERY)
    catch_up(store, timeout=600)
    return multiply(store, copies)


def _times(action: Callable[[], object], rounds: int) -> list[float]:
    """Return ms of each call, three warm-up calls left out."""
    taken = []
    for number in range(rounds + 3):
        began = time.perf_counter()
        action()
        if number >= 3:
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def look(store: str, rounds: str) -> None:
    """Time the list and one trace, with the reader opened for each and on an open reader."""
    from spanreel_exporters.duckdb.reader import DuckReader

    path, count = Path(store), int(rounds)
    with DuckReader(path) as reader:
        listed = [row.trace_id for row in reader.traces(limit=100, offset=5_000).rows]
    asked = iter(listed * (1 + (4 * count + 12) // len(listed)))

    def with_reader(ask: Callable[[DuckReader], object]) -> Callable[[], object]:
        def call() -> object:
            with DuckReader(path) as reader:
                return ask(reader)

        return call

    def page(reader: DuckReader) -> object:
        return reader.traces(limit=100)

    def one(reader: DuckReader) -> object:
        return reader.trace(next(asked))

    found: dict[str, Any] = {
        "list": _times(with_reader(page), count),
        "trace": _times(with_reader(one), count),
    }
    with DuckReader(path) as reader:
        found["list_open"] = _times(lambda: page(reader), count)
        found["trace_open"] = _times(lambda: one(reader), count)
        found["failed"] = _times(lambda: reader.traces(limit=100, errors=True), count)
    child.answer(found)


def search(store: str, rounds: str) -> None:
    """Time the search for a phrase in one span of 200, one in 50 spans of all, and one that is nowhere."""
    from spanreel_exporters.duckdb.reader import DuckReader

    path, count = Path(store), int(rounds)
    _plant(path)
    found: dict[str, Any] = {}
    for name, phrase in (("hits", PHRASE), ("rare", RARE), ("nowhere", "no such words, anywhere")):
        sizes: list[int] = []

        def ask(phrase: str = phrase, sizes: list[int] = sizes) -> None:
            with DuckReader(path) as reader:
                sizes.append(len(reader.search(phrase, limit=HITS).rows))

        found[name] = [_times(ask, count if name == "hits" else 3), min(sizes)]
    child.answer(found)


def _plant(store: Path) -> None:
    """Put the rare phrase into 50 bodies, evenly spread."""
    from spanreel_exporters.duckdb import connection, locks

    with locks.exclusive(store, timeout_s=10.0), connection.writer(store) as con:
        _replace(con)


def _replace(con: duckdb.DuckDBPyConnection) -> None:
    highest = con.execute("SELECT max(seq) FROM store.body_text").fetchall()[0][0]
    step = highest // HITS
    con.execute(
        "UPDATE store.body_text SET text = left(text, input_chars + 200) || $phrase || "
        "substring(text, input_chars + 201 + length($phrase)) WHERE seq % $step = $step - 1",
        {"phrase": RARE, "step": step},
    )
    con.execute("CHECKPOINT store")


def lists(plan: Plan) -> Measured:
    """Newest 100 traces of a million spans with tokens, cost and errors; one trace by id."""
    rounds = plan.pick(25, 5)
    spans, copies = plan.pick(SPANS, 100_000), COPIES
    with child.scratch(plan.scratch, "lists") as folder:
        made = _make(plan, folder / "store", body=BODY, spans=spans, copies=copies)
        found = child.run("queries", "look", folder / "store", rounds)
    ms = {name: statistics.median(values) for name, values in found.items()}
    return Measured(
        f"{ms['list']:.0f} / {ms['trace']:.0f} ms, the reader opened for each",
        ms["list"] <= MUST_LIST_MS and ms["trace"] <= MUST_TRACE_MS,
        f"{rounds} each, {made:,} spans",
        None,
        ((
            f"on an open reader {ms['list_open']:.0f} / {ms['trace_open']:.0f} ms; p95 {quantile(found['list'], 0.95):.0f} / "
            f"{quantile(found['trace'], 0.95):.0f}; newest 100 with errors {ms['failed']:.0f} ms; a tenth recorded and "
            "ingested, the rest copied by DuckDB"
        ),),
    )  # fmt: skip


def phrase(plan: Plan) -> Measured:
    """First 50 hits of a phrase in the bodies of 100,000 spans of 10 kB."""
    rounds = plan.pick(9, 3)
    spans, copies = plan.pick(SEARCH_SPANS, 10_000), SEARCH_COPIES
    with child.scratch(plan.scratch, "phrase") as folder:
        made = _make(plan, folder / "store", body=SEARCH_BODY, spans=spans, copies=copies)
        found = child.run("queries", "search", folder / "store", rounds)
    (hits, count), (rare, rare_count), (nowhere, _) = (found[name] for name in ("hits", "rare", "nowhere"))
    value = statistics.median(hits)
    return Measured(
        f"{value:.0f} ms ({count} hits, one span of 200 has it)",
        value <= MUST_SEARCH_MS and count == HITS,
        f"{rounds}, {made:,} spans",
        None,
        ((
            f"a phrase in 50 spans of all (every body is read): {statistics.median(rare):.0f} ms for {rare_count} hits; "
            f"in none: {statistics.median(nowhere):.0f} ms; a fifth recorded and ingested, the rest copied by DuckDB"
        ),),
    )  # fmt: skip


if __name__ == "__main__":
    _parts: dict[str, Callable[..., None]] = {"look": look, "search": search}
    _parts[sys.argv[1]](*sys.argv[2:])

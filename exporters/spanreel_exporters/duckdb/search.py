"""Finding a phrase in bodies: newest first, in stretches of rows, stopping as soon as there are enough."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import orjson

from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.results import Hit, Hits

if TYPE_CHECKING:
    import duckdb

FIRST_STRETCH: Final = 4_096
"""Rows looked at first; each further stretch is twice as long, up to LAST_STRETCH."""
LAST_STRETCH: Final = 65_536
_AROUND: Final = 60
"""Characters shown on each side of a hit."""


def needle(phrase: str) -> str:
    """The phrase as it stands inside JSON text."""
    return orjson.dumps(phrase).decode()[1:-1]


def find(con: duckdb.DuckDBPyConnection, phrase: str, *, limit: int, time_s: float) -> Hits:
    """The newest `limit` spans whose input or output holds `phrase`, looking for at most about `time_s`."""
    sought = needle(phrase)
    seqs: list[tuple[int, bool]] = []
    complete = True
    for found, at_oldest in stretches(con, sought, limit=limit, time_s=time_s):
        seqs.extend(found[: limit - len(seqs)])
        complete = at_oldest and len(seqs) < limit
        if len(seqs) >= limit:
            break
    if not seqs:
        return Hits([], complete)
    return Hits(hits(con, seqs, sought), complete)


def hits(con: duckdb.DuckDBPyConnection, seqs: list[tuple[int, bool]], sought: str) -> list[Hit]:
    """The hits at `[(seq, in input)]`, newest first, each with the surroundings of the phrase."""
    if not seqs:
        return []
    chosen = [seq for seq, _ in seqs]
    in_input = dict(seqs)
    rows = con.execute(sql("hit_spans"), {"seqs": chosen, "low": min(chosen), "high": max(chosen)}).fetchall()
    return [
        Hit(
            trace_id=row[1], span_id=row[2], name=row[3], kind=row[4], start_ns=row[5],
            where="input" if in_input[row[0]] else "output",
            snippet=snippet(row[6] if in_input[row[0]] else row[7], sought),
        )
        for row in rows
    ]  # fmt: skip


def stretches(
    con: duckdb.DuckDBPyConnection, sought: str, *, limit: int, time_s: float
) -> Iterator[tuple[list[tuple[int, bool]], bool]]:
    """Per stretch of rows, newest first: ([(seq, in input)], whether the oldest row was reached)."""
    bounds = one(con, sql("body_bounds"))
    if not bounds or bounds[0] is None:
        return
    lowest, high = int(bounds[0]), int(bounds[1])
    deadline = time.monotonic() + time_s
    length = FIRST_STRETCH
    while high >= lowest:
        low = max(high - length + 1, lowest)
        rows = con.execute(
            sql("search_bodies"), {"needle": sought, "low": low, "high": high, "limit": limit}
        ).fetchall()
        late = time.monotonic() >= deadline and low > lowest
        yield [(int(row[0]), bool(row[1])) for row in rows], low <= lowest
        if late:
            return
        high, length = low - 1, min(length * 2, LAST_STRETCH)


def traces_with(
    con: duckdb.DuckDBPyConnection, phrase: str, *, limit: int, time_s: float
) -> tuple[dict[str, tuple[int, bool]], bool]:
    """Traces with the phrase in a body -> (seq, in input) of a span with it, and whether all bodies were looked at.

    The span is the one that was taken in last: the outermost, as a span ends after those below it.
    """
    traces: dict[str, tuple[int, bool]] = {}
    complete = True
    for found, at_oldest in stretches(con, needle(phrase), limit=limit, time_s=time_s):
        complete = at_oldest
        if found:
            in_input = dict(found)
            seqs = list(in_input)
            rows = con.execute(
                sql("hit_traces"), {"seqs": seqs, "low": min(seqs), "high": max(seqs)}
            ).fetchall()
            for trace, seq in rows:
                traces.setdefault(trace, (seq, in_input[seq]))
        if len(traces) >= limit:
            return traces, False
    return traces, complete


def snippet(body: str | None, sought: str) -> str:
    """The surroundings of the first hit, in one line."""
    if not body:
        return ""
    at = max(body.find(sought), 0)
    start, stop = max(at - _AROUND, 0), at + len(sought) + _AROUND
    text = " ".join(body[start:stop].split())
    return ("…" if start else "") + text + ("…" if stop < len(body) else "")

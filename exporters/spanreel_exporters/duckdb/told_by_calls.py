"""What was asked and answered, of traces whose root says neither: told by their first and their last model call.

A request handler of another tracer, or a root whose contents were not captured, has no preview. Looked up for
the rows of one page only, as the trace page does for its head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spanreel_exporters.duckdb.preview import preview
from spanreel_exporters.duckdb.queries import sql

if TYPE_CHECKING:
    import duckdb
    from spanreel_exporters.duckdb.results import TraceRow

MOST: Final = 500
"""Rows of a page at most; a longer one is asked for its figures, and reading bodies for it would cost seconds."""
Bounds = Mapping[str, tuple[int, int]]
"""Trace id -> its first and last seq."""


def complete(con: duckdb.DuckDBPyConnection, rows: Sequence[TraceRow], bounds: Bounds) -> list[TraceRow]:
    """Return the rows with the previews that their roots did not give, where a model call gives them."""
    wanting = [row for row in rows if row.llm_calls and (_asks(row) or _answers(row))]
    if not wanting or len(rows) > MOST:
        return list(rows)
    spread = [seq for row in wanting for seq in bounds[row.trace_id]]
    calls = {
        trace: (first, last)
        for trace, first, last in con.execute(
            sql("first_last_calls"),
            {"trace_ids": [row.trace_id for row in wanting], "low": min(spread), "high": max(spread)},
        ).fetchall()
    }
    seqs = {seq for pair in calls.values() for seq in pair if seq is not None}
    if not seqs:
        return list(rows)
    found = con.execute(sql("bodies_of"), {"seqs": sorted(seqs), "low": min(seqs), "high": max(seqs)})
    bodies = {seq: (given, answered) for seq, given, answered in found.fetchall()}
    return [_completed(row, calls.get(row.trace_id), bodies) for row in rows]


def _asks(row: TraceRow) -> bool:
    return row.input_preview is None


def _answers(row: TraceRow) -> bool:
    """What a step said on the way is no answer of a trace that failed or still runs."""
    return row.output_preview is None and row.status != "error" and row.state != "running"


def _completed(
    row: TraceRow,
    calls: tuple[int, int | None] | None,
    bodies: Mapping[int, tuple[str | None, str | None]],
) -> TraceRow:
    if calls is None:
        return row
    first, last = calls
    if _asks(row):
        row = replace(row, input_preview=preview(bodies.get(first, (None, None))[0], last=True))
    if _answers(row) and last is not None:
        row = replace(row, output_preview=preview(bodies.get(last, (None, None))[1], last=True, answer=True))
    return row

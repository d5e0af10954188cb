"""One trace as columns: what the browser needs to draw ten thousand rows, and no bodies.

Columnar and dictionary-coded, times as milliseconds after the start of the trace: 10,000 spans are well
under one megabyte of JSON before compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from spanreel_viewer.layout import Node, Tree, arrange, critical_path

if TYPE_CHECKING:
    from spanreel_exporters.duckdb.results import SpanRow

ERROR: Final = 1
RUNNING: Final = 2
INTERRUPTED: Final = 4
ABANDONED: Final = 8
MISSING_PARENT: Final = 16
FOREIGN_PARENT: Final = 32
RETRIED: Final = 64
DUPLICATE: Final = 128
UNPRICED: Final = 256
EARLY: Final = 512
"""Starts before its parent: the clocks of two machines differ, or one was set."""
TRUNCATED: Final = 1024
"""The model stopped at its output limit."""

_CLOCK_SLACK_NS: Final = 1_000_000
_CUT_SHORT: Final = frozenset({"length", "max_tokens"})


def columns(spans: Sequence[SpanRow], *, now_ns: int) -> dict[str, Any]:
    """Return the spans of one trace in reading order, as parallel lists.

    `start`, `end`, `first` are milliseconds after `t0_ns`; `end` is None while a span runs. `flags` is a sum of
    the constants above, `errors` the failed ones in a line each, `wait` the milliseconds for which the trace waited for exactly this span.
    """
    latest = max((row.end_ns or row.start_ns for row in spans), default=now_ns)
    nodes = [_node(row, latest) for row in spans]
    tree = arrange(nodes)
    t0 = min((node.start_ns for node in nodes), default=now_ns)
    waited = critical_path(nodes, tree, now_ns=now_ns)
    names, kinds = _Dictionary(), _Dictionary()
    out: dict[str, list[Any]] = {
        name: []
        for name in ("id", "name", "kind", "start", "end", "first", "input", "output", "cost", "flags")
    }
    errors: dict[int, str] = {}
    for place, index in enumerate(tree.order):
        row, node = spans[index], nodes[index]
        out["id"].append(node.span_id)
        out["name"].append(names.code(row.name))
        out["kind"].append(kinds.code(row.kind))
        out["start"].append(_ms(node.start_ns - t0))
        out["end"].append(None if node.end_ns is None else _ms(node.end_ns - t0))
        out["first"].append(_rounded(row.ttft_ms))
        out["input"].append(row.input_tokens)
        out["output"].append(row.output_tokens)
        out["cost"].append(row.cost_usd)
        out["flags"].append(_flags(row, place, nodes, tree))
        if row.status == "error":
            errors[place] = error_line(row.error_type, row.error_message)
    out |= {"depth": tree.depth, "parent": tree.parent, "size": tree.size}
    out["wait"] = [_ms(waited.get(place, 0)) for place in range(len(tree.order))]
    return {
        "t0_ms": t0 / 1e6,
        "now": _ms(now_ns - t0),
        "names": names.values,
        "kinds": kinds.values,
        "errors": errors,
        "columns": out,
    }


class _Dictionary:
    """Gives each distinct text a small number."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.values)
            self.values.append(text)
        return found


def _node(row: SpanRow, latest: int) -> Node:
    """An unfinished span that no longer runs is drawn to the last sign of life of its trace."""
    end = row.end_ns
    if end is None and row.state != "running":
        end = max(latest, row.start_ns)
    return Node(row.span_id, row.parent_id, row.start_ns, end, foreign_parent=row.foreign_parent)


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _flags(row: SpanRow, place: int, nodes: Sequence[Node], tree: Tree) -> int:
    parent = tree.parent[place]
    node = nodes[tree.order[place]]
    early = parent >= 0 and node.start_ns < nodes[tree.order[parent]].start_ns - _CLOCK_SLACK_NS
    marks = (
        (ERROR, row.status == "error"),
        (RUNNING, row.state == "running"),
        (INTERRUPTED, row.state == "interrupted"),
        (ABANDONED, row.state == "abandoned"),
        (MISSING_PARENT, tree.missing_parent[place]),
        (FOREIGN_PARENT, row.foreign_parent),
        (RETRIED, (row.attempts or 0) > 1),
        (DUPLICATE, bool(row.duplicate_of)),
        (UNPRICED, row.cost_source == "unpriced"),
        (EARLY, early),
        (TRUNCATED, row.finish_reason in _CUT_SHORT),
    )
    return sum(bit for bit, holds in marks if holds)


def error_line(kind: str | None, message: str | None) -> str:
    """Return an error in one line: its type and the first line of its message."""
    first = (message or "").strip().split("\n", 1)[0][:240]
    named = kind or "error"
    if named.isdigit():
        named = f"HTTP {named}"
    return f"{named}: {first}" if first else named

"""What the file already knows, asked through an open connection (database attached as `store`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from spanreel.analysis.record import RawSpan
from spanreel_exporters.duckdb.assemble import WAITING, Key, Pending, build
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.parse import Record
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.resources import adopt
from spanreel_exporters.duckdb.wire_text import unpack

if TYPE_CHECKING:
    import duckdb


def open_lines(con: duckdb.DuckDBPyConnection) -> list[tuple[str, Record]]:
    """(procid, record) of every record that was kept back, oldest first."""
    return _records(con.execute(sql("open_span_all")).fetchall())


def open_lines_of(
    con: duckdb.DuckDBPyConnection, keys: list[Key], dead: frozenset[str], *, ask: bool = True
) -> list[tuple[str, Record]]:
    """(procid, record) kept back for these spans, and for all spans of these processes.

    With `ask` it is looked first whether anything is kept back at all.
    """
    if not (keys or dead) or (ask and not _value(con, sql("open_span_any"))):
        return []
    rows: list[Any] = []
    if keys:
        rows = con.execute(
            sql("open_span_of_keys"),
            {"trace_ids": [key[0].decode() for key in keys], "span_ids": [key[1].decode() for key in keys]},
        ).fetchall()
    if dead:
        asked = set(keys)
        more = con.execute(sql("open_span_of_processes"), {"procids": sorted(dead)}).fetchall()
        records = _records(more)
        return _records(rows) + [(p, r) for p, r in records if (r[2], r[3]) not in asked]
    return _records(rows)


def waiting_lines_of(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> list[tuple[str, Record]]:
    """(procid, record) of log records that wait for these spans; see `assemble.WAITING`."""
    if not keys or not _value(con, sql("open_span_waiting")):
        return []
    return [(p, r) for p, r in open_lines_of(con, keys, frozenset(), ask=False) if p == WAITING]


def _records(rows: Iterable[tuple[str, str]]) -> list[tuple[str, Record]]:
    return [(procid, line.encode().split(b"\t")) for procid, line in rows]


def _value(con: duckdb.DuckDBPyConnection, text: str) -> Any:
    row = one(con, text)
    return row[0] if row else None


def processes(con: duckdb.DuckDBPyConnection, known: dict[str, dict[str, Any]], wanted: set[str]) -> None:
    """Add the `process` records of `wanted` that `known` lacks."""
    missing = sorted(wanted - known.keys())
    if not missing:
        return
    for procid, info in con.execute(sql("read_processes"), {"procids": missing}).fetchall():
        known[procid] = orjson.loads(info)


def tombstones(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Marks (see tombstones.mark) of traces that were erased and must not come back."""
    return frozenset(row[0] for row in con.execute(sql("tombstones")).fetchall())


def known_spans(
    con: duckdb.DuckDBPyConnection, spans: Collection[tuple[str, str]]
) -> tuple[dict[str, int], dict[tuple[str, str], tuple[int, str]]]:
    """Of these (trace, span) pairs what the file has: (trace -> its lowest seq), (pair -> (seq, state))."""
    if not spans:
        return {}, {}
    seen = con.execute(sql("seen_traces"), {"trace_ids": sorted({trace for trace, _ in spans})}).fetchall()
    if not seen:
        return {}, {}
    lowest = {row[0]: row[1] for row in seen}
    asked = [pair for pair in spans if pair[0] in lowest]
    rows = con.execute(
        sql("known_spans"),
        {**_range(seen), "span_ids": [pair[1] for pair in asked], "asked": [pair[0] for pair in asked]},
    ).fetchall()
    return lowest, {(row[0], row[1]): (row[2], row[3]) for row in rows}


def _range(seen: list[tuple[str, int, int]]) -> dict[str, Any]:
    """Bounds on seq let DuckDB skip row groups: a trace's rows lie close together."""
    return {
        "first_seq": min(row[1] for row in seen),
        "last_seq": max(row[2] for row in seen),
        "trace_ids": [row[0] for row in seen],
    }


def billed_parents(con: duckdb.DuckDBPyConnection, traces: set[str]) -> set[tuple[str, str | None]]:
    """(trace, parent) of calls with tokens that the file has in these traces."""
    if not traces:
        return set()
    seen = con.execute(sql("seen_traces"), {"trace_ids": sorted(traces)}).fetchall()
    return set(con.execute(sql("billed_children"), _range(seen)).fetchall()) if seen else set()


def end_and_wait(con: duckdb.DuckDBPyConnection, trace: str, span: str) -> tuple[int | None, float | None]:
    """When a span that the file has ended (ns), and what it had waited for its own retries (ms)."""
    seen = con.execute(sql("seen_traces"), {"trace_ids": [trace]}).fetchall()
    row = (
        one(con, sql("end_and_wait"), {"from_seq": seen[0][1], "trace": trace, "span": span})
        if seen
        else None
    )
    return (row[0], row[1]) if row else (None, None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span of the file stands."""

    seq: int
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: str
    start_ns: int
    end_ns: int | None
    first_seq: int
    """Of its trace."""


def foreign_traces(con: duckdb.DuckDBPyConnection, traces: set[str]) -> set[str]:
    """Those of the traces in which the file has spans of other instrumentations."""
    seen = con.execute(sql("seen_traces"), {"trace_ids": sorted(traces)}).fetchall()
    return {row[0] for row in con.execute(sql("foreign_traces"), _range(seen)).fetchall()} if seen else set()


def foreign_roots(con: duckdb.DuckDBPyConnection, low: int, high: int) -> bool:
    """Whether the file has calls that other instrumentations tell of as roots of traces, in these ns."""
    return one(con, sql("foreign_roots"), {"low": low, "high": high}) is not None


def places(
    con: duckdb.DuckDBPyConnection, windows: Mapping[str, tuple[int, int]], *, most: int
) -> Iterable[Place]:
    """Spans that the file has of these traces and that overlap (ns, ns) of each."""
    seen = con.execute(sql("seen_traces"), {"trace_ids": sorted(windows)}).fetchall()
    if not seen:
        return ()
    bounds = {
        "first_seq": min(row[1] for row in seen), "last_seq": max(row[2] for row in seen),
        "trace_ids": [row[0] for row in seen], "first_seqs": [row[1] for row in seen],
        "lows": [windows[row[0]][0] for row in seen], "highs": [windows[row[0]][1] for row in seen], "most": most,
    }  # fmt: skip
    return [Place(*row) for row in con.execute(sql("span_places"), bounds).fetchall()]


@dataclass(frozen=True, slots=True)
class Response:
    """What a call was answered, to be looked for in other traces."""

    trace_id: str
    response_id: str
    """The provider's; empty where it is a framework's own."""
    request_model: str
    response_model: str
    start_ns: int
    end_ns: int
    is_root: bool
    scope: str
    """The instrumentation that made its span; empty for one of ours."""


def same_response(
    con: duckdb.DuckDBPyConnection, asked: Collection[Response], *, late_ns: int
) -> Iterable[Place]:
    """Calls of other traces at the same time that may be one of these; one of the two is a root.

    By the response id; by the model where one of the two has none, which spans of streams often have not and those of
    failed calls never, if another instrumentation made it. By its id also a log that came `late_ns` after the call.
    """
    params = {
        "trace_ids": [one.trace_id for one in asked], "responses": [one.response_id for one in asked],
        "requested": [one.request_model for one in asked], "answering": [one.response_model for one in asked],
        "lows": [one.start_ns for one in asked], "highs": [one.end_ns for one in asked],
        "roots": [one.is_root for one in asked], "scopes": [_scope(one.scope) for one in asked], "low": min(one.start_ns for one in asked),
        "high": max(one.end_ns for one in asked), "late": late_ns,
    }  # fmt: skip
    return [Place(*row) for row in con.execute(sql("same_response"), params).fetchall()]


def _scope(name: str) -> str:
    """How a span's attributes begin to tell its instrumentation."""
    return '"spanreel.scope":{"name":' + orjson.dumps(name).decode() if name else ""


def stored_span(
    con: duckdb.DuckDBPyConnection,
    seq: int,
    late: list[Record],
    end: Record | None,
    lose: Callable[[str], None],
) -> RawSpan:
    """The span of a row again as it was recorded; see `recorded_span`."""
    return recorded_span(con, seq, late, end, lose)[0]


def recorded_span(
    con: duckdb.DuckDBPyConnection,
    seq: int,
    late: list[Record],
    end: Record | None,
    lose: Callable[[str], None],
) -> tuple[RawSpan, dict[str, Any]]:
    """(the span of a row again as it was recorded, the row's columns), with late records joined to it.

    `end` is the end record of a span that was taken for interrupted; without it the row keeps its own end.
    """
    cursor = con.execute(sql("stored_span"), {"seq": seq})
    names = [column[0] for column in cursor.description]
    row: dict[str, Any] = dict(zip(names, cursor.fetchall()[0], strict=True))
    key = (row["trace_id"].encode(), row["span_id"].encode())
    extra = _wire(con, row) + _documents(con, seq) + late
    raw = build(key, Pending(start=_as_start(row), end=end or _as_end(row), extra=extra), {}, lose=lose)
    found: dict[str, dict[str, Any]] = {}
    processes(con, found, {row["procid"] or ""})
    raw.process = found.get(row["procid"]) or {
        "procid": row["procid"], "service": row["service"], "environment": row["environment"], "release": row["release"],
    }  # fmt: skip
    adopt(raw)
    if end is None:
        raw.state = row["state"]
        raw.end_ns, raw.status = row["end_ns"], row["status"]
        raw.error_type, raw.error_message = row["error_type"], row["error_message"]
    return raw, row


def _as_start(row: dict[str, Any]) -> Record:
    return [
        b"start", b"1", row["trace_id"].encode(), row["span_id"].encode(), (row["parent_id"] or "").encode(),
        b"f" if row["foreign_parent"] else b"", b"%d" % row["start_ns"], row["kind"].encode(),
        orjson.dumps(row["name"]), (row["input"] or "").encode(), (row["attributes"] or "").encode(),
    ]  # fmt: skip


def _as_end(row: dict[str, Any]) -> Record:
    first = b"" if row["ttft_ms"] is None else b"%d" % (row["start_ns"] + round(row["ttft_ms"] * 1e6))
    return [
        b"end", b"1", row["trace_id"].encode(), row["span_id"].encode(), b"%d" % (row["end_ns"] or row["start_ns"]),
        row["status"].encode(), first, (row["output"] or "").encode(), b"", b"",
    ]  # fmt: skip


def _documents(con: duckdb.DuckDBPyConnection, seq: int) -> list[Record]:
    """The span's documents as the attribute they came in."""
    documents = [
        {
            "id": d[0],
            "score": d[1],
            "content": d[2],
            "metadata": None if d[3] is None else orjson.Fragment(d[3]),
        }
        for d in con.execute(sql("stored_documents"), {"seq": seq}).fetchall()
    ]
    return (
        [[b"patch", b"1", b"", b"", b"", orjson.dumps({"spanreel.documents": documents})]]
        if documents
        else []
    )


def _wire(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> list[Record]:
    rows = con.execute(sql("stored_wire"), {"seq": row["seq"]}).fetchall()
    return [
        [
            b"attempt", b"1", b"", b"", b"%d" % number, meta.encode(),
            orjson.dumps(unpack(request, row["input"])), orjson.dumps(unpack(response, row["output"])),
        ]
        for number, meta, request, response in rows
    ]  # fmt: skip

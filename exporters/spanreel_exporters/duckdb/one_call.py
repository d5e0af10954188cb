"""The pipeline's step that counts a call once that several instrumentations tell of.

Whatever of a trace is in the file already is looked at again together with the batch, as it was recorded: the
rows come out as if everything had come at once. Traces in which only our own recorder speaks are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanreel.analysis.dialects import foreign, logfire, normalise
from spanreel.analysis.duplicates import (
    CALL_KINDS,
    PAIRED_KINDS,
    TOLERANCE_NS,
    Key,
    Step,
    Told,
    is_run,
    settle,
)
from spanreel.analysis.record import USAGE_FIELDS, Canonical, RawSpan
from spanreel_exporters.duckdb import lookup

if TYPE_CHECKING:
    from spanreel_exporters.duckdb.pipeline import Batch

OWN: Final = "spanreel"
WIRE: Final = "wire"
ROUNDS: Final = 64
"""How often the window around the spans of a trace is widened by what was found in it, at most."""
MOST_ROWS: Final = 20_000
"""Rows of the file that are looked at for one batch at most."""
_COMPARED: Final = (
    *USAGE_FIELDS, "provider", "request_model", "response_model", "finish_reason", "service_tier", "error_type",
    "error_message",
)  # fmt: skip
_PROCESS: Final = ("process.pid", "host.name")
Window = tuple[int, int]
"""First and last ns."""


@dataclass(slots=True)
class Stored:
    """A call that the file has, as it was recorded."""

    row: lookup.Place
    raw: RawSpan
    canonical: Canonical
    columns: dict[str, Any]


def settle_calls(batch: Batch) -> None:
    """Find the spans of one call, in this batch and in what the file has of its traces, and count them once."""
    windows = _concerned(batch)
    if not windows:
        return
    here = {(raw.trace_id, raw.span_id) for raw in batch.spans}
    steps, stored = _stored(batch, windows, here)
    told = [
        _told(raw, row)
        for raw, row in zip(batch.spans, batch.canonical, strict=True)
        if raw.trace_id in windows
    ]
    old = {(entry.raw.trace_id, entry.raw.span_id): entry for entry in stored}
    told += [_told(entry.raw, entry.canonical) for entry in stored]
    calls = [one for one in told if isinstance(one, Told)]
    try:
        kept = settle([*steps, *(one for one in told if not isinstance(one, Told))], calls)
    except Exception:  # whatever is told, it must not keep the store from taking it
        batch.lose("duplicates_failed")
        return
    for index, raw in enumerate(batch.spans):
        found = kept.get((raw.trace_id, raw.span_id))
        if found is not None:
            batch.duplicates[index] = found[1]
    _replace(batch, old, calls, kept)


def _concerned(batch: Batch) -> dict[str, Window]:
    """Traces to look at, with the time that the batch's spans of them take."""
    traces = {raw.trace_id for raw in batch.spans if foreign.is_foreign(raw)}
    own = {
        raw.trace_id
        for raw, row in zip(batch.spans, batch.canonical, strict=True)
        if row.kind in PAIRED_KINDS and raw.trace_id in batch.replaced_traces
    } - traces
    if own:
        traces |= lookup.foreign_traces(batch.con, own)
    traces |= _answered_elsewhere(batch, traces)
    windows: dict[str, Window] = {}
    for raw, row in zip(batch.spans, batch.canonical, strict=True):
        if raw.trace_id in traces:
            _widen(windows, raw.trace_id, raw.start_ns, raw.end_ns)
            if row.kind in CALL_KINDS:
                _widen(
                    windows,
                    raw.trace_id,
                    logfire.began_ns(raw),
                    (raw.end_ns or raw.start_ns) + logfire.LATE_NS,
                )
    return windows


def _answered_elsewhere(batch: Batch, traces: set[str]) -> set[str]:
    """Traces of ours whose calls a foreign span in another trace may tell of: in this batch, or in the file.

    A client's own span is a root where our span is not OpenTelemetry's current one, so it shares an answer with
    the call on the wire but no trace.
    """
    own = [
        (raw, row)
        for raw, row in zip(batch.spans, batch.canonical, strict=True)
        if row.kind in CALL_KINDS and raw.trace_id not in traces and not foreign.is_foreign(raw)
    ]
    if not own:
        return set()
    told = [
        row
        for raw, row in zip(batch.spans, batch.canonical, strict=True)
        if row.kind in CALL_KINDS and foreign.is_foreign(raw)
    ]
    answers = {row.response_id for row in told if row.response_id}
    runs = any(is_run(row) for row in told)
    found = {raw.trace_id for raw, row in own if row.response_id and (runs or row.response_id in answers)}
    asked = {
        raw.trace_id: (raw.start_ns, raw.end_ns or raw.start_ns)
        for raw, row in own
        if row.response_id and raw.trace_id not in found
    }
    if asked and lookup.foreign_roots(
        batch.con, min(low for low, _ in asked.values()), max(high for _, high in asked.values())
    ):
        found |= asked.keys()
    return found


def _widen(windows: dict[str, Window], trace: str, start: int, end: int | None) -> None:
    low, high = windows.get(trace, (start, start))
    windows[trace] = min(low, start), max(high, start if end is None else end)


def _stored(batch: Batch, windows: dict[str, Window], here: set[Key]) -> tuple[list[Step], list[Stored]]:
    """What the file has around the batch's spans: steps, and calls as they were recorded.

    What is found may have neighbours of its own: it is gone on until nothing new turns up.
    """
    steps: list[Step] = []
    calls: list[Stored] = []
    seen: set[int] = set()
    asked: dict[str, Window] = {}
    todo = _responses(zip(batch.spans, batch.canonical, strict=True), windows)
    for _ in range(ROUNDS):
        wider = {trace: window for trace, window in windows.items() if asked.get(trace) != window}
        asked.update(wider)
        found = list(lookup.places(batch.con, wider, most=MOST_ROWS)) if wider else []
        found += lookup.same_response(batch.con, todo, late_ns=logfire.LATE_NS) if todo else ()
        fresh = [
            place for place in found if place.seq not in seen and (place.trace_id, place.span_id) not in here
        ]
        if not fresh or len(seen) > MOST_ROWS:
            break
        recalled = []
        for place in fresh:
            if place.seq in seen:
                continue
            seen.add(place.seq)
            if place.kind in PAIRED_KINDS:
                _widen(windows, place.trace_id, place.start_ns, place.end_ns)
                recalled.append(_recalled(batch, place))
            else:
                key = (place.trace_id, place.span_id)
                steps.append(Step(key, place.parent_id, place.kind, place.start_ns, place.end_ns))
        calls += recalled
        todo = _responses(((entry.raw, entry.canonical) for entry in recalled), windows)
    return steps, calls


def _responses(
    spans: Iterable[tuple[RawSpan, Canonical]], windows: dict[str, Window]
) -> list[lookup.Response]:
    """What these calls answered, to look for in other traces."""
    return [
        lookup.Response(
            raw.trace_id,
            "" if row.response_id is None or is_run(row) else row.response_id,
            row.request_model or "",
            row.response_model or "",
            logfire.began_ns(raw) - TOLERANCE_NS,
            (raw.end_ns or raw.start_ns) + TOLERANCE_NS,
            raw.parent_id is None,
            foreign.scope(raw)[0],
        )
        for raw, row in spans
        if row.kind in CALL_KINDS and raw.trace_id in windows
    ]


def _recalled(batch: Batch, place: lookup.Place) -> Stored:
    raw, columns = lookup.recorded_span(batch.con, place.seq, [], None, _ignore)
    return Stored(place, raw, normalise(raw, lose=_ignore), columns)


def _ignore(_reason: str) -> None:
    """What was lost on the way was counted when the row was made."""


def _told(raw: RawSpan, row: Canonical) -> Step:
    key = (raw.trace_id, raw.span_id)
    if row.kind not in PAIRED_KINDS:
        return Step(key, raw.parent_id, row.kind, raw.start_ns, raw.end_ns)
    source = WIRE if raw.attempts else (foreign.scope(raw)[0] or "?") if foreign.is_foreign(raw) else OWN
    return Told(
        key, raw.parent_id, row.kind, logfire.began_ns(raw), raw.end_ns, source, row, raw.status == "error",
        process=_process(raw),
    )  # fmt: skip


def _process(raw: RawSpan) -> tuple[object, ...]:
    """Process id and host of another instrumentation's span, as far as it says them."""
    resource = foreign.otlp(raw, "resource")
    return tuple(resource.get(name) for name in _PROCESS) if isinstance(resource, dict) else ()


def _replace(batch: Batch, old: dict[Key, Stored], calls: list[Told], kept: dict[Key, Key]) -> None:
    """Put new rows in the place of those that the batch has changed."""
    settled = {call.key for call in calls if call.source != WIRE}
    for key, entry in old.items():
        into = kept.get(key)
        before = entry.columns["duplicate_of"]
        duplicate_of = before if into is None else into[1]
        if into is None and not (entry.raw.attempts and (key[0], before) not in settled):
            duplicate_of = None  # else it was retried: another step has marked it
        if not _changed(entry, duplicate_of):
            continue
        batch.replaced.append(entry.row.seq)
        lowest = batch.replaced_traces.get(key[0], entry.row.first_seq)
        batch.replaced_traces[key[0]] = min(lowest, entry.row.first_seq)
        if duplicate_of is not None:
            batch.duplicates[len(batch.spans)] = duplicate_of
        batch.spans.append(entry.raw)
        batch.canonical.append(entry.canonical)


def _changed(entry: Stored, duplicate_of: str | None) -> bool:
    columns, row = entry.columns, entry.canonical
    if columns["duplicate_of"] != duplicate_of:
        return True
    if duplicate_of is None and columns["cost_source"] is None and row.cost_source is not None:
        return True
    return any(columns[name] != getattr(row, name) for name in _COMPARED) or not _same_ms(
        columns["ttft_ms"], row.ttft_ms
    )


def _same_ms(one: float | None, other: float | None) -> bool:
    return one is other or (one is not None and other is not None and abs(one - other) < 0.001)

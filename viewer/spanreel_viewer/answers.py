"""What a reader says, in the shape that the browser draws. No route and no SQL here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.analysis.tool_calls import by_span
from spanreel_exporters.duckdb.loss_words import describe, describe_note, is_note
from spanreel_viewer import format as words
from spanreel_viewer import payload, story

if TYPE_CHECKING:
    from spanreel_exporters.duckdb.reader import Reader
    from spanreel_exporters.duckdb.results import (
        Facet,
        Hit,
        LossRow,
        SpanDetail,
        SpanRow,
        TracePage,
        TraceRow,
        WireExchange,
    )
    from spanreel_viewer.source import Source

_NOTHING: Final = frozenset({"{}", "[]", "null", '""'})
"""Previews of values that hold nothing."""
_ESCAPE: Final = re.compile(r'\\(["\\/nrt])')
_UNESCAPED: Final = {'"': '"', "\\": "\\", "/": "/"}
_KEPT_BACK: Final = frozenset({"exception.stacktrace"})
"""Attributes that are shown as the error and not a second time among the attributes."""


def row(trace: TraceRow) -> dict[str, Any]:
    """One line of the list."""
    out = asdict(trace)
    out["started_ms"] = out.pop("start_ns") / 1e6
    del out["end_ns"]
    failed = trace.error_type or trace.error_message
    for name in ("input_preview", "output_preview"):
        if out[name] in _NOTHING:
            out[name] = None
    out["worst_error"] = payload.error_line(trace.error_type, trace.error_message) if failed else None
    return out


def page(found: TracePage) -> dict[str, Any]:
    """A page of the list."""
    return {
        "rows": [row(trace) | {"match": _match(found.matches.get(trace.trace_id))} for trace in found.rows],
        "total": found.total,
        "exact": found.total_is_exact,
        "missing_bytes": found.missing_bytes,
    }


def _match(hit: Hit | None) -> dict[str, str] | None:
    """Where in a trace the searched text stands; the snippet as words and not as JSON."""
    if hit is None:
        return None
    text = _ESCAPE.sub(lambda found: _UNESCAPED.get(found[1], " "), hit.snippet)
    return {"span_id": hit.span_id, "name": hit.name, "where": hit.where, "text": text}


def nothing() -> dict[str, Any]:
    """The list of a store that was not written yet."""
    return {"rows": [], "total": 0, "exact": True, "missing_bytes": 0}


def other_stores(place: Source) -> list[str]:
    """Paths of this user's other stores that hold something, for a page that has nothing to show."""
    from spanreel_exporters.duckdb.stores import known

    return [
        str(one.path) for one in known() if one.exists and one.database_bytes and str(one.path) != place.path
    ][:5]


def summary(reader: Reader, place: Source) -> dict[str, Any]:
    """The strip over the list: figures, facets, notices."""
    whole = reader.summary()
    facets = reader.facets()
    totals = reader.totals()
    failed = sum(facet.count for facet in facets.statuses if facet.value == "error")
    running = sum(facet.count for facet in facets.states if facet.value == "running")
    lost = [loss for loss in whole.losses if not is_note(loss.reason)]
    return {
        "traces": whole.traces,
        "running": running,
        "errors": failed,
        "p50_ms": totals.p50_ms,
        "p95_ms": totals.p95_ms,
        "measured": totals.measured,
        "input_tokens": whole.input_tokens,
        "output_tokens": whole.output_tokens,
        "llm_calls": whole.llm_calls,
        "cost_usd": whole.cost_usd,
        "unpriced_calls": whole.unpriced_calls,
        "losses": sum(loss.count for loss in lost),
        "loss_lines": _losses(lost),
        "store": place.name,
        "store_path": place.path,
        "bytes": whole.database_bytes,
        "notices": _notices(whole.notices, whole.missing_bytes) + _unrecorded(whole.losses),
        "facets": {"models": _facets(facets.models), "kinds": _facets(facets.kinds)},
    }


def _facets(found: Sequence[Facet]) -> list[dict[str, Any]]:
    return [{"value": facet.value, "count": facet.count} for facet in found]


def _losses(losses: Sequence[LossRow]) -> list[str]:
    totals: dict[str, int] = {}
    for loss in losses:
        totals[loss.reason] = totals.get(loss.reason, 0) + loss.count
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"{words.count(number)}: {describe(reason)[0]}" for reason, number in ranked]


def _notices(said: Sequence[str], missing_bytes: int) -> list[dict[str, str]]:
    notices = [{"text": text[:1].upper() + text[1:], "level": "warn"} for text in said]
    if missing_bytes:
        text = f"{words.size(missing_bytes)} of the journal are not read yet: the newest traces may be missing here."
        notices.append({"text": text, "level": "warn", "hint": "spanreel doctor"})
    return notices


def _unrecorded(losses: Sequence[LossRow]) -> list[dict[str, str]]:
    """One quiet line about what the programs use and is not recorded: steps of frameworks, calls past the wire."""
    notes = sorted({loss.reason for loss in losses if is_note(loss.reason)})
    if not notes:
        return []
    told = [(reason.startswith("unrecorded_framework"), *describe_note(reason)) for reason in notes]
    frameworks = [name for steps, name, _, _ in told if steps]
    libraries = [name for steps, name, _, _ in told if not steps]
    parts = [f"the steps of {', '.join(frameworks)}"] if frameworks else []
    parts += [f"calls through {', '.join(libraries)}, if there are any"] if libraries else []
    remedies = [advice for steps, _, _, advice in told if steps]
    hint = remedies[0] if len(remedies) == 1 else "spanreel doctor"
    return [{"text": f"Not recorded: {'; '.join(parts)}.", "level": "note", "hint": hint}]


def trace(reader: Reader, named: str, *, now_ns: int) -> dict[str, Any]:
    """One trace: its line, its head, its spans as columns. Raises QueryError where there is none."""
    whole = len(named) == 32 and all(letter in "0123456789abcdef" for letter in named)
    found = reader.trace(named if whole else reader.resolve(named))
    table = payload.columns(found.spans, now_ns=now_ns)
    trace_id = found.row.trace_id
    read: dict[int, tuple[str | None, str | None]] = {}

    def body(place: int) -> tuple[str | None, str | None]:
        if place not in read:
            detail = reader.span(trace_id, table["columns"]["id"][place])
            read[place] = (detail.input, detail.output)
        return read[place]

    return {
        "trace": row(found.row),
        "story": story.tell(table, body),
        "spans": table,
        "flags": [asdict(flag) for flag in found.flags],
        "missing_bytes": found.missing_bytes,
    }


def span(reader: Reader, trace_id: str, span_id: str) -> dict[str, Any]:
    """One span with its bodies and exchanges. Raises QueryError where there is none."""
    detail = reader.span(trace_id, span_id)
    attributes, stack = _without_stack(detail.attributes)
    line = asdict(detail.row)
    line["duration_ms"] = detail.row.duration_ms
    for name in ("start_ns", "end_ns"):
        line[name] = None if line[name] is None else str(line[name])
    return {
        "span": line | {"metadata": detail.metadata, "dialect": detail.dialect},
        "input": detail.input,
        "output": detail.output,
        "attributes": attributes,
        "error": _error(detail, stack),
        "documents": [asdict(document) for document in detail.documents],
        "scores": [asdict(score) for score in detail.scores],
        "flags": [asdict(flag) for flag in detail.flags],
        "tool_calls": _tool_calls(reader, detail.row),
        "attempts": [exchange(one) for one in reader.wire(trace_id, span_id)] if detail.wire else [],
    }


def _tool_calls(reader: Reader, line: SpanRow) -> list[dict[str, Any]]:
    """The calls that a model's answer asked for, in its order, or the one that a tool's span ran."""
    if line.kind not in {"llm", "tool"}:
        return []
    calls = by_span(reader.tool_calls(line.trace_id)).get(line.span_id, [])
    return [
        {"id": call.call_id, "name": call.name, "asked_by": call.asked_by, "ran_as": call.ran_as}
        for call in calls
    ]


def _without_stack(attributes: str) -> tuple[str, str | None]:
    """Attributes as they were stored, and the stack trace taken out of them. Only parsed where there is one."""
    if not any(name in attributes for name in _KEPT_BACK):
        return attributes, None
    try:
        parsed = orjson.loads(attributes)
    except ValueError:
        return attributes, None
    if not isinstance(parsed, dict):
        return attributes, None
    stack = parsed.pop("exception.stacktrace", None)
    return orjson.dumps(parsed).decode(), stack if isinstance(stack, str) else None


def _error(detail: SpanDetail, stack: str | None) -> dict[str, Any] | None:
    line = detail.row
    if line.status != "error" and not line.error_type:
        return None
    return {
        "type": line.error_type or "error",
        "message": line.error_message or "",
        "stacktrace": stack or "",
    }


def exchange(one: WireExchange) -> dict[str, Any]:
    """One HTTP exchange; bytes that are no text are named by their length."""
    return {"meta": one.meta, "request": _text(one.request), "response": _text(one.response)}


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"({words.size(len(raw))} of binary data)"

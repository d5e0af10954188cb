"""Raw span + canonical record -> the tuples that are appended to the base tables, in column order."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from spanreel.analysis.record import Attempt, Canonical, RawSpan
from spanreel_exporters.duckdb.preview import preview
from spanreel_exporters.duckdb.wire_text import pack

Row = tuple[Any, ...]

SPAN_COLUMNS: Final = (
    "seq", "trace_id", "span_id", "parent_id", "foreign_parent", "name", "kind", "state", "status",
    "start_ns", "end_ns", "service", "environment", "release", "session_id", "user_id", "provider",
    "request_model", "response_model", "finish_reason", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "cost_usd", "cost_source", "ttft_ms",
    "attempts", "tool_name", "prompt_name", "prompt_version", "error_type", "error_message", "attributes",
    "metadata", "tags", "dialect", "duplicate_of", "document_count", "procid", "cache_write_1h_tokens",
    "audio_input_tokens", "audio_output_tokens", "audio_cache_read_tokens", "image_input_tokens",
    "image_output_tokens", "search_units", "web_searches", "service_tier", "usage_mark", "first_visible_ms",
    "inter_token_p95_ms", "retry_wait_ms",
)  # fmt: skip


@dataclass(slots=True)
class Rows:
    """What one batch adds to the tables."""

    spans: list[Row] = field(default_factory=list)
    previews: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)
    wire: list[Row] = field(default_factory=list)
    documents: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)


def add_span(rows: Rows, seq: int, raw: RawSpan, canonical: Canonical, duplicate_of: str | None) -> None:
    """Append the rows of one span."""
    process = raw.process
    trace, span = raw.trace_id, raw.span_id
    given, answered = canonical.input, canonical.output
    documents = canonical.documents
    rows.spans.append((
        seq, trace, span, raw.parent_id, raw.foreign_parent, canonical.name, canonical.kind, raw.state, raw.status,
        raw.start_ns, raw.end_ns, process.get("service"), canonical.environment or process.get("environment"),
        canonical.release or process.get("release"), canonical.session_id, canonical.user_id, canonical.provider,
        canonical.request_model, canonical.response_model, canonical.finish_reason, canonical.input_tokens,
        canonical.output_tokens, canonical.cache_read_tokens, canonical.cache_write_tokens,
        canonical.reasoning_tokens, _rounded(canonical.cost_usd, 12), canonical.cost_source,
        _rounded(canonical.ttft_ms, 3), _attempts(raw), canonical.tool_name, canonical.prompt_name,
        canonical.prompt_version, canonical.error_type, canonical.error_message, canonical.attributes,
        canonical.metadata, canonical.tags, canonical.dialect, duplicate_of,
        len(documents) or None, process.get("procid"), canonical.cache_write_1h_tokens, canonical.audio_input_tokens,
        canonical.audio_output_tokens, canonical.audio_cache_read_tokens, canonical.image_input_tokens,
        canonical.image_output_tokens, canonical.search_units, canonical.web_searches, canonical.service_tier,
        canonical.usage_mark, _rounded(canonical.first_visible_ms, 3), _rounded(canonical.inter_token_p95_ms, 3),
        _rounded(canonical.retry_wait_ms, 3),
    ))  # fmt: skip
    if (raw.parent_id is None or raw.foreign_parent) and (given or answered):
        rows.previews.append((seq, preview(given, last=True), preview(answered, last=True, answer=True)))
    if given is not None or answered is not None:
        rows.bodies.append((seq, given, answered))
    for document in documents:
        rows.documents.append((
            seq, trace, span, document.rank, document.id, document.score, document.content, document.metadata,
        ))  # fmt: skip
    for attempt in raw.attempts:
        rows.wire.append(wire_row(seq, attempt, given, answered))


def _attempts(raw: RawSpan) -> int | None:
    """How often the call was sent, retries of other spans included."""
    before = raw.attributes.get("spanreel.retry_count")
    return (
        len(raw.attempts) + (before if isinstance(before, int) and 0 <= before <= 1_000 else 0)
        if raw.attempts
        else None
    )


def _rounded(value: float | None, digits: int) -> float | None:
    """A number without the digits that mean nothing: they are what makes it take 8 bytes instead of 2."""
    return None if value is None else round(value, digits)


def wire_row(seq: int, attempt: Attempt, given: str | None, answered: str | None) -> Row:
    """One HTTP exchange, its text without what the bodies hold; bytes that are no UTF-8 become base64 text."""
    meta = orjson.dumps(attempt.meta).decode()
    encoding = "base64"
    sizes = len(attempt.request), len(attempt.response)
    try:
        if attempt.meta.get("encoding") != encoding:
            request = pack(attempt.request.decode(), given)
            return seq, attempt.seq, "utf-8", *sizes, meta, request, pack(attempt.response.decode(), answered)
    except UnicodeDecodeError:
        meta = orjson.dumps({**attempt.meta, "encoding": encoding}).decode()
    request = base64.b64encode(attempt.request).decode()
    response = base64.b64encode(attempt.response).decode()
    return seq, attempt.seq, encoding, *sizes, meta, request, response


def score_row(cell: bytes) -> Row | None:
    """The row of a `score` record, or None when it cannot be read."""
    try:
        score = orjson.loads(cell)
        value, created_ns = score.get("value"), int(score["created_ns"])
        if abs(created_ns) >> 63:
            return None
        return (
            str(score["score_id"]), str(score["trace_id"]), score.get("span_id"), str(score["name"]),
            None if value is None else float(value), score.get("label"), score.get("comment"),
            score.get("source"), score.get("author"), created_ns,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None

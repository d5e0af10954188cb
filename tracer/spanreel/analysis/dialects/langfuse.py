"""Langfuse's SDK (3 to 5, Python and JS): `langfuse.observation.*` and `langfuse.trace.*`.

Values are JSON text, scalars too in version 5. Usage comes in one of three spellings: Langfuse's own buckets
(`input`, `output`, `cache_read_input_tokens`, ...), which do not overlap, or the provider's object as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import (
    Attributes,
    below,
    count,
    dump,
    first,
    json_text,
    mapping,
    meant,
    number,
    text,
    unquoted,
    words,
)
from spanreel.analysis.dialects.usage_shapes import provider_usage
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "langfuse"
_HEAD: Final = "langfuse.observation."
_TRACE: Final = "langfuse.trace."
_TYPES: Final = {"generation": "llm", "event": "span"}
_READS: Final = (
    "cache_read_input_tokens",
    "input_cached_tokens",
    "input_cache_read",
    "cached_tokens",
    "cache_read",
)
_WRITES: Final = (
    "cache_creation_input_tokens",
    "input_cache_creation",
    "cache_write_input_tokens",
    "cache_creation",
)
_REASONING: Final = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens", "reasoning")


def matches(raw: RawSpan) -> bool:
    """Langfuse's own names."""
    return any(key.startswith("langfuse.") for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the observation, and what the SDK copies onto it from its trace."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    kind = words(get.get(_HEAD + "type"))
    row.kind = _TYPES.get((kind or "").lower()) or vocabulary.kind(kind) or "span"
    _context(row, get)
    _outcome(row, raw, get)
    row.request_model = words(unquoted(first(get, _HEAD + "model.name", _HEAD + "model")))
    row.finish_reason = vocabulary.finish(unquoted(get.get(_HEAD + "metadata.finish_reason")))
    if row.kind == "span" and kind is None and row.request_model is not None:
        row.kind = "llm"
    _usage(row, mapping(get.get(_HEAD + "usage_details")))
    _cost(row, mapping(get.get(_HEAD + "cost_details")))
    foreign.first_token(row, raw, at_ns=nanoseconds(unquoted(get.get(_HEAD + "completion_start_time"))))
    _content(row, get)
    return row


def _context(row: Canonical, get: Attributes) -> None:
    row.session_id = row.session_id or words(get.get("langfuse.session.id"))
    row.user_id = row.user_id or words(get.get("langfuse.user.id"))
    row.environment = row.environment or words(get.get("langfuse.environment"))
    row.release = words(first(get, "langfuse.release", "langfuse.version"))
    row.tags = foreign.tags(get.get(_TRACE + "tags"))
    row.prompt_name = row.prompt_name or text(get.get(_HEAD + "prompt.name"))
    row.prompt_version = row.prompt_version or text(get.get(_HEAD + "prompt.version"))
    found = {**_metadata(get, _TRACE), **_metadata(get, _HEAD)}
    foreign.metadata(row, found)


def _metadata(get: Attributes, head: str) -> dict[str, Any]:
    """Metadata, one attribute per key or one JSON object."""
    whole = mapping(get.get(head + "metadata"))
    return {**whole, **{key: unquoted(value) for key, value in below(get, head + "metadata.").items()}}


def _outcome(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    """`level` ERROR with a `status_message`, which is all that the SDK says of an exception."""
    if row.error_type is None and raw.status != "error" and words(get.get(_HEAD + "level")) == "ERROR":
        row.error_type = "ERROR"
    if row.error_type is not None or raw.status == "error":
        row.error_message = row.error_message or text(get.get(_HEAD + "status_message"))


def _usage(row: Canonical, told: Mapping[str, Any]) -> None:
    if "input" not in told and "output" not in told:
        provider_usage(row, told)
        return
    inputs, outputs, total = count(told.get("input")), count(told.get("output")), count(told.get("total"))
    reads, writes, thought = first(told, *_READS), first(told, *_WRITES), first(told, *_REASONING)
    row.audio_input_tokens = count(first(told, "input_audio_tokens", "input_audio"))
    row.audio_output_tokens = count(first(told, "output_audio_tokens", "output_audio"))
    apart = total is None or inputs is None or outputs is None or total != inputs + outputs
    if apart:  # buckets that do not overlap
        inputs = _sum(inputs, reads, writes, row.audio_input_tokens)
        outputs = _sum(outputs, thought, row.audio_output_tokens)
    foreign.usage(row, inputs, outputs, cache_read=reads, cache_write=writes, reasoning=thought)


def _sum(base: int | None, *more: object) -> int | None:
    return None if base is None else base + sum(count(value) or 0 for value in more)


def _cost(row: Canonical, told: Mapping[str, Any]) -> None:
    """The total, or the sum of the parts; the SDK writes zeros for a call that failed."""
    total = number(told.get("total"))
    if total is None:
        parts = [value for value in map(number, told.values()) if value is not None]
        total = sum(parts) if parts else None
    if total or (total is not None and row.output_tokens is not None):
        foreign.reported_cost(row, total)


def nanoseconds(value: object) -> int | None:
    """An ISO time as nanoseconds since the epoch."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return int(at.timestamp() * 1_000_000) * 1_000
    except (ValueError, OverflowError, OSError):
        return None


def _content(row: Canonical, get: Attributes) -> None:
    asked, answered = get.get(_HEAD + "input"), get.get(_HEAD + "output")
    if row.kind == "llm":
        spoken, said = loose(asked), answers(meant(answered))
        row.input = dump(spoken) if spoken else None
        row.output = dump(said) if said else None
        row.finish_reason = row.finish_reason or next(
            (m["finish_reason"] for m in said if m.get("finish_reason")), None
        )
        return
    row.input, row.output = json_text(asked), json_text(answered)
    if row.kind == "tool":
        row.tool_name = row.name
    elif row.kind in {"retrieval", "rerank"}:
        row.documents = foreign.documents_of(answered)

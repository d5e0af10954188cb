"""Token counts and stop reasons of Anthropic's Messages API, turned inclusive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Usage
from spanreel.protocols.shapes import integer, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
    "compaction": "compaction",
}
"""Anthropic's stop reason -> the convention's word; others stay as they are.

`pause_turn` is a turn that the server interrupts between two of its own tool calls, for the client to send on.
"""


def finish(reason: object) -> str | None:
    """Return the convention's finish reason."""
    if not isinstance(reason, str) or not reason:
        return None
    return STOP_REASONS.get(reason, reason)


def merge(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage of a stream: counts of a later event are totals, and what it leaves out still holds."""
    return {**first, **{key: value for key, value in later.items() if value is not None}}


def usage(raw: object) -> Usage | None:
    """Read a `usage` object. Its counts of cached tokens stand beside `input_tokens`, and are added to them.

    Of `iterations`, the compactions are added: the API reference says that they are billed and not part of the
    totals. The sub-calls of an advisor have another model's price; they stay in `raw`.
    """
    counts = mapping(raw)
    if not counts:
        return None
    rounds = [mapping(item) for item in sequence(counts.get("iterations"))]
    parts = [counts, *(item for item in rounds if item.get("type") == "compaction")]
    fresh = _total(parts, "input_tokens")
    read = _total(parts, "cache_read_input_tokens")
    written = _sum(_written(part) for part in parts)
    inside = mapping(counts.get("output_tokens_details"))
    return Usage(
        input_tokens=_sum((fresh, read, written)),
        output_tokens=_total(parts, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=_sum(_hour(part) for part in parts),
        reasoning_tokens=_count(inside.get("thinking_tokens")),
        web_searches=_count(mapping(counts.get("server_tool_use")).get("web_search_requests")),
        raw=dict(counts),
    )


def _written(counts: Mapping[str, Any]) -> int | None:
    total = _count(counts.get("cache_creation_input_tokens"))
    if total is not None:
        return total
    split = mapping(counts.get("cache_creation"))
    return _sum(_count(split.get(key)) for key in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))


def _hour(counts: Mapping[str, Any]) -> int | None:
    return _count(mapping(counts.get("cache_creation")).get("ephemeral_1h_input_tokens"))


def _total(parts: list[Mapping[str, Any]], name: str) -> int | None:
    return _sum(_count(part.get(name)) for part in parts)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _count(value: object) -> int | None:
    found = integer(value)
    return found if found is not None and found >= 0 else None

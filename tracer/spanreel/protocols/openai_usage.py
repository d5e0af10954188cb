"""Token counts of the OpenAI family, both spellings, turned inclusive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Usage
from spanreel.protocols.shapes import integer, mapping, number

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_call",
    "tool_call": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "content-filter": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}
"""What OpenAI, Together, Mistral, DeepSeek and others write -> the convention's word; others stay as they are."""


def finish(reason: object) -> str | None:
    """Return the convention's finish reason."""
    if not isinstance(reason, str) or not reason:
        return None
    return FINISH_REASONS.get(reason, reason)


def usage(raw: object) -> Usage | None:
    """Read a `usage` object: chat's (prompt_tokens, ...) or Responses' (input_tokens, ...).

    Cached and written tokens are part of the input count and reasoning part of the output count at OpenAI;
    where a server counts reasoning apart (xAI: total = prompt + completion + reasoning), it is added.
    """
    counts = mapping(raw)
    if not counts:
        return None
    inputs = _first(counts, "prompt_tokens", "input_tokens")
    outputs = _first(counts, "completion_tokens", "output_tokens")
    inside = mapping(counts.get("prompt_tokens_details")) or mapping(counts.get("input_tokens_details"))
    outside = mapping(counts.get("completion_tokens_details")) or mapping(counts.get("output_tokens_details"))
    reasoning = _first(outside, "reasoning_tokens")
    if reasoning is None:
        reasoning = _first(counts, "reasoning_tokens")
    total = integer(counts.get("total_tokens"))
    if reasoning and inputs is not None and outputs is not None and total == inputs + outputs + reasoning:
        outputs += reasoning
    cached = _first(inside, "cached_tokens")
    if cached is None:
        cached = _first(counts, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cache_read_tokens=cached,
        cache_write_tokens=_first(inside, "cache_write_tokens", "cache_creation_tokens"),
        reasoning_tokens=reasoning,
        audio_input_tokens=_first(inside, "audio_tokens"),
        audio_output_tokens=_first(outside, "audio_tokens"),
        cost_usd=_cost(counts.get("cost")),
        raw=dict(counts),
    )


def _cost(value: object) -> float | None:
    # OpenRouter reports a number, Perplexity an object; both in US dollars.
    return number(mapping(value).get("total_cost")) if isinstance(value, dict) else number(value)


def _first(counts: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if name in counts:
            value = integer(counts[name])
            if value is not None and value >= 0:
                return value
    return None

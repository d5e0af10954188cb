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
    where a server counts reasoning apart, it is added.
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
    if reasoning and outputs is not None and _apart(counts, inputs, outputs, reasoning):
        outputs += reasoning
    cached = _first(inside, "cached_tokens", "cache_read_input_tokens")
    if cached is None:
        cached = _first(counts, *_CACHED)
    written = _first(inside, "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    if written is None:
        written = _first(counts, "cache_creation_input_tokens")
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_input_tokens=_first(inside, "audio_tokens"),
        audio_output_tokens=_first(outside, "audio_tokens"),
        image_input_tokens=_first(inside, "image_tokens"),
        image_output_tokens=_first(outside, "image_tokens"),
        web_searches=_searches(counts),
        cost_usd=_cost(counts),
        raw=dict(counts),
    )


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""DeepSeek; Moonshot and Together; Mistral; LiteLLM's proxy."""
_SEARCHING = frozenset({"num_search_queries", "server_tool_use", "server_side_tool_usage_details"})
_COSTING = frozenset({"cost", "cost_in_usd_ticks"})
TICKS_PER_USD = 10_000_000_000
"""xAI reports what a request was billed in ticks (docs.x.ai, "Cost Tracking")."""


def _apart(counts: Mapping[str, Any], inputs: int | None, outputs: int, reasoning: int) -> bool:
    """Tell whether reasoning is not part of the output count.

    xAI's total shows it (prompt + completion + reasoning). Perplexity bills it beside the output
    (docs.perplexity.ai, "Pricing", sonar-deep-research), and its total leaves it out.
    """
    if reasoning > outputs:
        return True
    if "search_context_size" in counts and "reasoning_tokens" in counts:
        return True
    return inputs is not None and integer(counts.get("total_tokens")) == inputs + outputs + reasoning


def _searches(counts: Mapping[str, Any]) -> int | None:
    """Return the searches billed by the request: Perplexity's, OpenRouter's, xAI's on the web and on X."""
    if counts.keys().isdisjoint(_SEARCHING):
        return None
    found = _first(counts, "num_search_queries")
    if found is None:
        found = _first(mapping(counts.get("server_tool_use")), "web_search_requests")
    if found is None:
        tools = mapping(counts.get("server_side_tool_usage_details"))
        calls = [_first(tools, name) for name in ("web_search_calls", "x_search_calls")]
        found = sum(call for call in calls if call is not None) if any(c is not None for c in calls) else None
    return found


def _cost(counts: Mapping[str, Any]) -> float | None:
    """Return what the provider says the call cost, in US dollars.

    OpenRouter reports a number, Perplexity an object, xAI ticks. With a key of one's own, OpenRouter's number
    is its fee alone, and what the provider behind it bills stands beside it.
    """
    if counts.keys().isdisjoint(_COSTING):
        return None
    ticks = integer(counts.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / TICKS_PER_USD
    cost = counts.get("cost")
    if isinstance(cost, dict):
        return number(cost.get("total_cost"))
    charged = number(cost)
    upstream = number(mapping(counts.get("cost_details")).get("upstream_inference_cost"))
    if charged is not None and upstream is not None and counts.get("is_byok") is True:
        return charged + upstream
    return charged


def _first(counts: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if name in counts:
            value = integer(counts[name])
            if value is not None and value >= 0:
                return value
    return None

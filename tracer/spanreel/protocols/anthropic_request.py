"""Requests of Anthropic's Messages API: parameters and tools in the conventions' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every request parameter that has a name in the conventions or in Anthropic's own spans."""
    config, thinking = mapping(request.get("output_config")), mapping(request.get("thinking"))
    format_ = config.get("format") or request.get("output_format")
    return present(
        {
            "gen_ai.request.temperature": number(request.get("temperature")),
            "gen_ai.request.top_p": number(request.get("top_p")),
            "gen_ai.request.top_k": integer(request.get("top_k")),
            "gen_ai.request.max_tokens": integer(request.get("max_tokens")),
            "gen_ai.request.stop_sequences": strings(request.get("stop_sequences")) or None,
            "gen_ai.request.reasoning.level": text(config.get("effort")),
            "gen_ai.output.type": "json" if mapping(format_).get("type") == "json_schema" else None,
            "anthropic.thinking.type": text(thinking.get("type")),
            "anthropic.thinking.budget_tokens": integer(thinking.get("budget_tokens")),
            "anthropic.request.service_tier": text(request.get("service_tier")),
            "spanreel.request.response_format": format_ if isinstance(format_, dict) else None,
            "spanreel.request.tool_choice": request.get("tool_choice"),
        }
    )


def response_parameters(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the response adds: why it stopped in Anthropic's own words, and how it was served."""
    counts = mapping(message.get("usage"))
    return present(
        {
            "anthropic.message.stop_reason": text(message.get("stop_reason")),
            "anthropic.message.stop_sequence": text(message.get("stop_sequence")),
            "anthropic.message.stop_details": mapping(message.get("stop_details")) or None,
            "anthropic.response.service_tier": text(counts.get("service_tier")),
            "anthropic.response.speed": text(counts.get("speed")),
            "anthropic.container.id": text(mapping(message.get("container")).get("id")),
        }
    )


def tool_definitions(tools: object) -> tuple[dict[str, Any], ...]:
    """Return the tools on offer; a client tool's `input_schema` is the convention's `parameters`."""
    found = []
    for tool in sequence(tools):
        if not isinstance(tool, dict):
            continue
        kind = text(tool.get("type")) or "custom"
        rest = {key: value for key, value in tool.items() if key not in {"type", "input_schema"}}
        if "input_schema" in tool:
            rest["parameters"] = tool["input_schema"]
        found.append({"type": "function" if kind == "custom" else kind, **rest})
    return tuple(found)

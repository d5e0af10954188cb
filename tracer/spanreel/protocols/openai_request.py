"""Request parameters of the OpenAI family -> `gen_ai.request.*` attributes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")


def model(path: str, request: Mapping[str, Any]) -> str | None:
    """Return the model asked for: the body's, else the deployment in an Azure path."""
    named = text(request.get("model"))
    if named:
        return named
    found = _DEPLOYMENT.search(path)
    return unquote(found[1]) if found else None


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every request parameter that has a name in the conventions, and two of ours that explain answers."""
    found: dict[str, Any] = {
        "gen_ai.request.temperature": number(request.get("temperature")),
        "gen_ai.request.top_p": number(request.get("top_p")),
        "gen_ai.request.frequency_penalty": number(request.get("frequency_penalty")),
        "gen_ai.request.presence_penalty": number(request.get("presence_penalty")),
        "gen_ai.request.max_tokens": _max_tokens(request),
        "gen_ai.request.top_k": integer(request.get("top_k")),
        "gen_ai.request.seed": integer(request.get("seed")),
        "gen_ai.request.stop_sequences": strings(request.get("stop")) or None,
        "gen_ai.request.stream": True if request.get("stream") is True else None,
        "gen_ai.request.reasoning.level": text(request.get("reasoning_effort"))
        or text(mapping(request.get("reasoning")).get("effort")),
        "gen_ai.request.previous_response.id": text(request.get("previous_response_id")),
        "gen_ai.conversation.id": _conversation(request.get("conversation")),
        "gen_ai.output.type": _output_type(request),
        "openai.request.service_tier": text(request.get("service_tier")),
        "spanreel.request.response_format": request.get("response_format")
        or mapping(request.get("text")).get("format"),
        "spanreel.request.tool_choice": request.get("tool_choice"),
    }
    choices = integer(request.get("n"))
    if choices is not None and choices != 1:
        found["gen_ai.request.choice.count"] = choices
    return {key: value for key, value in found.items() if value is not None}


def response_parameters(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the response adds: service tier and fingerprint of the system that served it."""
    found = {
        "openai.response.service_tier": text(response.get("service_tier")),
        "openai.response.system_fingerprint": text(response.get("system_fingerprint")),
    }
    return {key: value for key, value in found.items() if value is not None}


def _max_tokens(request: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        value = integer(request.get(name))
        if value is not None:
            return value
    return None


def _conversation(value: object) -> str | None:
    return text(value) or text(mapping(value).get("id"))


def _output_type(request: Mapping[str, Any]) -> str | None:
    if "audio" in sequence(request.get("modalities")):
        return "speech"
    asked = mapping(request.get("response_format")) or mapping(mapping(request.get("text")).get("format"))
    kind = text(asked.get("type"))
    return {"json_schema": "json", "json_object": "json", "text": "text"}.get(kind or "")

"""Request parameters of the OpenAI family -> `gen_ai.request.*` attributes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spanreel.protocols.exchange import strings
from spanreel.protocols.shapes import integer, mapping, number, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[Mapping[str, Any]], Any]
    Told = tuple[str, Reader]
    """(attribute, reader of its value)"""

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
    found: dict[str, Any] = {}
    for name in request:
        for attribute, read in _READERS.get(name, ()):
            value = read(request)
            if value is not None:
                found[attribute] = value
    return found


def response_parameters(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the response adds: service tier, fingerprint of the system that served it, whom it was routed to."""
    found = {
        "openai.response.service_tier": text(response.get("service_tier")),
        "openai.response.system_fingerprint": text(response.get("system_fingerprint")),
        "openrouter.provider": text(response.get("provider")),
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


def _choices(request: Mapping[str, Any]) -> int | None:
    choices = integer(request.get("n"))
    return None if choices == 1 else choices


def _effort(request: Mapping[str, Any]) -> str | None:
    return text(request.get("reasoning_effort")) or text(mapping(request.get("reasoning")).get("effort"))


def _format(request: Mapping[str, Any]) -> Any:
    return request.get("response_format") or mapping(request.get("text")).get("format")


def _stream(request: Mapping[str, Any]) -> bool | None:
    return True if request.get("stream") is True else None


def _of(read: Callable[[Any], Any], name: str) -> Reader:
    return lambda request: read(request.get(name))


_OUTPUT_TYPE: Told = ("gen_ai.output.type", _output_type)
_EFFORT: Told = ("gen_ai.request.reasoning.level", _effort)
_FORMAT: Told = ("spanreel.request.response_format", _format)
_MAX_TOKENS: Told = ("gen_ai.request.max_tokens", _max_tokens)
_READERS: dict[str, tuple[Told, ...]] = {
    "temperature": (("gen_ai.request.temperature", _of(number, "temperature")),),
    "top_p": (("gen_ai.request.top_p", _of(number, "top_p")),),
    "frequency_penalty": (("gen_ai.request.frequency_penalty", _of(number, "frequency_penalty")),),
    "presence_penalty": (("gen_ai.request.presence_penalty", _of(number, "presence_penalty")),),
    "max_completion_tokens": (_MAX_TOKENS,),
    "max_output_tokens": (_MAX_TOKENS,),
    "max_tokens": (_MAX_TOKENS,),
    "top_k": (("gen_ai.request.top_k", _of(integer, "top_k")),),
    "seed": (("gen_ai.request.seed", _of(integer, "seed")),),
    "random_seed": (("gen_ai.request.seed", _of(integer, "random_seed")),),
    "agent_id": (("gen_ai.agent.id", _of(text, "agent_id")),),
    "stop": (("gen_ai.request.stop_sequences", lambda request: strings(request.get("stop")) or None),),
    "stream": (("gen_ai.request.stream", _stream),),
    "reasoning_effort": (_EFFORT,),
    "reasoning": (_EFFORT,),
    "previous_response_id": (("gen_ai.request.previous_response.id", _of(text, "previous_response_id")),),
    "conversation": (("gen_ai.conversation.id", _of(_conversation, "conversation")),),
    "modalities": (_OUTPUT_TYPE,),
    "response_format": (_OUTPUT_TYPE, _FORMAT),
    "text": (_OUTPUT_TYPE, _FORMAT),
    "service_tier": (("openai.request.service_tier", _of(text, "service_tier")),),
    "tool_choice": (("spanreel.request.tool_choice", lambda request: request.get("tool_choice")),),
    "n": (("gen_ai.request.choice.count", _choices),),
}
"""Key of a request -> what it tells; the reader sees the whole request, since some are told in two places."""

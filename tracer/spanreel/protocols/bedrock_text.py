"""Bodies of Bedrock's InvokeModel that are a prompt and its continuation: Llama, Titan, Mistral, older models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.bedrock_parts import model
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.exchange import STREAM_CUT, Exchange, strings
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TEXTS = ("generation", "outputText", "completion", "text")
"""Llama, Titan, Anthropic's Text Completions, Cohere's stream."""
_LISTS = ("results", "outputs", "generations", "choices")
"""Titan, Mistral, Cohere, DeepSeek: where the texts stand in a list."""
_REASONS = ("stop_reason", "completionReason", "finish_reason")
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "finish": "stop",
    "stop_criteria_met": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "rag_query_when_rag_disabled": "error",
    "error": "error",
    "error_toxic": "content_filter",
}
"""Llama's, Mistral's, Titan's, Anthropic's and Cohere's words, in lower case -> the convention's."""
_PARAMETERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gen_ai.request.max_tokens", ("max_gen_len", "max_tokens", "maxTokenCount", "max_tokens_to_sample")),
    ("gen_ai.request.temperature", ("temperature",)),
    ("gen_ai.request.top_p", ("top_p", "topP", "p")),
    ("gen_ai.request.top_k", ("top_k", "k")),
)


def fold_text(exchange: Exchange) -> Call:
    """Turn an exchange into a call; its provider is the caller's to know."""
    request = exchange.request
    bodies = exchange.events if exchange.streamed else (exchange.body,)
    whole = not exchange.streamed or exchange.done
    error_type, error_message = exchange.error_type, exchange.error_message
    if not whole and error_type is None:
        error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
    answer = "".join(said(body) for body in bodies)
    stopped = next((found for body in reversed(bodies) if (found := reason(body)) is not None), None)
    if error_type is not None:
        stopped = stopped or "error"
    asked = text(request.get("prompt")) or text(request.get("inputText"))
    return Call(
        provider="",
        operation="text_completion",
        request_model=model(exchange.path),
        response_id=text(exchange.body.get("id")),
        parameters=_parameters(request),
        input_messages=[{"role": "user", "parts": [{"type": "text", "content": asked}]}] if asked else (),
        output_messages=[
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": answer}],
                **present({"finish_reason": stopped}),
            }
        ]
        if answer
        else (),
        finish_reasons=(stopped,) if stopped else (),
        usage=_usage(bodies),
        error_type=error_type,
        error_message=error_message,
        output_started=whole,
    )


def said(body: Mapping[str, Any]) -> str:
    """Return the text of a response or of one event of its stream."""
    if body.get("type") is None and "event_type" not in body:
        for key in _TEXTS:
            if isinstance(body.get(key), str):
                return str(body[key])
    for key in _LISTS:
        for item in sequence(body.get(key)):
            for inner in _TEXTS:
                if isinstance(mapping(item).get(inner), str):
                    return str(item[inner])
    return ""


def reason(body: Mapping[str, Any]) -> str | None:
    """Return the convention's finish reason of a response or of an event."""
    places = [body, *(mapping(item) for key in _LISTS for item in sequence(body.get(key)))]
    for place in places:
        for key in _REASONS:
            found = text(place.get(key))
            if found:
                return _FINISH.get(found.lower(), found.lower())
    return None


def _usage(bodies: Iterable[Mapping[str, Any]]) -> Usage | None:
    """Read Llama's and Titan's counts; those of a stream grow from event to event."""
    inputs = outputs = None
    raw: dict[str, Any] = {}
    for body in bodies:
        for key in ("prompt_token_count", "inputTextTokenCount"):
            found = integer(body.get(key))
            if found is not None:
                inputs, raw[key] = found, found
        for key in ("generation_token_count", "totalOutputTextTokenCount"):
            found = integer(body.get(key))
            if found is not None:
                outputs, raw[key] = found, found
        counts = [integer(mapping(item).get("tokenCount")) for item in sequence(body.get("results"))]
        known = [count for count in counts if count is not None]
        if known:
            outputs = raw["tokenCount"] = integer(sum(known))
    return Usage(input_tokens=inputs, output_tokens=outputs, raw=raw) if raw else None


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    places = (request, mapping(request.get("textGenerationConfig")))
    found: dict[str, Any] = {}
    for attribute, names in _PARAMETERS:
        values = (number(place.get(name)) for place in places for name in names)
        value = next((value for value in values if value is not None), None)
        if value is not None:
            found[attribute] = integer(value) if attribute.endswith(("max_tokens", "top_k")) else value
    found = present(found)
    for name in ("stop", "stopSequences", "stop_sequences"):
        stops = [stop for place in places for stop in strings(place.get(name))]
        if stops:
            found["gen_ai.request.stop_sequences"] = stops
    return found

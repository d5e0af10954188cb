"""Bedrock's InvokeModel, plain and streamed: each vendor's own body, told apart by model and shape.

Anthropic, Nova, Cohere and everybody in OpenAI's form are read as where they are at home; plain prompts (Llama,
Titan, Mistral, Cohere's and Anthropic's older models) in `bedrock_text`. The service counts tokens for all of them:
in headers, or in the last event of a stream.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanreel.protocols import anthropic_messages, bedrock_converse, bedrock_text
from spanreel.protocols.bedrock_parts import model, told
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.cohere_chat import CohereChat
from spanreel.protocols.cohere_chat_v1 import CohereChatV1
from spanreel.protocols.openai_chat import OpenAIChat
from spanreel.protocols.providers import provider
from spanreel.protocols.rerank import Rerank
from spanreel.protocols.shapes import integer, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.exchange import Exchange

METRICS = "amazon-bedrock-invocationMetrics"
"""Key of the last event of every model's stream."""
_HEADERS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
_NOVA = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
_COHERE, _COHERE_V1, _OPENAI = CohereChat(), CohereChatV1(), OpenAIChat()


class BedrockInvoke:
    """`POST /model/MODEL/invoke` or `/invoke-with-response-stream` with a conversation or a prompt."""

    name = "bedrock.invoke"
    kind = "llm"
    operation = "chat"
    suffixes: tuple[str, ...] = ("/invoke", "/invoke-with-response-stream")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a model in the path and messages, a message, a prompt or an input text."""
        texts = any(isinstance(request.get(key), str) for key in ("prompt", "inputText", "message"))
        return (texts or isinstance(request.get("messages"), list)) and model(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the path
        """Return the path's model."""
        return model(path)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for output in any vendor's form."""
        event = _typed(event)
        return (
            anthropic_messages.carries_output(event)
            or bedrock_converse.carries_output(event)
            or bool(bedrock_text.said(event))
            or _OPENAI.carries_output(_choices(event))
            or _COHERE.carries_output(event)
            or _COHERE_V1.carries_output(event)
        )

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text in any vendor's form."""
        event = _typed(event)
        return (
            anthropic_messages.carries_text(event)
            or bedrock_converse.carries_text(event)
            or bool(bedrock_text.said(event))
            or _OPENAI.carries_text(_choices(event))
            or _COHERE.carries_text(event)
            or _COHERE_V1.carries_text(event)
        )

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the service's own figures, or for the vendor's end."""
        if METRICS in event:
            return True
        event = _typed(event)
        return (
            anthropic_messages.ends(event)
            or bedrock_converse.ends(event)
            or bedrock_text.reason(event) is not None
            or (bool(event.get("choices")) and _OPENAI.ends(_choices(event)))
            or _COHERE.ends(event)
            or _COHERE_V1.ends(event)
        )

    def fold(self, exchange: Exchange) -> Call:
        """Return the call as its vendor's, with the service's count of tokens where the vendor gives none."""
        served = provider(exchange.host, exchange.port, self.name)
        named = model(exchange.path)
        if exchange.streamed and not exchange.done:
            exchange = replace(exchange, done=any(self.ends(event) for event in exchange.events[-3:]))
        call = _fold(exchange, served, named)
        usage = call.usage if call.usage is not None and call.usage.input_tokens is not None else None
        streamed = exchange.streamed or exchange.path.endswith("-stream")
        return replace(
            call,
            provider=served,
            request_model=named,
            usage=usage or metered(exchange) or call.usage,
            stream=streamed,
        )


class BedrockRerank(Rerank):
    """`POST /model/MODEL/invoke` with a query and documents: Cohere's and Amazon's rerankers."""

    name = "bedrock.rerank"
    suffixes = ("/invoke",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a query, documents and a model in the path."""
        return super().accepts(path, request) and model(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the path
        """Return the path's model."""
        return model(path)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call as Cohere's."""
        call = super().fold(exchange)
        served = provider(exchange.host, exchange.port, self.name)
        return replace(call, provider=served, usage=call.usage or metered(exchange))


def metered(exchange: Exchange) -> Usage | None:
    """Return the service's own count of tokens."""
    for event in reversed(exchange.events[-3:]):
        counts = mapping(event.get(METRICS))
        if counts:
            break
    else:
        headers = exchange.response_headers
        counts = {name: _number(headers.get(header)) for name, header in _HEADERS.items()}
    read, written = (
        integer(counts.get("cacheReadInputTokenCount")),
        integer(counts.get("cacheWriteInputTokenCount")),
    )
    return told(
        integer(counts.get("inputTokenCount")),
        integer(counts.get("outputTokenCount")),
        read,
        written,
        raw={key: value for key, value in counts.items() if value is not None},
    )


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else None


def _fold(exchange: Exchange, served: str, named: str | None) -> Call:
    request = exchange.request
    if isinstance(request.get("messages"), list):
        if "anthropic_version" in request or "anthropic" in (named or ""):
            return anthropic_messages.fold_message(exchange, provider=served, model=named)
        if _is_nova(exchange, named):
            events = tuple(_typed(event) for event in exchange.events)
            return bedrock_converse.fold_converse(replace(exchange, events=events), provider=served)
        if "cohere" in (named or ""):
            return _COHERE.fold(exchange)
        events = tuple(_choices(event) for event in exchange.events)
        return _OPENAI.fold(replace(exchange, body=_choices(exchange.body), events=events))
    if isinstance(request.get("message"), str):
        return _COHERE_V1.fold(exchange)
    return bedrock_text.fold_text(exchange)


def _is_nova(exchange: Exchange, named: str | None) -> bool:
    if "inferenceConfig" in exchange.request or ".nova" in (named or "") or "output" in exchange.body:
        return True
    return any(key in event for event in exchange.events[:2] for key in _NOVA)


def _typed(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event of Nova's, whose kind is the key it stands under, in Converse's form."""
    for kind in _NOVA:
        value = event.get(kind)
        if isinstance(value, dict):
            return {**value, "type": kind}
    return event


def _choices(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a body in OpenAI's form, of one that says `stop_reason` and `message` where that has other words."""
    choices = sequence(body.get("choices"))
    if not choices:
        return body
    found = []
    for item in choices:
        choice = dict(mapping(item))
        choice.setdefault("finish_reason", choice.get("stop_reason"))
        if "delta" not in choice and isinstance(choice.get("message"), dict):
            choice["delta"] = choice["message"]
        found.append(choice)
    return {**body, "choices": found}

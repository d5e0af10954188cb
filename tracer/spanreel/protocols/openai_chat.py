"""OpenAI Chat Completions, and everybody who speaks it: plain, tools, streams, n choices, audio, legacy functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import STREAM_CUT, Exchange, event_error
from spanreel.protocols.openai_answer import Answer
from spanreel.protocols.openai_message import message
from spanreel.protocols.openai_parts import parts, tool_definitions
from spanreel.protocols.openai_usage import usage
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_OUTPUT_KEYS = (
    "content",
    "tool_calls",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "refusal",
    "function_call",
    "audio",
)


class OpenAIChat:
    """`POST .../chat/completions` with messages, at any base URL; Azure's deployment paths too."""

    name = "openai.chat"
    kind = "llm"
    operation = "chat"
    suffixes = ("/chat/completions",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a list of messages, and a model in the body or in the path."""
        return isinstance(request.get("messages"), list) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the body's model, else the Azure deployment."""
        return openai_request.model(path, request)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for text, refusal, reasoning, audio or a tool call; the opening `{"role": ...}` is none."""
        for choice in sequence(event.get("choices")):
            delta = mapping(mapping(choice).get("delta"))
            if any(delta.get(name) for name in _OUTPUT_KEYS):
                return True
        return False

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text, refusal or audio; a list of parts may be thinking alone."""
        for choice in sequence(event.get("choices")):
            delta = mapping(mapping(choice).get("delta"))
            content = delta.get("content")
            if isinstance(content, list):
                content = any(part["type"] != "reasoning" for part in parts(content))
            if content or delta.get("refusal") or delta.get("audio"):
                return True
        return False

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for a finish reason, or for the usage that comes after the last choice."""
        if any(mapping(choice).get("finish_reason") for choice in sequence(event.get("choices"))):
            return True
        return not event.get("choices") and bool(event.get("usage"))

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, usage and finish reasons."""
        answer = Answer()
        if exchange.streamed:
            for event in exchange.events:
                answer.add_event(event)
        else:
            answer.add_body(exchange.body)
        choices = answer.in_order()
        reasons = [choice.finish_reason for choice in choices]
        whole = not exchange.streamed or exchange.done or (bool(reasons) and None not in reasons)
        error_type, error_message = _failure(exchange, whole=whole)
        if error_type is not None:
            reasons = [reason or "error" for reason in reasons] or ["error"]
        request = exchange.request
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(answer.head.get("model")) or None,
            response_id=text(answer.head.get("id")) or None,
            stream=request.get("stream") is True or exchange.streamed,
            parameters=openai_request.parameters(request) | openai_request.response_parameters(answer.head),
            input_messages=[message(item) for item in sequence(request.get("messages"))],
            output_messages=[
                choice.message(reason) for choice, reason in zip(choices, reasons, strict=False)
            ],
            tool_definitions=tool_definitions(request.get("tools"), request.get("functions")),
            finish_reasons=tuple(reason for reason in reasons if reason),
            documents=answer.documents(),
            usage=usage(answer.usage),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


def _failure(exchange: Exchange, *, whole: bool) -> tuple[str | None, str | None]:
    if exchange.error_type is not None:
        return exchange.error_type, exchange.error_message
    if not whole:
        return STREAM_CUT, "the stream ended before its end marker"
    # Gateways answer 200 before they know whether the provider behind them will.
    found = None if exchange.streamed or exchange.body.get("choices") else event_error(exchange.body)
    return found if found is not None else (None, None)

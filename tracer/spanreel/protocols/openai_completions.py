"""The legacy completions API, still the way to base models at vLLM, TGI and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import STREAM_CUT, Exchange, strings
from spanreel.protocols.openai_usage import finish, usage
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


class OpenAICompletions:
    """`POST .../completions` with a prompt."""

    name = "openai.completions"
    kind = "llm"
    operation = "text_completion"
    suffixes = ("/completions",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a prompt and a model."""
        return isinstance(request.get("prompt"), str | list) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the body's model, else the Azure deployment."""
        return openai_request.model(path, request)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for any text."""
        return any(mapping(choice).get("text") for choice in sequence(event.get("choices")))

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for any text."""
        return self.carries_output(event)

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for a finish reason, or for the usage after the last choice."""
        if any(mapping(choice).get("finish_reason") for choice in sequence(event.get("choices"))):
            return True
        return not event.get("choices") and bool(event.get("usage"))

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with the prompt as a user message and a message per choice."""
        request = exchange.request
        texts: dict[int, str] = {}
        reasons: dict[int, str] = {}
        head: Mapping[str, Any] = {}
        counts: Any = None
        for event in exchange.events if exchange.streamed else (exchange.body,):
            head = event or head
            counts = event.get("usage") or counts
            for position, item in enumerate(sequence(event.get("choices"))):
                choice = mapping(item)
                index = integer(choice.get("index"))
                index = position if index is None else index
                texts[index] = texts.get(index, "") + (text(choice.get("text")) or "")
                reason = finish(choice.get("finish_reason"))
                if reason:
                    reasons[index] = reason
        whole = not exchange.streamed or exchange.done or (bool(texts) and len(reasons) == len(texts))
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        if error_type is not None:
            reasons = {index: reasons.get(index, "error") for index in texts} or {0: "error"}
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(head.get("model")),
            response_id=text(head.get("id")),
            stream=request.get("stream") is True or exchange.streamed,
            parameters=openai_request.parameters(request) | openai_request.response_parameters(head),
            input_messages=[
                {"role": "user", "parts": [{"type": "text", "content": prompt}]}
                for prompt in strings(request.get("prompt"))
            ],
            output_messages=[_message(texts[index], reasons.get(index)) for index in sorted(texts)],
            finish_reasons=tuple(reasons[index] for index in sorted(reasons)),
            usage=usage(counts),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


def _message(said: str, reason: str | None) -> dict[str, Any]:
    return {
        "role": "assistant",
        "parts": [{"type": "text", "content": said}] if said else [],
        **present({"finish_reason": reason}),
    }

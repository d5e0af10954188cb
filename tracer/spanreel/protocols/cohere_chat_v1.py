"""Cohere's chat, API v1: one message with a history, its stream as JSON lines that end with the whole response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import cohere_request
from spanreel.protocols.call import Call, Message
from spanreel.protocols.cohere_usage import finish, usage
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.openai_parts import tool_call, tool_definitions
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROLES = {"CHATBOT": "assistant", "USER": "user", "SYSTEM": "system", "TOOL": "tool"}


class CohereChatV1:
    """`POST .../v1/chat` with a message."""

    name = "cohere.chat_v1"
    kind = "llm"
    operation = "chat"
    suffixes = ("/v1/chat",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for one message; a model may be left to Cohere."""
        return isinstance(request.get("message"), str) and "messages" not in request

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the body
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for text or calls of tools."""
        return text(event.get("event_type")) in {
            "text-generation",
            "tool-calls-chunk",
            "tool-calls-generation",
        }

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text."""
        return event.get("event_type") == "text-generation" and bool(event.get("text"))

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the last event."""
        return event.get("event_type") == "stream-end" or event.get("is_finished") is True

    def fold(self, exchange: Exchange) -> Call:
        """Return the call; a stream that was cut is what its events add up to."""
        request = exchange.request
        response, whole = _rebuilt(exchange) if exchange.streamed else (exchange.body, True)
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        reason = finish(response.get("finish_reason")) or ("error" if error_type is not None else None)
        said = _said(response)
        found = sequence(response.get("documents")) or sequence(request.get("documents"))
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_id=text(response.get("response_id")) or text(response.get("generation_id")),
            stream=request.get("stream") is True or exchange.streamed,
            parameters=cohere_request.parameters(request),
            input_messages=_inputs(request),
            output_messages=[
                {"role": "assistant", "parts": said, **present({"finish_reason": reason})}
            ] if said else (),
            system_instructions=_text(request.get("preamble")),
            tool_definitions=tool_definitions(request.get("tools")),
            finish_reasons=(reason,) if reason else (),
            documents=cohere_request.documents(found),
            usage=usage(response.get("meta")),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )  # fmt: skip


def _inputs(request: Mapping[str, Any]) -> list[Message]:
    history = [mapping(item) for item in sequence(request.get("chat_history"))]
    messages: list[Message] = []
    for item in (*history, {"role": "USER", **request}):
        role = text(item.get("role")) or "USER"
        said = _text(item.get("message"))
        said.extend(_calls(item.get("tool_calls")))
        if said:
            messages.append({"role": _ROLES.get(role, role.lower()), "parts": said})
        results = [mapping(result) for result in sequence(item.get("tool_results"))]
        if results:
            messages.append({"role": "tool", "parts": [_result(result) for result in results]})
    return messages


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    name = text(mapping(result.get("call")).get("name"))
    return {"type": "tool_call_response", **present({"name": name}), "response": result.get("outputs")}


def _said(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = _text(response.get("text"))
    citations = sequence(response.get("citations"))
    if found and citations:
        found[0]["annotations"] = citations
    return [*found, *_calls(response.get("tool_calls"))]


def _text(value: object) -> list[dict[str, Any]]:
    return [{"type": "text", "content": value}] if isinstance(value, str) and value else []


def _calls(value: object) -> list[dict[str, Any]]:
    calls = [mapping(item) for item in sequence(value)]
    return [tool_call(call.get("id"), call.get("name"), call.get("parameters")) for call in calls]


def _rebuilt(exchange: Exchange) -> tuple[Mapping[str, Any], bool]:
    """Return the response that the last event holds and True, or what came before a cut and False."""
    found: dict[str, Any] = {"text": "", "tool_calls": []}
    for event in exchange.events:
        kind = event.get("event_type")
        if kind == "stream-end":
            response = mapping(event.get("response"))
            return {"finish_reason": event.get("finish_reason"), **response}, True
        if kind == "stream-start":
            found["generation_id"] = event.get("generation_id")
        elif kind == "text-generation":
            found["text"] += text(event.get("text")) or ""
        elif kind == "tool-calls-generation":
            found["tool_calls"] = sequence(event.get("tool_calls"))
    return found, exchange.done

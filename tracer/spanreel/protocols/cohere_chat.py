"""Cohere's chat, API v2: messages, thinking, tools with their plan, documents and citations, plain and streamed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols import cohere_request
from spanreel.protocols.call import Call, Message
from spanreel.protocols.cohere_usage import finish, usage
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.openai_parts import parts, tool_call, tool_definitions
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_DELTAS = ("content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta")


class CohereChat:
    """`POST .../v2/chat` with messages and a model."""

    name = "cohere.chat"
    kind = "llm"
    operation = "chat"
    suffixes = ("/v2/chat",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a list of messages and a model."""
        return isinstance(request.get("messages"), list) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the body
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a delta of anything."""
        return event.get("type") in _DELTAS

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text; thinking, plans and calls are none."""
        content = mapping(mapping(mapping(event.get("delta")).get("message")).get("content"))
        return event.get("type") == "content-delta" and bool(content.get("text"))

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the event that brings finish reason and usage."""
        return event.get("type") == "message-end"

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, citations, documents and billed units."""
        request = exchange.request
        answer = _Answer()
        if exchange.streamed:
            for event in exchange.events:
                answer.add(event)
        else:
            answer.take(exchange.body)
        whole = not exchange.streamed or exchange.done or answer.ended
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        reason = answer.reason or ("error" if error_type is not None else None)
        said = _said(answer.message())
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_id=answer.response_id,
            stream=request.get("stream") is True or exchange.streamed,
            parameters=cohere_request.parameters(request),
            input_messages=[_message(mapping(item)) for item in sequence(request.get("messages"))],
            output_messages=[
                {"role": "assistant", "parts": said, **present({"finish_reason": reason})}
            ] if said else (),
            tool_definitions=tool_definitions(request.get("tools")),
            finish_reasons=(reason,) if reason else (),
            documents=cohere_request.documents(request.get("documents")),
            usage=usage(answer.usage),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )  # fmt: skip


def _message(source: Mapping[str, Any]) -> Message:
    role = text(source.get("role")) or "user"
    if role != "tool":
        return {"role": role, "parts": _said(source)}
    response = source.get("content")
    part = {
        "type": "tool_call_response",
        **present({"id": text(source.get("tool_call_id"))}),
        "response": parts(response) if isinstance(response, list) else response,
    }
    return {"role": role, "parts": [part]}


def _said(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = parts(source.get("content"))
    for citation in sequence(source.get("citations")):
        place = integer(mapping(citation).get("content_index")) or 0
        if 0 <= place < len(found) and isinstance(citation, dict):
            part = found[place]
            found[place] = {**part, "annotations": [*sequence(part.get("annotations")), citation]}
    plan = text(source.get("tool_plan"))
    if plan:
        found.append({"type": "reasoning", "content": plan})
    for item in sequence(source.get("tool_calls")):
        function = mapping(mapping(item).get("function"))
        found.append(tool_call(mapping(item).get("id"), function.get("name"), function.get("arguments")))
    return found


@dataclass(slots=True)
class _Answer:
    """The response's message, from its events or as it came."""

    response_id: str | None = None
    reason: str | None = None
    usage: Any = None
    ended: bool = False
    whole: Mapping[str, Any] = field(default_factory=dict)
    content: dict[int, dict[str, Any]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    plan: list[str] = field(default_factory=list)
    citations: list[Any] = field(default_factory=list)

    def take(self, body: Mapping[str, Any]) -> None:
        self.whole = mapping(body.get("message"))
        self.response_id = text(body.get("id"))
        self.reason = finish(body.get("finish_reason"))
        self.usage = body.get("usage")

    def add(self, event: Mapping[str, Any]) -> None:
        kind = text(event.get("type")) or ""
        delta = mapping(event.get("delta"))
        message = mapping(delta.get("message"))
        index = integer(event.get("index")) or 0
        match kind:
            case "message-start":
                self.response_id = text(event.get("id")) or self.response_id
            case "content-start" | "content-delta":
                self._add_content(index, mapping(message.get("content")))
            case "tool-plan-delta":
                self.plan.append(text(message.get("tool_plan")) or "")
            case "tool-call-start" | "tool-call-delta":
                self._add_call(index, mapping(message.get("tool_calls")))
            case "citation-start":
                self.citations.append(message.get("citations"))
            case "message-end":
                self.ended = True
                self.reason = finish(delta.get("finish_reason"))
                self.usage = delta.get("usage")
            case _:
                pass

    def _add_content(self, index: int, piece: Mapping[str, Any]) -> None:
        part = self.content.setdefault(index, {})
        for key in ("text", "thinking"):
            said = text(piece.get(key))
            if said is not None:
                part[key] = part.get(key, "") + said
                part.setdefault("type", key)
        part["type"] = text(piece.get("type")) or part.get("type", "text")

    def _add_call(self, index: int, piece: Mapping[str, Any]) -> None:
        call = self.calls.setdefault(index, {"function": {"name": None, "arguments": ""}})
        call["id"] = text(piece.get("id")) or call.get("id")
        function = mapping(piece.get("function"))
        call["function"]["name"] = text(function.get("name")) or call["function"]["name"]
        call["function"]["arguments"] += text(function.get("arguments")) or ""

    def message(self) -> Mapping[str, Any]:
        if self.whole:
            return self.whole
        return {
            "content": [self.content[index] for index in sorted(self.content)],
            "tool_plan": "".join(self.plan),
            "tool_calls": [self.calls[index] for index in sorted(self.calls)],
            "citations": self.citations,
        }

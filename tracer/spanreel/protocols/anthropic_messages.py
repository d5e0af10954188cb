"""Anthropic's Messages API: plain and streamed, thinking, tools of the client and of the server, cache, refusals.

`fold_message` reads the same bodies and events where other clouds carry them (Vertex, Bedrock's InvokeModel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols import anthropic_request
from spanreel.protocols.anthropic_blocks import message, parts
from spanreel.protocols.anthropic_usage import finish, merge, usage
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, parse, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}
"""Type of a delta -> (its field, the field of the block that it is a piece of)."""


class AnthropicMessages:
    """`POST .../v1/messages` with messages and a model, at any base URL."""

    name = "anthropic.messages"
    kind = "llm"
    operation = "chat"
    suffixes: tuple[str, ...] = ("/messages",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a list of messages, a limit of tokens and a model; counting and batches have other paths."""
        return is_message_request(request) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - others look at the path
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a piece of text, thinking or a tool's input, or a block that comes whole."""
        return carries_output(event)

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for a piece of text."""
        return carries_text(event)

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the last event, or for the one before it, which holds stop reason and usage."""
        return ends(event)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, usage and finish reason."""
        return fold_message(
            exchange,
            provider=provider(exchange.host, exchange.port, self.name),
            model=self.model(exchange.path, exchange.request),
        )


def is_message_request(request: Mapping[str, Any]) -> bool:
    """Tell a request of this API by its body, the model aside: it may stand in the path."""
    return isinstance(request.get("messages"), list) and integer(request.get("max_tokens")) is not None


def carries_output(event: Mapping[str, Any]) -> bool:
    """Tell whether an event holds something the model said."""
    if event.get("type") == "content_block_delta":
        delta = mapping(event.get("delta"))
        known = _DELTAS.get(text(delta.get("type")) or "")
        return known is not None and bool(delta.get(known[0]))
    block = mapping(event.get("content_block"))
    return bool(block.get("text") or block.get("thinking") or block.get("data"))


def carries_text(event: Mapping[str, Any]) -> bool:
    """Tell whether an event holds text that a reader sees."""
    return bool(mapping(event.get("delta")).get("text") or mapping(event.get("content_block")).get("text"))


def ends(event: Mapping[str, Any]) -> bool:
    """Tell whether a stream that has seen this event is whole."""
    kind = event.get("type")
    return kind == "message_stop" or (
        kind == "message_delta" and bool(mapping(event.get("delta")).get("stop_reason"))
    )


def fold_message(exchange: Exchange, *, provider: str, model: str | None) -> Call:
    """Turn an exchange in this API's form into a call; `provider` and `model` are the caller's to know.

    Reads of the exchange: request, body (or events, if streamed), done, error_type and error_message.
    """
    request = exchange.request
    found = assemble(exchange.events) if exchange.streamed else exchange.body
    whole = not exchange.streamed or exchange.done or any(ends(event) for event in exchange.events[-3:])
    error_type, error_message = exchange.error_type, exchange.error_message
    if not whole and error_type is None:
        error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
    reason = finish(found.get("stop_reason"))
    if error_type is not None:
        reason = reason or "error"
    said = parts(found.get("content"))
    answered = bool(said or reason) and (error_type is None or bool(said))
    return Call(
        provider=provider,
        operation="chat",
        request_model=model,
        response_model=text(found.get("model")) or None,
        response_id=text(found.get("id")) or None,
        stream=request.get("stream") is True or exchange.streamed,
        parameters=anthropic_request.parameters(request) | anthropic_request.response_parameters(found),
        input_messages=[message(item) for item in sequence(request.get("messages"))],
        output_messages=[
            {
                "role": text(found.get("role")) or "assistant",
                "parts": said,
                **present({"finish_reason": reason}),
            }
        ]
        if answered
        else (),
        system_instructions=parts(request.get("system")),
        tool_definitions=anthropic_request.tool_definitions(request.get("tools")),
        finish_reasons=(reason,) if reason else (),
        usage=usage(found.get("usage")),
        error_type=error_type,
        error_message=error_message,
        output_started=whole,
    )


def assemble(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the message together that a stream's events add up to, or as much of it as came."""
    built = _Built()
    for event in events:
        built.add(event)
    return {**built.head, "content": [built.blocks[index].block() for index in sorted(built.blocks)]}


@dataclass(slots=True)
class _Block:
    """One content block: as it started, and the pieces that came for its fields."""

    start: Mapping[str, Any]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    citations: list[Any] = field(default_factory=list)
    whole: dict[str, Any] = field(default_factory=dict)

    def add(self, delta: Mapping[str, Any]) -> None:
        kind = text(delta.get("type")) or ""
        if kind == "citations_delta":
            self.citations.append(delta.get("citation"))
            return
        if kind == "signature_delta":
            self.whole["signature"] = text(delta.get("signature")) or ""
            return
        key, target = _DELTAS.get(kind, ("", ""))
        piece = text(delta.get(key))
        if piece is not None:
            self.pieces.setdefault(target, []).append(piece)

    def block(self) -> dict[str, Any]:
        found = {**self.start, **self.whole}
        for key, pieces in self.pieces.items():
            joined = "".join(pieces)
            if key == "input":
                value = parse(joined) if joined else None
                found[key] = (value if value is not None else joined) if joined else found.get(key)
            else:
                found[key] = (text(found.get(key)) or "") + joined
        if self.citations:
            found["citations"] = [*sequence(found.get("citations")), *self.citations]
        if "type" not in found:  # its start is not there: a stream that was shortened
            found["type"] = next((_TYPES[key] for key in self.pieces if key in _TYPES), "unknown")
        return found


_TYPES = {"text": "text", "thinking": "thinking", "input": "tool_use", "content": "compaction"}


@dataclass(slots=True)
class _Built:
    """The message of a stream: its head, and its blocks by their index."""

    head: dict[str, Any] = field(default_factory=dict)
    blocks: dict[int, _Block] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                self.head = {k: v for k, v in mapping(event.get("message")).items() if k != "content"}
            case "content_block_start":
                self._block(event, mapping(event.get("content_block")))
            case "content_block_delta":
                self._block(event).add(mapping(event.get("delta")))
            case "message_delta":
                later = mapping(event.get("usage"))
                if later:
                    self.head["usage"] = merge(mapping(self.head.get("usage")), later)
                self.head.update(present(mapping(event.get("delta"))))
            case _:
                pass

    def _block(self, event: Mapping[str, Any], start: Mapping[str, Any] | None = None) -> _Block:
        index = integer(event.get("index"))
        if index is None:
            index = len(self.blocks) if start is not None else max(self.blocks, default=0)
        if start is not None:
            self.blocks[index] = _Block(start)
            if start.get("type") == "fallback":  # another model goes on from here
                served = text(mapping(start.get("to")).get("model"))
                self.head.update(present({"model": served}))
        return self.blocks.setdefault(index, _Block({}))

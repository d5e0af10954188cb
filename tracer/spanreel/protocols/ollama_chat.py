"""Ollama's own API: `/api/chat` and `/api/generate`, streamed as JSON lines unless asked otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import ollama_request
from spanreel.protocols.call import Call, Message
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.ollama_request import finish, images, usage
from spanreel.protocols.openai_parts import tool_call, tool_definitions
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OllamaChat:
    """`POST /api/chat` with a model and messages."""

    name = "ollama.chat"
    kind = "llm"
    operation = "chat"
    suffixes: tuple[str, ...] = ("/api/chat",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for messages and a model; no messages means to load the model, which is no call of it."""
        return bool(sequence(request.get("messages"))) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - others look at the path
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for text, thinking or a tool call."""
        said = self.said(event)
        return bool(
            said.get("content") or said.get("thinking") or said.get("tool_calls") or said.get("images")
        )

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text."""
        said = self.said(event)
        return bool(said.get("content") or said.get("images"))

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for the line that is marked as the last."""
        return event.get("done") is True

    def said(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the message, or the piece of one, that an answer holds."""
        return mapping(event.get("message"))

    def asked(self, request: Mapping[str, Any]) -> list[Message]:
        """Return the messages of a request."""
        return [_message(mapping(item)) for item in sequence(request.get("messages"))]

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, counts and finish reason."""
        request = exchange.request
        events: Sequence[Mapping[str, Any]] = exchange.events if exchange.streamed else (exchange.body,)
        last = events[-1] if events else {}
        joined = _joined([self.said(event) for event in events])
        whole = exchange.done or self.ends(last) or not (exchange.streamed or last.get("done") is False)
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        reason = finish(last.get("done_reason"), asks_for_tools=bool(joined.get("tool_calls")))
        if reason is None:
            reason = "error" if error_type is not None else "stop" if self.ends(last) else None
        message = _message({"role": "assistant", **joined})
        answered = bool(message["parts"]) or (error_type is None and self.ends(last))
        return Call(
            provider=provider(exchange.host, exchange.port, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=next((model for event in events if (model := text(event.get("model")))), None),
            stream=exchange.streamed or request.get("stream") is True,
            parameters=ollama_request.parameters(request),
            input_messages=self.asked(request),
            output_messages=[{**message, **present({"finish_reason": reason})}] if answered else (),
            system_instructions=_system(request),
            tool_definitions=tool_definitions(request.get("tools")),
            finish_reasons=(reason,) if reason else (),
            usage=usage(last),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


class OllamaGenerate(OllamaChat):
    """`POST /api/generate` with a model and a prompt."""

    name = "ollama.generate"
    operation = "text_completion"
    suffixes = ("/api/generate",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a prompt and a model; an empty prompt means to load the model."""
        asks = bool(text(request.get("prompt")) or sequence(request.get("images")))
        return asks and self.model(path, request) is not None

    def said(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return text and thinking, which have no message around them here; images come alone."""
        image = text(event.get("image"))
        return {
            "content": event.get("response"),
            "thinking": event.get("thinking"),
            "images": [image] if image else None,
        }

    def asked(self, request: Mapping[str, Any]) -> list[Message]:
        """Return the prompt, and what is to stand after the answer, as the user's message."""
        prompt, suffix = text(request.get("prompt")), text(request.get("suffix"))
        parts: list[dict[str, Any]] = [{"type": "text", "content": prompt}] if prompt else []
        parts += [{"type": "suffix", "content": suffix}] if suffix else []
        return [{"role": "user", "parts": parts + images(request.get("images"))}]


def _system(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    system = text(request.get("system"))
    return [{"type": "text", "content": system}] if system else []


def _joined(pieces: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the pieces of a stream together: texts are continued, tool calls and images come whole."""
    return {
        **{key: "".join(text(piece.get(key)) or "" for piece in pieces) for key in ("content", "thinking")},
        **{
            key: [item for piece in pieces for item in sequence(piece.get(key))]
            for key in ("tool_calls", "images")
        },
        "role": next((role for piece in pieces if (role := text(piece.get("role")))), "assistant"),
    }


def _message(source: Mapping[str, Any]) -> Message:
    role = text(source.get("role")) or "user"
    content = source.get("content")
    if role == "tool":
        call_id = text(source.get("tool_call_id"))
        name = text(source.get("tool_name")) or text(source.get("name"))
        response = {
            "type": "tool_call_response",
            **present({"id": call_id, "name": name}),
            "response": content,
        }
        return {"role": role, "parts": [response]}
    found: list[dict[str, Any]] = []
    thinking = text(source.get("thinking"))
    if thinking:
        found.append({"type": "reasoning", "content": thinking})
    if isinstance(content, str) and content:
        found.append({"type": "text", "content": content})
    found.extend(images(source.get("images")))
    for call in sequence(source.get("tool_calls")):
        function = mapping(mapping(call).get("function"))
        found.append(tool_call(mapping(call).get("id"), function.get("name"), function.get("arguments")))
    return {"role": role, "parts": found}

"""OpenAI Chat Completions, and everybody who speaks it: plain, tools, streams, n choices, audio, legacy functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call, Message
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.openai_parts import parts, tool_call, tool_definitions
from spanreel.protocols.openai_usage import finish, usage
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
        answer = _Answer()
        if exchange.streamed:
            for event in exchange.events:
                answer.add_event(event)
        else:
            answer.add_body(exchange.body)
        choices = [answer.choices[index] for index in sorted(answer.choices)]
        reasons = [choice.finish_reason for choice in choices]
        whole = not exchange.streamed or exchange.done or (bool(reasons) and None not in reasons)
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        if error_type is not None:
            reasons = [reason or "error" for reason in reasons] or ["error"]
        request = exchange.request
        return Call(
            provider=_provider(exchange, answer.head),
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
            usage=usage(answer.usage),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


def message(item: object) -> Message:
    """Return a message of the request or of a choice in the convention's form."""
    source = mapping(item)
    role = text(source.get("role")) or "user"
    if role in {"tool", "function"}:
        response = source.get("content")
        if isinstance(response, list):
            response = parts(response)
        found = [
            {
                "type": "tool_call_response",
                **present({"id": text(source.get("tool_call_id"))}),
                "response": response,
            }
        ]
    else:
        found = _said(source)
    name = text(source.get("name"))
    return {"role": role, "parts": found} if name is None else {"role": role, "parts": found, "name": name}


def _said(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = parts(source.get("content"))
    if source.keys() <= _PLAIN_KEYS:
        return found
    thought = text(source.get("reasoning_content")) or text(source.get("reasoning"))
    if thought:
        found.insert(0, {"type": "reasoning", "content": thought})
    refusal = text(source.get("refusal"))
    if refusal:
        found.append({"type": "refusal", "content": refusal})
    audio = mapping(source.get("audio"))
    if audio:
        found.extend(_audio(audio))
    found.extend(_call(mapping(call)) for call in sequence(source.get("tool_calls")))
    legacy = mapping(source.get("function_call"))
    if legacy:
        found.append(tool_call(None, legacy.get("name"), legacy.get("arguments")))
    return found


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    custom = mapping(call.get("custom"))
    if custom:
        return tool_call(call.get("id"), custom.get("name"), custom.get("input"))
    function = mapping(call.get("function"))
    return tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def _audio(audio: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    transcript = text(audio.get("transcript"))
    if transcript:
        found.append({"type": "text", "content": transcript})
    data, file_id = text(audio.get("data")), text(audio.get("id"))
    if data:
        found.append({"type": "blob", "modality": "audio", "content": data, **present({"id": file_id})})
    elif file_id:
        found.append({"type": "file", "modality": "audio", "file_id": file_id})
    return found


def _provider(exchange: Exchange, head: Mapping[str, Any]) -> str:
    named = provider(exchange.host, exchange.port)
    # Ollama marks its answers, whatever port it was put on.
    return "ollama" if named == "openai" and head.get("system_fingerprint") == "fp_ollama" else named


_OUTPUT_KEYS = (
    "content",
    "tool_calls",
    "reasoning_content",
    "reasoning",
    "refusal",
    "function_call",
    "audio",
)
_TEXT_KEYS = ("content", "refusal", "reasoning_content", "reasoning")
_PLAIN_KEYS = frozenset({"role", "content", "name"})
"""Keys of most messages: nothing but a text."""


@dataclass(slots=True)
class _Choice:
    """One choice, put together from its deltas (or taken whole from a plain response)."""

    role: str = "assistant"
    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    by_index: dict[int, dict[str, Any]] = field(default_factory=dict)
    function: dict[str, Any] = field(default_factory=dict)
    audio: dict[str, Any] = field(default_factory=dict)
    content_parts: list[Any] = field(default_factory=list)
    finish_reason: str | None = None
    whole: Mapping[str, Any] | None = None

    def add(self, delta: Mapping[str, Any]) -> None:
        self.role = text(delta.get("role")) or self.role
        for key in _TEXT_KEYS:
            piece = delta.get(key)
            if isinstance(piece, str):
                self.texts.setdefault(key, []).append(piece)
        if isinstance(delta.get("content"), list):
            self.content_parts.extend(delta["content"])
        for call in sequence(delta.get("tool_calls")):
            self._add_call(mapping(call))
        _append(self.function, mapping(delta.get("function_call")), ("name", "arguments"))
        audio = mapping(delta.get("audio"))
        _append(self.audio, audio, ("data", "transcript"))
        if text(audio.get("id")):
            self.audio["id"] = audio["id"]

    def _add_call(self, piece: Mapping[str, Any]) -> None:
        """Parallel calls come interleaved, told apart by index; where a server sends none, by their ids."""
        index, call_id = integer(piece.get("index")), text(piece.get("id"))
        if index is not None:
            call = self.by_index.get(index)
        else:
            call = self.calls[-1] if self.calls and call_id in {None, "", self.calls[-1].get("id")} else None
        if call is None:
            call = dict[str, Any](function={}, custom={})
            self.calls.append(call)
            if index is not None:
                self.by_index[index] = call
        if call_id:
            call["id"] = call_id
        _append(call["function"], mapping(piece.get("function")), ("name", "arguments"))
        _append(call["custom"], mapping(piece.get("custom")), ("name", "input"))

    def message(self, reason: str | None) -> Message:
        if self.whole is not None:
            found = message({"role": "assistant", **self.whole})
        else:
            content: Any = self.content_parts or None
            joined = {key: "".join(pieces) for key, pieces in self.texts.items()}
            found = message(
                {"role": self.role, "content": content, "audio": self.audio, "function_call": self.function,
                 "tool_calls": self.calls, **joined}
            )  # fmt: skip
        if reason is not None:
            found["finish_reason"] = reason
        return found


def _append(target: dict[str, Any], piece: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        value = piece.get(key)
        if isinstance(value, str):
            # A name comes whole in the first delta, and some servers repeat it in each.
            target[key] = value if key == "name" else target.get(key, "") + value
        elif isinstance(value, dict) and key == "arguments":
            target[key] = value


@dataclass(slots=True)
class _Answer:
    """The response: what stands at its head, its choices, its usage."""

    head: dict[str, Any] = field(default_factory=dict)
    choices: dict[int, _Choice] = field(default_factory=dict)
    usage: Any = None

    def add_body(self, body: Mapping[str, Any]) -> None:
        self._note(body)
        for position, item in enumerate(sequence(body.get("choices"))):
            source = mapping(item)
            choice = self._choice(source, position)
            choice.whole = mapping(source.get("message"))
            choice.finish_reason = finish(source.get("finish_reason"))

    def add_event(self, event: Mapping[str, Any]) -> None:
        self._note(event)
        for position, item in enumerate(sequence(event.get("choices"))):
            source = mapping(item)
            choice = self._choice(source, position)
            choice.add(mapping(source.get("delta")) or mapping(source.get("message")))
            choice.finish_reason = finish(source.get("finish_reason")) or choice.finish_reason

    def _choice(self, source: Mapping[str, Any], position: int) -> _Choice:
        index = integer(source.get("index"))
        return self.choices.setdefault(position if index is None else index, _Choice())

    def _note(self, event: Mapping[str, Any]) -> None:
        for key in ("id", "model", "system_fingerprint", "service_tier"):
            if event.get(key):
                self.head[key] = event[key]
        counts = event.get("usage") or mapping(event.get("x_groq")).get("usage")
        if isinstance(counts, dict):
            self.usage = counts

"""A chat completion's response, plain or streamed, put together: its head, its choices, its usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols.openai_message import message
from spanreel.protocols.openai_usage import finish
from spanreel.protocols.shapes import integer, mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanreel.protocols.call import Message

_TEXT_KEYS = ("refusal", "reasoning_content", "reasoning")
_LIST_KEYS = ("annotations", "images", "executed_tools", "reasoning_details")
_HEAD_KEYS = ("id", "model", "system_fingerprint", "service_tier", "provider", "citations", "search_results")


@dataclass(slots=True)
class Choice:
    """One choice, put together from its deltas (or taken whole from a plain response)."""

    role: str = "assistant"
    content: list[Any] = field(default_factory=list)
    """Texts and typed parts in the order they came (Mistral sends thinking as parts, text as either)."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    by_index: dict[int, dict[str, Any]] = field(default_factory=dict)
    function: dict[str, Any] = field(default_factory=dict)
    audio: dict[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    whole: Mapping[str, Any] | None = None

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take in the delta of one event."""
        self.role = text(delta.get("role")) or self.role
        content = delta.get("content")
        if isinstance(content, str):
            self.content.append(content)
        elif isinstance(content, list):
            self.content.extend(content)
        for key in _TEXT_KEYS:
            piece = delta.get(key)
            if isinstance(piece, str):
                self.texts.setdefault(key, []).append(piece)
        for key in _LIST_KEYS:
            if delta.get(key):
                self.lists.setdefault(key, []).extend(sequence(delta[key]))
        for call in sequence(delta.get("tool_calls")):
            self._add_call(mapping(call))
        _append(self.function, mapping(delta.get("function_call")), ("name", "arguments"))
        audio = mapping(delta.get("audio"))
        _append(self.audio, audio, ("data", "transcript"))
        if text(audio.get("id")):
            self.audio["id"] = audio["id"]
        self.context = mapping(delta.get("context")) or self.context

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
        """Return the choice as a message of the convention."""
        if self.whole is not None:
            found = message({"role": "assistant", **self.whole})
        else:
            joined = {key: "".join(pieces) for key, pieces in self.texts.items()}
            found = message(
                {"role": self.role, "content": _joined(self.content), "audio": self.audio,
                 "function_call": self.function, "tool_calls": self.calls, **joined, **self.lists}
            )  # fmt: skip
        if reason is not None:
            found["finish_reason"] = reason
        return found


@dataclass(slots=True)
class Answer:
    """The response: what stands at its head, its choices, its usage."""

    head: dict[str, Any] = field(default_factory=dict)
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: Any = None

    def add_body(self, body: Mapping[str, Any]) -> None:
        """Take in a plain response."""
        self._note(body)
        for position, item in enumerate(sequence(body.get("choices"))):
            source = mapping(item)
            choice = self._choice(source, position)
            choice.whole = mapping(source.get("message"))
            choice.context = mapping(choice.whole.get("context"))
            choice.finish_reason = finish(source.get("finish_reason"))

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take in one event of a stream."""
        self._note(event)
        for position, item in enumerate(sequence(event.get("choices"))):
            source = mapping(item)
            choice = self._choice(source, position)
            choice.add(mapping(source.get("delta")) or mapping(source.get("message")))
            choice.finish_reason = finish(source.get("finish_reason")) or choice.finish_reason

    def in_order(self) -> list[Choice]:
        """Return the choices by their index."""
        return [self.choices[index] for index in sorted(self.choices)]

    def documents(self) -> list[dict[str, Any]]:
        """Return what a search of the provider's found: Perplexity and xAI at the head, Azure in the message."""
        context = next((choice.context for choice in self.choices.values() if choice.context), {})
        found = sequence(self.head.get("search_results")) or sequence(context.get("citations"))
        if found:
            return [_document(mapping(item)) for item in found]
        return [
            {"id": url, "content": None, "score": None, "metadata": None}
            for url in sequence(self.head.get("citations"))
            if isinstance(url, str)
        ]

    def _choice(self, source: Mapping[str, Any], position: int) -> Choice:
        index = integer(source.get("index"))
        return self.choices.setdefault(position if index is None else index, Choice())

    def _note(self, event: Mapping[str, Any]) -> None:
        for key in _HEAD_KEYS:
            if event.get(key):
                self.head[key] = event[key]
        counts = event.get("usage") or mapping(event.get("x_groq")).get("usage")
        if isinstance(counts, dict):
            self.usage = counts


def _joined(content: list[Any]) -> Any:
    """Return a text where only texts came; else the parts, neighbouring pieces of one kind in one."""
    if all(isinstance(piece, str) for piece in content):
        return "".join(content)
    found: list[Any] = []
    for piece in content:
        if piece == "":
            continue
        part = {"type": "text", "text": piece} if isinstance(piece, str) else piece
        last = mapping(found[-1] if found else None)
        kind = mapping(part).get("type")
        if kind == "text" == last.get("type") and isinstance(last.get("text"), str) and "text" in part:
            found[-1] = {**last, "text": last["text"] + (text(part["text"]) or "")}
        elif kind == "thinking" == last.get("type"):
            found[-1] = {**last, "thinking": [*_thoughts(last), *_thoughts(part)]}
        else:
            found.append(part)
    return found


def _thoughts(part: Mapping[str, Any]) -> list[Any]:
    said = part.get("thinking")
    return [{"type": "text", "text": said}] if isinstance(said, str) else sequence(said)


def _document(item: Mapping[str, Any]) -> dict[str, Any]:
    """Perplexity: title, url, date, snippet; Azure's own data: content, title, url, filepath, chunk_id."""
    metadata = {
        key: value for key, value in item.items() if key not in {"snippet", "content"} and value is not None
    }
    return {
        "id": text(item.get("url")) or text(item.get("filepath")) or text(item.get("chunk_id")),
        "content": text(item.get("content")) or text(item.get("snippet")) or text(item.get("title")),
        "score": None,
        "metadata": metadata or None,
    }


def _append(target: dict[str, Any], piece: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        value = piece.get(key)
        if isinstance(value, str):
            # A name comes whole in the first delta, and some servers repeat it in each.
            target[key] = value if key == "name" else target.get(key, "") + value
        elif isinstance(value, dict) and key == "arguments":
            target[key] = value

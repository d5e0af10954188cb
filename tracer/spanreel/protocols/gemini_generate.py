"""Google's generateContent: the Gemini API and Vertex AI, plain and streamed, thoughts, functions, several candidates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.protocols import gemini_request
from spanreel.protocols.call import Call, Message
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.gemini_arguments import put
from spanreel.protocols.gemini_parts import message, messages, parts
from spanreel.protocols.gemini_request import get, model_of, on_vertex
from spanreel.protocols.gemini_usage import finish, usage
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM = ":streamGenerateContent"
_BY_REQUEST = ("gemini-1", "gemini-2")
"""Models whose grounding is billed by the request."""


class GeminiGenerate:
    """`POST .../models/MODEL:generateContent` and `:streamGenerateContent` of the Gemini API."""

    name = "gemini.generate_content"
    kind = "llm"
    operation = "generate_content"
    suffixes: tuple[str, ...] = (":generateContent", STREAM)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for contents; a path of Vertex AI belongs to the sister below."""
        return isinstance(request.get("contents"), list | dict) and model_of(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - others look at the body
        """Return the path's model."""
        return model_of(path)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a part that is not an empty text."""
        return any(text(part.get("text")) or not isinstance(part.get("text"), str) for part in _parts(event))

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for text that is no thought, or media."""
        return any(
            (text(part.get("text")) and part.get("thought") is not True) or get(part, "inlineData")
            for part in _parts(event)
        )

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for a finish reason, or for the reason why the prompt was blocked."""
        if get(mapping(get(event, "promptFeedback")), "blockReason"):
            return True
        return any(get(mapping(item), "finishReason") for item in sequence(event.get("candidates")))

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with its messages, usage and finish reasons."""
        request, answer = exchange.request, _Answer()
        for event in exchange.events if exchange.streamed else (exchange.body,):
            answer.add(event)
        whole = not exchange.streamed or exchange.done or any(map(self.ends, exchange.events[-3:]))
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        candidates = [answer.candidates[index] for index in sorted(answer.candidates)]
        reasons = [candidate.reason() for candidate in candidates]
        if not reasons and answer.blocked is not None:
            reasons = ["content_filter"]
        if error_type is not None:
            reasons = [reason or "error" for reason in reasons] or ["error"]
        stream = exchange.streamed or exchange.path.endswith(STREAM)
        return Call(
            provider=provider(exchange.host, exchange.port, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(get(answer.head, "modelVersion")) or None,
            response_id=text(get(answer.head, "responseId")) or None,
            stream=stream,
            parameters=gemini_request.parameters(request) | answer.parameters(),
            input_messages=messages(request.get("contents")),
            output_messages=[
                candidate.message(reason) for candidate, reason in zip(candidates, reasons, strict=False)
            ],
            system_instructions=parts(get(request, "systemInstruction")),
            tool_definitions=gemini_request.tool_definitions(request.get("tools")),
            finish_reasons=tuple(reason for reason in reasons if reason),
            usage=usage(answer.usage, web_searches=answer.searches()),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


class VertexGenerate(GeminiGenerate):
    """The same at Vertex AI: a project's and location's path, or a publisher's in express mode."""

    name = "vertex.generate_content"

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for contents and a path of Vertex AI."""
        return on_vertex(path) and super().accepts(path, request)


def _parts(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        mapping(part)
        for candidate in sequence(event.get("candidates"))
        for part in sequence(mapping(mapping(candidate).get("content")).get("parts"))
    ]


@dataclass(slots=True)
class _Candidate:
    """One candidate: its parts in order, neighbouring texts as one, streamed arguments put together."""

    role: str = "model"
    found: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: Any = None
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, candidate: Mapping[str, Any]) -> None:
        content = mapping(candidate.get("content"))
        self.role = text(content.get("role")) or self.role
        for item in sequence(content.get("parts")):
            self._add_part(dict(mapping(item)))
        self.finish_reason = get(candidate, "finishReason") or self.finish_reason
        for key in ("finishMessage", "citationMetadata", "groundingMetadata", "urlContextMetadata"):
            value = get(candidate, key)
            if value:
                self.details[key] = value

    def _add_part(self, part: dict[str, Any]) -> None:
        last = self.found[-1] if self.found else {}
        piece, before = text(part.get("text")), text(last.get("text"))
        if piece is not None and before is not None and last.get("thought") == part.get("thought"):
            last.update(part, text=before + piece)
            return
        call = mapping(get(part, "functionCall"))
        partial = sequence(get(call, "partialArgs"))
        if call and (partial or "willContinue" in call):
            before_it = mapping(last.get("functionCall"))
            if call.get("name") or not before_it:
                last, before_it = part, call
                self.found.append(part)
            arguments = dict(mapping(before_it.get("args")))
            for change in partial:
                put(arguments, mapping(change))
            last["functionCall"] = {
                **present({key: before_it.get(key) for key in ("id", "name")}),
                "args": arguments,
            }
            return
        self.found.append(part)

    def reason(self) -> str | None:
        asks = any(get(part, "functionCall") for part in self.found)
        return finish(self.finish_reason, asks_for_tools=asks)

    def message(self, reason: str | None) -> Message:
        said = message({"role": self.role, "parts": self.found})
        return {
            **said,
            **present({"finish_reason": reason, "citations": self.details.get("citationMetadata")}),
        }


@dataclass(slots=True)
class _Answer:
    """The response: what stands at its head, its candidates, its usage, why the prompt was blocked."""

    head: dict[str, Any] = field(default_factory=dict)
    candidates: dict[int, _Candidate] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    blocked: str | None = None

    def add(self, event: Mapping[str, Any]) -> None:
        for key in ("modelVersion", "responseId"):
            value = get(event, key)
            if value:
                self.head[key] = value
        self.usage |= present(mapping(get(event, "usageMetadata")))
        self.blocked = text(get(mapping(get(event, "promptFeedback")), "blockReason")) or self.blocked
        for position, item in enumerate(sequence(event.get("candidates"))):
            source = mapping(item)
            index = integer(source.get("index"))
            self.candidates.setdefault(position if index is None else index, _Candidate()).add(source)

    def searches(self) -> int | None:
        """How many searches are billed: each query from Gemini 3 on, the grounded request before; None without one.

        Several candidates share their queries. Source: ai.google.dev/gemini-api/docs/pricing, "Grounding with Google
        Search".
        """
        asked = [
            len(sequence(get(mapping(candidate.details.get("groundingMetadata")), "webSearchQueries")))
            for candidate in self.candidates.values()
        ]
        most = max(asked, default=0)
        by_request = (text(self.head.get("modelVersion")) or "").startswith(_BY_REQUEST)
        return (1 if by_request else most) if most else None

    def parameters(self) -> dict[str, Any]:
        first = next((candidate.details for candidate in self.candidates.values() if candidate.details), {})
        traffic = text(get(self.usage, "trafficType"))
        return present(
            {
                "spanreel.response.block_reason": self.blocked,
                "spanreel.response.finish_message": text(first.get("finishMessage")),
                "spanreel.response.grounding": first.get("groundingMetadata"),
                "gcp.vertex_ai.traffic_type": traffic,
            }
        )

"""OpenAI Responses API: plain and streamed, tools, reasoning, built-in tools, failed and incomplete answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.exchange import STREAM_CUT, Exchange
from spanreel.protocols.openai_items import asks_for_tools, input_messages, output_message
from spanreel.protocols.openai_parts import parts, tool_definitions
from spanreel.protocols.openai_usage import usage
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import EMPTY, integer, mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
VISIBLE = (
    "response.output_text.delta",
    "response.refusal.delta",
    "response.audio.delta",
    "response.audio.transcript.delta",
)
_INCOMPLETE = {"max_output_tokens": "length", "max_messages": "length", "content_filter": "content_filter"}


class OpenAIResponses:
    """`POST .../responses` with an input or a stored prompt."""

    name = "openai.responses"
    kind = "llm"
    operation = "chat"
    suffixes = ("/responses",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a prompt kept at the provider, or an input and a model."""
        has_input = isinstance(request.get("input"), str | list)
        stored = isinstance(request.get("prompt"), dict)
        return stored or (has_input and self.model(path, request) is not None)

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the body's model, else the Azure deployment."""
        return openai_request.model(path, request)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Look for a delta of anything: text, reasoning, arguments, audio."""
        kind = text(event.get("type")) or ""
        return kind.startswith("response.") and kind.endswith(".delta")

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Look for a delta of text, refusal or audio."""
        return event.get("type") in VISIBLE

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Look for one of the four events that hold the finished response."""
        return event.get("type") in TERMINAL

    def fold(self, exchange: Exchange) -> Call:
        """Return the call; a stream that was cut is rebuilt from its items and deltas."""
        request = exchange.request
        response, whole = (exchange.body, True) if not exchange.streamed else _last_response(exchange)
        error_type, error_message = exchange.error_type, exchange.error_message
        if not whole and error_type is None:
            error_type, error_message = STREAM_CUT, "the stream ended before its end marker"
        failure = mapping(response.get("error"))
        if failure and error_type is None:
            error_type, error_message = text(failure.get("code")) or "failed", text(failure.get("message"))
        items = response.get("output")
        reason = "error" if error_type is not None else _finish(response, items)
        system = request.get("instructions")
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(response.get("model")),
            response_id=text(response.get("id")),
            stream=request.get("stream") is True or exchange.streamed,
            parameters=openai_request.parameters(request)
            | {"openai.api.type": "responses"}
            | openai_request.response_parameters(response),
            input_messages=input_messages(request.get("input")),
            output_messages=output_message(items, reason),
            system_instructions=parts(system) if isinstance(system, str | list) else (),
            tool_definitions=tool_definitions(request.get("tools")),
            finish_reasons=(reason,) if reason else (),
            usage=_with_searches(usage(response.get("usage")), items),
            error_type=error_type,
            error_message=error_message,
            output_started=whole,
        )


def _with_searches(counts: Usage | None, items: object) -> Usage | None:
    """Count the web searches, which are billed by the call; opening a page found is not one."""
    if counts is None or counts.web_searches is not None:
        return counts
    calls = [mapping(item) for item in sequence(items) if mapping(item).get("type") == "web_search_call"]
    searches = [call for call in calls if text(mapping(call.get("action")).get("type")) in {None, "search"}]
    return replace(counts, web_searches=len(searches)) if calls else counts


def _finish(response: Mapping[str, Any], items: object) -> str | None:
    status = text(response.get("status"))
    if status in {"failed", "cancelled"}:
        return "error"
    if status == "incomplete":
        why = text(mapping(response.get("incomplete_details")).get("reason"))
        return _INCOMPLETE.get(why or "", why or "length")
    if status == "completed" or (status is None and items):
        return "tool_call" if asks_for_tools(items) else "stop"
    return None


def _last_response(exchange: Exchange) -> tuple[Mapping[str, Any], bool]:
    """Return the finished response of a stream and True, or what can be rebuilt of it and False."""
    for event in reversed(exchange.events):
        if event.get("type") in TERMINAL:
            return mapping(event.get("response")), True
    rebuilt = _Rebuilt()
    for event in exchange.events:
        rebuilt.add(event)
    return {**rebuilt.head, "output": rebuilt.output()}, exchange.done


@dataclass(slots=True)
class _Rebuilt:
    """Output items put together from the events of an unfinished stream."""

    head: dict[str, Any] = field(default_factory=dict)
    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    deltas: dict[tuple[int, str, int], list[str]] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        kind = text(event.get("type")) or ""
        index = integer(event.get("output_index")) or 0
        if kind in {"response.output_item.added", "response.output_item.done"}:
            self.items[index] = dict(mapping(event.get("item")))
            if kind.endswith("done"):
                for key in [key for key in self.deltas if key[0] == index]:
                    del self.deltas[key]
        elif kind.endswith(".delta") and isinstance(event.get("delta"), str):
            part = integer(event.get("content_index")) or integer(event.get("summary_index")) or 0
            self.deltas.setdefault((index, kind, part), []).append(event["delta"])
        elif kind in {"response.created", "response.in_progress"}:
            response = mapping(event.get("response"))
            self.head = {key: response.get(key) for key in ("id", "model", "service_tier", "usage")}

    def output(self) -> list[dict[str, Any]]:
        for (index, kind, _), pieces in sorted(self.deltas.items()):
            said = "".join(pieces)
            item = self.items.setdefault(index, dict(_SKELETON.get(kind, EMPTY)))
            _put(item, kind, said)
        return [self.items[index] for index in sorted(self.items)]


_SKELETON: dict[str, dict[str, Any]] = {
    "response.output_text.delta": {"type": "message", "role": "assistant"},
    "response.refusal.delta": {"type": "message", "role": "assistant"},
    "response.reasoning_text.delta": {"type": "reasoning"},
    "response.reasoning_summary_text.delta": {"type": "reasoning"},
    "response.function_call_arguments.delta": {"type": "function_call"},
    "response.custom_tool_call_input.delta": {"type": "custom_tool_call"},
}


def _put(item: dict[str, Any], kind: str, said: str) -> None:
    """Put the text of one run of deltas where the finished item would have it."""
    match kind:
        case "response.output_text.delta":
            item["content"] = [*sequence(item.get("content")), {"type": "output_text", "text": said}]
        case "response.refusal.delta":
            item["content"] = [*sequence(item.get("content")), {"type": "refusal", "refusal": said}]
        case "response.reasoning_text.delta":
            item["content"] = [*sequence(item.get("content")), {"type": "reasoning_text", "text": said}]
        case "response.reasoning_summary_text.delta":
            item["summary"] = [*sequence(item.get("summary")), {"type": "summary_text", "text": said}]
        case "response.custom_tool_call_input.delta":
            item["input"] = said
        case "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta":
            item["arguments"] = said
        case "response.code_interpreter_call_code.delta":
            item["code"] = said
        case _:
            pass

"""Logfire's LLM instrumentations: `request_data` and `response_data`, `operation.cost`, `logfire.*`.

A streamed call is two spans: the request's, without an answer, and a log "streaming response from ...", beside it or
in a trace of its own, which has the answer, its tokens and its cost. That one is the call; the request's is a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, genai, vocabulary
from spanreel.analysis.dialects.messages import Message, answers, loose
from spanreel.analysis.dialects.reading import Attributes, dump, first, mapping, number, sequence, words
from spanreel.analysis.dialects.usage_shapes import provider_usage, usage_in
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "logfire"
_PROVIDERS: Final = {
    "logfire.openai": "openai",
    "logfire.anthropic": "anthropic",
    "logfire.google_genai": "gcp.gemini",
}
_LLM_TEMPLATES: Final = ("Chat Completion with", "Responses API with", "Completion with", "Message with")
STREAMED: Final = "streaming response from"
_LONGEST_S: Final = 86_400
_PRICED_S: Final = 2
LATE_NS: Final = _PRICED_S * 1_000_000_000
"""How long after its call a log that tells of it may come."""


def matches(raw: RawSpan) -> bool:
    """Logfire's own names, or a scope of its LLM instrumentations."""
    return any(key.startswith("logfire.") for key in raw.attributes) or foreign.scope(raw)[0].startswith(
        "logfire"
    )


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what Logfire writes beside the conventions."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.tags = foreign.tags(get.get("logfire.tags"))
    template = words(get.get("logfire.msg_template")) or ""
    asked, answered = mapping(get.get("request_data")), mapping(get.get("response_data"))
    row.kind = _kind(template, asked, get)
    foreign.reported_cost(row, get.get("operation.cost"))
    if row.kind == "span":
        return row
    scope = foreign.scope(raw)[0]
    row.provider = vocabulary.provider(first(get, "gen_ai.provider.name", "gen_ai.system")) or _PROVIDERS.get(
        scope
    )
    row.request_model = words(get.get("gen_ai.request.model")) or words(asked.get("model"))
    if raw.status == "error":
        row.response_model = None
    _usage(row, get, answered)
    _content(row, get, asked, answered)
    if row.kind == "llm" and _only_asks(raw, row, template):
        row.kind = "chain"
    return row


def _only_asks(raw: RawSpan, row: Canonical, template: str) -> bool:
    """Whether a span is the request of a streamed call, whose answer a log tells."""
    get = raw.attributes
    return (
        raw.status != "error"
        and foreign.scope(raw)[0] in _PROVIDERS
        and template.startswith(_LLM_TEMPLATES)
        and get.get("logfire.span_type") != "log"
        and row.output is None
        and row.input_tokens is None
        and "gen_ai.response.id" not in get
        and (
            "gen_ai.operation.name" in get or not template.startswith("Responses")
        )  # before 4 there was no such log
    )


def began_ns(raw: RawSpan) -> int:
    """When the call began: of a streamed call's log, which takes no time itself, as long ago as it says (seconds).

    Before it is written the call's price is worked out, which takes time; where the log has the answer's id, it is
    looked for that much earlier.
    """
    get = raw.attributes
    took = number(get.get("duration")) if get.get("logfire.span_type") == "log" else None
    if took is None or took < 0:
        return raw.start_ns
    late = _PRICED_S if "gen_ai.response.id" in get else 0
    return max(0, raw.start_ns - int((min(took, _LONGEST_S) + late) * 1e9))


def _kind(template: str, asked: Mapping[str, Any], get: Attributes) -> str:
    found = vocabulary.kind(get.get("gen_ai.operation.name"))
    if found is not None:
        return found
    if template.startswith("Embedding Creation"):
        return "embedding"
    if template.startswith((*_LLM_TEMPLATES, STREAMED)):
        return "llm"
    if asked.get("model") is not None:
        return (
            "llm"
            if asked.keys() & {"messages", "prompt", "contents"}
            else "embedding"
            if "input" in asked
            else "span"
        )
    return "span"


def _usage(row: Canonical, get: Attributes, answered: Mapping[str, Any]) -> None:
    """The provider's object; where it is not there, or a part of it, what the conventions' names say."""
    if not provider_usage(row, get.get("gen_ai.usage.raw")) and not provider_usage(row, usage_in(answered)):
        genai.read_usage(row, get)


def _content(row: Canonical, get: Attributes, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
    spoken, said = events(get.get("events"))
    spoken = spoken or genai.input_messages(get)
    if not spoken and asked.keys() & {"messages", "prompt", "input", "contents"}:
        spoken = loose(asked)
    said = said or genai.output_messages(get) or _answered(answered)
    row.input, row.output = (dump(spoken) if spoken else None), (dump(said) if said else None)
    row.finish_reason = next((m["finish_reason"] for m in said if m.get("finish_reason")), None)
    if row.kind == "embedding" and asked.get("input") is not None:
        row.input = dump(asked["input"])


def _answered(answered: Mapping[str, Any]) -> list[Message]:
    """`response_data`: the provider's message, or the text that a stream was put together to."""
    if mapping(answered.get("message")):
        return answers(answered["message"])
    streamed = first(answered, "combined_chunk_content", "text")
    if streamed is not None:
        return answers(streamed)
    return answers(dict(answered)) if answered else []


def events(value: object) -> tuple[list[Message], list[Message]]:
    """(asked, answered) of a list of events, as Logfire and pydantic-ai wrote them before the conventions' messages.

    What the model answered is a `gen_ai.choice`, or the assistant's messages behind the last of anybody else.
    """
    asked: list[Message] = []
    chosen: list[Message] = []
    for item in sequence(value):
        event = mapping(item)
        name = str(event.get("event.name") or "")
        body = {
            key: inner
            for key, inner in event.items()
            if key not in {"event.name", "gen_ai.system", "gen_ai.message.index"}
        }
        if name == "gen_ai.choice":
            inner = mapping(body.get("message")) or {"content": body.get("message")}
            chosen += answers({"role": "assistant", **inner, "finish_reason": body.get("finish_reason")})
            continue
        who = name.removeprefix("gen_ai.").removesuffix(".message") or "user"
        if who == "tool":
            body["tool_call_id"] = body.get("tool_call_id") or body.get("id")
        asked += loose({"role": who, **body})
    while not chosen and asked and asked[-1]["role"] == "assistant" and not chosen:
        chosen.insert(0, asked.pop())
    return asked, chosen

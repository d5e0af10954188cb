"""OpenTelemetry's GenAI conventions: span attributes of every version, log records and events, MCP, memory, plans.

Attribute tables: conventions 1.27 to 1.41 and `semantic-conventions-genai` after that. Content stands on the
span (text of JSON, or kvlists), in `gen_ai.client.inference.operation.details` log records, or in the older
`gen_ai.{system,user,assistant,tool}.message` and `gen_ai.choice` records and span events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import Message, answers, message, messages, role
from spanreel.analysis.dialects.parts import parts
from spanreel.analysis.dialects.reading import (
    Attributes,
    count,
    dump,
    first,
    first_count,
    json_text,
    mapping,
    meant,
    sequence,
    structure,
    words,
)
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "genai"
DETAILS: Final = "gen_ai.client.inference.operation.details"
_PREFIXES: Final = ("gen_ai.", "mcp.")
_CONTENT: Final = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
)
_MCP_KINDS: Final = {
    "tools/call": "tool",
    "prompts/get": "chain",
    "resources/read": "retrieval",
    "sampling/createMessage": "llm",
}
_MESSAGE_EVENTS: Final = {
    "gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool", "gen_ai.developer.message": "system",
}  # fmt: skip
_MEDIA: Final = {
    "audio_input_tokens": "gen_ai.usage.audio.input_tokens",
    "audio_output_tokens": "gen_ai.usage.audio.output_tokens",
    "audio_cache_read_tokens": "gen_ai.usage.audio.cache_read.input_tokens",
    "image_input_tokens": "gen_ai.usage.image.input_tokens",
    "image_output_tokens": "gen_ai.usage.image.output_tokens",
    "cache_write_1h_tokens": "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
}


def matches(raw: RawSpan) -> bool:
    """Any name of the conventions, on the span or on a log record of it."""
    return any(key.startswith((*_PREFIXES, foreign.LOG)) for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the conventions' attributes, then fill what is missing from log records and span events."""
    del lose
    get = _with_details(raw)
    row = foreign.begin(raw, NAME)
    row.kind = kind_of(get)
    row.provider = vocabulary.provider(first(get, "gen_ai.provider.name", "gen_ai.system"))
    row.request_model = words(get.get("gen_ai.request.model"))
    row.response_model = words(get.get("gen_ai.response.model"))
    row.response_id = words(get.get("gen_ai.response.id"))
    row.finish_reason = vocabulary.finish(_first_reason(get.get("gen_ai.response.finish_reasons")))
    row.service_tier = words(first(
        get, "openai.response.service_tier", "gen_ai.openai.response.service_tier", "anthropic.response.service_tier",
        "openai.request.service_tier", "gen_ai.openai.request.service_tier",
    ))  # fmt: skip
    row.session_id = row.session_id or words(get.get("gen_ai.conversation.id"))
    read_usage(row, get)
    _first_chunk(row, raw, get)
    _CONTENTS.get(row.kind, _conversation)(row, raw, get)
    return row


def _first_chunk(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    """Time to the first chunk in seconds; of a call that did not stream it would be its whole duration."""
    if get.get("gen_ai.request.stream") is False:
        return
    foreign.first_token(row, raw, seconds=first(
        get, "gen_ai.response.time_to_first_chunk", "gen_ai.response.time_to_first_token", "gen_ai.server.time_to_first_token",
        "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.time_to_first_chunk",
    ))  # fmt: skip


def _with_details(raw: RawSpan) -> Attributes:
    """The span's attributes, and behind them those of its operation-details log record."""
    get: dict[str, Any] = raw.attributes
    for name, body, attributes in foreign.logs(raw):
        if name == DETAILS:
            get = {**(body if isinstance(body, dict) else {}), **attributes, **get}
    return get


def kind_of(get: Attributes) -> str:
    """Our kind: the operation, else the MCP method, else what the attributes are about."""
    found = vocabulary.kind(get.get("gen_ai.operation.name"))
    if found is not None:
        return found
    method = get.get("mcp.method.name")
    if isinstance(method, str):
        return _MCP_KINDS.get(method, "span")
    if first(get, "gen_ai.tool.call.id", "gen_ai.tool.name") is not None:
        return "tool"
    if "gen_ai.retrieval.documents" in get or "gen_ai.retrieval.query.text" in get:
        return "retrieval"
    model = first(get, "gen_ai.request.model", "gen_ai.response.model")
    if model is not None and (get.keys() & _CALL_SIGNS or not get.keys() & _AGENT_SIGNS):
        return "embedding" if "gen_ai.embeddings.dimension.count" in get else "llm"
    return "agent" if get.keys() & _AGENT_SIGNS else "span"


_CALL_SIGNS: Final = {
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
}  # fmt: skip
_AGENT_SIGNS: Final = {"gen_ai.agent.name", "gen_ai.agent.id"}


def read_usage(row: Canonical, get: Attributes) -> None:
    """Token counts under the conventions' names, old and new, and those that packages made up around them."""
    foreign.usage(
        row,
        first_count(get, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        first_count(get, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        cache_read=first_count(
            get, "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached", "gen_ai.usage.cached_input_tokens", "gen_ai.usage.details.cache_read_tokens",
        ),
        cache_write=first_count(
            get, "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_tokens",
            "gen_ai.usage.details.cache_write_tokens",
        ),
        reasoning=first_count(
            get, "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.details.reasoning_tokens",
        ),
    )  # fmt: skip
    for name, key in _MEDIA.items():
        setattr(row, name, count(get.get(key)))
    cost = first(get, "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost")
    if cost not in (0, "0", "0.0"):  # what OpenLIT writes where its price list cannot be had
        foreign.reported_cost(row, cost)


def _first_reason(value: object) -> object:
    found = structure(value)
    if isinstance(found, list):
        return next((item for item in found if isinstance(item, str) and item), None)
    return value


# -- content, by kind ---------------------------------------------------------------


def _conversation(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    """What was asked and answered: of a model, an agent, a chain."""
    asked, answered = input_messages(get), output_messages(get)
    if not asked and not answered:
        asked, answered = _legacy(raw, get)
    if not asked and row.kind in vocabulary.BILLED_KINDS:
        system = parts(
            structure(get.get("gen_ai.system_instructions")) or get.get("gen_ai.system_instructions")
        )
        asked = [message("system", system)] if system else []
    row.input = dump(asked) if asked else None
    row.output = dump(answered) if answered else None
    if row.finish_reason is None:
        row.finish_reason = next(
            (found["finish_reason"] for found in answered if found.get("finish_reason")), None
        )


def input_messages(get: Attributes) -> list[Message]:
    """`gen_ai.input.messages` as messages; empty where it is absent."""
    value = first(get, "gen_ai.input.messages", "gen_ai.input_messages")
    return messages(value) if value is not None else []


def output_messages(get: Attributes) -> list[Message]:
    """`gen_ai.output.messages` as messages; empty where it is absent."""
    value = first(get, "gen_ai.output.messages", "gen_ai.output_messages")
    return answers(value) if value is not None else []


def _legacy(raw: RawSpan, get: Attributes) -> tuple[list[Message], list[Message]]:
    """Content of conventions up to 1.36: log records, span events, and the attributes without index."""
    asked: list[Message] = []
    chosen: list[tuple[int, Message]] = []
    told = [(name, body, details) for name, body, details in foreign.logs(raw)]
    told += [(name, None, details) for name, _, details in foreign.events(raw)]
    for name, body, details in told:
        content = _event_content(body, details)
        if name in _MESSAGE_EVENTS:
            asked.append(_event_message(content, details, _MESSAGE_EVENTS[name]))
        elif name == "gen_ai.choice":
            chosen.append(_choice(content, details, len(chosen)))
        elif name == "gen_ai.content.prompt":
            asked += messages(first(details, "gen_ai.prompt", "gen_ai.event.content"))
        elif name == "gen_ai.content.completion":
            chosen += [
                (len(chosen), found)
                for found in answers(first(details, "gen_ai.completion", "gen_ai.event.content"))
            ]
        elif name == DETAILS:
            asked = asked or input_messages(details)
            chosen = chosen or list(enumerate(output_messages(details)))
    if "langsmith.span.kind" in get:  # those hold the inputs and outputs of any run
        return asked, [found for _, found in chosen]
    asked = asked or (messages(get["gen_ai.prompt"]) if get.get("gen_ai.prompt") else [])
    answered = [found for _, found in sorted(chosen, key=lambda pair: pair[0])]
    answered = answered or (answers(get["gen_ai.completion"]) if get.get("gen_ai.completion") else [])
    return asked, answered


def _event_content(body: Any, details: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a message event: the body, the JSON in `gen_ai.event.content`, or the attributes themselves."""
    found = mapping(body) or mapping(details.get("gen_ai.event.content"))
    if not found and isinstance(body, str) and body:
        found = {"content": body}
    return found or dict(details)


def _event_message(content: dict[str, Any], details: Mapping[str, Any], who: str) -> Message:
    spoken = dict(content)
    spoken["role"] = role(content.get("role"), who)
    if "id" in content and spoken["role"] == "tool":
        spoken["tool_call_id"] = content["id"]
    return (messages([spoken], who) or [message(who, [])])[0]


def _choice(content: dict[str, Any], details: Mapping[str, Any], place: int) -> tuple[int, Message]:
    """(index, message) of a `gen_ai.choice`."""
    index = count(first(content, "index") if "index" in content else details.get("index"))
    inner = content.get("message")
    spoken = (
        dict(inner)
        if isinstance(inner, dict)
        else {**content, "content": inner if inner is not None else content.get("content")}
    )
    if "tool_calls" not in spoken and content.get("tool_calls"):
        spoken["tool_calls"] = content["tool_calls"]
    spoken["role"] = role(spoken.get("role"), "assistant")
    spoken["finish_reason"] = first(content, "finish_reason") or details.get("finish_reason")
    return place if index is None else index, (answers([spoken]) or [message("assistant", [])])[0]


def _tool(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    """A tool's arguments and result; those of an MCP call stand under the same names."""
    row.tool_name = words(first(get, "gen_ai.tool.name", "mcp.tool.name"))
    row.input = json_text(
        first(get, "gen_ai.tool.call.arguments", "gen_ai.tool.arguments", "mcp.request.argument")
    )
    row.output = json_text(
        first(
            get, "gen_ai.tool.call.result", "gen_ai.tool.result", "gen_ai.tool.message", "mcp.response.value"
        )
    )
    if row.input is None and row.output is None:
        _conversation(row, raw, get)


def _retrieval(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    row.input = json_text(
        first(get, "gen_ai.retrieval.query.text", "gen_ai.retrieval.query", "mcp.resource.uri")
    )
    row.documents = foreign.documents(get.get("gen_ai.retrieval.documents"))
    if row.input is None:
        _conversation(row, raw, get)


def _memory(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    row.input = json_text(
        first(get, "gen_ai.memory.query.text", "gen_ai.memory.record.id", "gen_ai.memory.store.id")
    )
    row.output = json_text(get.get("gen_ai.memory.records"))


def _embedding(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    given = first(get, "gen_ai.embeddings.input", "gen_ai.request.input")
    if given is not None:
        row.input = dump(meant(given))
        return
    _conversation(row, raw, get)


def tool_definitions(get: Attributes) -> list[Any]:
    """What tools were on offer."""
    return sequence(get.get("gen_ai.tool.definitions"))


_CONTENTS: Final[dict[str, Callable[[Canonical, RawSpan, Attributes], None]]] = {
    "tool": _tool, "retrieval": _retrieval, "memory": _memory, "embedding": _embedding,
}  # fmt: skip

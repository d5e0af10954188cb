"""Traceloop's SDK and OpenLLMetry's framework instrumentations: `traceloop.*`.

`traceloop.entity.input` is `{"args": [], "kwargs": {}}` of a decorated function, `{"inputs": ..., "tags": ...,
"metadata": ..., "kwargs": ...}` of a LangChain callback, or the arguments by name (LlamaIndex).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.reading import below, first, json_text, mapping, structure, text, words
from spanreel.analysis.dialects.results import tool_arguments, tool_result, unwrapped
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "traceloop"
_PROPERTIES: Final = "traceloop.association.properties."
_NOISE: Final = ("ls_", "lc_", "langgraph_", "checkpoint_ns", "__pregel")
_CALL_SIGNS: Final = ("llm.request.type", "gen_ai.request.model", "gen_ai.response.model")


def matches(raw: RawSpan) -> bool:
    """Traceloop's own names."""
    return any(key.startswith("traceloop.") for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the entity; a model's call below it is left to the other dialects."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    told = below(get, _PROPERTIES)
    foreign.metadata(row, {key: value for key, value in told.items() if not key.startswith(_NOISE)})
    row.prompt_name = row.prompt_name or text(get.get("traceloop.prompt.key"))
    row.prompt_version = row.prompt_version or text(
        first(get, "traceloop.prompt.version", "traceloop.prompt.version_name")
    )
    if first(get, *_CALL_SIGNS) is not None:
        row.provider = _provider(told)
        return row
    kind = vocabulary.kind(get.get("traceloop.span.kind"))
    asked, answered = get.get("traceloop.entity.input"), get.get("traceloop.entity.output")
    row.kind = (
        "retrieval" if _retrieves(words(get.get("traceloop.entity.name")) or "", asked) else kind or "span"
    )
    named = words(get.get("tool.name"))
    if row.kind == "chain" and named and "tool.arguments" in get:  # LlamaIndex's agents run a tool as a task
        row.kind, asked = "tool", get["tool.arguments"]
    _wrapped(row, asked)
    if row.kind == "tool":
        row.tool_name = words(get.get("gen_ai.tool.name")) or named or words(get.get("traceloop.entity.name"))
        row.input, row.output = json_text(tool_arguments(asked)), json_text(tool_result(answered))
    elif row.kind == "retrieval":
        row.input = json_text(foreign.query_of(unwrapped(asked, "inputs")))
        row.documents = foreign.documents_of(unwrapped(answered, "outputs"))
        row.output = json_text(unwrapped(answered, "outputs"))
    else:
        row.input, row.output = (
            json_text(unwrapped(asked, "inputs")),
            json_text(unwrapped(answered, "outputs", "output")),
        )
    return row


def _provider(told: dict[str, Any]) -> str | None:
    return vocabulary.provider(told.get("ls_provider"))


def _retrieves(entity: str, asked: object) -> bool:
    """Whether a LlamaIndex or LangChain retriever ran; of LlamaIndex's two nested spans the outer one."""
    name = entity.removesuffix(".task")
    if not name.endswith("Retriever"):
        return False
    arguments = structure(asked)
    return not isinstance(arguments, dict) or "query_bundle" not in arguments


def _wrapped(row: Canonical, asked: object) -> None:
    """Tags and metadata that a LangChain callback was given."""
    told = mapping(asked)
    if "inputs" not in told and "input_str" not in told:
        return
    listed = told.get("tags")
    if isinstance(listed, list):
        row.tags = [
            tag for tag in listed if isinstance(tag, str) and not tag.startswith(("seq:step", "graph:step"))
        ] or None
    found = {key: value for key, value in mapping(told.get("metadata")).items() if not key.startswith(_NOISE)}
    foreign.metadata(row, found)

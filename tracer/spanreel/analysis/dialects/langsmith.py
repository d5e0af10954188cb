"""LangSmith's OpenTelemetry export: `langsmith.*`, and `gen_ai.prompt` / `gen_ai.completion` as JSON of the raw run.

`langsmith.span.kind` is right where `gen_ai.operation.name` is not (a retriever says `embeddings`).
`langsmith.trace.session_name` is the project, no session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import (
    Attributes,
    below,
    dump,
    first,
    json_text,
    mapping,
    structure,
    text,
    words,
)
from spanreel.analysis.dialects.results import tool_arguments, tool_result
from spanreel.analysis.dialects.usage_shapes import provider_usage, usage_in
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "langsmith"
_METADATA: Final = "langsmith.metadata."
_NOISE: Final = ("LANGSMITH_", "LANGCHAIN_", "ls_", "lc_", "usage_metadata", "revision_id")


def matches(raw: RawSpan) -> bool:
    """LangSmith's own names."""
    return any(key.startswith("langsmith.") for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the run."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    row.kind = (
        vocabulary.kind(get.get("langsmith.span.kind"))
        or vocabulary.kind(get.get("langsmith.run_type"))
        or "span"
    )
    told = below(get, _METADATA)
    asked, answered = mapping(get.get("gen_ai.prompt")), mapping(get.get("gen_ai.completion"))
    foreign.metadata(row, {key: value for key, value in told.items() if not key.startswith(_NOISE)})
    tags = foreign.tags(get.get("langsmith.span.tags")) or []
    row.tags = [tag for tag in tags if not tag.startswith(("seq:step", "graph:step"))] or None
    row.provider = vocabulary.provider(told.get("ls_provider")) or vocabulary.provider(
        get.get("gen_ai.system")
    )
    if row.kind in vocabulary.BILLED_KINDS:
        _call(row, get, told, asked, answered)
    _failure(row, raw)
    _content(row, get)
    return row


def _call(
    row: Canonical,
    get: Attributes,
    told: Mapping[str, Any],
    asked: Mapping[str, Any],
    answered: Mapping[str, Any],
) -> None:
    row.request_model = (
        words(get.get("gen_ai.request.model"))
        or words(told.get("ls_model_name"))
        or words(asked.get("model"))
    )
    said = _response(answered)
    row.response_model = words(get.get("gen_ai.response.model")) or words(first(said, "model_name", "model"))
    row.response_id = words(get.get("gen_ai.response.id")) or words(said.get("id"))
    row.service_tier = words(first(get, "gen_ai.response.service_tier")) or words(said.get("service_tier"))
    for usage in (told.get("usage_metadata"), usage_in(answered)):
        if provider_usage(row, usage):
            return
    inside, outside = (
        mapping(get.get("gen_ai.usage.input_token_details")),
        mapping(get.get("gen_ai.usage.output_token_details")),
    )
    foreign.usage(
        row, get.get("gen_ai.usage.input_tokens"), get.get("gen_ai.usage.output_tokens"),
        cache_read=inside.get("cache_read"), cache_write=inside.get("cache_creation"), reasoning=outside.get("reasoning"),
    )  # fmt: skip


def _response(answered: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider said of the answer: the response itself, or LangChain's `response_metadata`."""
    if "generations" not in answered:
        return dict(answered)
    found = structure(answered["generations"])
    while isinstance(found, list) and found:
        found = found[0]
    spoken = mapping(mapping(found).get("message"))
    spoken = mapping(spoken.get("kwargs")) or spoken
    return {**mapping(answered.get("llm_output")), **mapping(spoken.get("response_metadata"))}


def _failure(row: Canonical, raw: RawSpan) -> None:
    """The exception event holds `repr(error)` and the traceback as its message, under the type `Exception`."""
    for _, _, details in foreign.events(raw, "exception"):
        said = (
            (text(details.get("exception.message")) or "")
            .partition("Traceback (most recent call last)")[0]
            .strip()
        )
        head, opened, rest = said.partition("(")
        if opened and head.replace(".", "").replace("_", "").isalnum():
            row.error_type = head
            row.error_message = rest.removesuffix(")").strip("'\"") or said
        return


def _content(row: Canonical, get: Attributes) -> None:
    asked, answered = get.get("gen_ai.prompt"), get.get("gen_ai.completion")
    if row.kind == "llm":
        spoken, said = loose(asked), answers(_unwrapped(answered))
        row.input = dump(spoken) if spoken else None
        row.output = dump(said) if said else None
        row.finish_reason = next((m["finish_reason"] for m in said if m.get("finish_reason")), None)
    elif row.kind == "tool":
        row.tool_name = words(get.get("gen_ai.tool.name"))
        row.input, row.output = json_text(tool_arguments(asked)), json_text(tool_result(_unwrapped(answered)))
    elif row.kind in {"retrieval", "rerank"}:
        row.input = json_text(foreign.query_of(asked))
        row.output = json_text(_unwrapped(answered))
        row.documents = foreign.documents_of(answered)
    else:
        row.input, row.output = json_text(asked), json_text(_unwrapped(answered))


def _unwrapped(answered: object) -> object:
    """What a run returned, where LangSmith put it under `output`."""
    found = structure(answered)
    if isinstance(found, dict) and set(found) == {"output"}:
        return found["output"]
    return answered if found is None else found

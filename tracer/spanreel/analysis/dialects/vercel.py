"""The Vercel AI SDK: `ai.*` of its legacy telemetry (3 to 7) and, beside the GenAI conventions, what `@ai-sdk/otel` adds.

Only `*.doGenerate`, `*.doStream`, `*.doEmbed` and `ai.rerank.doRerank` are calls; the span around them repeats their
totals. Up to version 5 the input of Anthropic's models leaves cached tokens out, which stand in the provider's
metadata then; version 6 and later say what was not cached (`inputTokenDetails.noCacheTokens`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose, messages
from spanreel.analysis.dialects.reading import (
    Attributes,
    below,
    dump,
    first,
    first_count,
    json_text,
    mapping,
    meant,
    number,
    sequence,
    text,
    unquoted,
    words,
)
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "vercel"
_OUTSIDE: Final = ("anthropic", "bedrock")
"""Parts of the names of providers whose counts leave cached tokens out (SDK 3 to 5), also behind Vertex AI."""
_METADATA: Final = "ai.telemetry.metadata."


def matches(raw: RawSpan) -> bool:
    """The legacy names, or the scope of the current ones."""
    get = raw.attributes
    return "ai.operationId" in get or foreign.scope(raw)[0] in {"ai", "gen_ai"} or "ai.model.id" in get


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the span."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    operation = words(get.get("ai.operationId")) or (raw.name if raw.name.startswith("ai.") else "")
    foreign.first_token(row, raw, seconds=get.get("gen_ai.client.operation.time_to_first_chunk"))
    if not operation:
        return row
    row.kind = _kind(operation.partition(" ")[0])
    row.provider = vocabulary.provider(get.get("ai.model.provider"))
    _context(row, get)
    if row.kind in vocabulary.BILLED_KINDS:
        _call(row, raw, get)
    _CONTENTS.get(row.kind, _outer)(row, get)
    return row


def _kind(operation: str) -> str:
    last = operation.rpartition(".")[2]
    if last in {"doGenerate", "doStream"}:
        return "llm"
    known = {"doEmbed": "embedding", "doRerank": "rerank", "toolCall": "tool"}
    return known.get(last, "chain")


def _context(row: Canonical, get: Attributes) -> None:
    told = {key: value for key, value in below(get, _METADATA).items() if value is not None}
    row.tags = foreign.tags(told.pop("tags", None))
    foreign.metadata(row, {key: unquoted(value) for key, value in told.items()})
    row.prompt_name = row.prompt_name or text(told.get("promptName"))
    row.prompt_version = row.prompt_version or text(told.get("promptVersion"))


def _call(row: Canonical, raw: RawSpan, get: Attributes) -> None:
    row.request_model = words(get.get("ai.model.id")) or words(get.get("gen_ai.request.model"))
    row.response_model = words(first(get, "ai.response.model", "gen_ai.response.model"))
    row.response_id = words(first(get, "ai.response.id", "gen_ai.response.id"))
    row.finish_reason = vocabulary.finish(first(get, "ai.response.finishReason", "ai.finishReason"))
    milliseconds = number(first(get, "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"))
    if milliseconds is not None:
        foreign.first_token(row, raw, seconds=milliseconds / 1e3)
    else:
        foreign.first_token(row, raw, at_ns=foreign.first_event(raw, "ai.stream.firstChunk"))
    _usage(row, get)


def _usage(row: Canonical, get: Attributes) -> None:
    head = "ai.usage."
    told = _provider_told(get)
    inputs = first_count(
        get, head + "inputTokens", head + "promptTokens", head + "tokens", "gen_ai.usage.input_tokens"
    )
    fresh = first_count(get, head + "inputTokenDetails.noCacheTokens")
    reads = first_count(get, head + "inputTokenDetails.cacheReadTokens", head + "cachedInputTokens")
    writes = first_count(get, head + "inputTokenDetails.cacheWriteTokens")
    raw = mapping(told.get("usage"))
    if reads is None:
        reads = first_count(
            {**raw, **told}, "cacheReadInputTokens", "cachedPromptTokens", "cachedInputTokens", "cache_read_input_tokens",
            "cachedContentTokenCount",
        )  # fmt: skip
    if writes is None:
        writes = first_count(
            {**raw, **told},
            "cacheCreationInputTokens",
            "cacheWriteInputTokens",
            "cache_creation_input_tokens",
        )
    foreign.usage(
        row,
        inputs,
        first_count(get, head + "outputTokens", head + "completionTokens", "gen_ai.usage.output_tokens"),
        cache_read=reads,
        cache_write=writes,
        reasoning=_reasoning(get, told),
        cache_outside=fresh is None
        and any(name in str(get.get("ai.model.provider")).lower() for name in _OUTSIDE),
    )
    row.cache_write_1h_tokens = first_count(mapping(raw.get("cache_creation")), "ephemeral_1h_input_tokens")
    cost = first(told, "cost") or first(raw, "cost")
    foreign.reported_cost(row, cost)


def _reasoning(get: Attributes, told: Mapping[str, Any]) -> int | None:
    head = "ai.usage."
    found = first_count(get, head + "outputTokenDetails.reasoningTokens", head + "reasoningTokens")
    return first_count(told, "reasoningTokens") if found is None else found


def _provider_told(get: Attributes) -> dict[str, Any]:
    """`providerMetadata` of the one provider that answered."""
    whole = mapping(get.get("ai.response.providerMetadata"))
    found: dict[str, Any] = {}
    for inner in whole.values():
        told = mapping(inner)
        found.update({**mapping(told.get("usage")), **told} if "usage" in told else told)
    return found


# -- content ------------------------------------------------------------------------


def _llm(row: Canonical, get: Attributes) -> None:
    asked = messages(get.get("ai.prompt.messages")) or loose(get.get("ai.prompt"))
    said = _answer(get)
    row.input, row.output = (dump(asked) if asked else None), (dump(said) if said else None)


def _answer(get: Attributes) -> list[dict[str, Any]]:
    calls = sequence(first(get, "ai.response.toolCalls", "ai.result.toolCalls", "ai.toolCalls"))
    said = first(get, "ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object")
    thought = first(get, "ai.response.reasoning")
    if said is None and not calls and thought is None:
        return []
    return answers({
        "role": "assistant", "content": said if isinstance(said, str) or said is None else dump(said), "toolCalls": calls,
        "reasoning": thought if isinstance(thought, str) else None,
        "finish_reason": first(get, "ai.response.finishReason", "ai.finishReason"),
    })  # fmt: skip


def _outer(row: Canonical, get: Attributes) -> None:
    """The span around calls: what it was called with, and what it returned."""
    row.input = json_text(get.get("ai.prompt"))
    if row.input is None:
        _embedding(row, get)
    said = _answer(get)
    row.output = dump(said) if said else None


def _tool(row: Canonical, get: Attributes) -> None:
    row.tool_name = words(get.get("ai.toolCall.name"))
    row.input, row.output = json_text(get.get("ai.toolCall.args")), json_text(get.get("ai.toolCall.result"))


def _embedding(row: Canonical, get: Attributes) -> None:
    values = sequence(get.get("ai.values"))
    given = [unquoted(value) for value in values] if values else unquoted(get.get("ai.value"))
    row.input = dump(given) if given is not None else None


def _rerank(row: Canonical, get: Attributes) -> None:
    row.input = json_text(first(get, "ai.query", "ai.documents"))
    given = [meant(unquoted(item)) for item in sequence(get.get("ai.documents"))]
    ranking = [mapping(item) for item in map(unquoted, sequence(get.get("ai.ranking")))]
    placed = [(item, item.get("originalIndex", item.get("index"))) for item in ranking]
    row.documents = foreign.documents(
        [
            {"id": str(place), "score": first(item, "score", "relevanceScore"), "content": given[place]}
            for item, place in placed
            if isinstance(place, int) and 0 <= place < len(given)
        ]
    )


_CONTENTS: Final[dict[str, Callable[[Canonical, Attributes], None]]] = {
    "llm": _llm, "tool": _tool, "embedding": _embedding, "rerank": _rerank,
}  # fmt: skip

"""Haystack's own tracer: `haystack.component.*` and `haystack.pipeline.*`, content only where it is switched on.

A component's type says what it is (`OpenAIChatGenerator`, `InMemoryBM25Retriever`, ...); a generator's replies
carry the model's name and its usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign, vocabulary
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import dump, first, json_text, mapping, sequence, words
from spanreel.analysis.dialects.usage_shapes import provider_usage
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "haystack"
_HEAD: Final = "haystack."
_TYPES: Final = (
    ("Generator", "llm"), ("TextEmbedder", "embedding"), ("DocumentEmbedder", "embedding"), ("Embedder", "embedding"),
    ("Retriever", "retrieval"), ("Ranker", "rerank"), ("ToolInvoker", "chain"), ("Evaluator", "evaluator"),
)  # fmt: skip
_PROVIDERS: Final = (
    "OpenAI",
    "Anthropic",
    "Cohere",
    "Mistral",
    "Ollama",
    "HuggingFace",
    "GoogleGenAI",
    "AmazonBedrock",
    "Azure",
)


def matches(raw: RawSpan) -> bool:
    """Its own names."""
    return any(key.startswith(_HEAD) for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read a component's or pipeline's run."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    kind = words(first(get, "haystack.component.type", "haystack.component.fully_qualified_type")) or ""
    kind = kind.rpartition(".")[2]
    row.kind = _kind(raw.name, kind)
    row.name = words(get.get("haystack.component.name")) or row.name
    asked = first(
        get,
        "haystack.component.input",
        "haystack.pipeline.input_data",
        "haystack.agent.input",
        "haystack.tool.input",
    )
    answered = first(
        get,
        "haystack.component.output",
        "haystack.pipeline.output_data",
        "haystack.agent.output",
        "haystack.tool.output",
    )
    given, made = mapping(asked), mapping(answered)
    if row.kind == "llm":
        row.provider = next((vocabulary.provider(name) for name in _PROVIDERS if kind.startswith(name)), None)
        _call(row, given, made)
    elif row.kind in {"retrieval", "rerank"}:
        row.input = json_text(first(given, "query", "query_embedding") or asked)
        row.documents = foreign.documents_of(answered)
        row.output = json_text(answered)
    else:
        row.input, row.output = json_text(asked), json_text(answered)
    if row.kind == "embedding":
        told = mapping(made.get("meta"))
        row.request_model = row.response_model = words(told.get("model"))
        provider_usage(row, told.get("usage"))
    if row.kind == "tool":
        row.tool_name = words(first(get, "haystack.tool.name"))
    return row


def _kind(name: str, component: str) -> str:
    if component == "Agent" or name.endswith("agent.run"):
        return "agent"
    if name.endswith("tool.run"):
        return "tool"
    return next((kind for end, kind in _TYPES if component.endswith(end)), "chain")


def _call(row: Canonical, given: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """A generator's run: replies are texts with `meta` beside them, or messages that hold it."""
    replies, metas = sequence(made.get("replies")), sequence(made.get("meta"))
    told = mapping(metas[0]) if metas else {}
    if not told and replies:
        reply = mapping(replies[0])
        told = mapping(first(reply, "meta", "_meta"))
    row.request_model = words(mapping(given.get("generation_kwargs")).get("model")) or words(
        told.get("model")
    )
    row.response_model = words(told.get("model"))
    row.finish_reason = vocabulary.finish(told.get("finish_reason"))
    provider_usage(row, told.get("usage"))
    spoken = loose(dict(given))
    said = answers([_plain(item) for item in replies])
    row.input, row.output = (dump(spoken) if spoken else None), (dump(said) if said else None)


def _plain(reply: object) -> object:
    """A reply as it is, or a serialised chat message under the names that everybody uses."""
    found = mapping(reply)
    if "_role" in found:
        return {"role": found.get("_role"), "content": found.get("_content")}
    return found or reply

"""Usage objects as providers and frameworks write them -> the canonical row's token counts, inclusive.

An object is known by its names: OpenAI's two spellings, Anthropic's, Gemini's, Bedrock's, Ollama's, Cohere's,
LangChain's `usage_metadata`, MLflow's `tokenUsage`. Total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from spanreel.analysis.dialects import foreign
from spanreel.analysis.dialects.reading import count, first, mapping, structure
from spanreel.analysis.record import Canonical
from spanreel.protocols import (
    anthropic_usage,
    bedrock_parts,
    cohere_usage,
    gemini_usage,
    ollama_request,
    openai_usage,
)
from spanreel.protocols.call import Usage

_ANTHROPIC: Final = frozenset({"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"})
_SHARED: Final = tuple(
    item.name
    for item in fields(Usage)
    if item.name in Canonical.__dataclass_fields__ and item.name != "cost_usd"
)


def provider_usage(row: Canonical, told: object) -> bool:
    """Set the counts from a usage object of any known spelling; False where it holds none."""
    counts = mapping(told)
    if not counts:
        return False
    if isinstance(counts.get("input_token_details"), dict) or isinstance(
        counts.get("output_token_details"), dict
    ):
        return _langchain(row, counts)
    found = _read(counts)
    if found is None or (found.input_tokens is None and found.output_tokens is None):
        return False
    for name in _SHARED:
        setattr(row, name, count(getattr(found, name)))
    return True


def _read(counts: Mapping[str, Any]) -> Usage | None:
    for names, reader in _SPELLINGS:
        if names & counts.keys():
            return reader(counts)
    if _ANTHROPIC & counts.keys() and "input_tokens" in counts and not _adds_up(counts):
        return anthropic_usage.usage(counts)
    return openai_usage.usage(counts)


def _adds_up(counts: Mapping[str, Any]) -> bool:
    """Whether a total says that cached tokens are part of the input (MLflow); Anthropic itself writes no total."""
    total, inputs, outputs = (count(counts.get(k)) for k in ("total_tokens", "input_tokens", "output_tokens"))
    cached = (count(counts.get("cache_read_input_tokens")) or 0) + (
        count(counts.get("cache_creation_input_tokens")) or 0
    )
    return total is not None and total == (inputs or 0) + (outputs or 0) and cached <= (inputs or 0)


def _langchain(row: Canonical, counts: Mapping[str, Any]) -> bool:
    """LangChain's `usage_metadata`: its details are parts of its counts."""
    inside, outside = mapping(counts.get("input_token_details")), mapping(counts.get("output_token_details"))
    foreign.usage(
        row,
        counts.get("input_tokens"),
        counts.get("output_tokens"),
        cache_read=inside.get("cache_read"),
        cache_write=first(inside, "cache_creation", "cache_write"),
        reasoning=outside.get("reasoning"),
    )
    row.audio_input_tokens, row.audio_output_tokens = count(inside.get("audio")), count(outside.get("audio"))
    row.cache_write_1h_tokens = count(inside.get("ephemeral_1h_input_tokens"))
    return row.input_tokens is not None or row.output_tokens is not None


def _gemini(counts: Mapping[str, Any]) -> Usage | None:
    return gemini_usage.usage({_camel(key): value for key, value in counts.items()})


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


_SPELLINGS: Final[tuple[tuple[frozenset[str], Callable[[Mapping[str, Any]], Usage | None]], ...]] = (
    (frozenset({"prompt_tokens", "completion_tokens"}), openai_usage.usage),
    (
        frozenset(
            {"promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count"}
        ),
        _gemini,
    ),
    (frozenset({"inputTokens", "outputTokens"}), bedrock_parts.usage),
    (frozenset({"prompt_eval_count", "eval_count"}), ollama_request.usage),
    (frozenset({"billed_units"}), cohere_usage.usage),
)


def usage_in(value: object) -> dict[str, Any]:
    """The usage object inside of a response of a provider or framework; empty where there is none."""
    body = structure(value)
    for _ in range(6):
        if isinstance(body, list):
            body = next((item for item in body if isinstance(item, (dict, list))), None)
            continue
        if not isinstance(body, dict):
            return {}
        for key in ("usage", "usageMetadata", "usage_metadata", "token_usage", "tokenUsage"):
            if mapping(body.get(key)):
                return mapping(body[key])
        if "prompt_eval_count" in body:
            return body
        body = first(
            body,
            "message",
            "generations",
            "kwargs",
            "llm_output",
            "response_metadata",
            "meta",
            "response",
            "messages",
            "output",
        )
    return {}

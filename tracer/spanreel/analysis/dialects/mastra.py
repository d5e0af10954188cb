"""Mastra's OpenTelemetry exporter and bridge: `mastra.*` beside the GenAI conventions of 1.38.

A model's call is `model_inference`, or `model_generation` where the release has no inferences; what stands around
calls carries `mastra.<type>.input` and `.output`. Lists are JSON text, which the readers of values take as lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spanreel.analysis.dialects import foreign, genai, vocabulary
from spanreel.analysis.dialects.langfuse import nanoseconds
from spanreel.analysis.dialects.messages import answers, loose
from spanreel.analysis.dialects.reading import below, count, dump, json_text, mapping, unquoted, words
from spanreel.analysis.record import Canonical, RawSpan

NAME: Final = "mastra"
_KINDS: Final = {
    "agent_run": "agent", "model_inference": "llm", "model_step": "chain", "model_chunk": "span", "llm_generation": "llm",
    "llm_step": "chain", "llm_chunk": "span", "tool_call": "tool", "mcp_tool_call": "tool", "provider_tool_call": "tool",
    "workflow_run": "chain", "rag_embedding": "embedding", "rag_ingestion": "chain", "rag_vector_operation": "retrieval",
    "rag_action": "chain", "mcp_server_request": "span", "processor_run": "chain", "memory_operation": "memory",
    "scorer_run": "evaluator", "scorer_step": "evaluator", "graph_action": "chain", "workspace_action": "span",
}  # fmt: skip


def matches(raw: RawSpan) -> bool:
    """Mastra's own names."""
    return any(key.startswith("mastra.") for key in raw.attributes)


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read what the conventions beside it leave open."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    kind = (words(get.get("mastra.span.type")) or "").lower()
    row.kind = _KINDS.get(kind) or ("chain" if kind.startswith("workflow") else "span")
    if kind == "model_generation":  # the call itself, or what stands around its inferences
        row.kind = "llm" if vocabulary.kind(get.get("gen_ai.operation.name")) == "llm" else "chain"
    told = {key: unquoted(value) for key, value in below(get, "mastra.metadata.").items()}
    foreign.metadata(
        row, {key: value for key, value in told.items() if key not in {"headers", "body", "modelMetadata"}}
    )
    row.tags = foreign.tags(get.get("mastra.tags"))
    if row.kind == "llm":
        genai.read_usage(row, get)
        row.audio_input_tokens = count(get.get("gen_ai.usage.audio_input_tokens"))
        row.audio_output_tokens = count(get.get("gen_ai.usage.audio_output_tokens"))
        row.cache_write_1h_tokens = count(get.get("gen_ai.usage.cache_creation.1h_input_tokens"))
        foreign.first_token(row, raw, at_ns=nanoseconds(get.get("mastra.completion_start_time")))
    asked, answered = get.get(f"mastra.{kind}.input"), get.get(f"mastra.{kind}.output")
    if asked is None and answered is None:
        return row
    if row.kind == "llm":
        spoken, said = loose(asked), answers(_spoken(answered))
        row.input, row.output = (dump(spoken) if spoken else None), (dump(said) if said else None)
    else:
        row.input, row.output = json_text(asked), json_text(answered)
        if row.kind == "retrieval":
            row.documents = foreign.documents_of(answered)
    return row


def _spoken(value: object) -> object:
    """`{"text", "toolCalls", ...}` as a message."""
    found = mapping(value)
    return (
        {"role": "assistant", "content": found.get("text"), "toolCalls": found.get("toolCalls")}
        if "text" in found
        else value
    )

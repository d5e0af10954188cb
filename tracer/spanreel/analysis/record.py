"""The currency of the analysis: a span as it was recorded, and the canonical row made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "llm", "embedding", "retrieval", "rerank", "tool", "agent", "chain",
    "guardrail", "evaluator", "memory", "span",
)  # fmt: skip

USAGE_FIELDS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "audio_cache_read_tokens",
    "image_input_tokens", "image_output_tokens", "search_units", "web_searches",
)  # fmt: skip
"""Fields of `Canonical` that count what is billed."""


@dataclass(slots=True)
class Attempt:
    """One HTTP exchange of a call, as it went over the wire (redacted at capture)."""

    seq: int
    meta: dict[str, Any]
    """protocol, method, url (no query), status, request_id, start_ns, first_ns, end_ns, chunks
    ([[offset, ns after start], ...]), encoding ("utf-8" | "base64"), error_type, truncated."""
    request: bytes
    response: bytes


@dataclass(slots=True)
class RawSpan:
    """A span joined from its journal records; nothing interpreted yet."""

    trace_id: str
    span_id: str
    parent_id: str | None
    foreign_parent: bool
    kind: str
    name: str
    start_ns: int
    end_ns: int | None = None
    state: str = "running"
    status: str = "unset"
    first_ns: int | None = None
    input: str | None = None
    """JSON text."""
    output: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    attributes_json: str = ""
    """`attributes` as the JSON text they came in (key order, number text); "" where that text is out of date."""
    attempts: list[Attempt] = field(default_factory=list)
    process: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """One retrieved document, in the order it was returned."""

    rank: int
    id: str | None
    score: float | None
    content: str | None
    metadata: str | None
    """JSON text."""


@dataclass(slots=True)
class Canonical:
    """The columns of the `spans` view that are derived from a `RawSpan` (see ARCHITECTURE.md)."""

    kind: str
    name: str
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    """No column: ingest tells by it that two spans are one call."""
    finish_reason: str | None = None
    input_tokens: int | None = None
    """Inclusive: cache reads, cache writes and every modality are part of it."""
    output_tokens: int | None = None
    """Inclusive: reasoning and every modality are part of it."""
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    """All of them, whatever their time to live."""
    cache_write_1h_tokens: int | None = None
    """Those of `cache_write_tokens` that are kept for an hour."""
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    audio_cache_read_tokens: int | None = None
    """Part of both `audio_input_tokens` and `cache_read_tokens`."""
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    search_units: int | None = None
    """What a rerank is billed by at Cohere."""
    web_searches: int | None = None
    """Searches that the provider ran and bills by the request."""
    service_tier: str | None = None
    """As the provider names it: default, flex, priority, batch, ...; the response's word wins over the request's."""
    usage_mark: str | None = None
    """Why the counts cannot all be true (see usage_buckets.py); None where they add up. Set at ingest."""
    cost_usd: float | None = None
    """A cost that the provider or program reported, with `cost_source` "reported"; else priced at ingest."""
    cost_source: str | None = None
    """reported | user:<name> (<date>) | book:genai-prices <version> (<date>) | unpriced; None where nothing is billed."""
    ttft_ms: float | None = None
    first_visible_ms: float | None = None
    """From the start to the first token that is shown, where reasoning came before it."""
    inter_token_p95_ms: float | None = None
    """95th percentile of the waits between the chunks of the stream."""
    retry_wait_ms: float | None = None
    """What passed between the attempts of the call."""
    tool_name: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    release: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    input: str | None = None
    output: str | None = None
    attributes: str = "{}"
    """JSON text, key order and number text as received."""
    metadata: str | None = None
    tags: list[str] | None = None
    dialect: str = "spanreel"
    error_type: str | None = None
    error_message: str | None = None
    documents: list[Document] = field(default_factory=list)

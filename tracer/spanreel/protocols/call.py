"""The canonical call: what every provider protocol is folded into.

Field names and units follow the OpenTelemetry GenAI conventions. Token counts are *inclusive*:
`input_tokens` holds cache reads and writes, `output_tokens` holds reasoning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
"""`{"role": ..., "parts": [{"type": "text", "content": ...}, ...]}`, the convention's message."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, inclusive, and the provider's own object as it came."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    """All of them, whatever their time to live."""
    cache_write_1h_tokens: int | None = None
    """Those of `cache_write_tokens` that are kept for an hour (Anthropic bills them higher)."""
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    audio_cache_read_tokens: int | None = None
    """Part of both `audio_input_tokens` and `cache_read_tokens`."""
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    search_units: int | None = None
    """What Cohere bills a rerank by."""
    web_searches: int | None = None
    """Searches that the provider ran and bills by the request."""
    cost_usd: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One logical call of a model, whichever provider and API it went to."""

    provider: str
    operation: str
    """`gen_ai.operation.name`: chat, embeddings, text_completion, ..."""
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    stream: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """`gen_ai.request.*` attributes by their full names, plus provider extensions."""
    input_messages: Sequence[Message] = ()
    output_messages: Sequence[Message] = ()
    system_instructions: Sequence[dict[str, Any]] = ()
    tool_definitions: Sequence[dict[str, Any]] = ()
    finish_reasons: Sequence[str] = ()
    """Normalised: stop, length, tool_call, content_filter, error."""
    documents: Sequence[Mapping[str, Any]] = ()
    """What a rerank or a search on the wire returned: dicts of id, score, content, metadata."""
    query: str | None = None
    """What a rerank or a search was asked."""
    usage: Usage | None = None
    error_type: str | None = None
    error_message: str | None = None
    first_visible_ns: int | None = None
    """When the first text that a reader sees came in a stream (ns since the epoch); reasoning comes before it."""
    output_started: bool = True
    """False where a stream was cut before its end marker."""

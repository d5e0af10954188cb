"""What a reader answers with: frozen records, times in ns since the epoch, durations in ms unless named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One line of the trace list."""

    trace_id: str
    root_span_id: str
    name: str
    kind: str
    state: str
    """running, ended, interrupted, abandoned"""
    status: str
    """ok, error, unset: of the root"""
    start_ns: int
    end_ns: int | None
    duration_ms: float
    span_count: int
    error_count: int
    llm_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    unpriced_calls: int
    session_id: str | None
    user_id: str | None
    service: str | None
    environment: str | None
    release: str | None
    models: list[str]
    kinds: list[str]
    tags: list[str]
    error_span_id: str | None
    error_type: str | None
    error_message: str | None
    input_preview: str | None
    output_preview: str | None
    flag_count: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A body that holds the searched phrase."""

    trace_id: str
    span_id: str
    name: str
    kind: str
    start_ns: int
    where: str
    """input or output"""
    snippet: str


@dataclass(frozen=True, slots=True)
class TracePage:
    """A page of the trace list, newest first."""

    rows: list[TraceRow]
    total: int
    total_is_exact: bool
    """False when the search for text stopped early."""
    limit: int
    offset: int
    missing_bytes: int = 0
    """Journal bytes that were too many to be read for this answer."""
    matches: dict[str, Hit] = field(default_factory=dict)
    """Trace id -> the outermost span of it whose body holds the searched text, of the rows found by a body."""


@dataclass(frozen=True, slots=True)
class Facet:
    """One value that traces can be filtered by, and how many have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """Values to filter by, most frequent first (at most 50 of each)."""

    statuses: list[Facet] = field(default_factory=list)
    states: list[Facet] = field(default_factory=list)
    models: list[Facet] = field(default_factory=list)
    kinds: list[Facet] = field(default_factory=list)
    names: list[Facet] = field(default_factory=list)
    services: list[Facet] = field(default_factory=list)
    environments: list[Facet] = field(default_factory=list)
    sessions: list[Facet] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span without its bodies."""

    seq: int
    trace_id: str
    span_id: str
    parent_id: str | None
    foreign_parent: bool
    name: str
    kind: str
    state: str
    status: str
    start_ns: int
    end_ns: int | None
    service: str | None
    environment: str | None
    release: str | None
    session_id: str | None
    user_id: str | None
    provider: str | None
    request_model: str | None
    response_model: str | None
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    cost_source: str | None
    ttft_ms: float | None
    attempts: int | None
    tool_name: str | None
    prompt_name: str | None
    prompt_version: str | None
    error_type: str | None
    error_message: str | None
    tags: list[str] | None
    duplicate_of: str | None
    document_count: int | None
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    audio_cache_read_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    search_units: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None
    usage_mark: str | None = None
    """Why the token counts cannot all be true."""
    first_visible_ms: float | None = None
    inter_token_p95_ms: float | None = None
    retry_wait_ms: float | None = None
    output_tokens_per_s: float | None = None
    """Over the time in which they came: after the first, where that is known."""

    @property
    def duration_ms(self) -> float | None:
        """None while it runs."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score of a trace or span."""

    score_id: str
    trace_id: str
    span_id: str | None
    name: str
    value: float | None
    label: str | None
    comment: str | None
    source: str | None
    author: str | None
    created_ns: int


@dataclass(frozen=True, slots=True)
class FlagRow:
    """A flag raised on a span."""

    flag_id: str
    trace_id: str
    span_id: str | None
    detector: str
    detector_version: str | None
    verdict: str | None
    severity: str | None
    score: float | None
    char_start: int | None
    char_end: int | None
    text: str | None
    reason: str | None
    evidence_span_id: str | None
    evidence_start: int | None
    evidence_end: int | None
    human_verdict: str | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A retrieved document; `metadata` is JSON text."""

    rank: int
    id: str | None
    score: float | None
    content: str | None
    metadata: str | None


@dataclass(frozen=True, slots=True)
class WireSummary:
    """One HTTP exchange of a call, without its bytes."""

    attempt: int
    encoding: str
    meta: dict[str, Any]
    """method, url, status, start_ns, first_ns, end_ns, chunks, headers, error_type, ..."""
    request_bytes: int
    response_bytes: int


@dataclass(frozen=True, slots=True)
class WireExchange:
    """One HTTP exchange with its bytes as they were recorded."""

    attempt: int
    meta: dict[str, Any]
    request: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: its line of the list, its spans by start, its scores and flags."""

    row: TraceRow
    spans: list[SpanRow]
    scores: list[ScoreRow]
    flags: list[FlagRow]
    missing_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SpanDetail:
    """Everything known of one span."""

    row: SpanRow
    input: str | None
    """JSON text."""
    output: str | None
    attributes: str
    """JSON text."""
    metadata: str | None
    dialect: str
    documents: list[DocumentRow]
    wire: list[WireSummary]
    scores: list[ScoreRow]
    flags: list[FlagRow]


@dataclass(frozen=True, slots=True)
class SpanBodies:
    """What one span of a trace said, got and found."""

    input: str | None
    """JSON text."""
    output: str | None
    attributes: str
    """JSON text."""
    metadata: str | None
    documents: list[DocumentRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hits:
    """Search results, newest first."""

    rows: list[Hit]
    complete: bool
    """True when every body was looked at."""


@dataclass(frozen=True, slots=True)
class TraceTotals:
    """Figures over every trace that passes some filters."""

    traces: int
    with_errors: int
    failed: int
    """Whose root ended in an error."""
    running: int
    llm_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """A lower bound where there are unpriced calls; None where no call has a price."""
    unpriced_calls: int
    p50_ms: float | None
    """Of those that do not run any more, by nearest rank."""
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    measured: int


@dataclass(frozen=True, slots=True)
class LossRow:
    """Something lost, cut or given up, by reason."""

    reason: str
    pid: int
    service: str
    count: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The store at a glance."""

    store: str
    schema_version: int
    spans: int
    traces: int
    open_spans: int
    llm_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced_calls: int
    error_spans: int
    oldest_ns: int | None
    newest_ns: int | None
    database_bytes: int
    journal_bytes: int
    """Room taken by journal segments, allocated room included."""
    missing_bytes: int
    writers: int
    """Living writer processes."""
    losses: list[LossRow]
    notices: list[str]

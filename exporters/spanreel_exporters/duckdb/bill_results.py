"""What a bill answers with: frozen records. Money is exact (Decimal, USD), durations are in ms."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Buckets:
    """Tokens, each counted once: the first seven are input, the rest output."""

    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    audio_cache_read: int
    image_input: int
    output: int
    reasoning: int
    audio_output: int
    image_output: int


BUCKETS = tuple(field.name for field in fields(Buckets))


@dataclass(frozen=True, slots=True)
class Group:
    """Sums over the calls that share a key."""

    key: tuple[str | None, ...]
    """A value for each dimension that was asked for; None: the calls have none."""
    calls: int
    traces: int
    unpriced_calls: int
    unpriced_tokens: int
    failed_calls: int
    marked_calls: int
    """Calls whose token counts cannot all be true."""
    input_tokens: int
    output_tokens: int
    buckets: Buckets
    web_searches: int
    cost_usd: Decimal | None
    """Of the calls with a price: a lower bound where there are calls without. None where no call has one."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where prices came from."""

    source: str
    calls: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PerQuery:
    """What one request (a trace) cost, over all requests or those of one name."""

    name: str | None
    queries: int
    priced_queries: int
    """Of which at least one call has a price, or that made none that is billed: those that the figures are about."""
    cost_usd: Decimal | None
    unpriced_calls: int
    unpriced_queries: int
    """Requests with a call that has no price: what they cost is a lower bound."""
    p50: Decimal | None
    p95: Decimal | None
    p99: Decimal | None
    max: Decimal | None
    dearest: str
    """The trace that cost most."""

    @property
    def mean(self) -> Decimal | None:
        """The cost of all over the number of those that have one."""
        return None if self.cost_usd is None else self.cost_usd / self.priced_queries


@dataclass(frozen=True, slots=True)
class Waste:
    """Calls that bought nothing, under the first reason that holds."""

    reason: str
    """retried (a later attempt answered), abandoned (its stream was not read to the end), interrupted, failed."""
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    spent_ms: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Percentiles by nearest rank, in ms; None where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """How fast the calls that share a key answered."""

    key: tuple[str | None, ...]
    calls: int
    streamed: int
    """Of which the time of the first token is known."""
    reasoned: int
    """Of which the time of the first visible token is known."""
    duration: Shares
    ttft: Shares
    first_visible: Shares
    """Time to the first token that is shown: reasoning came before it."""
    tokens_per_s_p50: float | None
    """After the first."""
    tokens_per_s_p5: float | None
    """The rate that 95 % of the calls reach."""
    inter_token_p95_p50: float | None
    """Of half of the calls the 95th percentile of the waits between tokens is below this."""
    inter_token_p95_p95: float | None
    retried: int
    retry_wait: Shares
    """What passed between the attempts of one call."""


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What was recorded of a model on a day (UTC)."""

    day: str
    provider: str | None
    model: str | None
    calls: int
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    image_input: int
    output: int
    """Reasoning included, audio not."""
    audio_output: int
    web_searches: int
    cost_usd: Decimal | None
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What a cache of one's own and the provider's could have served. Estimates."""

    requests: int
    ttl_s: float
    repeats: int
    """Requests that are word for word an earlier one, at most `ttl_s` old."""
    repeats_cost_usd: Decimal
    repeats_unpriced: int
    input_tokens: int
    cached_tokens: int
    """Read from the provider's cache, as it reported."""
    shared_tokens: int
    """In a beginning that an earlier request had, too, while the provider's cache keeps it."""
    missed_tokens: int
    """Of which the provider's cache did not serve."""
    missed_usd: Decimal
    """What these cost more than if it had."""
    by_name: tuple[tuple[str | None, int, Decimal, int, Decimal], ...]
    """(root, repeats, their cost, missed tokens, their cost), the dearest first."""

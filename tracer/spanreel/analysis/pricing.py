"""What a call cost: reported by the provider or the program, else usage x the dated price book.

The book is genai-prices (prices per token class, with the dates from which they hold). A call that no book
knows is `unpriced` and costs NULL, never zero. Total: no span makes `price` raise.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spanreel.analysis.record import Canonical

BILLED_KINDS: Final = frozenset({"llm", "embedding", "rerank"})
"""Kinds that stand for a call that somebody bills."""
CONTAINER_KINDS: Final = frozenset({"agent", "chain"})
"""Kinds that hold calls; the usage they report is a total of what is below them."""
UNPRICED: Final = "unpriced"
REPORTED: Final = "reported"
PROVIDERS: Final = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "together_ai": "together",
    "x_ai": "x-ai",
}
"""OpenTelemetry's `gen_ai.provider.name` -> the book's id, where the two differ."""
_CLASSES: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_HOUR_NS: Final = 3_600_000_000_000


def price(canonical: Canonical, *, at_ns: int) -> tuple[float | None, str | None]:
    """(cost in USD, source) of a call made at `at_ns` (ns since the epoch).

    Sources: `reported`, `book:genai-prices <version>`, `unpriced` (cost None: the call was billed, nobody
    knows how much), None (nothing was billed: another kind of span, a failed call without usage, or a span that
    names neither model nor usage, such as a decorated function around the call itself).
    """
    if canonical.cost_usd is not None:
        return canonical.cost_usd, canonical.cost_source or REPORTED
    given, made = canonical.input_tokens, canonical.output_tokens
    if not given and not made:
        if canonical.kind not in BILLED_KINDS:
            return None, None
        named = canonical.response_model or canonical.request_model
        nothing = named is None or canonical.error_type is not None or given == 0 or made == 0
        return (None, None) if nothing else (None, UNPRICED)
    model = canonical.response_model or canonical.request_model
    if model is None:
        return None, UNPRICED
    try:
        cost = _from_book(canonical, at_ns // _HOUR_NS)
    except Exception:  # a book that chokes on a span must not cost the span
        return None, UNPRICED
    return (None, UNPRICED) if cost is None else (cost, book())


@cache
def book() -> str:
    """Name and version of the price book, as it stands in `cost_source`."""
    from genai_prices import __version__

    return f"book:genai-prices {__version__}"


def _from_book(canonical: Canonical, hour: int) -> float | None:
    counts = (
        canonical.input_tokens or 0,
        canonical.output_tokens or 0,
        canonical.cache_read_tokens or 0,
        canonical.cache_write_tokens or 0,
    )
    for model in (canonical.response_model, canonical.request_model):
        if model is None:
            continue
        found = _rates(canonical.provider, model, hour)
        if found is not None:
            rates, holds_below, entry = found
            if counts[0] >= holds_below:
                return _tiered(entry, counts)
            fresh = max(counts[0] - counts[2] - counts[3], 0)
            return fresh * rates[0] + counts[1] * rates[1] + counts[2] * rates[2] + counts[3] * rates[3]
    return None


@lru_cache(maxsize=4096)
def _rates(provider: str | None, model: str, hour: int) -> tuple[tuple[float, ...], float, Any] | None:
    """Rates of that hour, the number of input tokens from which others hold, and the book's own entry.

    Rates are USD per (input, output, cache read, cache write) token; None where the book has no entry.
    """
    found = _entry(provider, model)
    if found is None:
        return None
    entry = found.get_prices(datetime.fromtimestamp(hour * 3600, tz=UTC))
    values = [getattr(entry, name, None) for name in _CLASSES]
    if values[0] is None and values[1] is None:
        return None
    steps = [step.start for value in values for step in getattr(value, "tiers", ())]
    flat = [getattr(value, "base", value) for value in values]
    fresh = float(flat[0] or 0)
    rates = (
        fresh,
        *(float(v if v is not None else d) for v, d in zip(flat[1:], (0, fresh, fresh), strict=True)),
    )
    return tuple(rate / 1e6 for rate in rates), min(steps, default=math.inf), entry


@lru_cache(maxsize=1024)
def _entry(provider: str | None, model: str) -> Any:
    """The book's entry for a model: of its provider, else of whoever the name points to."""
    from genai_prices.data_snapshot import get_snapshot

    book_provider = PROVIDERS.get(provider, provider) if provider else None
    for candidate in (book_provider, None) if book_provider else (None,):
        try:
            return get_snapshot().find_provider_model(model, None, candidate, None)[1]
        except LookupError:
            continue
    return None


def _tiered(entry: Any, counts: tuple[int, int, int, int]) -> float:
    from genai_prices import Usage

    usage = Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cache_read_tokens=counts[2],
        cache_write_tokens=counts[3],
    )
    return float(entry.calc_price(usage)["total_price"])

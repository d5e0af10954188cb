"""The bundled price book: genai-prices, prices with the dates and hours from which they hold.

Of each entry the rates of one moment and one way of processing (tier) are read once and kept. Where the
book has no price for a tier, a factor that the provider publishes stands in, and the source says so.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanreel.analysis.rates import Rates, Units, ladder, per_token, per_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROVIDERS: Final = {
    "aws.bedrock": "aws",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "together_ai": "together",
    "x_ai": "x-ai",
}
"""OpenTelemetry's `gen_ai.provider.name`, and words that instrumentors write for it -> the book's id."""
SELF_HOSTED: Final = frozenset({
    "huggingface_local", "llama_cpp", "llamafile", "lm_studio", "localai", "mlx", "ollama", "sentence_transformers",
    "sglang", "tei", "tgi", "transformers", "triton", "vllm", "xinference",
})  # fmt: skip
"""Servers that people run themselves: no list of a cloud holds for them, whatever the model is called."""
LOOPBACK: Final = ("localhost", "127.", "::1", "0.0.0.0", "host.docker.internal")  # noqa: S104 - compared, not bound
_OPEN_WEIGHTS: Final = re.compile(r"gpt-oss", re.IGNORECASE)
"""Models of a cloud's own name whose weights anybody may run."""
APART: Final = frozenset({
    "batch", "fast", "flex", "flex_discount", "performance", "priority", "priority_on_demand",
    "provisioned_throughput", "reserved", "scale",
})  # fmt: skip
"""Tiers with prices of their own: without one that is known, such a call is not priced. Every other word (default,
auto, standard, on_demand, ...) is some provider's for the ordinary way."""
_HALF: Final = Decimal("0.5")
FACTORS: Final[Mapping[tuple[str, str], tuple[Decimal, bool]]] = {
    ("openai", "batch"): (_HALF, False),
    ("openai", "flex"): (_HALF, True),
    ("azure", "batch"): (_HALF, False),
    ("anthropic", "batch"): (_HALF, True),
    ("google", "batch"): (_HALF, False),
    ("mistral", "batch"): (_HALF, False),
    ("groq", "batch"): (_HALF, False),
    ("groq", "flex"): (Decimal(1), True),
    ("aws", "batch"): (_HALF, False),
}
"""(book's provider, tier) -> factor on the standard price, and whether it also holds for cache reads.

Sources: developers.openai.com/api/docs/guides/batch ("50% cost discount") and /flex-processing ("priced at Batch
API rates", cached input discounted too); learn.microsoft.com azure/ai-foundry batch ("50% less cost");
platform.claude.com/docs/en/build-with-claude/batch-processing ("50% of the standard API prices", stacks with
caching); ai.google.dev/gemini-api/docs/batch-api ("50% of the standard cost", caching at the standard rate);
docs.mistral.ai/capabilities/batch; console.groq.com/docs/batch and /flex-processing ("same price as on-demand");
aws.amazon.com/bedrock/pricing ("batch inference at 50% of on-demand").
"""
_SPOKEN: Final = re.compile(r"audio|realtime|voice|speech", re.IGNORECASE)
"""OpenAI bills audio by a rate of its own on these; where the book lacks it, text's rate would be far too low."""


class Found(NamedTuple):
    """A book entry."""

    provider: str
    """The book's id of the provider whose list it is on."""
    entry: Any
    own: bool
    """The provider that was asked for lists it; else its name told whose it is."""
    tiers: bool
    """The provider's own rates for tiers hold: the entry is not borrowed from another provider's list."""
    hourly: bool
    """It costs more at some hours of the day."""


def rates(
    provider: str | None, model: str, at_ns: int, tier: str = "", host: str | None = None
) -> Rates | None:
    """What the book says of a model at a moment; None when it does not know the model, or not in this tier.

    A server of one's own is never billed by a cloud's list. On a loopback address a model is only looked up on
    the list of the provider that speaks there (a gateway, or a test), and never if its weights are open.
    """
    found = _choice(provider, model, host)
    return None if found is None else _rates(provider, model, moment(found, at_ns), tier.lower())


@lru_cache(maxsize=4096)
def _choice(provider: str | None, model: str, host: str | None) -> Found | None:
    local = is_loopback(host)
    if provider in SELF_HOSTED or (local and _OPEN_WEIGHTS.search(model)):
        return None
    found = entry(provider, model)
    return None if found is None or (local and not found.own) else found


def is_loopback(host: str | None) -> bool:
    """Whether an address names the machine itself."""
    return host is not None and host.lower().strip("[]").startswith(LOOPBACK)


def moment(found: Found, at_ns: int) -> int:
    """The time (s since the epoch) that a call's price depends on: its day, or its minute where hours matter."""
    step = 60 if found.hourly else 86_400
    seconds = at_ns // 1_000_000_000
    return seconds - seconds % step


@lru_cache(maxsize=1024)
def entry(provider: str | None, model: str) -> Found | None:
    """The book's entry for a model: of its provider, else of whoever the name points to."""
    from genai_prices.data_snapshot import get_snapshot

    book_provider = PROVIDERS.get(provider, provider) if provider else None
    for candidate in (book_provider, None) if book_provider else (None,):
        try:
            lists, found = get_snapshot().find_provider_model(model, None, candidate, None)
        except LookupError:
            continue
        prices = found.prices if isinstance(found.prices, list) else []
        return Found(
            provider=lists.id,
            entry=found,
            own=candidate is not None or provider is None,
            tiers=any(found is listed for listed in lists.models),
            hourly=any(hasattr(price.constraint, "start_time") for price in prices),
        )
    return None


@cache
def book() -> str:
    """Name, version and date of the price book, as they stand in `cost_source`."""
    from genai_prices import __version__

    known = book_date()
    return f"book:genai-prices {__version__}" + (f" ({known.isoformat()})" if known else "")


@cache
def book_date() -> date | None:
    """The newest price change that the book knows and that was not in its future when it was installed."""
    from genai_prices import data
    from genai_prices.data_snapshot import get_snapshot

    try:
        installed = datetime.fromtimestamp(Path(data.__file__).stat().st_mtime, tz=UTC).date()
    except OSError:
        installed = datetime.now(tz=UTC).date()
    starts = (
        getattr(price.constraint, "start_date", None)
        for provider in get_snapshot().providers
        for model in provider.models
        for price in [
            *(model.prices if isinstance(model.prices, list) else ()),
            *(model.price_variants or ()),
        ]
    )
    return max((start for start in starts if start is not None and start <= installed), default=None)


@lru_cache(maxsize=4096)
def _rates(provider: str | None, model: str, second: int, tier: str) -> Rates | None:
    found = entry(provider, model)
    if found is None:
        return None
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    context, factor, cached_too, note = _way(found, tier, when)
    if factor is None:
        return None
    prices = found.entry.get_prices(when, context)
    if prices.input_mtok is None and prices.output_mtok is None:
        return None
    source = book() if found.own else f"{book()} as {found.provider}"
    starts = {
        step.start
        for value in vars(prices).values()
        if value is not None
        for step in getattr(value, "tiers", ())
    }
    missing_audio = found.provider in {"openai", "azure"} and bool(_SPOKEN.search(found.entry.id))
    steps = [
        (above, _buckets(_at(prices, above), factor, cached_too=cached_too, audio_apart=missing_audio))
        for above in (-1, *starts)
    ]
    return Rates(ladder(steps), source + note, _units(prices))


def _way(found: Found, tier: str, when: datetime) -> tuple[dict[str, str], Decimal | None, bool, str]:
    """How a tier is priced: the book's context, a factor (None: not known), if for cache reads too, a note."""
    if tier not in APART:
        return {}, Decimal(1), True, ""
    for context in ({"processing": tier}, {"service_tier": tier}, {"speed": tier}):
        for variant in (found.entry.price_variants or ()) if found.tiers else ():
            if variant.when == context and (variant.constraint is None or variant.constraint.active(when)):
                return context, Decimal(1), True, f", {tier}"
    known = FACTORS.get((found.provider, tier))
    if known is None:
        return {}, None, True, ""
    return {}, known[0], known[1], f", {tier} x {known[0]}"


def _at(prices: Any, given: int) -> Callable[[str], Decimal | None]:
    """Reader of the prices that hold above `given` input tokens (-1: of the base)."""

    def read(name: str) -> Decimal | None:
        value = getattr(prices, name, None)
        for step in reversed(getattr(value, "tiers", ())):
            if given >= step.start:
                return Decimal(step.price)
        base = getattr(value, "base", value)
        return None if base is None else Decimal(base)

    return read


def _buckets(
    read: Callable[[str], Decimal | None], factor: Decimal, *, cached_too: bool, audio_apart: bool
) -> tuple[int | None, ...]:
    """Rates in the order of `Buckets`. What has no price of its own is part of what holds it, as in the book.

    Embeddings have no price for output: there is none.

    An hour's cache write without a price costs twice the input where five minutes cost 1.25 times it: those are
    Anthropic's multipliers (platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing).
    """
    fresh, out = read("input_mtok") or Decimal(0), read("output_mtok") or Decimal(0)
    cache_read = _first(read("cache_read_mtok"), fresh)
    written = _first(read("cache_write_5m_mtok"), read("cache_write_mtok"), fresh)
    hour = read("cache_write_1h_mtok")
    if hour is None:
        hour = fresh * 2 if written == fresh * Decimal("1.25") else written
    spoken_in = _first(read("input_audio_mtok"), None if audio_apart else fresh)
    spoken_out = _first(read("output_audio_mtok"), None if audio_apart else out)
    audio_cached = _first(read("cache_audio_read_mtok"), None if audio_apart else cache_read)
    reads = factor if cached_too else Decimal(1)
    prices = (
        (fresh, factor), (cache_read, reads), (written, factor), (hour, factor), (spoken_in, factor),
        (audio_cached, reads), (_first(read("input_image_mtok"), fresh), factor), (out, factor),
        (_first(read("output_reasoning_mtok"), out), factor), (spoken_out, factor),
        (_first(read("output_image_mtok"), out), factor),
    )  # fmt: skip
    return tuple(None if price is None else per_token(price, times) for price, times in prices)


def _first(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)


def _units(prices: Any) -> Units:
    read = _at(prices, -1)

    def one(name: str) -> int | None:
        price = read(name)
        return None if price is None else per_unit(price, 1000)

    return Units(one("web_searches_kcount"), one("rerank_searches_kcount"), one("requests_kcount"))


@cache
def provider_names() -> frozenset[str]:
    """The ids of the providers that the book lists."""
    from genai_prices.data_snapshot import get_snapshot

    return frozenset(provider.id for provider in get_snapshot().providers)


@cache
def model_names() -> tuple[str, ...]:
    """Every model id of the book, for hints."""
    from genai_prices.data_snapshot import get_snapshot

    return tuple(sorted({model.id for provider in get_snapshot().providers for model in provider.models}))

"""The bundled book: exact, dated, by tier; never for what it does not know."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.price_book import SELF_HOSTED, book, book_date
from spanreel.analysis.pricing import UNPRICED, estimate, price
from spanreel.analysis.rates import in_usd
from spanreel.analysis.record import Canonical

MILLION = 1_000_000
NOW = datetime(2026, 11, 20, 9, 15, tzinfo=UTC)
TIERS = {
    "": {}, "batch": {"processing": "batch"}, "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"}, "fast": {"speed": "fast"},
}  # fmt: skip


def at(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)


def cost(*, when: Any = NOW, host: Any = None, **fields: Any) -> tuple[float | None, str | None]:
    return price(Canonical(**{"kind": "llm", "name": "x", **fields}), at_ns=at(when), host=host)


def test_every_model_and_tier_of_the_book_costs_what_the_book_says_to_the_last_digit() -> None:
    draw = random.Random(7)
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            for tier, context in TIERS.items():
                if context and not any(variant.when == context for variant in model.price_variants or ()):
                    continue
                when = NOW.replace(hour=draw.randrange(24))
                counts: dict[str, Any] = {
                    "input_tokens": draw.choice([900, 90_000, 250_000, 900_000]), "output_tokens": draw.randrange(1, 5_000),
                    "cache_read_tokens": draw.randrange(300), "cache_write_tokens": draw.randrange(400),
                }  # fmt: skip
                try:
                    _, entry = get_snapshot().find_provider_model(model.id, None, provider.id, None)
                except LookupError:
                    continue
                prices = entry.get_prices(when, context)
                if prices.input_mtok is None and prices.output_mtok is None:
                    continue
                expected = calc_price(
                    Usage(**counts), model.id, provider_id=provider.id, genai_request_timestamp=when, price_context=context or None
                )  # fmt: skip
                row = Canonical(
                    kind="llm", name="", provider=provider.id, response_model=model.id, service_tier=tier, **counts
                )  # fmt: skip
                found = estimate(row, at_ns=at(when))
                assert found is not None, (provider.id, model.id, tier)
                assert in_usd(found[0]) == float(expected.total_price), (provider.id, model.id, tier)
                compared += 1
    assert compared > 1_500


COUNT = st.integers(0, 10**7)


@given(COUNT, COUNT, COUNT, st.sampled_from(["gpt-4o", "gpt-5", "o3"]))
def test_more_tokens_never_cost_less(given_: int, made: int, more: int, model: str) -> None:
    small, _ = cost(provider="openai", request_model=model, input_tokens=given_ + 1, output_tokens=made)
    large, _ = cost(
        provider="openai", request_model=model, input_tokens=given_ + 1 + more, output_tokens=made + more
    )
    assert small is not None
    assert large is not None
    assert large >= small


@given(st.integers(1, 10**6), st.data())
def test_a_cache_read_never_makes_a_call_dearer(given_: int, data: st.DataObject) -> None:
    read = data.draw(st.integers(0, given_))
    plain, _ = cost(provider="openai", request_model="gpt-4o", input_tokens=given_)
    cached, _ = cost(provider="openai", request_model="gpt-4o", input_tokens=given_, cache_read_tokens=read)
    assert plain is not None
    assert cached is not None
    assert cached <= plain


def test_the_source_names_version_and_date_of_the_book() -> None:
    assert book_date() is not None
    assert book().startswith("book:genai-prices ")
    assert book().endswith(f"({book_date()})")


def test_the_hour_of_the_day_counts_to_the_minute() -> None:
    """DeepSeek's off-peak price of 2025 began at 16:30 UTC (api-docs.deepseek.com/quick_start/pricing)."""
    row = {"provider": "deepseek", "request_model": "deepseek-chat", "input_tokens": MILLION}
    day = datetime(2025, 5, 1, tzinfo=UTC)
    before, after = (cost(when=day.replace(hour=16, minute=minute), **row)[0] for minute in (29, 30))
    expected = [
        float(
            calc_price(
                Usage(input_tokens=MILLION), "deepseek-chat", provider_id="deepseek", genai_request_timestamp=day.replace(hour=16, minute=minute)
            ).total_price
        )
        for minute in (29, 30)
    ]  # fmt: skip
    assert [before, after] == expected
    assert before != after


@pytest.mark.parametrize(
    ("provider", "model", "tier", "day", "expected", "note"),
    [
        ("openai", "o3", "batch", "2026-11-01", 5.0, ", batch"),
        ("openai", "o3", "batch", "2026-01-01", 5.0, ", batch x 0.5"),
        ("openai", "o3", "flex", "2026-11-01", 5.0, ", flex"),
        ("openai", "o3", "flex", "2026-01-01", 5.0, ", flex x 0.5"),
        ("openai", "o3", "priority", "2026-11-01", 17.5, ", priority"),
        ("anthropic", "claude-sonnet-4-5", "batch", "2026-01-01", 14.25, ", batch x 0.5"),
        ("groq", "llama-3.3-70b-versatile", "flex", "2026-01-01", 1.38, ", flex x 1"),
    ],
)
def test_tiers_have_the_books_price_or_the_published_factor(
    provider: str, model: str, tier: str, day: str, expected: float, note: str
) -> None:
    found = cost(
        when=datetime.fromisoformat(day).replace(tzinfo=UTC), provider=provider, request_model=model, service_tier=tier,
        input_tokens=MILLION, output_tokens=MILLION,
    )  # fmt: skip
    assert found[0] == pytest.approx(expected)
    assert found[1] == book() + note


@pytest.mark.parametrize("tier", ["priority", "fast", "scale", "reserved", "provisioned_throughput"])
def test_a_tier_whose_price_is_not_known_is_not_priced_as_the_ordinary_one(tier: str) -> None:
    row = {
        "provider": "anthropic",
        "request_model": "claude-sonnet-4-5",
        "input_tokens": 5,
        "service_tier": tier,
    }
    assert cost(**row) == (None, UNPRICED)


@pytest.mark.parametrize("tier", ["default", "auto", "standard", "on_demand", "Standard", "whatever"])
def test_other_words_mean_the_ordinary_price(tier: str) -> None:
    assert cost(provider="openai", request_model="gpt-4o", input_tokens=MILLION, service_tier=tier) == (
        2.5,
        book(),
    )


def test_a_batch_discount_leaves_cache_reads_alone_where_the_provider_does() -> None:
    row = {
        "when": datetime(2026, 1, 1, tzinfo=UTC), "provider": "gcp.gemini", "request_model": "gemini-2.5-flash",
        "input_tokens": MILLION, "cache_read_tokens": MILLION, "service_tier": "batch",
    }  # fmt: skip
    assert cost(**row)[0] == 0.03


def test_an_hours_cache_write_costs_twice_the_input() -> None:
    row = {
        "provider": "anthropic",
        "request_model": "claude-sonnet-4-5",
        "input_tokens": MILLION // 10,
        "cache_write_tokens": MILLION // 10,
    }
    assert cost(**row)[0] == 0.375
    assert cost(**row, cache_write_1h_tokens=MILLION // 10)[0] == 0.6


def test_web_searches_cost_by_the_search() -> None:
    row = {"provider": "anthropic", "request_model": "claude-sonnet-4-5", "input_tokens": MILLION // 10}
    assert cost(**row, web_searches=2)[0] == 0.32


def test_searches_are_part_of_a_request_that_has_a_price() -> None:
    """Sonar: $1 a million each way and $12 per thousand requests (docs.perplexity.ai)."""
    row = {"provider": "perplexity", "request_model": "sonar", "input_tokens": 100, "output_tokens": 100}
    assert cost(**row, web_searches=3)[0] == cost(**row)[0] == 0.0122


def test_audio_is_not_billed_as_text_where_the_book_lacks_its_rate() -> None:
    row = {"provider": "openai", "request_model": "gpt-4o-audio-preview", "input_tokens": 100}
    assert cost(**row)[0] == 0.00025
    assert cost(**row, audio_input_tokens=10) == (None, UNPRICED)


@pytest.mark.parametrize("provider", sorted(SELF_HOSTED))
def test_servers_of_ones_own_are_not_billed_by_a_clouds_list(provider: str) -> None:
    for model in ("gpt-4o", "deepseek-r1", "mistral-large-latest"):
        assert cost(provider=provider, request_model=model, input_tokens=9) == (None, UNPRICED)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]", "127.1.2.3"])
def test_on_loopback_only_the_list_of_the_provider_that_speaks_there_holds(host: str) -> None:
    asked = {"provider": "openai", "input_tokens": MILLION}
    assert cost(host=host, request_model="gpt-4o", **asked) == (2.5, book())
    assert cost(host=host, request_model="deepseek-r1", **asked) == (None, UNPRICED)
    assert cost(host=host, request_model="gpt-oss-120b", **asked) == (None, UNPRICED)
    elsewhere = cost(host="gateway.example", request_model="deepseek-chat", **asked)
    assert elsewhere[0] is not None
    assert elsewhere[1] == book() + " as deepseek"


def test_counts_that_contradict_each_other_are_not_priced() -> None:
    assert cost(
        provider="openai", request_model="gpt-4o", input_tokens=9, usage_mark="parts_exceed_input"
    ) == (None, UNPRICED)


def test_a_cost_that_is_no_number_is_not_taken() -> None:
    assert (
        cost(provider="openai", request_model="gpt-4o", input_tokens=MILLION, cost_usd=float("nan"))[0] == 2.5
    )

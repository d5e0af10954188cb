"""Costs: reported first, then the dated book, never a guess."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.pricing import BILLED_KINDS, UNPRICED, book, price
from spanreel.analysis.record import KINDS, Canonical

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def call(**fields: object) -> Canonical:
    return Canonical(**{"kind": "llm", "name": "x", **fields})  # type: ignore[arg-type]


def at(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)


@pytest.mark.parametrize(
    ("provider", "book_provider", "model"),
    [
        ("openai", "openai", "gpt-4o"),
        ("openai", "openai", "gpt-4o-2024-08-06"),
        ("openai", "openai", "text-embedding-3-small"),
        ("anthropic", "anthropic", "claude-sonnet-4-5"),
        ("gcp.gemini", "google", "gemini-2.5-pro"),
        ("mistral_ai", "mistral", "mistral-large-latest"),
        ("deepseek", "deepseek", "deepseek-chat"),
        ("groq", "groq", "llama-3.3-70b-versatile"),
    ],
)
@pytest.mark.parametrize("counts", [(1000, 100, 0, 0), (250_000, 900, 2_000, 300), (7, 0, 7, 0)])
def test_costs_are_the_books(
    provider: str, book_provider: str, model: str, counts: tuple[int, int, int, int]
) -> None:
    given_, made, read, written = counts
    cost, source = price(
        call(provider=provider, response_model=model, input_tokens=given_, output_tokens=made, cache_read_tokens=read, cache_write_tokens=written),
        at_ns=at(NOW),
    )  # fmt: skip
    usage = Usage(input_tokens=given_, output_tokens=made, cache_read_tokens=read, cache_write_tokens=written)
    expected = calc_price(usage, model, provider_id=book_provider, genai_request_timestamp=NOW)
    assert cost == pytest.approx(float(expected.total_price))
    assert source == book()


def test_the_price_of_the_day_of_the_call_holds() -> None:
    reasoner = call(provider="openai", request_model="o3", input_tokens=1_000_000, output_tokens=0)
    before, _ = price(reasoner, at_ns=at(datetime(2025, 5, 1, tzinfo=UTC)))
    after, _ = price(reasoner, at_ns=at(NOW))
    assert (before, after) == (10.0, 2.0)


def test_what_was_reported_wins() -> None:
    reported = call(
        provider="openai",
        request_model="gpt-4o",
        input_tokens=10,
        output_tokens=1,
        cost_usd=0.5,
        cost_source="reported",
    )
    assert price(reported, at_ns=at(NOW)) == (0.5, "reported")
    assert price(call(cost_usd=0.0), at_ns=at(NOW)) == (0.0, "reported")


def test_the_request_model_helps_where_the_response_model_is_unknown() -> None:
    cost, source = price(
        call(provider="openai", response_model="gpt-house", request_model="gpt-4o", input_tokens=1000),
        at_ns=at(NOW),
    )
    assert cost == pytest.approx(0.0025)
    assert source == book()


def test_what_nobody_knows_is_unpriced_and_not_zero() -> None:
    assert price(call(request_model="house-model", input_tokens=10), at_ns=at(NOW)) == (None, UNPRICED)
    assert price(call(input_tokens=10), at_ns=at(NOW)) == (None, UNPRICED)
    assert price(call(request_model="gpt-4o"), at_ns=at(NOW)) == (None, UNPRICED)


@pytest.mark.parametrize("seen", [{"response_model": "gpt-4o-2024-08-06"}, {"first_visible_ms": 3.5}])
def test_an_answer_that_broke_off_cost_what_nobody_knows(seen: dict[str, object]) -> None:
    broken = call(error_type="CancelledError", request_model="gpt-4o", **seen)
    assert price(broken, at_ns=at(NOW)) == (None, UNPRICED)


def test_what_is_not_billed_has_no_source() -> None:
    assert price(call(error_type="RateLimitError", request_model="gpt-4o"), at_ns=at(NOW)) == (None, None)
    for kind in set(KINDS) - BILLED_KINDS:
        assert price(call(kind=kind), at_ns=at(NOW)) == (None, None)


@given(
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["openai", "groq"])),
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["gpt-4o", "whisper-large-v3"])),
    st.lists(st.one_of(st.none(), st.integers(-5, 2**63)), min_size=4, max_size=4),
    st.integers(-(2**63), 2**63),
)
def test_it_never_raises(
    provider: str | None, model: str | None, counts: list[int | None], moment: int
) -> None:
    cost, source = price(
        call(provider=provider, request_model=model, input_tokens=counts[0], output_tokens=counts[1], cache_read_tokens=counts[2], cache_write_tokens=counts[3]),
        at_ns=moment,
    )  # fmt: skip
    assert (cost is None) == (source in {None, UNPRICED})

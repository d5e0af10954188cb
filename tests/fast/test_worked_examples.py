"""Sums that providers (and, where named, others) have published, reproduced to the cent or better."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spanreel.analysis.price_file import parse
from spanreel.analysis.pricing import NO_FILES, Prices, price
from spanreel.analysis.record import Canonical

REALTIME_2024 = parse(
    '[[price]]\nprovider = "openai"\nmodel = "gpt-4o-realtime-preview-2024-10-01"\n'
    "input = 5\noutput = 20\naudio_input = 100\naudio_output = 200\n",
    Path("prices.toml"),
)


def cost(when: str, *, prices: Any = NO_FILES, **fields: Any) -> float:
    moment = datetime.fromisoformat(when).replace(hour=12, tzinfo=UTC)
    found, _ = price(
        Canonical(kind="llm", name="x", **fields), at_ns=int(moment.timestamp() * 1e9), prices=prices
    )
    assert found is not None
    return found


def test_anthropic_prompt_caching_one_hour() -> None:
    """aipromptshub.co/calc/claude-api-cost: 2,000 tokens on Sonnet 4.6 in 100 calls within an hour.

    "cache write = 2000 x $6/1M = $0.012 once, cache reads = 99 x 2000 x $0.30/1M = $0.0594 - vs [...] 100 x 2000 x
    $3/1M = $0.60". Rates: platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing.
    """
    sonnet = {"provider": "anthropic", "response_model": "claude-sonnet-4-6", "input_tokens": 2_000}
    write = cost("2026-11-01", **sonnet, cache_write_tokens=2_000, cache_write_1h_tokens=2_000)
    read = cost("2026-11-01", **sonnet, cache_read_tokens=2_000)
    fresh = cost("2026-11-01", **sonnet)
    assert write == 0.012
    assert 99 * read == pytest.approx(0.0594)
    assert 100 * fresh == pytest.approx(0.60)


def test_anthropic_prompt_caching_five_minutes() -> None:
    """platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing, Sonnet 4.5: $3.75 to write, $0.30 to read."""
    sonnet = {"provider": "anthropic", "response_model": "claude-sonnet-4-5", "input_tokens": 100_000}
    assert cost("2026-01-15", **sonnet, cache_write_tokens=100_000) == 0.375
    assert cost("2026-01-15", **sonnet, cache_read_tokens=100_000) == 0.03


@pytest.mark.parametrize(("tier", "expected"), [("standard", 0.036), ("batch", 0.018)])
def test_anthropic_batch(tier: str, expected: float) -> None:
    """neverpaytwice.pages.dev, "Claude Batch API", prices of platform.claude.com's batch-processing page.

    "an Opus 5.5 request with 5,000 input tokens and 800 output tokens costs [...] $0.036 at the standard rate and
    $0.018 in a batch".
    """
    found = cost(
        "2026-11-10", provider="anthropic", response_model="claude-opus-5-5", input_tokens=5_000, output_tokens=800, service_tier=tier
    )  # fmt: skip
    assert found == expected


def test_anthropic_plain() -> None:
    """pypi.org/project/tokencalc: 50,000 in and 10,000 out of Claude Sonnet 4 cost $0.1500 + $0.1500 = $0.3000."""
    counts = {"input_tokens": 50_000, "output_tokens": 10_000}
    assert (
        cost("2026-03-13", provider="anthropic", response_model="claude-sonnet-4-20250514", **counts) == 0.3
    )


def test_anthropic_web_search() -> None:
    """platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool: "$10 per 1,000 searches", tokens beside."""
    with_searches = cost(
        "2026-11-01",
        provider="anthropic",
        response_model="claude-sonnet-4-5",
        input_tokens=1_000,
        web_searches=1_000,
    )
    assert with_searches == pytest.approx(10.003)


def test_openai_prompt_caching() -> None:
    """openai.com/index/api-prompt-caching (2024-10-01): gpt-4o $2.50 uncached, $1.25 cached, $10.00 output.

    With the usage of developers.openai.com/api/docs/guides/prompt-caching: 2,006 prompt tokens of which 1,920 cached,
    300 completion tokens.
    """
    found = cost(
        "2026-10-01", provider="openai", response_model="gpt-4o-2024-08-06", input_tokens=2_006, output_tokens=300, cache_read_tokens=1_920
    )  # fmt: skip
    assert found == pytest.approx((86 * 2.50 + 1_920 * 1.25 + 300 * 10) / 1e6, rel=1e-15)
    assert round(found, 6) == 0.005615


def test_openai_cached_input_of_o1() -> None:
    """community.openai.com/t/1099176: (prompt - cached) x $15 + cached x $7.50 + completion x $60 per million."""
    found = cost(
        "2025-01-20", provider="openai", response_model="o1-2024-12-17", input_tokens=3_000, output_tokens=1_000, cache_read_tokens=1_024, reasoning_tokens=640
    )  # fmt: skip
    assert found == (1_976 * 15_000_000 + 1_024 * 7_500_000 + 1_000 * 60_000_000) / 10**12


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_openai_flex_and_batch(tier: str) -> None:
    """github.com/pydantic/genai-prices README, "Request pricing context" and "Batch API": o3, a million each way, $5."""
    counts = {"input_tokens": 1_000_000, "output_tokens": 1_000_000, "service_tier": tier}
    assert cost("2026-10-14", provider="openai", response_model="o3", **counts) == 5


def test_openai_audio_by_the_minute() -> None:
    """openai.com/index/introducing-the-realtime-api (2024-10-01): "approximately $0.06 per minute of audio input and
    $0.24 per minute of audio output" at $100 and $200 per million: 600 and 1,200 tokens a minute.
    """
    realtime = {"provider": "openai", "response_model": "gpt-4o-realtime-preview-2024-10-01"}
    prices = Prices((REALTIME_2024,))
    heard = cost("2024-10-10", prices=prices, **realtime, input_tokens=600, audio_input_tokens=600)
    spoken = cost("2024-10-10", prices=prices, **realtime, output_tokens=1_200, audio_output_tokens=1_200)
    assert (heard, spoken) == (0.06, 0.24)


def test_openai_realtime_first_turn() -> None:
    """developers.openai.com/api/docs/guides/realtime-costs: 100 text tokens of instructions, 20 audio tokens of speech.

    gpt-realtime: $4 text, $32 audio in (developers.openai.com/api/docs/models/gpt-realtime).
    """
    found = cost(
        "2026-11-01",
        provider="openai",
        response_model="gpt-realtime",
        input_tokens=120,
        audio_input_tokens=20,
    )
    assert found == (100 * 4 + 20 * 32) / 1_000_000


def test_gemini_long_context() -> None:
    """ai.google.dev/gemini-api/docs/pricing, Gemini 2.5 Pro: $1.25 and $10 up to 200k tokens of prompt, $2.50 and $15 beyond.

    The higher rates hold for all tokens of such a request.
    """
    pro = {"provider": "gcp.gemini", "response_model": "gemini-2.5-pro", "output_tokens": 2_000}
    assert cost("2026-11-01", **pro, input_tokens=200_000) == pytest.approx(0.27, abs=1e-15)
    assert cost("2026-11-01", **pro, input_tokens=250_000) == pytest.approx(0.655, abs=1e-15)


def test_gemini_image() -> None:
    """ai.google.dev/gemini-api/docs/pricing: output images of up to 1024x1024 take 1,290 tokens, $0.039 each."""
    found = cost(
        "2026-09-01", provider="gcp.gemini", response_model="gemini-2.5-flash-image", output_tokens=1_290, image_output_tokens=1_290
    )  # fmt: skip
    assert round(found, 3) == 0.039


def test_gemini_thoughts_are_output() -> None:
    """ai.google.dev/gemini-api/docs/pricing: "Output price (including thinking tokens)"."""
    flash = {"provider": "gcp.gemini", "response_model": "gemini-2.5-flash", "input_tokens": 1_000}
    thought = cost("2026-11-01", **flash, output_tokens=500, reasoning_tokens=400)
    assert thought == cost("2026-11-01", **flash, output_tokens=500)

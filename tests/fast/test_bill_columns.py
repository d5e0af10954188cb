"""What the bill and the latency report need, from provider bytes to the columns of `spans`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from journal_fixture import MS, T0, Writer, ids

from spanreel.analysis.price_book import book
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.user_sql import sql

USAGE: dict[str, Any] = {
    "prompt_tokens": 120,
    "completion_tokens": 60,
    "total_tokens": 180,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 0},
}
"""openai.types.CompletionUsage."""
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def answer(**more: Any) -> str:
    return json.dumps(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}],
            "usage": USAGE, **more,
        }
    )  # fmt: skip


def record(
    writer: Writer, number: int, response: str, *, start: int = T0, end: int = T0 + 100 * MS, request: dict[str, Any] = REQUEST,
    status: str = "ok", attributes: dict[str, Any] | None = None, **meta: Any,
) -> str:  # fmt: skip
    """One call seen on the wire; returns its span id."""
    trace, span = ids(0xC0)[0], ids(number)[1]
    first = {"spanreel.protocol": "openai.chat", "server.address": "api.openai.com", **(attributes or {})}
    writer.start(trace, span, kind="llm", name="chat gpt-4o", at=start, attributes=first)
    told = {
        "protocol": "openai.chat", "method": "POST", "url": "https://api.openai.com/v1/chat/completions", "status": 200,
        "start_ns": start, **meta,
    }  # fmt: skip
    writer.attempt(trace, span, 0, told, json.dumps(request), response)
    writer.end(trace, span, at=end, status=status)
    return span


def row(store: Path, span: str) -> dict[str, Any]:
    return dict(next(iter(sql(f"SELECT * FROM spans WHERE span_id = '{span}'", store=store))))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_usage_arrives_bucket_by_bucket_and_as_the_provider_told_it(store: Path) -> None:
    writer = Writer(store)
    span = record(writer, 1, answer(service_tier="default"))
    found = row(store, span)
    assert (
        found["input_tokens"],
        found["output_tokens"],
        found["cache_read_tokens"],
        found["reasoning_tokens"],
    ) == (120, 60, 40, 10)
    assert (found["audio_input_tokens"], found["audio_output_tokens"]) == (20, 0)
    assert (found["service_tier"], found["usage_mark"]) == ("default", None)
    assert json.loads(found["attributes"])["spanreel.usage"] == USAGE
    assert found["cost_usd"] is not None
    assert found["cost_source"] == book()


def test_the_tier_of_the_answer_wins_over_that_of_the_request(store: Path) -> None:
    writer = Writer(store)
    asked = {**REQUEST, "service_tier": "priority"}
    downgraded = record(writer, 1, answer(service_tier="default"), request=asked)
    flex = record(writer, 2, answer(service_tier="flex"))
    assert row(store, downgraded)["service_tier"] == "default"
    assert row(store, flex)["service_tier"] == "flex"
    assert row(store, flex)["cost_usd"] is None or row(store, flex)["cost_source"].endswith("flex x 0.5")


def test_a_total_that_does_not_hold_is_marked(store: Path) -> None:
    writer = Writer(store)
    differs = record(writer, 1, answer(usage={**USAGE, "total_tokens": 999}))
    exceeds = record(writer, 2, answer(usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 10_192}}))
    assert row(store, differs)["usage_mark"] == "total_differs"
    assert row(store, differs)["cost_usd"] is not None
    contradiction = row(store, exceeds)
    assert (contradiction["usage_mark"], contradiction["input_tokens"]) == ("parts_exceed_input", 120)
    assert (contradiction["cost_usd"], contradiction["cost_source"]) == (None, "unpriced")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("0.0042", (0.0042, "reported")),
        ("0.0", None),
        ("None", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_a_gateway_tells_the_cost_in_a_header(
    store: Path, told: str, expected: tuple[float, str] | None
) -> None:
    writer = Writer(store)
    span = record(writer, 1, answer(), response_headers={"x-litellm-response-cost": told})
    found = row(store, span)
    if expected is None:
        assert found["cost_source"] == book()
    else:
        assert (found["cost_usd"], found["cost_source"]) == expected


def test_the_cost_that_openrouter_reports_is_the_cost(store: Path) -> None:
    writer = Writer(store)
    span = record(writer, 1, answer(usage={**USAGE, "cost": 0.00123}))
    assert (row(store, span)["cost_usd"], row(store, span)["cost_source"]) == (0.00123, "reported")


def test_waits_between_the_pieces_of_a_stream(store: Path) -> None:
    writer = Writer(store)
    events = [
        'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    ] * 41
    text = "".join(events) + "data: [DONE]\n\n"
    waits = [10 * MS] * 38 + [500 * MS, 700 * MS]
    times = [50 * MS]
    for wait in waits:
        times.append(times[-1] + wait)
    chunks = [[number * len(events[0]), time] for number, time in enumerate(times)]
    span = record(
        writer, 1, text, end=T0 + 2_000 * MS, request={**REQUEST, "stream": True}, chunks=chunks, first_ns=T0 + 50 * MS
    )  # fmt: skip
    found = row(store, span)
    assert (found["ttft_ms"], found["inter_token_p95_ms"]) == (50.0, 10.0)


@pytest.mark.parametrize("taken_in", ["together", "before"])
def test_what_passed_between_the_attempts_of_a_call(store: Path, taken_in: str) -> None:
    writer = Writer(store)
    first = record(writer, 1, "{}", status="error", end=T0 + 100 * MS)
    second = record(
        writer, 2, "{}", status="error", start=T0 + 600 * MS, end=T0 + 700 * MS, attributes={"spanreel.retry_of": first, "spanreel.retry_count": 1}
    )  # fmt: skip
    if taken_in == "before":
        catch_up(store)
    third = record(
        writer, 3, answer(), start=T0 + 1_700 * MS, end=T0 + 1_800 * MS, attributes={"spanreel.retry_of": second, "spanreel.retry_count": 2}
    )  # fmt: skip
    assert row(store, second)["retry_wait_ms"] == 500.0
    assert row(store, third)["retry_wait_ms"] == 1_500.0
    with DuckReader(store) as reader, reader.bill() as bill:
        assert {one.reason: one.calls for one in bill.waste()} == {"retried": 2}
        assert bill.total().calls == 3


def test_details_told_through_attributes_are_read(store: Path) -> None:
    writer = Writer(store)
    trace, span = ids(1)
    writer.start(trace, span, kind="llm", name="x")
    told = {
        "gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.provider.name": "anthropic", "gen_ai.usage.input_tokens": 1_000,
        "gen_ai.usage.output_tokens": 10, "gen_ai.usage.cache_write.input_tokens": 500, "spanreel.usage.cache_write_1h_tokens": 500,
        "spanreel.usage.web_searches": 1, "gen_ai.usage.image.input_tokens": 9,
    }  # fmt: skip
    writer.end(trace, span, attributes=told)
    found = row(store, span)
    assert (found["cache_write_1h_tokens"], found["web_searches"], found["image_input_tokens"]) == (500, 1, 9)
    assert found["cost_usd"] == (500 * 3_000 + 500 * 6_000 + 10 * 15_000) / 10**9 + 0.01

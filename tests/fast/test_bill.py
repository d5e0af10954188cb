"""The bill over a store: sums that reconcile with `spans`, other prices, waste, percentiles."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bill_fixture import DAY, START, Program, fill
from journal_fixture import MS, ids

from spanreel.analysis.pricing import NO_FILES
from spanreel.analysis.record import USAGE_FIELDS, Canonical
from spanreel.analysis.usage_buckets import buckets
from spanreel_exporters.duckdb.bill import DIMENSIONS, Filters
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.duckdb.queries import schema_sql, sql
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.repricing import Estimate, Swap
from spanreel_exporters.duckdb.write import append

GPT_4O = Decimal(976 * 2_500 + 1_024 * 1_250 + 300 * 10_000) / 10**9
MINI = Decimal(1_000 * 150 + 100 * 600) / 10**9
O3 = Decimal(500 * 2_000 + 700 * 8_000) / 10**9
EMBEDDING = Decimal(9_000 * 20) / 10**9
RETRIED = Decimal(100 * 2_500 + 10 * 10_000) / 10**9
ABANDONED = Decimal(70 * 2_500 + 7 * 10_000) / 10**9
REPORTED = Decimal("0.0125")
TOTAL = GPT_4O + MINI + O3 + EMBEDDING + RETRIED + ABANDONED + REPORTED


@pytest.fixture(params=["tail", "file"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> DuckReader:
    store = tmp_path / "store"
    fill(store)
    if request.param == "file":
        catch_up(store)
    return DuckReader(store, catch_up=False)


def test_the_total_is_the_sum_of_spans(reader: DuckReader) -> None:
    with reader, reader.bill() as bill:
        total = bill.total()
        con = reader.connection
        exact = con.execute("SELECT sum(cost_usd::DECIMAL(38, 12)) FROM spans").fetchall()[0][0]
        plain = con.execute(
            "SELECT sum(cost_usd), sum(input_tokens), sum(output_tokens) FROM spans"
        ).fetchall()[0]
    assert total.cost_usd == TOTAL == exact
    assert (float(total.cost_usd or 0), total.input_tokens, total.output_tokens) == (
        pytest.approx(plain[0], rel=1e-12),
        *plain[1:],
    )
    assert (total.calls, total.traces, total.failed_calls) == (10, 3, 1)
    assert (total.unpriced_calls, total.unpriced_tokens) == (1, 55)


@pytest.mark.parametrize("dimension", [name for name in DIMENSIONS if name != "tag"])
def test_sums_by_anything_add_up_to_the_total(reader: DuckReader, dimension: str) -> None:
    with reader, reader.bill() as bill:
        groups, total = bill.groups((dimension,)), bill.total()
        pairs = bill.groups((dimension, "day"))
    for parts in (groups, pairs):
        assert sum((group.cost_usd or Decimal(0) for group in parts), Decimal(0)) == total.cost_usd
        for field in ("calls", "input_tokens", "output_tokens", "unpriced_calls"):
            assert sum(getattr(group, field) for group in parts) == getattr(total, field)


def costs(reader: DuckReader, *by: str) -> dict[tuple[str | None, ...], Decimal | None]:
    with reader, reader.bill() as bill:
        return {group.key: group.cost_usd for group in bill.groups(by)}


def test_by_model_provider_user_session_environment_day(reader: DuckReader) -> None:
    assert costs(reader, "model") == {
        ("gpt-4o",): GPT_4O + RETRIED + ABANDONED, ("gpt-4o-mini",): MINI, ("o3",): O3, ("text-embedding-3-small",): EMBEDDING,
        ("some/model",): REPORTED, ("house-model",): None,
    }  # fmt: skip
    assert costs(reader, "provider")["vllm",] is None
    assert costs(reader, "user")["ann",] == GPT_4O + MINI
    assert costs(reader, "session")["s2",] == O3
    assert costs(reader, "environment") == {("prod",): TOTAL}
    assert costs(reader, "day", "name") == {
        ("2026-11-21", "ask"): GPT_4O + MINI, ("2026-11-22", "ask"): O3,
        ("2026-11-23", "batch"): EMBEDDING + RETRIED + ABANDONED + REPORTED,
    }  # fmt: skip


def test_by_what_stands_above_a_call(reader: DuckReader) -> None:
    assert costs(reader, "tool") == {("lookup",): MINI, (None,): TOTAL - MINI}
    assert costs(reader, "prompt") == {("sum 3",): MINI, (None,): TOTAL - MINI}
    assert costs(reader, "step")["summarise",] == MINI


def test_a_call_stands_under_each_of_its_tags(reader: DuckReader) -> None:
    assert costs(reader, "tag") == {
        ("vip",): GPT_4O + MINI,
        ("chat",): GPT_4O + MINI,
        (None,): TOTAL - GPT_4O - MINI,
    }


def test_filters(reader: DuckReader) -> None:
    with reader:
        for filters, expected in (
            (Filters(since_ns=START + DAY, until_ns=START + 2 * DAY), O3),
            (Filters(name="batch", model="gpt-4o"), RETRIED + ABANDONED),
            (Filters(user="ann", provider="openai"), GPT_4O + MINI),
            (Filters(tag="vip"), GPT_4O + MINI),
            (Filters(session="s2", service="desk", environment="prod"), O3),
            (Filters(name="nobody"), None),
        ):
            with reader.bill(filters) as bill:
                assert bill.total().cost_usd == expected


def test_nothing_is_left_on_the_connection(reader: DuckReader) -> None:
    with reader:
        with reader.bill(estimate=Estimate(NO_FILES)) as bill:
            bill.total()
        left = reader.connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name IN ('bill', 'repriced')"
        )
        assert left.fetchall() == []


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def estimated(reader: DuckReader, **asked: object) -> tuple[Decimal, Decimal | None]:
    with reader.bill(estimate=Estimate(NO_FILES, **asked)) as bill:  # type: ignore[arg-type]
        return bill.billed, bill.total().cost_usd


def test_as_of_prices_of_another_day(reader: DuckReader) -> None:
    """o3 cost $10 and $40 before 2025-06-10; a reported cost of a model that no list knows stays."""
    with reader:
        billed, then = estimated(reader, as_of_ns=at("2025-05-01"))
        assert billed == TOTAL
        assert then == TOTAL - O3 + Decimal(500 * 10_000 + 700 * 40_000) / 10**9
        assert estimated(reader, as_of_ns=at("2025-05-01")) == (billed, then)


def test_the_prices_of_their_own_day_are_what_was_billed(reader: DuckReader) -> None:
    with reader:
        assert estimated(reader) == (TOTAL, TOTAL)
        assert estimated(reader, as_of_ns=START) == (TOTAL, TOTAL)


def test_a_swap_takes_the_same_tokens_to_another_model(reader: DuckReader) -> None:
    other = Decimal(976 * 150 + 1_024 * 75 + 300 * 600 + 170 * 150 + 17 * 600) / 10**9
    with reader, reader.bill(estimate=Estimate(NO_FILES, swaps=(Swap("gpt-4o", "gpt-4o-mini"),))) as bill:
        assert bill.total().cost_usd == TOTAL - GPT_4O - RETRIED - ABANDONED + other
        assert ("gpt-4o-mini",) in {group.key for group in bill.groups(("model",))}


@pytest.mark.parametrize(
    ("old", "model", "means"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "GPT-4o-2024-08-06", True),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("gpt-4o", None, False),
    ],
)
def test_which_models_a_swap_means(old: str, model: str | None, means: bool) -> None:
    assert Swap(old, "x").means(model) is means


def test_per_query(reader: DuckReader) -> None:
    with reader, reader.bill() as bill:
        whole = bill.per_query()
        named = {one.name: one for one in bill.per_query_by_name()}
    assert whole is not None
    assert (whole.queries, whole.cost_usd, whole.mean, whole.unpriced_queries) == (3, TOTAL, TOTAL / 3, 1)
    assert (whole.p50, whole.max, whole.dearest) == (GPT_4O + MINI, TOTAL - GPT_4O - MINI - O3, ids(3)[0])
    assert (named["ask"].queries, named["ask"].max) == (2, GPT_4O + MINI)


def test_waste_is_told_by_reason(reader: DuckReader) -> None:
    with reader, reader.bill() as bill:
        waste = {one.reason: (one.calls, one.cost_usd) for one in bill.waste()}
        assert bill.retry_wait() == (1, 250.0)
    assert waste == {"abandoned": (1, ABANDONED), "failed": (1, None), "retried": (1, None)}


def test_latency(reader: DuckReader) -> None:
    with reader, reader.bill() as bill:
        rows = {one.key[0]: one for one in bill.latency(("model",))}
    asked = rows["gpt-4o"]
    assert (asked.calls, asked.streamed, asked.reasoned, asked.retried) == (2, 1, 1, 1)
    assert (asked.ttft.p50, asked.first_visible.p50, asked.retry_wait.max) == (40.0, 60.0, 250.0)
    assert (asked.duration.p50, asked.duration.p95, asked.duration.max) == (100.0, 100.0, 100.0)
    assert asked.tokens_per_s_p50 in {100.0, 4983.333333333333}


def test_an_empty_store_has_an_empty_bill(tmp_path: Path) -> None:
    Program(tmp_path / "store")
    with DuckReader(tmp_path / "store", catch_up=False) as reader, reader.bill() as bill:
        assert bill.total().calls == 0
        assert bill.total().cost_usd is None
        assert bill.per_query() is None
        assert (bill.groups(("model",)), bill.waste(), bill.latency(("model",)), bill.sources()) == (
            [],
            [],
            [],
            [],
        )


def test_totals_of_the_list_are_over_all_of_it(tmp_path: Path) -> None:
    program = Program(tmp_path / "store")
    for number in range(1, 1_201):
        trace, root = program.trace(number, "ask" if number % 2 else "other")
        program.end(trace, root, START + number * MS, status="error" if number == 5 else "ok")
    with DuckReader(tmp_path / "store", catch_up=False) as reader:
        whole, half = reader.totals(), reader.totals(name="ask")
        none = reader.totals(name="nobody")
    assert (whole.traces, whole.failed, whole.measured) == (1_200, 1, 1_200)
    assert (whole.p50_ms, whole.p95_ms, whole.p99_ms, whole.max_ms) == (600.0, 1_140.0, 1_188.0, 1_200.0)
    assert (half.traces, half.p50_ms, half.max_ms) == (600, 599.0, 1_199.0)
    assert (none.traces, none.p50_ms, none.cost_usd, none.measured) == (0, None, None, 0)


def test_the_query_splits_tokens_as_the_analysis_does(tmp_path: Path) -> None:
    draw = random.Random(11)
    rows: list[dict[str, Any]] = [
        {name: draw.choice((None, 0, 5, draw.randrange(60))) for name in USAGE_FIELDS} for _ in range(600)
    ]
    with DuckReader(tmp_path, catch_up=False) as reader:
        con = reader.connection
        con.execute(
            f"CREATE TEMP TABLE told (seq BIGINT, trace_id VARCHAR, kind VARCHAR, state VARCHAR, cost_source VARCHAR, start_ns BIGINT, "
            f"{', '.join(f'{name} INTEGER' for name in USAGE_FIELDS)})"
        )
        append(
            con,
            "temp.main.told",
            [(seq, "t", "llm", "ended", "unpriced", 1, *row.values()) for seq, row in enumerate(rows)],
        )
        con.execute(schema_sql("tail_clear"))
        con.execute("INSERT INTO tail_span BY NAME FROM told")
        con.execute(schema_sql("live_tail"))
        con.execute(sql("cost_calls"), dict.fromkeys(Filters.__slots__))
        found = con.execute(
            "SELECT fresh, cache_read, cache_write, cache_write_1h, audio_fresh, audio_read, image_fresh, shown, thought, "
            "audio_made, image_made FROM bill ORDER BY seq"
        ).fetchall()
    assert found == [tuple(buckets(Canonical(kind="llm", name="", **row))) for row in rows]

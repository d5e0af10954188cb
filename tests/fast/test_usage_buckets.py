"""Each token once, and counts that cannot be true found out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.record import USAGE_FIELDS, Canonical
from spanreel.analysis.usage_buckets import (
    CACHE_OUTSIDE_INPUT,
    INPUTS,
    PARTS_EXCEED_INPUT,
    PARTS_EXCEED_OUTPUT,
    REASONING_OUTSIDE_OUTPUT,
    TOTAL_DIFFERS,
    TOTAL_HOLDS,
    Buckets,
    buckets,
    by_total,
    reconcile,
)

COUNT = st.one_of(st.none(), st.integers(0, 60), st.integers(0, 2**31 - 1))


def call(**counts: Any) -> Canonical:
    return Canonical(kind="llm", name="x", **counts)


@given(st.fixed_dictionaries(dict.fromkeys(USAGE_FIELDS, COUNT)), st.booleans())
def test_the_buckets_sum_to_the_totals_and_none_is_negative(
    counts: dict[str, int | None], checked: bool
) -> None:
    row = call(**counts)
    if checked:
        reconcile(row)
    found = buckets(row)
    assert min(found) >= 0
    assert sum(found[:INPUTS]) == (row.input_tokens or 0)
    assert sum(found[INPUTS:]) == (row.output_tokens or 0)


@given(st.fixed_dictionaries(dict.fromkeys(USAGE_FIELDS, COUNT)))
def test_to_reconcile_twice_is_to_reconcile_once(counts: dict[str, int | None]) -> None:
    row = call(**counts)
    reconcile(row)
    once = [getattr(row, name) for name in USAGE_FIELDS]
    reconcile(row)
    assert [getattr(row, name) for name in USAGE_FIELDS] == once


def test_text_cache_and_reasoning() -> None:
    row = call(
        input_tokens=100, output_tokens=50, cache_read_tokens=60, cache_write_tokens=30, cache_write_1h_tokens=10, reasoning_tokens=20
    )  # fmt: skip
    reconcile(row)
    assert row.usage_mark is None
    assert buckets(row) == Buckets(
        input=10, cache_read=60, cache_write=20, cache_write_1h=10, output=30, reasoning=20
    )


def test_audio_and_images_are_taken_out_of_both_sides() -> None:
    row = call(
        input_tokens=100, output_tokens=90, audio_input_tokens=40, audio_output_tokens=60, image_input_tokens=20,
        image_output_tokens=10, cache_read_tokens=30, audio_cache_read_tokens=10, reasoning_tokens=5,
    )  # fmt: skip
    assert buckets(row) == Buckets(
        input=20, cache_read=20, audio_input=30, audio_cache_read=10, image_input=20, output=15, reasoning=5, audio_output=60, image_output=10
    )  # fmt: skip


def test_cached_input_is_text_first_where_nobody_says_how_much_of_it_was_audio() -> None:
    row = call(input_tokens=100, audio_input_tokens=40, cache_read_tokens=70)
    assert buckets(row) == Buckets(input=0, cache_read=60, audio_input=30, audio_cache_read=10)


def test_equal_counts_of_several_modalities_are_no_calls_of_text() -> None:
    row = call(
        input_tokens=20, output_tokens=20, audio_input_tokens=5, audio_output_tokens=5, image_input_tokens=5, image_output_tokens=5
    )  # fmt: skip
    found = buckets(row)
    assert (found.audio_input, found.image_input, found.audio_output, found.image_output) == (5, 5, 5, 5)


def test_a_cache_counted_beside_the_input_is_added_to_it() -> None:
    row = call(input_tokens=21, output_tokens=93, cache_read_tokens=2_000, cache_write_tokens=236)
    reconcile(row)
    assert (row.input_tokens, row.usage_mark) == (2_257, CACHE_OUTSIDE_INPUT)


def test_reasoning_counted_beside_the_output_is_added_to_it() -> None:
    row = call(input_tokens=32, output_tokens=9, reasoning_tokens=110)
    reconcile(row)
    assert (row.output_tokens, row.usage_mark) == (119, REASONING_OUTSIDE_OUTPUT)


def test_a_total_that_holds_says_that_the_part_is_wrong() -> None:
    """As OpenAI has answered: 5,136 in, of which 10,192 cached, 5,337 in all (community.openai.com/t/1330187)."""
    raw = {"input_tokens": 5_136, "output_tokens": 201, "total_tokens": 5_337}
    row = call(input_tokens=5_136, output_tokens=201, cache_read_tokens=10_192)
    row.usage_mark = by_total(raw, row)
    assert row.usage_mark == TOTAL_HOLDS
    reconcile(row)
    assert (row.input_tokens, row.usage_mark) == (5_136, PARTS_EXCEED_INPUT)


def test_hours_of_cache_writes_without_their_sum_are_the_sum() -> None:
    row = call(input_tokens=500, cache_write_1h_tokens=400)
    reconcile(row)
    assert (row.cache_write_tokens, row.usage_mark) == (400, None)


@pytest.mark.parametrize(
    ("counts", "mark"),
    [
        ({"input_tokens": 10, "audio_input_tokens": 11}, PARTS_EXCEED_INPUT),
        ({"output_tokens": 10, "audio_output_tokens": 6, "image_output_tokens": 6}, PARTS_EXCEED_OUTPUT),
        (
            {"input_tokens": 10, "output_tokens": 10, "audio_input_tokens": 10, "audio_output_tokens": 10},
            None,
        ),
    ],
)
def test_parts_that_exceed_the_whole_are_marked(counts: dict[str, int], mark: str | None) -> None:
    row = call(**counts)
    reconcile(row)
    assert row.usage_mark == mark


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"total_tokens": 30}, TOTAL_HOLDS),
        ({"totalTokenCount": 31}, TOTAL_DIFFERS),
        ({"totalTokens": 30}, TOTAL_HOLDS),
        ({"total_tokens": 0}, None),
        ({"total_tokens": "30"}, None),
        ({"total_tokens": True}, None),
        ({"total_tokens": 26}, None),
        ({"total_tokens": 25}, None),
        ({}, None),
    ],
)
def test_what_a_total_tells(raw: dict[str, object], told: str | None) -> None:
    assert (
        by_total(raw, call(input_tokens=10, output_tokens=20, cache_read_tokens=4, reasoning_tokens=5))
        == told
    )

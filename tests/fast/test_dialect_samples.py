"""Real spans of other instrumentations: what each package wrote is read as what happened.

The samples were made by running the packages against a model server with fixed answers, so that the facts are
known: a chat is 49 + 31 tokens, `o4-mini` 1520 (1024 cached) + 340 (256 reasoning), Responses 86 (64 cached) + 52
(32 reasoning), Claude 2257 = 21 + 188 written + 2048 read, + 93, Gemini 49 (16 cached) + 31 + 31 of thoughts.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from otlp_spans import FACTS, facts, samples, spans

from spanreel.analysis.dialects import normalise
from spanreel.analysis.record import Canonical

ALL: dict[str, list[dict[str, Any]]] = json.loads(FACTS.read_text(encoding="utf-8"))
TOKENS = {
    "gpt-4o": [(49, 31, 0, 0), (86, 52, 64, 32)],
    "o4-mini": [(1520, 340, 1024, 256)],
    "claude-sonnet-4-5": [(2257, 93, 2048, 0)],
    "gemini-2.5-flash": [(49, 62, 16, 31)],
}
"""By the model that was asked: (input, output, cache read, reasoning). Not every package tells the last two."""


def rows(name: str) -> list[Canonical]:
    lost: list[str] = []
    found = [normalise(span, lose=lost.append) for span in spans(name)]
    assert lost == []
    return found


def test_every_sample_has_facts() -> None:
    assert sorted(ALL) == samples()


@pytest.mark.parametrize("name", samples())
def test_a_sample_is_read_as_what_happened(name: str) -> None:
    assert [facts(row) for row in rows(name)] == ALL[name]


@pytest.mark.parametrize("name", samples())
def test_tokens_are_inclusive_whoever_counted(name: str) -> None:
    for row in rows(name):
        if row.kind == "llm" and row.output_tokens is not None and row.request_model is not None:
            asked = row.request_model.removesuffix("-2024-08-06").removesuffix("-2025-04-16")
            _, _, cached, thought = next(
                fits for fits in TOKENS[asked] if fits[:2] == (row.input_tokens, row.output_tokens)
            )
            assert row.cache_read_tokens in {None, cached}
            assert row.reasoning_tokens in {None, thought}


@pytest.mark.parametrize("name", samples())
def test_what_stands_around_calls_counts_nothing(name: str) -> None:
    for row in rows(name):
        if row.kind not in {"llm", "embedding", "rerank"}:
            assert (row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, None)


@pytest.mark.parametrize("name", samples())
def test_attributes_are_kept_as_they_came(name: str) -> None:
    for span, row in zip(spans(name), rows(name), strict=True):
        assert json.loads(row.attributes).items() >= json.loads(json.dumps(span.attributes)).items()

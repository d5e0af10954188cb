"""The demo's search, tokens and rules, without a server."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel_demo import embedding, responder, tokens
from spanreel_demo.retrieval import BM25, Page, handbook, words

pytestmark = pytest.mark.sdk


@given(st.text())
def test_token_pieces_join_to_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text
    assert tokens.count(text) <= len(text)


@given(st.text(min_size=1), st.sampled_from([64, 256]))
def test_embeddings_have_length_one_or_none(text: str, dimensions: int) -> None:
    length = sum(value * value for value in embedding.embed(text, dimensions))
    assert length == pytest.approx(1.0) or length == 0.0


def test_the_handbook_is_a_real_document_set() -> None:
    pages = handbook()
    assert 40 <= len(pages) <= 60
    assert len({page.id for page in pages}) == len(pages)
    assert all(page.title and len(page.text) > 250 for page in pages)
    assert sum(tokens.count(page.text) for page in pages) > 6000


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How long can I return a helmet?", "policies/returns-window"),
        ("The battery blinks red 3 times", "guides/battery-lights"),
        ("Can I take my bike on a plane?", "guides/battery-transport"),
        ("Pause my plan over the winter", "policies/plan-pause"),
        ("What does the weather do to tyre pressure?", "guides/tyre-pressure"),
    ],
)
def test_bm25_finds_the_page(question: str, page: str) -> None:
    assert BM25(handbook()).search(question)[0][0].id == page


def test_bm25_prefers_rare_words_and_leaves_out_the_rest() -> None:
    pages = [
        Page("a", "Bikes", "bike bike bike"),
        Page("b", "Bikes", "bike owl"),
        Page("c", "Other", "nothing"),
    ]
    found = BM25(pages).search("owl bike")
    assert [page.id for page, _ in found] == ["b", "a"]
    assert BM25(pages).search("the") == []
    assert BM25([]).search("owl") == []


def test_a_plane_is_no_plan() -> None:
    assert set(words("planes and plans")) & set(words("plane")) != set(words("plan"))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 2026-12-01 please", date(2026, 12, 1)),
        ("on 3 December", date(2026, 12, 3)),
        ("tomorrow morning", date(2026, 11, 25)),
        ("on Thursday", date(2026, 11, 26)),
        ("on Tuesday", date(2026, 12, 1)),
        ("some day", None),
    ],
)
def test_days_are_read(text: str, day: date | None) -> None:
    prompt = responder.Prompt.read(
        [
            {"role": "system", "content": "Today is 2026-11-24"},
            {"role": "user", "content": f"Question: free slot {text}"},
        ]
    )
    tool = {
        "function": {
            "name": "free_slot",
            "description": "a free slot",
            "parameters": {"required": ["day"], "properties": {"day": {"type": "string", "format": "date"}}},
        }
    }
    calls = list(responder.choose_tools([tool], prompt))
    assert [call.arguments for call in calls] == ([] if day is None else [f'{{"day": "{day}"}}'])


def test_the_judge_names_sentences_with_foreign_figures() -> None:
    prompt = responder.Prompt.read(
        [
            {
                "role": "user",
                "content": '<document id="a/b">\nIt costs 5 EUR and weighs 2 kg.\n</document>\n\n'
                "It costs 5 EUR. [a/b] It weighs 3 kg. [a/b]",
            }
        ]
    )
    assert responder.unsupported_sentences(prompt) == ["It weighs 3 kg. [a/b]"]


def test_the_made_up_fact_stands_in_no_document() -> None:
    book = " ".join(page.text for page in handbook())
    assert "150 Wh" in responder.MADE_UP
    assert "150 Wh" not in book
    assert "airport" not in book

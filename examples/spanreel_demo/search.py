"""Finding pages of the handbook: by words first, then reordered by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypedDict

import openai

import spanreel
from spanreel_demo.models import client, models
from spanreel_demo.retrieval import BM25, handbook

DIMENSIONS = 256


class Hit(TypedDict):
    """A page that was found. A list of such dictionaries is kept as documents, each with its id and score."""

    id: str
    score: float
    content: str
    metadata: dict[str, str]


@spanreel.trace(kind="retrieval", name="search handbook")
def search(query: str, *, collection: str = "", limit: int = 6) -> list[Hit]:
    """Find pages by their words, in "policies", in "guides" or in both."""
    return [
        {"id": page.id, "score": round(score, 3), "content": page.text, "metadata": {"title": page.title}}
        for page, score in _index(collection).search(query, limit)
    ]


@cache
def _index(collection: str) -> BM25:
    return BM25(page for page in handbook() if page.id.startswith(collection))


@spanreel.trace.rerank
def rerank(question: str, hits: Sequence[Hit], *, keep: int = 4) -> list[Hit]:
    """Put the pages that mean most of the question first, by the distance of their embeddings."""
    different = list({hit["id"]: hit for hit in hits}.values())
    try:
        answer = client().embeddings.create(
            model=models().embedding, input=texts_to_embed(question, different), dimensions=DIMENSIONS
        )
    except openai.APIStatusError:
        return different[:keep]  # not every server has embeddings; the order of the words will do
    return closest([item.embedding for item in answer.data], different)[:keep]


def texts_to_embed(question: str, hits: Sequence[Hit]) -> list[str]:
    """Return the question and then each page, the way they are embedded."""
    return [question, *(f"{hit['metadata']['title']}\n{hit['content']}" for hit in hits)]


def closest(vectors: Sequence[Sequence[float]], hits: Sequence[Hit]) -> list[Hit]:
    """Order `hits` by the cosine to the first of `vectors`; the others belong to the hits, all have length 1."""
    asked, *others = vectors
    scores = [sum(a * b for a, b in zip(asked, other, strict=True)) for other in others]
    scored: list[Hit] = [{**hit, "score": round(score, 4)} for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit["score"])

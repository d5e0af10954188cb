"""FAISS and rank_bm25, the real libraries."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
import rank_bm25  # type: ignore[import-untyped]
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.sdk]

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype="float32")
CORPUS = ["Hello there good man!", "It is quite windy in London", "How is the weather today?"]
WORDS = [text.split() for text in CORPUS]
faiss_covers = pytest.mark.covers("FAISS", package="faiss-cpu")
bm25_covers = pytest.mark.covers("rank_bm25", package="rank-bm25")


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["faiss", "rank_bm25"])


@faiss_covers
def test_distances_of_an_l2_index(recording: Recording) -> None:
    """An L2 index: k, dimension, ids and distances; the arrays are the library's own."""
    index = faiss.IndexFlatL2(2)
    index.add(VECTORS)
    with spanreel.span("root"):
        distances, ids = index.search(VECTORS[:1], 2)
    assert (type(distances), ids.tolist()) == (np.ndarray, [[0, 2]])
    (span,) = retrieved(recording)
    assert (span.ids, span.scores) == (["0", "2"], [None, None])
    assert span.distances == pytest.approx([0.0, 0.8], abs=1e-6)
    assert (span.top_k, span.score_kind) == (2, "distance")
    assert span.attributes["spanreel.distance_metric"] == "l2"
    assert span.attributes["spanreel.index_type"] == "IndexFlatL2"
    assert span.input["vector"] == {"dimensions": 2}


@faiss_covers
def test_scores_of_inner_products_by_own_ids(recording: Recording) -> None:
    """An inner-product index with ids of its own, two queries at once, fewer vectors than k."""
    index = faiss.IndexIDMap(faiss.IndexFlatIP(2))
    index.add_with_ids(VECTORS, np.array([70, 80, 90]))
    with spanreel.span("root"):
        index.search(VECTORS[:2], k=5)
    (span,) = retrieved(recording)
    assert span.ids == ["70", "90", "80", "80", "90", "70"]
    assert span.scores == pytest.approx([1.0, 0.6, 0.0, 1.0, 0.8, 0.0], abs=1e-6)
    assert [document[3] for document in span.documents] == [{"query": 0}] * 3 + [{"query": 1}] * 3
    assert (span.score_kind, span.attributes["spanreel.queries"]) == ("similarity", 2)


@faiss_covers
def test_other_indexes(recording: Recording) -> None:
    """HNSW, IVF, binary and range searches; an error is the library's."""
    graph = faiss.index_factory(2, "HNSW8")
    graph.add(VECTORS)
    inverted = faiss.index_factory(2, "IVF1,Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.train(VECTORS)
    inverted.add(VECTORS)
    binary = faiss.IndexBinaryFlat(8)
    binary.add(np.array([[1], [3]], dtype="uint8"))
    flat = faiss.IndexFlatL2(2)
    flat.add(VECTORS)
    with spanreel.span("root"):
        graph.search(VECTORS[:1], 1)
        inverted.search(VECTORS[:1], 1)
        binary.search(np.array([[3]], dtype="uint8"), 2)
        flat.range_search(VECTORS[:1], 1.0)
        with pytest.raises(AssertionError):
            flat.search(np.zeros((1, 3), dtype="float32"), 1)
    found: list[Any] = retrieved(recording)
    assert [span.ids for span in found] == [["0"], ["0"], ["1", "0"], ["0", "2"], []]
    assert [span.attributes["spanreel.distance_metric"] for span in found] == [
        "l2", "inner_product", "hamming", "l2", "l2",
    ]  # fmt: skip
    assert found[2].distances == [0.0, 1.0]
    assert [span.status for span in found] == ["ok"] * 4 + ["error"]


@bm25_covers
@pytest.mark.parametrize("kind", [rank_bm25.BM25Okapi, rank_bm25.BM25L, rank_bm25.BM25Plus])
def test_top_documents_of_words(recording: Recording, kind: Any) -> None:
    """get_top_n: the query's words, n, and each document with its place in the corpus and BM25 score."""
    index = kind(WORDS)
    expected = index.get_scores(["windy", "London"])
    with spanreel.span("root"):
        assert index.get_top_n(["windy", "London"], CORPUS, n=2)[0] == CORPUS[1]
    (span,) = retrieved(recording)
    assert (span.query, span.top_k, span.score_kind) == ("windy London", 2, "score")
    assert span.documents[0] == ("1", pytest.approx(expected[1]), CORPUS[1], {})
    assert span.scores == pytest.approx(sorted(expected, reverse=True)[:2])
    assert span.attributes["spanreel.index_type"] == kind.__name__


@bm25_covers
def test_scores_of_a_corpus(recording: Recording) -> None:
    """get_scores: the best of the corpus by place and score, the array unchanged; get_top_n of other objects."""
    index = rank_bm25.BM25Okapi(WORDS)
    documents = [{"content": text, "page": page} for page, text in enumerate(CORPUS)]
    with spanreel.span("root"):
        scores = index.get_scores(["weather"])
        found = index.get_top_n(["weather"], documents, n=1)
        with pytest.raises(AssertionError, match="don't match"):
            index.get_top_n(["weather"], documents[:1])
    assert scores.shape == (3,)
    assert found[0] is documents[2]
    all_of, top, failed = retrieved(recording)
    assert (all_of.ids[0], all_of.attributes["spanreel.document_count"]) == ("2", 3)
    assert top.documents == [("2", pytest.approx(scores[2]), CORPUS[2], {"page": 2})]
    assert failed.status == "error"

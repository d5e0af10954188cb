"""sentence-transformers, the real library, on models with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recording import Recording
from retrieved import retrieved
from sentence_transformers import CrossEncoder, SentenceTransformer

import spanreel
from spanreel import instruments

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.covers("sentence-transformers", package="sentence-transformers"),
]
TEXTS = ["the cat sat", "a dog", "the cat sat on the mat"]


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["sentence_transformers"])


def test_encode_several_texts(recording: Recording, folder: Path) -> None:
    """encode: an embedding span with the model, the texts, their number, the dimensions, and the exact tokens."""
    model = SentenceTransformer(str(folder / "bert"), device="cpu")
    with spanreel.span("root"):
        found = model.encode(TEXTS, show_progress_bar=False)
    assert isinstance(found, np.ndarray)
    assert found.shape == (3, 16)
    (span,) = retrieved(recording, "embedding")
    (row,) = spanreel.sql("SELECT * FROM spans WHERE kind = 'embedding'", store=recording.store)
    assert row["input_tokens"] == 11 + 3 * 2
    assert row["provider"] == "sentence_transformers"
    assert row["request_model"].endswith("bert")
    assert span.input == TEXTS
    assert span.attributes["gen_ai.embeddings.dimension.count"] == 16
    assert span.attributes["spanreel.texts"] == 3
    assert span.output == [{"type": "embedding", "count": 3, "dimension": 16}]


def test_encode_in_batches_and_as_query(recording: Recording, folder: Path) -> None:
    """Tokens of several batches add up; encode_query is one span; a single text is one text."""
    model = SentenceTransformer(str(folder / "bert"), device="cpu")
    with spanreel.span("root"):
        model.encode(TEXTS, batch_size=1, show_progress_bar=False)
        model.encode_query("the dog", convert_to_tensor=True)
    rows = spanreel.sql(
        "SELECT input_tokens, attributes->>'spanreel.texts' AS texts FROM spans WHERE kind = 'embedding' ORDER BY start_ns",
        store=recording.store,
    )
    assert [(row["input_tokens"], row["texts"]) for row in rows] == [(17, "3"), (4, "1")]


def test_rank_is_one_rerank_span(recording: Recording, folder: Path) -> None:
    """CrossEncoder.rank: one rerank span with query, top_k, and each document's place, score and text."""
    model = CrossEncoder(str(folder / "cross"), device="cpu")
    with spanreel.span("root"):
        found = model.rank("the cat", TEXTS, top_k=2)
    (span,) = retrieved(recording, "rerank")
    assert (span.query, span.top_k) == ("the cat", 2)
    assert span.ids == [str(one["corpus_id"]) for one in found]
    assert span.scores == pytest.approx([one["score"] for one in found])
    assert span.contents == [TEXTS[one["corpus_id"]] for one in found]
    assert span.attributes["gen_ai.usage.input_tokens"] == 11 + 3 * (2 + 3)


def test_predict_of_pairs(recording: Recording, folder: Path) -> None:
    """CrossEncoder.predict: the scores as the library gave them, the best first among the documents."""
    model = CrossEncoder(str(folder / "cross"), device="cpu")
    with spanreel.span("root"):
        scores = model.predict([("the cat", text) for text in TEXTS])
        model.predict(("the cat", "a dog"))
    several, one = retrieved(recording, "rerank")
    assert several.scores == pytest.approx(sorted(scores.tolist(), reverse=True))
    assert (several.query, len(one.documents)) == ("the cat", 1)


def test_an_error_is_the_librarys_own(recording: Recording, folder: Path) -> None:
    """A batch size that is refused raises as without us; the span has the error."""
    model = SentenceTransformer(str(folder / "bert"), device="cpu")
    with spanreel.span("root"), pytest.raises(ValueError, match="batch_size"):
        model.encode(TEXTS, batch_size=-1)
    (span,) = retrieved(recording, "embedding")
    assert span.status == "error"


def test_nothing_outside_of_a_trace(recording: Recording, folder: Path) -> None:
    """Outside of a trace nothing is recorded; taken out, the methods are the library's own."""
    model = SentenceTransformer(str(folder / "bert"), device="cpu")
    model.encode(TEXTS, show_progress_bar=False)
    assert recording.spans() == []
    instruments.uninstall(["sentence_transformers"])
    assert not hasattr(SentenceTransformer.encode, "__wrapped__") or "spanreel" not in repr(
        SentenceTransformer.encode
    )

"""LanceDB, the real one: vectors, full text, both; every way to take the rows; sync and async."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import lancedb
import pandas as pd
import pyarrow as pa
import pytest
from lancedb.index import FTS
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.covers("LanceDB", package="lancedb")]
ROWS = [
    {"vector": [1.0, 0.0], "id": "a", "text": "apple pie", "page": 1},
    {"vector": [0.0, 1.0], "id": "b", "text": "banana bread", "page": 2},
    {"vector": [0.6, 0.8], "id": "c", "text": "cherry cake", "page": 3},
]


@pytest.fixture
def table(tmp_path: Path) -> Any:
    instruments.install(["lancedb"])
    table = lancedb.connect(tmp_path / "lance").create_table("docs", data=ROWS)
    table.create_index("text", config=FTS())
    return table


def test_a_vector_search(recording: Recording, table: Any) -> None:
    """table.search().where().limit(): table, limit, filter, each row's id, distance, text and columns."""
    with spanreel.span("root"):
        rows = table.search([1.0, 0.0]).where("page < 3").limit(2).to_list()
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[0]["vector"] == [1.0, 0.0]
    (span,) = retrieved(recording)
    assert span.name == "retrieval docs"
    assert span.documents == [
        ("a", None, "apple pie", {"page": 1, "distance": 0.0}),
        ("b", None, "banana bread", {"page": 2, "distance": 2.0}),
    ]
    assert (span.top_k, span.filter, span.score_kind) == (2, "page < 3", "distance")
    assert span.input == {"vector": {"dimensions": 2}, "top_k": 2, "filter": "page < 3"}
    assert span.attributes["spanreel.distance_metric"] == "l2"


def test_every_way_to_take_the_rows(recording: Recording, table: Any) -> None:
    """to_pandas, to_arrow and to_list are one span each; a lazy reader stays lazy and says so."""
    with spanreel.span("root"):
        search = table.search([1.0, 0.0]).distance_type("cosine").limit(1)
        assert type(search.to_pandas()) is pd.DataFrame
        assert type(search.to_arrow()) is pa.Table
        reader = search.to_batches()
        assert isinstance(reader, pa.RecordBatchReader)
        assert reader.read_all().num_rows == 1
    frame, arrow, lazy = retrieved(recording)
    assert frame.documents == arrow.documents == [("a", None, "apple pie", {"page": 1, "distance": 0.0})]
    assert frame.attributes["spanreel.distance_metric"] == "cosine"
    assert (lazy.documents, lazy.attributes["spanreel.documents_unread"]) == ([], True)


def test_full_text_and_hybrid(recording: Recording, table: Any) -> None:
    """Full text and hybrid searches tell the text and scores, not distances; a hybrid is one span."""
    with spanreel.span("root"):
        table.search("banana", query_type="fts").limit(1).to_list()
        table.search(query_type="hybrid").vector([1.0, 0.0]).text("cherry").limit(3).to_list()
        table.search().limit(2).where("page = 2").to_list()
    text, both, scan = retrieved(recording)
    assert (text.query, text.ids, text.score_kind, text.top_k) == ("banana", ["b"], "score", 1)
    assert text.scores[0] is not None
    assert (both.query, both.score_kind, both.input["vector"]) == ("cherry", "score", {"dimensions": 2})
    assert sorted(map(str, both.ids)) == ["a", "b", "c"]
    assert all(score is not None for score in both.scores)
    assert (scan.query, scan.ids, scan.filter) == (None, ["b"], "page = 2")


def test_async(recording: Recording, table: Any, tmp_path: Path) -> None:
    """The async table: vector, full text and hybrid queries, and nothing printed by the Rust below."""
    assert inspect.iscoroutinefunction(lancedb.query.AsyncQueryBase.to_arrow)

    async def go() -> None:
        opened = await (await lancedb.connect_async(tmp_path / "lance")).open_table("docs")
        with spanreel.span("root"):
            await opened.query().nearest_to([1.0, 0.0]).where("page < 3").limit(1).to_list()
            await opened.query().nearest_to_text("banana").limit(1).to_pandas()
            await opened.query().nearest_to([1.0, 0.0]).nearest_to_text("cherry").limit(3).to_list()
            await (await opened.search([0.0, 1.0])).limit(1).to_arrow()

    asyncio.run(go())
    near, text, both, searched = retrieved(recording)
    assert near.documents == [("a", None, "apple pie", {"page": 1, "distance": 0.0})]
    assert (near.top_k, near.filter, near.input["vector"]) == (1, "page < 3", {"dimensions": 2})
    assert (text.query, text.ids, text.score_kind) == ("banana", ["b"], "score")
    assert (both.query, len(both.ids), both.score_kind) == ("cherry", 3, "score")
    assert searched.ids == ["b"]


def test_an_error_is_the_librarys_own(recording: Recording, table: Any) -> None:
    """A filter on a column that is not there raises LanceDB's error, and the span tells it."""
    with spanreel.span("root"), pytest.raises(Exception, match="nothing") as raised:
        table.search([1.0, 0.0]).where("nothing = 1").limit(1).to_list()
    assert not type(raised.value).__module__.startswith("spanreel")
    (span,) = retrieved(recording)
    assert span.status == "error"

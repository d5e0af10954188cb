"""qdrant-client, the real one: in memory, over its REST format to a loopback server, and async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from loopback import Asked, Loopback, Reply, as_json
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Qdrant", package="qdrant-client")]

POINTS = [
    models.PointStruct(id=1, vector=[1.0, 0.0], payload={"text": "apple pie", "page": 1}),
    models.PointStruct(id=2, vector=[0.0, 1.0], payload={"text": "banana bread", "page": 2}),
    models.PointStruct(id=3, vector=[0.6, 0.8], payload={"page_content": "racing car", "metadata": {"page": 3}}),
]  # fmt: skip
BELOW_3 = models.Filter(must=[models.FieldCondition(key="page", range=models.Range(lt=3))])
FILTER = {"must": [{"key": "page", "range": {"lt": 3.0}}]}


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["qdrant_client"])


def _filled(distance: models.Distance) -> QdrantClient:
    client = QdrantClient(":memory:")
    client.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=distance))
    client.upsert("docs", POINTS)
    return client


def test_a_query_in_memory(recording: Recording) -> None:
    """Query points: collection, vector size, limit, filter, and every point's id, score, text and payload."""
    client = _filled(models.Distance.COSINE)
    with spanreel.span("root"):
        answer = client.query_points("docs", query=[1.0, 0.0], limit=2, query_filter=BELOW_3)
    assert [type(point) for point in answer.points] == [models.ScoredPoint] * 2
    (span,) = retrieved(recording)
    assert span.name == "retrieval docs"
    assert span.documents == [("1", 1.0, "apple pie", {"page": 1}), ("2", 0.0, "banana bread", {"page": 2})]
    assert (span.top_k, span.filter, span.score_kind) == (2, FILTER, "similarity")
    assert span.input == {"vector": {"dimensions": 2}, "top_k": 2, "filter": FILTER}
    assert span.attributes["spanreel.distance_metric"] == "Cosine"
    assert span.attributes["db.operation.name"] == "query_points"
    client.close()


def test_a_distance_is_no_score(recording: Recording) -> None:
    """In a collection of Euclid the smaller is the better: a distance, kept as one; a fusion's is a score."""
    client = _filled(models.Distance.EUCLID)
    with spanreel.span("root"):
        client.query_points("docs", query=[1.0, 0.0])
        client.query_points(
            "docs",
            prefetch=[models.Prefetch(query=[1.0, 0.0], limit=3), models.Prefetch(query=[0.6, 0.8], limit=3)],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
        )
    near, fused = retrieved(recording)
    assert near.score_kind == "distance"
    assert near.scores == [None] * 3
    assert near.distances == pytest.approx([0.0, 0.894427, 1.414213], abs=1e-5)
    assert near.documents[1][2:] == ("racing car", {"page": 3, "distance": near.distances[1]})
    assert fused.score_kind == "score"
    assert fused.distances == [None] * 3
    assert all(score is not None for score in fused.scores)
    assert fused.input["vector"] == {"dimensions": 2}
    client.close()


def test_a_point_as_the_query(recording: Recording) -> None:
    """A query by a stored point is told by its id, which is neither text nor vector."""
    client = _filled(models.Distance.COSINE)
    with spanreel.span("root"):
        client.query_points("docs", query=1, limit=1)
        client.query_points(
            "docs", query=models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
        )
    one, some = retrieved(recording)
    assert (one.ids, one.query, one.attributes["spanreel.query_id"]) == (["3"], None, "1")
    assert some.ids == ["3", "2"]
    client.close()


def test_batches_and_groups(recording: Recording) -> None:
    """Several queries at once tell which of them found a document; groups are flattened in their order."""
    client = _filled(models.Distance.DOT)
    with spanreel.span("root"):
        client.query_batch_points(
            "docs",
            requests=[
                models.QueryRequest(query=[1.0, 0.0], limit=1, with_payload=True),
                models.QueryRequest(query=[0.0, 1.0], limit=1, with_payload=True, filter=BELOW_3),
            ],
        )
        client.query_points_groups("docs", group_by="page", query=[1.0, 0.0], limit=2, group_size=1)
    batch, groups = retrieved(recording)
    assert [(document[0], document[3]["query"]) for document in batch.documents] == [("1", 0), ("2", 1)]
    assert batch.attributes["spanreel.queries"] == 2
    assert groups.ids[0] == "1"
    client.close()


class Qdrant(Loopback):
    """What qdrant's REST interface answers to `points/query`."""

    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/collections/gone/points/query":
            return as_json(
                {"status": {"error": "Not found: Collection `gone` doesn't exist!"}, "time": 0.0}, 404
            )
        points: list[dict[str, Any]] = [
            {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "version": 1, "score": 0.25,
             "payload": {"document": "near", "url": "http://a"}},
            {"id": 7, "version": 1, "score": 0.75, "payload": {"document": "far"}},
        ]  # fmt: skip
        return as_json({"result": {"points": points}, "status": "ok", "time": 0.001})


@pytest.fixture
def server() -> Iterator[Qdrant]:
    with Qdrant() as opened:
        yield opened


def test_over_http(recording: Recording, server: Qdrant) -> None:
    """Over REST the same; numbers that rise are distances, and the server is asked nothing of ours."""
    client = QdrantClient(
        url=server.url, check_compatibility=False, metadata={"authorization": "Bearer qd-secret-key"}
    )
    with spanreel.span("root"):
        client.query_points("docs", query=models.Document(text="near what?", model="Qdrant/bm25"), limit=2)
        with pytest.raises(UnexpectedResponse, match="404"):
            client.query_points("gone", query=[0.5])
    found, gone = retrieved(recording)
    assert found.documents == [
        ("5c56c793-69f3-4fbf-87e6-c4bf54c28c26", None, "near", {"url": "http://a", "distance": 0.25}),
        ("7", None, "far", {"distance": 0.75}),
    ]
    assert (found.query, found.score_kind) == ("near what?", "distance")
    assert (gone.status, gone.documents) == ("error", [])
    assert [asked.path for asked in server.requests] == [
        "/collections/docs/points/query", "/collections/gone/points/query",
    ]  # fmt: skip
    assert b"qd-secret-key" not in recording.raw()
    client.close()


def test_async(recording: Recording) -> None:
    """The async client stays async, and twenty queries at once stay apart."""
    assert inspect.iscoroutinefunction(AsyncQdrantClient.query_points)

    async def go() -> None:
        client = AsyncQdrantClient(":memory:")
        await client.create_collection(
            "docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE)
        )
        await client.upsert("docs", POINTS)
        with spanreel.span("root"):
            await asyncio.gather(
                *[client.query_points("docs", query=[1.0, 0.0], limit=n % 3 + 1) for n in range(20)]
            )
        await client.close()

    asyncio.run(go())
    spans = retrieved(recording)
    assert len(spans) == 20
    assert all(len(span.documents) == span.top_k for span in spans)
    assert len({span.parent for span in spans}) == 1


def test_capture_settings(recording: Recording) -> None:
    """With metadata alone neither query, filter nor documents are kept; the count is."""
    recording.configure(capture="metadata")
    client = _filled(models.Distance.COSINE)
    with spanreel.span("root"):
        client.query_points("docs", query=[1.0, 0.0], limit=2, query_filter=BELOW_3)
    (span,) = retrieved(recording)
    assert (span.documents, span.input, span.filter) == ([], None, None)
    assert (span.attributes["spanreel.document_count"], span.top_k) == (2, 2)
    client.close()


def test_uninstall_restores_the_classes() -> None:
    """Uninstall leaves the library's own functions behind."""
    instruments.uninstall(["qdrant_client"])
    assert inspect.isfunction(vars(QdrantClient)["query_points"])
    assert not hasattr(vars(AsyncQdrantClient)["query_points"], "__wrapped__")
    instruments.install(["qdrant_client"])

"""pinecone, the real SDK against a loopback server that speaks its REST format."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pinecone
import pytest
from loopback import Asked, Loopback, Reply, as_json
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Pinecone", package="pinecone")]

MATCHES = {
    "matches": [
        {"id": "d1", "score": 0.92, "metadata": {"text": "Bikes can be returned.", "page": 3}},
        {"id": "d2", "score": 0.5, "metadata": {"text": "Shipping is free."}},
    ],
    "namespace": "shop",
    "usage": {"readUnits": 6},
}
HITS = {
    "result": {
        "hits": [
            {"_id": "r1", "_score": 0.81, "fields": {"chunk_text": "Return within 30 days.", "year": 2026}}
        ]
    },
    "usage": {"read_units": 1, "embed_total_tokens": 9},
}
DOCUMENTS = {
    "matches": [{"_id": "a1", "_score": 4.25, "title": "Rome", "content": "Rome was not built in a day."}],
    "namespace": "articles",
    "usage": {"read_units": 1},
}
RANKING = {
    "model": "bge-reranker-v2-m3",
    "data": [
        {"index": 1, "score": 0.98, "document": {"id": "b", "text": "Acme makes phones."}},
        {"index": 0, "score": 0.11, "document": {"id": "a", "text": "Apples are red."}},
    ],
    "usage": {"rerank_units": 1},
}
EMBEDDINGS = {
    "model": "multilingual-e5-large",
    "vector_type": "dense",
    "data": [{"values": [0.1, 0.2, 0.3], "vector_type": "dense"}],
    "usage": {"total_tokens": 7},
}


class Pinecone(Loopback):
    """The data plane and the inference API of Pinecone, as far as they are asked."""

    def reply(self, asked: Asked) -> Reply:
        answers: dict[str, Any] = {
            "/query": MATCHES,
            "/records/namespaces/articles/search": HITS,
            "/namespaces/articles/documents/search": DOCUMENTS,
            "/rerank": RANKING,
            "/embed": EMBEDDINGS,
        }
        if asked.headers.get("authorization") or asked.headers.get("api-key") == "bad-key":
            return as_json({"code": 16, "message": "Invalid API Key"}, 401)
        return as_json(answers[asked.path])


@pytest.fixture
def server() -> Iterator[Pinecone]:
    instruments.install(["pinecone"])
    with Pinecone() as opened:
        yield opened


@contextmanager
def _index(server: Pinecone, key: str = "pc-key") -> Iterator[Any]:
    with pinecone.Index(host=server.url, api_key=key) as index:
        yield index
        if index._documents is not None:  # it has a client of its own
            index.documents._http.close()


def test_query_of_vectors(recording: Recording, server: Pinecone) -> None:
    """Query: vector size, top_k, filter, namespace and every match's id, score, text and metadata."""
    with _index(server) as index, spanreel.span("root"):
        answer = index.query(
            vector=[0.1, 0.2, 0.3],
            top_k=2,
            filter={"page": {"$gte": 1}},
            namespace="shop",
            include_metadata=True,
        )
    assert [match.id for match in answer.matches] == ["d1", "d2"]
    assert type(answer) is pinecone.QueryResponse
    (span,) = retrieved(recording)
    assert span.documents == [
        ("d1", 0.92, "Bikes can be returned.", {"page": 3}),
        ("d2", 0.5, "Shipping is free.", {}),
    ]
    assert (span.top_k, span.filter, span.score_kind) == (2, {"page": {"$gte": 1}}, "similarity")
    assert span.input == {"vector": {"dimensions": 3}, "top_k": 2, "filter": {"page": {"$gte": 1}}}
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["db.system.name"] == "pinecone"
    assert b"pc-key" not in recording.raw()


def test_search_by_text(recording: Recording, server: Pinecone) -> None:
    """Search of records: the text, top_k, and each hit's id, score, text and other fields."""
    with _index(server) as index, spanreel.span("root"):
        index.search_records(namespace="articles", top_k=1, inputs={"text": "How long to return?"})
    (span,) = retrieved(recording)
    assert span.query == "How long to return?"
    assert span.documents == [("r1", 0.81, "Return within 30 days.", {"year": 2026})]
    assert span.attributes["spanreel.usage"] == {
        "read_units": 1,
        "embed_total_tokens": 9,
        "rerank_units": None,
    }


def test_search_of_documents(recording: Recording, server: Pinecone) -> None:
    """Search of a schema-based index: the text that is scored by, id, score, content and fields."""
    with _index(server) as index, spanreel.span("root"):
        index.documents.search(
            namespace="articles",
            top_k=5,
            score_by=[{"type": "text", "query": "not built", "fields": ["content"]}],
            include_fields=["title", "content"],
        )
    (span,) = retrieved(recording)
    assert (span.query, span.top_k) == ("not built", 5)
    assert span.documents == [("a1", 4.25, "Rome was not built in a day.", {"title": "Rome"})]


def test_async_queries(recording: Recording, server: Pinecone) -> None:
    """The async index records the same; ten queries at once stay apart."""

    async def go() -> None:
        async with pinecone.AsyncIndex(host=server.url, api_key="pc-key") as index:
            with spanreel.span("root"):
                await asyncio.gather(*[index.query(vector=[0.1] * (n + 1), top_k=n + 1) for n in range(10)])

    asyncio.run(go())
    spans = retrieved(recording)
    assert sorted(span.top_k for span in spans) == list(range(1, 11))
    assert all(span.ids == ["d1", "d2"] for span in spans)
    assert {span.input["vector"]["dimensions"] == span.top_k for span in spans} == {True}


def test_rerank_and_embed(recording: Recording, server: Pinecone) -> None:
    """Inference: a rerank with its query, order and scores; an embedding with model, tokens and dimension."""
    with pinecone.Pinecone(api_key="pc-key", host=server.url) as client, spanreel.span("root"):
        client.inference.rerank(
            model="bge-reranker-v2-m3",
            query="Tell me about tech",
            documents=[{"id": "a", "text": "Apples are red."}, {"id": "b", "text": "Acme makes phones."}],
            top_n=2,
        )
        client.inference.embed(
            model="multilingual-e5-large", inputs=["hello"], parameters={"input_type": "query"}
        )
    (span,) = retrieved(recording, "rerank")
    assert (span.query, span.top_k, span.ids, span.scores) == (
        "Tell me about tech",
        2,
        ["b", "a"],
        [0.98, 0.11],
    )
    assert span.contents == ["Acme makes phones.", "Apples are red."]
    assert span.attributes["gen_ai.response.model"] == "bge-reranker-v2-m3"
    (embedded,) = retrieved(recording, "embedding")
    assert embedded.attributes["gen_ai.usage.input_tokens"] == 7
    assert embedded.attributes["gen_ai.embeddings.dimension.count"] == 3
    assert embedded.query == ["hello"]


def test_an_error_is_the_librarys_own(recording: Recording, server: Pinecone) -> None:
    """A refused query raises Pinecone's error, and the span tells it."""
    refused = pytest.raises(pinecone.PineconeError, match="Invalid API Key")
    with _index(server, "bad-key") as index, spanreel.span("root"), refused:
        index.query(vector=[0.1], top_k=1)
    (span,) = retrieved(recording)
    assert span.status == "error"
    assert "Invalid API Key" in (span.error or "")


def test_outside_of_a_trace_nothing_is_recorded(recording: Recording, server: Pinecone) -> None:
    """Outside of a trace a query passes; after uninstall it does so inside."""
    with _index(server) as index:
        index.query(vector=[0.1], top_k=1)
    with _index(server) as index, spanreel.span("root"):
        instruments.uninstall(["pinecone"])
        pinecone.Index.query(index, vector=[0.1], top_k=1)
    assert retrieved(recording) == []
    assert [outcome.state for outcome in spanreel.instrument("pinecone")] == ["wrapped"]
    with _index(server) as index:
        index.query(vector=[0.1], top_k=1)
    assert len(retrieved(recording)) == 1


def test_an_index_made_before_the_hooks(recording: Recording, server: Pinecone) -> None:
    """An index that a program made before its first traced call is seen as well."""
    instruments.uninstall(["pinecone"])
    with _index(server) as index:
        instruments.install(["pinecone"])
        with spanreel.span("root"):
            index.query(vector=[0.1, 0.2], top_k=2, filter={"page": 3}, include_metadata=True)
    (span,) = retrieved(recording)
    assert span.documents[0] == ("d1", 0.92, "Bikes can be returned.", {"page": 3})
    assert (span.top_k, span.filter, span.input["vector"]) == (2, {"page": 3}, {"dimensions": 2})

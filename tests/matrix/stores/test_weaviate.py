"""weaviate-client v4, the real one, against a loopback server that speaks its REST and gRPC.

No Weaviate is to be had without a download, so the server is ours: its messages are the client's own protobuf
(weaviate.v1); what it finds is fixed.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Iterator
from concurrent import futures
from typing import Any, Self

import grpc
import pytest
import weaviate
from loopback import Asked, Loopback, Reply, as_json
from recording import Recording
from retrieved import retrieved
from weaviate.classes.generate import GenerativeConfig
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.exceptions import WeaviateInvalidInputError, WeaviateQueryError
from weaviate.proto.v1 import (
    generative_pb2,
    health_weaviate_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.covers("Weaviate", package="weaviate-client")]
OBJECTS = (
    ("11111111-1111-1111-1111-111111111111", "Bikes can be returned.", 3, 0.1),
    ("22222222-2222-2222-2222-222222222222", "Shipping is free.", 7, 0.4),
)
"""(id, body, page, distance)"""


class Rest(Loopback):
    """`/v1/meta` and the other paths that are asked at connect time."""

    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/v1/meta":
            return as_json({"hostname": self.url, "version": "1.36.2", "modules": {}})
        return as_json({}, 404 if "openid" in asked.path else 200)


class Search(weaviate_pb2_grpc.WeaviateServicer):
    """`weaviate.v1.Weaviate/Search`."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Search(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        if request.collection == "Gone":
            context.abort(grpc.StatusCode.UNKNOWN, "could not find class Gone in schema")
        results = [self._result(request, *item) for item in OBJECTS[: request.limit or 10]]
        reply = search_get_pb2.SearchReply(took=0.01, results=results)
        if request.HasField("generative") and request.generative.HasField("grouped"):
            answer = generative_pb2.GenerativeReply(result="Both are about shopping.")
            reply.generative_grouped_results.CopyFrom(generative_pb2.GenerativeResult(values=[answer]))
        return reply

    @staticmethod
    def _result(request: Any, key: str, body: str, page: int, distance: float) -> Any:
        fields = {
            "body": properties_pb2.Value(text_value=body),
            "page": properties_pb2.Value(int_value=page),
        }
        properties = search_get_pb2.PropertiesResult(
            target_collection=request.collection, non_ref_props=properties_pb2.Properties(fields=fields)
        )
        wanted = request.metadata
        metadata = search_get_pb2.MetadataResult(id=key, id_as_bytes=uuid.UUID(key).bytes)
        if wanted.distance:
            metadata.distance, metadata.distance_present = distance, True
        if wanted.certainty:
            metadata.certainty, metadata.certainty_present = 1 - distance / 2, True
        if wanted.score:
            metadata.score, metadata.score_present = 1 - distance, True
        result = search_get_pb2.SearchResult(metadata=metadata, properties=properties)
        if request.HasField("generative") and request.generative.HasField("single"):
            answer = generative_pb2.GenerativeReply(result=f"In short: {body}")
            result.generative.CopyFrom(generative_pb2.GenerativeResult(values=[answer]))
        return result


def _health() -> Any:
    """`grpc.health.v1.Health/Check`, by hand: the client has messages for it, but no servicer."""
    status = health_weaviate_pb2.WeaviateHealthCheckResponse
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: status(status=status.SERVING),
        request_deserializer=health_weaviate_pb2.WeaviateHealthCheckRequest.FromString,
        response_serializer=status.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})


class Weaviate:
    """Both servers; a context manager."""

    def __init__(self) -> None:
        self.search = Search()
        self.rest = Rest()
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(self.search, self._grpc)
        self._grpc.add_generic_rpc_handlers((_health(),))
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._grpc.stop(None).wait()
        self.rest.close()


IDS = [key for key, _, _, _ in OBJECTS]


@pytest.fixture(scope="module")
def server() -> Iterator[Weaviate]:
    with Weaviate() as opened:
        yield opened


def _where(server: Weaviate) -> dict[str, Any]:
    return {
        "http_host": "127.0.0.1", "http_port": server.rest.port, "http_secure": False,
        "grpc_host": "127.0.0.1", "grpc_port": server.grpc_port, "grpc_secure": False,
    }  # fmt: skip


@pytest.fixture
def client(server: Weaviate) -> Iterator[weaviate.WeaviateClient]:
    instruments.install(["weaviate"])
    with weaviate.connect_to_custom(**_where(server), skip_init_checks=True) as opened:
        yield opened


def test_near_text(recording: Recording, client: weaviate.WeaviateClient) -> None:
    """near_text: text, limit, filter, and every object's id, distance, text and properties."""
    with spanreel.span("root"):
        answer = client.collections.get("Pages").query.near_text(
            "how to return", limit=2, filters=Filter.by_property("page").less_than(9),
            return_metadata=MetadataQuery(distance=True),
        )  # fmt: skip
    assert [str(item.uuid) for item in answer.objects] == IDS
    (span,) = retrieved(recording)
    assert span.name == "retrieval Pages"
    assert span.ids == IDS
    assert span.contents == ["Bikes can be returned.", "Shipping is free."]
    assert span.distances == pytest.approx([0.1, 0.4], abs=1e-6)
    assert [document[3]["page"] for document in span.documents] == [3, 7]
    assert (span.query, span.top_k, span.score_kind) == ("how to return", 2, "distance")
    assert span.filter == {"operator": "LessThan", "target": "page", "value": 9}


def test_near_vector_bm25_and_hybrid(recording: Recording, client: weaviate.WeaviateClient) -> None:
    """near_vector with certainty, bm25 and hybrid with scores: scores are scores."""
    pages = client.collections.get("Pages").query
    both = Filter.all_of([Filter.by_property("page").equal(3), Filter.by_property("body").like("Bi*")])
    with spanreel.span("root"):
        pages.near_vector(
            [0.1, 0.2, 0.3], limit=1, return_metadata=MetadataQuery(certainty=True, distance=True)
        )
        pages.bm25("return", limit=1, return_metadata=MetadataQuery(score=True), filters=both)
        pages.hybrid("return", vector=[0.1, 0.2], alpha=0.25, return_metadata=MetadataQuery(score=True))
    near, words, hybrid = retrieved(recording)
    assert near.input["vector"] == {"dimensions": 3}
    assert near.scores == pytest.approx([0.95])
    assert near.distances == pytest.approx([0.1])
    assert (words.query, words.score_kind) == ("return", "score")
    assert words.scores == pytest.approx([0.9])
    assert words.filter == {
        "operator": "And",
        "filters": [
            {"operator": "Equal", "target": "page", "value": 3},
            {"operator": "Like", "target": "body", "value": "Bi*"},
        ],
    }
    assert (hybrid.query, hybrid.input["vector"]) == ("return", {"dimensions": 2})
    assert hybrid.attributes["spanreel.hybrid_alpha"] == 0.25
    assert hybrid.scores == pytest.approx([0.9, 0.6])


def test_generation(recording: Recording, client: weaviate.WeaviateClient) -> None:
    """A generative query: the documents, and what was generated as the output."""
    generate = client.collections.get("Pages").generate
    with spanreel.span("root"):
        one = generate.near_text(
            "return", limit=1, single_prompt="Shorten: {body}", generative_provider=GenerativeConfig.openai()
        )
        generate.near_text(
            "return", grouped_task="What are they about?", generative_provider=GenerativeConfig.openai()
        )
    assert one.objects[0].generative is not None
    single, grouped = retrieved(recording)
    assert (single.ids, single.output) == (IDS[:1], ["In short: Bikes can be returned."])
    assert (grouped.ids, grouped.output) == (IDS, "Both are about shopping.")


def test_errors(recording: Recording, client: weaviate.WeaviateClient) -> None:
    """The client's own errors, of the server and of arguments, are raised and told."""
    with spanreel.span("root"):
        with pytest.raises(WeaviateQueryError, match="could not find class"):
            client.collections.get("Gone").query.bm25("x")
        with pytest.raises(WeaviateInvalidInputError):
            client.collections.get("Pages").query.near_text("x", limit="many")
    assert [span.status for span in retrieved(recording)] == ["error", "error"]


def test_async(recording: Recording, server: Weaviate) -> None:
    """The async client: awaited as ever, ten queries at once, an error at the await."""
    instruments.install(["weaviate"])

    async def go() -> None:
        async with weaviate.use_async_with_custom(**_where(server), skip_init_checks=True) as client:
            pages = client.collections.get("Pages").query
            with spanreel.span("root"):
                waiting = pages.near_text("one", limit=1)
                assert inspect.isawaitable(waiting)
                await waiting
                await asyncio.gather(*[pages.bm25(f"query {n}", limit=1) for n in range(9)])
                with pytest.raises(WeaviateQueryError):
                    await client.collections.get("Gone").query.near_vector([0.1])

    asyncio.run(go())
    *spans, failed = sorted(retrieved(recording), key=lambda span: span.status == "error")
    assert len(spans) == 10
    assert {span.query for span in spans} == {"one", *(f"query {n}" for n in range(9))}
    assert all(span.contents == ["Bikes can be returned."] for span in spans)
    assert (failed.status, failed.input["vector"]) == ("error", {"dimensions": 1})
    assert len({span.parent for span in [*spans, failed]}) == 1

"""chromadb, the real one: in this process, on disk, and as a client of a real server on loopback."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb.config import Settings
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.covers("Chroma", package="chromadb")]


def quiet() -> Settings:
    """Settings of its own for each client, which writes into them."""
    return Settings(anonymized_telemetry=False)


class Letters(chromadb.EmbeddingFunction[Any]):
    """An embedding of two numbers: how many a's and how many b's. It is traced, as a model's call would be."""

    def __init__(self) -> None: ...

    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma looks for this name
        with spanreel.span("embed", kind="embedding"):
            return [[float(text.count("a")), float(text.count("b"))] for text in input]

    @staticmethod
    def name() -> str:
        return "letters"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Any:
        return Letters()

    def get_config(self) -> dict[str, Any]:
        return {}


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["chromadb"])


def _fill(client: Any, name: str, space: str = "l2") -> Any:
    collection = client.create_collection(
        name, embedding_function=Letters(), configuration={"hnsw": {"space": space}}
    )
    collection.add(
        ids=["a", "b", "ab"],
        documents=["aaa", "bbb", "ab"],
        metadatas=[{"page": 1}, {"page": 2}, {"page": 3}],
    )
    return collection


def test_a_query_by_text_on_disk(recording: Recording, tmp_path: Path) -> None:
    """PersistentClient: text, n_results, where, and every document's id, distance, content and metadata."""
    collection = _fill(chromadb.PersistentClient(str(tmp_path / "chroma"), quiet()), "letters", "cosine")
    with spanreel.span("root"):
        answer = collection.query(
            query_texts=["aa"], n_results=2, where={"page": {"$lt": 3}}, where_document={"$not_contains": "c"}
        )
    assert answer["ids"] == [["a", "b"]]
    (span,) = retrieved(recording)
    assert span.name == "retrieval letters"
    assert span.documents == [
        ("a", None, "aaa", {"page": 1, "distance": 0.0}), ("b", None, "bbb", {"page": 2, "distance": 1.0}),
    ]  # fmt: skip
    assert (span.query, span.top_k, span.score_kind) == ("aa", 2, "distance")
    assert span.filter == {"where": {"page": {"$lt": 3}}, "where_document": {"$not_contains": "c"}}
    assert span.attributes["spanreel.distance_metric"] == "cosine"
    (embedding,) = [
        span for span in retrieved(recording, "embedding") if span.parent == retrieved(recording)[0].span
    ]
    assert embedding.name == "embed"


def test_queries_by_vectors_in_memory(recording: Recording) -> None:
    """EphemeralClient: vectors of every shape, several queries at once, content not included."""
    collection = _fill(chromadb.EphemeralClient(quiet()), "in-memory")
    with spanreel.span("root"):
        collection.query(query_embeddings=[3.0, 0.0], n_results=1)
        collection.query(query_embeddings=[[3.0, 0.0], [0.0, 3.0]], n_results=1)
        collection.query(query_embeddings=[[3.0, 0.0]], n_results=2, include=["distances"])
    one, two, bare = retrieved(recording)
    assert one.documents == [("a", None, "aaa", {"page": 1, "distance": 0.0})]
    assert one.input == {"vector": {"dimensions": 2}, "top_k": 1}
    assert [(document[0], document[3]["query"]) for document in two.documents] == [("a", 0), ("b", 1)]
    assert (one.attributes["spanreel.distance_metric"], two.attributes["spanreel.queries"]) == ("l2", 2)
    assert bare.documents == [("a", None, None, {"distance": 0.0}), ("ab", None, None, {"distance": 5.0})]


def test_an_error_is_the_librarys_own(recording: Recording) -> None:
    """A query of the wrong dimension raises Chroma's error, and the span tells it."""
    collection = _fill(chromadb.EphemeralClient(quiet()), "wrong")
    with spanreel.span("root"), pytest.raises(chromadb.errors.InvalidArgumentError):
        collection.query(query_embeddings=[[1.0, 2.0, 3.0]])
    (span,) = retrieved(recording)
    assert (span.status, span.documents) == ("error", [])
    assert "dimension" in (span.error or "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = shutil.which("chroma", path=str(Path(sys.executable).parent)) or "chroma"
    folder = tmp_path_factory.mktemp("server")
    command = [program, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the Chroma server did not start")


def test_a_server_over_http(recording: Recording, server: int) -> None:
    """HttpClient against a real Chroma server: the same span, and nothing of it on the wire beside."""
    client = chromadb.HttpClient("127.0.0.1", server, settings=quiet())
    collection = _fill(client, "served")
    with spanreel.span("root"):
        collection.query(query_texts=["bb"], n_results=2, where={"page": {"$gt": 1}})
    (span,) = retrieved(recording)
    assert (span.ids, span.distances, span.contents) == (["b", "ab"], [1.0, 2.0], ["bbb", "ab"])
    assert (span.query, span.top_k, span.filter) == ("bb", 2, {"page": {"$gt": 1}})
    assert {row["kind"] for row in spanreel.sql("SELECT kind FROM spans", store=recording.store)} == {
        "span", "retrieval", "embedding",
    }  # fmt: skip


def test_the_async_client(recording: Recording, server: int) -> None:
    """AsyncHttpClient stays async and records the same; five queries at once stay apart."""

    async def go() -> None:
        client = await chromadb.AsyncHttpClient("127.0.0.1", server, settings=quiet())
        collection = await client.create_collection("asynchronous", embedding_function=Letters())
        assert inspect.iscoroutinefunction(type(collection).query)
        await collection.add(ids=["a", "b"], documents=["aaa", "bbb"])
        with spanreel.span("root"):
            await asyncio.gather(*[collection.query(query_texts=["a" * n], n_results=1) for n in range(1, 6)])

    asyncio.run(go())
    spans = retrieved(recording)
    assert sorted(span.query for span in spans) == ["a" * n for n in range(1, 6)]
    assert all(span.contents == ["aaa"] for span in spans)
    assert len({span.parent for span in spans}) == 1

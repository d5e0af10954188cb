"""The real LlamaIndex, with the real openai client, against a loopback server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from framework_rows import Trace, pairs_with_and_without
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from recording import Recording

import spanreel

pytestmark = pytest.mark.covers("LlamaIndex", package="llama-index-core")


def model(server: OpenAIServer) -> OpenAI:
    return OpenAI(model="gpt-4o-mini", api_base=server.url, api_key="k")


def engine(server: OpenAIServer, **options: Any) -> Any:
    embed: Any = OpenAIEmbedding(model="text-embedding-3-small", api_base=server.url, api_key="k")
    index = VectorStoreIndex.from_documents([Document(text="Refunds take 14 days.")], embed_model=embed)
    return index.as_query_engine(llm=model(server), similarity_top_k=1, **options)


@pytest.mark.parametrize("way", ["query", "aquery"])
def test_a_query_engine(instrumented: Recording, server: OpenAIServer, way: str) -> None:
    """A query engine, plain and asynchronous: kinds, documents, embeddings, one trace, tokens and cost once."""
    with spanreel.span("ask"):
        made = engine(server)
        answer = made.query("Refunds?") if way == "query" else asyncio.run(made.aquery("Refunds?"))
    assert "You said" in str(answer)
    trace = Trace(instrumented.store)
    trace.must_count(1)
    assert trace.documents() == ["Refunds take 14 days."]
    assert len(trace.counted("retrieval")) == 1
    assert [span["input_tokens"] for span in trace.counted("embedding")] == [7, 7]
    assert "VectorIndexRetriever.retrieve" in {s["name"] for s in trace.of("retrieval")} or way == "aquery"
    (wire,) = trace.named("chat gpt-4o-mini")
    assert "Refunds take 14 days." in wire["input"]
    assert trace.counted()[0]["name"] in trace.above(wire)
    assert "You said" in trace.counted()[0]["output"]


def test_a_stream(instrumented: Recording, server: OpenAIServer) -> None:
    """A stream is read after the call that made it has returned; its span and the call on the wire count once."""
    usage = {"stream_options": {"include_usage": True}}
    with spanreel.span("ask"):
        stream = model(server).stream_chat([ChatMessage(content="Hello")], **usage)
        text = "".join(piece.delta or "" for piece in stream)
    assert text == "You said: Hello"
    trace = Trace(instrumented.store)
    trace.must_count(1)
    assert "You said: Hello" in trace.counted()[0]["output"]


def test_the_users_exporter_sees_the_same(
    recording: Recording, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The (span, parent) pairs of the program's own exporter are the same with and without us."""
    made = engine(server)

    def program() -> None:
        with otel.get_tracer("users").start_as_current_span("request"):
            made.query("Refunds?")
            with otel.get_tracer("users").start_as_current_span("users own"):
                list(model(server).stream_chat([ChatMessage(content="Hello")]))

    without, with_us = pairs_with_and_without(program, monkeypatch)
    spanreel.uninstrument()
    assert with_us == without

"""The real Haystack, with the real openai client, against a loopback server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from framework_rows import Trace, pairs_with_and_without
from haystack import Document, Pipeline, component
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from recording import Recording

import spanreel

pytestmark = pytest.mark.covers("Haystack", package="haystack-ai")


@component
class Shout:
    """A component of the user's own, with a span of its own inside."""

    @component.output_types(question=str)
    def run(self, question: str) -> dict[str, str]:
        with otel.get_tracer("users").start_as_current_span("users own"):
            return {"question": spanreel.trace(name="shouted")(str.upper)(question)}


def pipeline(server: OpenAIServer, **options: Any) -> Pipeline:
    store = InMemoryDocumentStore()
    store.write_documents([Document(content="Refunds take 14 days"), Document(content="Paris is large")])
    made = Pipeline()
    made.add_component("shout", Shout())
    made.add_component("retriever", InMemoryBM25Retriever(store, top_k=1))
    template = [ChatMessage.from_user("{{documents[0].content}} {{question}}")]
    made.add_component("prompt", ChatPromptBuilder(template, required_variables="*"))
    key = Secret.from_token("k")
    made.add_component(
        "llm", OpenAIChatGenerator(model="gpt-4o-mini", api_base_url=server.url, api_key=key, **options)
    )
    made.connect("shout.question", "prompt.question")
    made.connect("retriever.documents", "prompt.documents")
    made.connect("prompt.prompt", "llm.messages")
    return made


GIVEN: dict[str, Any] = {"retriever": {"query": "refunds"}, "shout": {"question": "How long?"}}


@pytest.mark.parametrize("way", ["run", "streamed", "run_async"])
def test_a_pipeline(instrumented: Recording, server: OpenAIServer, way: str) -> None:
    """A RAG pipeline, plain, streamed and asynchronous: kinds, documents, our function inside, each call once."""
    options: dict[str, Any] = {}
    if way == "streamed":
        options = {
            "streaming_callback": lambda _chunk: None,
            "generation_kwargs": {"stream_options": {"include_usage": True}},
        }
    made = pipeline(server, **options)
    with spanreel.span("ask"):
        answer = asyncio.run(made.run_async(GIVEN)) if way == "run_async" else made.run(GIVEN)
    assert answer["llm"]["replies"][0].text == "You said: Refunds take 14 days HOW LONG?"
    trace = Trace(instrumented.store)
    trace.must_count(1)
    call, wire = trace.counted()[0], trace.one("chat gpt-4o-mini")
    assert wire["duplicate_of"] == call["span_id"] == wire["parent_id"]
    assert "Refunds take 14 days HOW LONG?" in call["output"]
    assert len(trace.of("retrieval")) == 1
    assert trace.documents() == ["Refunds take 14 days"]
    assert trace.above(trace.one("shouted"))[0].startswith("Shout")


def test_the_users_exporter_sees_the_same(
    recording: Recording, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The (span, parent) pairs of the program's own exporter are the same with and without us."""
    made = pipeline(server)

    def program() -> None:
        with otel.get_tracer("users").start_as_current_span("request"):
            made.run(GIVEN)

    without, with_us = pairs_with_and_without(program, monkeypatch)
    spanreel.uninstrument()
    assert with_us == without
    assert ("users own", "request") in without
    assert {span.trace for span in recording.spans() if span.name == "shouted"}

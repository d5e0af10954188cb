"""The real LangChain and LangGraph, with the real openai client, against a loopback server."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from framework_rows import Trace, pairs_with_and_without
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from recording import Recording

import spanreel

langchain = pytest.mark.covers("LangChain", package="langchain-core")
langgraph = pytest.mark.covers("LangGraph", package="langgraph")


@spanreel.trace
def note(text: str) -> str:
    with otel.get_tracer("users").start_as_current_span("users own"):
        return text


class Shelf(BaseRetriever):
    """Two documents, whatever is asked."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        note(query)
        return [
            Document("Refunds take 14 days.", metadata={"page": 3}, id="d1"),
            Document("Paris is large.", metadata={"page": 4}, id="d2"),
        ]


@tool
def lookup(key: str) -> str:
    """Look a key up."""
    return note(f"{key} is 42")


def model(server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="k", stream_usage=True)


def rag(server: OpenAIServer) -> Any:
    prompt = ChatPromptTemplate.from_template("{context} {question}")
    return {"context": Shelf(), "question": RunnablePassthrough()} | prompt | model(server)


@langchain
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_rag(instrumented: Recording, server: OpenAIServer, way: str) -> None:
    """RAG with a retriever, plain, streamed and asynchronous: kinds, documents, one trace, tokens and cost once."""
    chain = rag(server)

    @spanreel.trace(name="ask")
    def ask(question: str) -> None:
        if way == "invoke":
            chain.invoke(question)
        else:
            for _ in chain.stream(question):
                note("consumer")

    @spanreel.trace(name="ask")
    async def ask_async(question: str) -> None:
        if way == "ainvoke":
            await chain.ainvoke(question)
        else:
            async for _ in chain.astream(question):
                note("consumer")

    if way.startswith("a"):
        asyncio.run(ask_async("How long do refunds take?"))
    else:
        ask("How long do refunds take?")
    trace = Trace(instrumented.store)
    trace.must_count(1)
    call, wire = trace.counted()[0], trace.one("chat gpt-4o-mini")
    assert (call["name"], wire["duplicate_of"]) == ("ChatOpenAI", call["span_id"])
    assert trace.above(wire) == ["ChatOpenAI", "RunnableSequence", "ask"]
    assert "Refunds take 14 days." in call["input"]
    assert "You said" in call["output"]
    assert trace.one("Shelf")["kind"] == "retrieval"
    assert trace.documents() == ["Refunds take 14 days.", "Paris is large."]
    inside = [trace.above(span)[0] for span in trace.named("note")]
    assert inside == ["Shelf"] + ["ask"] * (len(inside) - 1)
    assert way in {"invoke", "ainvoke"} or len(inside) > 2


@langchain
def test_many_at_once(instrumented: Recording, server: OpenAIServer) -> None:
    """A batch in threads and several prompts of one generate() each find their own call."""
    llm = model(server)
    with spanreel.span("root"):
        llm.batch(["one", "two", "three"])
        llm.generate([[HumanMessage("four")], [HumanMessage("five")]])
    trace = Trace(instrumented.store)
    trace.must_count(5)
    calls = {call["span_id"] for call in trace.counted()}
    assert {wire["parent_id"] for wire in trace.named("chat gpt-4o-mini")} == calls


@langchain
def test_a_refused_call(instrumented: Recording, server: OpenAIServer) -> None:
    """An error of the provider reaches the caller and is told once."""
    llm = ChatOpenAI(model="refused", base_url=server.url, api_key="k", max_retries=0)
    with spanreel.span("root"), pytest.raises(Exception, match="That is no request"):
        llm.invoke("Hello")
    trace = Trace(instrumented.store)
    assert [span["name"] for span in trace.counted()] == ["ChatOpenAI"]
    assert {span["status"] for span in trace.of("llm")} == {"error"}
    with spanreel.span("after") as after:
        pass
    assert instrumented.one("after").parent == ""
    assert after.recording


@langgraph
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
def test_an_agent_with_a_tool(instrumented: Recording, server: OpenAIServer, way: str) -> None:
    """An agent that uses a tool twice: steps, arguments and results, our function below the tool, each call once."""
    agent = create_agent(model(server), [lookup])
    given: Any = {"messages": [("user", "What is alpha?")]}
    with spanreel.span("ask"):
        if way == "invoke":
            agent.invoke(given)
        elif way == "ainvoke":
            asyncio.run(agent.ainvoke(given))
        else:
            list(agent.stream(given, stream_mode="messages"))
    trace = Trace(instrumented.store)
    trace.must_count(2)
    tools = trace.of("tool")
    assert [span["name"] for span in tools] == ["lookup", "lookup"]
    assert {orjson.loads(span["input"]) for span in tools} == {"alpha", "beta"}  # its one argument
    assert all("is 42" in span["output"] for span in tools)
    assert [trace.above(span) for span in trace.named("note")] == [
        ["lookup", "tools", "LangGraph", "ask"]
    ] * 2
    for wire in trace.named("chat gpt-4o-mini"):
        assert trace.above(wire) == ["ChatOpenAI", "model", "LangGraph", "ask"]


@langchain
def test_the_users_exporter_sees_the_same(
    recording: Recording, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The (span, parent) pairs of the program's own exporter are the same with and without us."""
    agent, chain = create_agent(model(server), [lookup]), rag(server)

    def program() -> None:
        with otel.get_tracer("users").start_as_current_span("request"):
            agent.invoke({"messages": [("user", "What is alpha?")]})
            list(chain.stream("Refunds?"))

    without, with_us = pairs_with_and_without(program, monkeypatch)
    spanreel.uninstrument()
    assert with_us == without
    assert ("users own", "request") in without


@langchain
def test_the_programs_own_instrumentor_wins(instrumented: Recording, server: OpenAIServer) -> None:
    """Where the program puts in the instrumentor itself, its provider gets the spans, and ours steps aside."""
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    LangChainInstrumentor().instrument(tracer_provider=provider)
    try:
        model(server).invoke("Hello")
        assert [span.name for span in memory.get_finished_spans()] == ["ChatOpenAI"]
        assert [span.name for span in instrumented.spans()] == ["chat gpt-4o-mini"]
        assert [o.state for o in spanreel.instrument("langchain")] == ["in use"]
    finally:
        LangChainInstrumentor().uninstrument()
    (outcome,) = spanreel.instrument("langchain")
    assert outcome.state == "wrapped"

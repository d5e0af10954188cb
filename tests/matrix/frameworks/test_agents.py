"""The real OpenAI Agents SDK and pydantic-ai, with the real openai client, against a loopback server."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import orjson
import pydantic_ai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from agents.tracing import get_trace_provider
from framework_rows import Trace, pairs_with_and_without
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from recording import Recording

import spanreel

openai_agents = pytest.mark.covers("OpenAI Agents SDK", package="openai-agents")
pydantic = pytest.mark.covers("pydantic-ai", package="pydantic-ai-slim")


@spanreel.trace
def note(text: str) -> str:
    with otel.get_tracer("users").start_as_current_span("users own"):
        return text


@function_tool
def lookup(key: str) -> str:
    """Look a key up."""
    return note(f"{key} is 42")


async def run_agents(server: OpenAIServer, *, stream: bool = False) -> None:
    async with openai.AsyncOpenAI(base_url=server.url, api_key="k") as client:
        model = OpenAIChatCompletionsModel("gpt-4o-mini", client)
        settings = ModelSettings(include_usage=True)
        agent = Agent(name="Finder", tools=[lookup], model=model, model_settings=settings)
        if stream:
            async for _ in Runner.run_streamed(agent, "What is alpha?").stream_events():
                pass
        else:
            await Runner.run(agent, "What is alpha?")


@openai_agents
@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_of_the_agents_sdk(instrumented: Recording, server: OpenAIServer, stream: bool) -> None:
    """A run with a tool, plain and streamed: agent, turns, arguments, results, our function, each call once."""
    with spanreel.span("ask"):
        asyncio.run(run_agents(server, stream=stream))
    trace = Trace(instrumented.store)
    trace.must_count(2)
    tools = trace.of("tool")
    assert {orjson.loads(span["input"])["key"] for span in tools} == {"alpha", "beta"}
    assert all("is 42" in span["output"] for span in tools)
    assert [trace.above(span)[0] for span in trace.named("note")] == ["lookup", "lookup"]
    assert "Finder" in {span["name"] for span in trace.of("agent")}
    for wire in trace.named("chat gpt-4o-mini"):
        assert wire["duplicate_of"] == wire["parent_id"]


@openai_agents
def test_responses_of_the_agents_sdk(instrumented: Recording, server: OpenAIServer) -> None:
    """The Responses API, which is the SDK's default: counted once, the text of the answer kept."""

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="k") as client:
            model = OpenAIResponsesModel("gpt-4o-mini", client)
            await Runner.run(Agent(name="Talker", model=model), "Hello")

    with spanreel.span("ask"):
        asyncio.run(run())
    trace = Trace(instrumented.store)
    trace.must_count(1, (900, 60, 0.0001326))
    assert "Hello from the Responses API." in trace.counted()[0]["output"]


@openai_agents
def test_the_sdks_own_exporter_stays(recording: Recording) -> None:
    """The SDK's own trace processors are the same while ours is in, and ours is gone afterwards."""
    before = get_trace_provider()._multi_processor._processors
    spanreel.instrument("openai-agents")
    during = get_trace_provider()._multi_processor._processors
    spanreel.uninstrument()
    assert during[: len(before)] == before
    assert len(during) == len(before) + 1
    assert get_trace_provider()._multi_processor._processors == before


def pydantic_agent(server: OpenAIServer) -> Any:
    provider = OpenAIProvider(base_url=server.url, api_key="k")
    made: Any = pydantic_ai.Agent(OpenAIChatModel("gpt-4o-mini", provider=provider), name="finder")

    def lookup(key: str) -> str:
        """Look a key up."""
        return note(f"{key} is 42")

    made.tool_plain(lookup)
    return made


@pydantic
@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_of_pydantic_ai(instrumented: Recording, server: OpenAIServer, stream: bool) -> None:
    """A run with a tool, plain and streamed: agent, arguments, results, our function below, each call once."""
    agent = pydantic_agent(server)

    async def run() -> list[str]:
        async with agent.run_stream("What is alpha?") as answer:
            return [text async for text in answer.stream_text()]

    with spanreel.span("ask"):
        assert asyncio.run(run()) if stream else agent.run_sync("What is alpha?").output
    trace = Trace(instrumented.store)
    trace.must_count(2)
    tools = trace.of("tool")
    assert {orjson.loads(span["input"])["key"] for span in tools} == {"alpha", "beta"}
    assert all("is 42" in span["output"] for span in tools)
    assert [trace.above(span)[-1] for span in trace.named("note")] == ["ask", "ask"]
    assert [trace.above(span)[0] for span in trace.named("note")] == [tool["name"] for tool in tools]
    assert len(trace.of("agent")) == 1
    for wire in trace.counted():
        assert trace.by_id[wire["parent_id"]]["kind"] == "agent"


@pydantic
def test_settings_of_the_program_stay(recording: Recording, server: OpenAIServer) -> None:
    """What the program has set for all agents is left alone, and ours is gone after uninstrument()."""
    kind: Any = pydantic_ai.Agent
    assert [kind._instrument_default, kind.instrument_all(True)] == [False, None]
    try:
        assert [o.state for o in spanreel.instrument("pydantic-ai")] == ["in use"]
        assert kind._instrument_default is True
    finally:
        kind.instrument_all(False)
    assert [o.state for o in spanreel.instrument("pydantic-ai")] == ["wrapped"]
    spanreel.uninstrument()
    assert kind._instrument_default is False


@pydantic
@openai_agents
def test_the_users_exporter_sees_the_same(
    recording: Recording, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The (span, parent) pairs of the program's own exporter are the same with and without us."""
    agent = pydantic_agent(server)

    def program() -> None:
        with otel.get_tracer("users").start_as_current_span("request"):
            agent.run_sync("What is alpha?")
            asyncio.run(run_agents(server))

    without, with_us = pairs_with_and_without(program, monkeypatch)
    spanreel.uninstrument()
    assert with_us == without
    assert ("users own", "request") in without

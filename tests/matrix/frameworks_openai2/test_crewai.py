"""The real CrewAI, with the real openai client, against a loopback server."""

from __future__ import annotations

from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from framework_rows import Trace, pairs_with_and_without
from openai_server import OpenAIServer
from opentelemetry import trace as otel
from recording import Recording

import spanreel

pytestmark = pytest.mark.covers("CrewAI", package="crewai")


@spanreel.trace
def note(text: str) -> str:
    with otel.get_tracer("users").start_as_current_span("users own"):
        return text


@tool("lookup")
def lookup(key: str) -> str:
    """Look a key up."""
    return note(f"{key} is 42")


def crew(server: OpenAIServer) -> Any:
    llm = LLM(model="gpt-4o-mini", base_url=server.url, api_key="k")
    agent = Agent(role="Finder", goal="Find it.", backstory="Knows much.", llm=llm, tools=[lookup])
    return Crew(
        agents=[agent], tasks=[Task(description="Find alpha.", expected_output="A text.", agent=agent)]
    )


def test_a_crew_with_one_task(instrumented: Recording, server: OpenAIServer) -> None:
    """A crew with one task and a tool: crew, agent, tool with result, our function below it, each call once."""
    with spanreel.span("ask"):
        assert "is 42" in crew(server).kickoff().raw
    trace = Trace(instrumented.store)
    trace.must_count(2)
    assert len(trace.of("agent")) == 1
    tools = trace.of("tool")
    assert len(tools) == 2
    assert all("is 42" in span["output"] for span in tools)
    assert {key for key in ("alpha", "beta") for span in tools if key in span["input"]} == {"alpha", "beta"}
    assert {trace.above(span)[0] for span in trace.named("note")} == {span["name"] for span in tools}


def test_the_users_exporter_sees_the_same(
    recording: Recording, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The (span, parent) pairs of the program's own exporter are the same with and without us."""
    made = crew(server)

    def program() -> None:
        with otel.get_tracer("users").start_as_current_span("request"):
            made.kickoff()

    without, with_us = pairs_with_and_without(program, monkeypatch)
    spanreel.uninstrument()
    assert [pair for pair in with_us if "users" in pair[0]] == [
        pair for pair in without if "users" in pair[0]
    ]
    assert with_us == without

"""The real `groq` client against a loopback server that answers as Groq does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import groq
import httpx
import pytest
from compatible_server import FLAVOURS, THOUGHT, CompatibleServer
from loopback import Asked, Loopback, Reply, as_json, sse
from recording import Recording
from wire_journal import only, spans
from wire_rows import price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Groq", package="groq")]

MODEL = "moonshotai/kimi-k2-instruct"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]


@pytest.fixture
def server() -> Iterator[CompatibleServer]:
    with CompatibleServer("groq") as running:
        yield running


@pytest.fixture
def client(server: CompatibleServer) -> Iterator[groq.Groq]:
    with groq.Groq(base_url=server.url, api_key="gsk-test") as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(recording: Recording, client: groq.Groq, server: CompatibleServer, stream: bool) -> None:
    """Chat, plain and streamed (usage in x_groq): parameters, thought and text, usage inclusive, cost."""
    with spanreel.span("root"):
        answer: Any = client.chat.completions.create(
            model=MODEL, messages=HELLO, temperature=0.25, max_completion_tokens=50, seed=7,
            reasoning_effort="low", service_tier="on_demand", stream=stream,
        )  # fmt: skip
        if stream:
            assert list(answer)[-1].x_groq.usage.prompt_tokens == 1200
    llm = only(recording.store)
    call = llm.call
    assert (call.provider, call.operation, call.stream) == ("groq", "chat", stream)
    assert server.requests[0].path == "/openai/v1/chat/completions"
    assert (call.request_model, call.response_model) == (MODEL, MODEL)
    assert call.parameters["gen_ai.request.seed"] == 7
    assert call.parameters["gen_ai.request.max_tokens"] == 50
    assert call.parameters["openai.request.service_tier"] == "on_demand"
    assert call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": THOUGHT},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert call.usage == Usage(
        input_tokens=1200, output_tokens=40, cache_read_tokens=1024, reasoning_tokens=16,
        raw=FLAVOURS["groq"].usage,
    )  # fmt: skip
    found = row(recording.store)
    assert tokens(found) == (1200, 40, 1024, None, 16)
    assert found["cost_usd"] == pytest.approx(price((176, 1), (1024, 0.5), (40, 3)))
    assert b"gsk-test" not in recording.raw()


@pytest.mark.parametrize("stream", [False, True])
def test_tools(recording: Recording, client: groq.Groq, stream: bool) -> None:
    """Parallel tool calls, plain and streamed, and the turn that answers them."""
    messages = list(HELLO)
    with spanreel.span("root"):
        first: Any = client.chat.completions.create(
            model=MODEL, messages=messages, tools=TOOLS, stream=stream
        )
        if stream:
            list(first)
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
            for n in range(2)
        ]
        messages.append({"role": "assistant", "tool_calls": calls})
        messages.extend({"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in calls)
        client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    assert [part for part in asked.output_messages[0]["parts"] if part["type"] == "tool_call"] == [
        {"type": "tool_call", "id": f"call_{n}", "name": "lookup", "arguments": {"key": key}}
        for n, key in enumerate(("alpha", "beta"))
    ]
    assert answered.output_messages[0]["parts"][-1]["content"] == "The tool said 42."


def test_structured_output(recording: Recording, client: groq.Groq) -> None:
    """Structured output: the schema among the parameters, the JSON as it came."""
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}}}
    with spanreel.span("root"):
        answer = client.chat.completions.create(model=MODEL, messages=HELLO, response_format=wanted)
    call = only(recording.store).call
    assert call.parameters["spanreel.request.response_format"]["json_schema"]["name"] == "City"
    assert call.output_messages[0]["parts"][-1]["content"] == answer.choices[0].message.content


def test_a_rate_limit_that_is_retried(recording: Recording, client: groq.Groq) -> None:
    """429 and the SDK's own retry, told by its header: two attempts, one call in the view."""
    with spanreel.span("root"):
        client.chat.completions.create(model="limited", messages=HELLO)
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.error_type, failed.raw.error_message) == ("429", "Slow down. [limited]")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert [found["duplicate_of"] is None for found in rows(recording.store)] == [False, True]


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_error(recording: Recording, client: groq.Groq, stream: bool) -> None:
    """500: the SDK's exception as it is, the provider named by its headers."""
    bare = client.with_options(max_retries=0)
    with spanreel.span("root"), pytest.raises(groq.InternalServerError):
        bare.chat.completions.create(model="broken", messages=HELLO, stream=stream)
    llm = only(recording.store)
    assert (llm.raw.error_type, llm.call.provider) == ("500", "groq")


def test_a_stream_that_is_cut(recording: Recording, client: groq.Groq) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    with spanreel.span("root"), pytest.raises(httpx.RemoteProtocolError):
        list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.call.output_started) == ("error", False)
    assert llm.call.provider == "groq"


class Compound(Loopback):
    """A compound system's answer: a tool that Groq ran, its citation; and an error inside a stream."""

    def reply(self, asked: Asked) -> Reply:
        head = {"id": "c1", "created": 1, "model": "groq/compound"}
        if asked.body.get("stream"):
            delta = {"role": "assistant", "content": "He"}
            opening = {
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
            }
            failed = {
                "object": "chat.completion.chunk",
                "choices": [],
                "x_groq": {"id": "r1", "error": "over capacity"},
            }
            return Reply(
                sse([{**head, **opening}, {**head, **failed}], named=False), content_type="text/event-stream"
            )
        tool = {"index": 0, "type": "search", "arguments": '{"query": "q"}', "output": "Title: T"}
        message = {
            "role": "assistant",
            "content": "Yes.",
            "executed_tools": [tool],
            "annotations": [{"type": "url_citation"}],
        }
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return as_json({**head, "object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}})  # fmt: skip


def test_tools_that_the_provider_ran(recording: Recording) -> None:
    """A compound system: the tools that Groq ran, citations, an error told inside a stream."""
    with (
        Compound() as server,
        groq.Groq(base_url=server.url, api_key="gsk-test") as client,
        spanreel.span("root"),
    ):
        client.chat.completions.create(model="groq/compound", messages=HELLO)
        list(client.chat.completions.create(model="groq/compound", messages=HELLO, stream=True))
    plain, streamed = spans(recording.store, "llm")
    text, tool = plain.call.output_messages[0]["parts"]
    assert (plain.call.provider, text["annotations"]) == (
        "groq",
        [{"type": "url_citation"}],
    )  # by its user agent
    assert (tool["type"], tool["name"]) == ("server_tool_call", "search")
    assert json.loads(tool["server_tool_call"]["arguments"]) == {"query": "q"}
    assert (streamed.raw.status, streamed.raw.error_message) == ("error", "over capacity")
    assert streamed.said == "He"


def test_parallel_async_calls(recording: Recording, server: CompatibleServer) -> None:
    """Twenty async calls at once, half of them streams: each with its own text and usage."""

    async def one(client: groq.AsyncGroq, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            await client.chat.completions.create(model=MODEL, messages=messages)
            return
        async for _ in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
            pass

    async def main() -> None:
        async with groq.AsyncGroq(base_url=server.url, api_key="gsk-test") as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))
    assert {span.call.usage.output_tokens for span in found if span.call.usage} == {40}


def test_results_are_those_of_the_bare_client(recording: Recording, client: groq.Groq) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        with pytest.raises(groq.InternalServerError) as raised:
            client.with_options(max_retries=0).chat.completions.create(model="broken", messages=HELLO)
        return [
            client.chat.completions.create(model=MODEL, messages=HELLO),
            list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)),
            raised.value.body, str(raised.value),
        ]  # fmt: skip

    with_hook, without = with_and_without(results)
    assert with_hook == without

"""The real `fireworks-ai` client against a loopback server that answers as Fireworks does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import fireworks
import httpx
import pytest
from compatible_server import FLAVOURS, CompatibleServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.covers("Fireworks", package="fireworks-ai")]

MODEL = "accounts/fireworks/models/glm-5p1"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]


@pytest.fixture
def server() -> Iterator[CompatibleServer]:
    with CompatibleServer("fireworks") as running:
        yield running


@pytest.fixture
def client(server: CompatibleServer) -> Iterator[fireworks.Fireworks]:
    with fireworks.Fireworks(base_url=server.url, api_key="fw-test") as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(recording: Recording, client: fireworks.Fireworks, stream: bool) -> None:
    """Chat, plain and streamed: parameters, text, usage with cached tokens, cost, performance headers."""
    with spanreel.span("root"):
        answer: Any = client.chat.completions.create(
            model=MODEL, messages=HELLO, temperature=0.25, max_tokens=50, top_k=40, stream=stream
        )
        if stream:
            list(answer)
    llm = only(recording.store)
    call = llm.call
    assert (call.provider, call.request_model, call.stream) == ("fireworks", MODEL, stream)
    assert call.parameters["gen_ai.request.top_k"] == 40
    assert (llm.said, call.finish_reasons) == ("You said: Hello", ("stop",))
    assert call.usage == Usage(
        input_tokens=1200, output_tokens=40, cache_read_tokens=1024, raw=FLAVOURS["fireworks"].usage
    )
    assert llm.meta["response_headers"]["fireworks-server-time-to-first-token"] == "0.123"
    found = row(recording.store)
    assert tokens(found) == (1200, 40, 1024, None, None)
    assert found["cost_usd"] == pytest.approx(price((176, 1.4), (1024, 0.26), (40, 4.4)))
    assert b"fw-test" not in recording.raw()


@pytest.mark.parametrize("stream", [False, True])
def test_tools(recording: Recording, client: fireworks.Fireworks, stream: bool) -> None:
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
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        messages.extend({"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in calls)
        client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    assert asked.output_messages[0]["parts"] == [
        {"type": "tool_call", "id": f"call_{n}", "name": "lookup", "arguments": {"key": key}}
        for n, key in enumerate(("alpha", "beta"))
    ]
    assert answered.output_messages[0]["parts"][-1]["content"] == "The tool said 42."


def test_structured_output(recording: Recording, client: fireworks.Fireworks) -> None:
    """Structured output: the schema among the parameters, the JSON as it came."""
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}}}
    with spanreel.span("root"):
        client.chat.completions.create(model=MODEL, messages=HELLO, response_format=wanted)
    call = only(recording.store).call
    assert call.parameters["spanreel.request.response_format"]["json_schema"]["name"] == "City"
    assert call.output_messages[0]["parts"][0]["content"] == '{"city": "Paris", "people": 2}'


def test_a_text_completion(recording: Recording, client: fireworks.Fireworks) -> None:
    """Text completion: prompt, text, finish reason, tokens."""
    with spanreel.span("root"):
        client.completions.create(model=MODEL, prompt="Hello", max_tokens=1)
    call = only(recording.store).call
    assert (call.provider, call.operation, call.finish_reasons) == (
        "fireworks",
        "text_completion",
        ("length",),
    )


def test_a_rate_limit_that_is_retried(recording: Recording, client: fireworks.Fireworks) -> None:
    """429 and the SDK's own retry: two attempts, one call in the view."""
    with spanreel.span("root"):
        client.chat.completions.create(model="limited", messages=HELLO)
    failed, answered = spans(recording.store, "llm")
    assert failed.raw.error_type == "429"
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert [found["duplicate_of"] is None for found in rows(recording.store)] == [False, True]


def test_a_server_error(recording: Recording, client: fireworks.Fireworks) -> None:
    """500: the SDK's exception as it is, the provider named."""
    with spanreel.span("root"), pytest.raises(fireworks.InternalServerError):
        client.with_options(max_retries=0).chat.completions.create(model="broken", messages=HELLO)
    llm = only(recording.store)
    assert (llm.raw.error_type, llm.call.provider) == ("500", "fireworks")


def test_a_stream_that_is_cut(recording: Recording, client: fireworks.Fireworks) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    with spanreel.span("root"), pytest.raises(httpx.RemoteProtocolError):
        list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.call.output_started) == ("error", False)


def test_parallel_async_calls(recording: Recording, server: CompatibleServer) -> None:
    """Twenty async calls at once, half of them streams: each with its own text."""

    async def one(client: fireworks.AsyncFireworks, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            await client.chat.completions.create(model=MODEL, messages=messages)
            return
        async for _ in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
            pass

    async def main() -> None:
        async with fireworks.AsyncFireworks(base_url=server.url, api_key="fw-test") as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))


def test_results_are_those_of_the_bare_client(recording: Recording, client: fireworks.Fireworks) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        with pytest.raises(fireworks.InternalServerError) as raised:
            client.with_options(max_retries=0).chat.completions.create(model="broken", messages=HELLO)
        return [
            client.chat.completions.create(model=MODEL, messages=HELLO),
            list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)),
            raised.value.body,
        ]

    with_hook, without = with_and_without(results)
    assert with_hook == without

"""The real `mistralai` client against a loopback server: chat, thinking, tools, code, agents, embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mistral_server import THOUGHT, USAGE, MistralServer
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, MistralError
from mistralai.client.utils.retries import BackoffStrategy, RetryConfig
from pydantic import BaseModel
from recording import Recording
from wire_journal import only, spans
from wire_rows import price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Mistral", package="mistralai")]

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]
COST = price((120 - 64, 0.4), (64, 0.04), (30, 2))
"""genai-prices' Mistral Medium 3, US dollars for a million tokens."""


@pytest.fixture
def server() -> Iterator[MistralServer]:
    with MistralServer() as running:
        yield running


@pytest.fixture
def client(server: MistralServer) -> Iterator[Mistral]:
    with Mistral(api_key="sk-test", server_url=server.url) as made:
        yield made


def test_a_plain_chat(recording: Recording, client: Mistral, server: MistralServer) -> None:
    """Plain chat: provider, parameters, messages, usage with cached tokens, request id."""
    with spanreel.span("root"):
        answer = client.chat.complete(
            model="mistral-medium-2505", messages=[*HELLO, {"role": "assistant", "content": "You", "prefix": True}],
            temperature=0.25, top_p=0.5, max_tokens=50, random_seed=7, stop=["END"],
        )  # fmt: skip
    assert answer.choices[0].message is not None
    llm = only(recording.store)
    call = llm.call
    assert (llm.raw.name, llm.raw.status) == ("chat mistral-medium-2505", "ok")
    assert (call.provider, call.operation, call.stream) == ("mistral_ai", "chat", False)
    assert (call.request_model, call.response_model) == ("mistral-medium-2505", "mistral-medium-2505")
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
    }
    assert call.input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "You"}], "prefix": True},
    ]
    assert llm.said == "You said: You"
    assert call.finish_reasons == ("stop",)
    assert call.usage == Usage(input_tokens=120, output_tokens=30, cache_read_tokens=64, raw=USAGE)
    assert llm.meta["request_id"] == "corr-1"
    assert llm.response == server.bodies[0]
    assert b"sk-test" not in recording.raw()


def test_rows_and_cost(recording: Recording, client: Mistral) -> None:
    """The spans view: token columns and the cost by the price book."""
    with spanreel.span("root"):
        client.chat.complete(model="mistral-medium-2505", messages=HELLO)
    found = row(recording.store)
    assert (found["provider"], found["response_model"]) == ("mistral_ai", "mistral-medium-2505")
    assert tokens(found) == (120, 30, 64, None, None)
    assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)
    assert found["cost_source"].startswith("book:genai-prices")


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_comes_as_parts(recording: Recording, client: Mistral, stream: bool) -> None:
    """Thinking in parts, plain and streamed: reasoning and text apart, in order, whole."""
    options: dict[str, Any] = {
        "model": "magistral-medium-latest",
        "messages": HELLO,
        "prompt_mode": "reasoning",
    }
    with spanreel.span("root"):
        if stream:
            with client.chat.stream(**options) as events:
                assert len(list(events)) > 5
        else:
            client.chat.complete(**options)
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": THOUGHT},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert llm.call.usage is not None
    assert (llm.call.usage.input_tokens, llm.call.usage.output_tokens) == (120, 30)
    if stream:
        assert llm.raw.first_ns is not None
        assert llm.call.first_visible_ns is not None
        assert llm.call.first_visible_ns > llm.raw.first_ns


@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_several_turns(recording: Recording, client: Mistral, stream: bool) -> None:
    """Tool calls over two turns, plain and streamed: parallel calls, their answers, the last text."""

    def turn(messages: list[Any]) -> list[Any]:
        if not stream:
            message = client.chat.complete(model="mistral-medium-2505", messages=messages, tools=TOOLS)
            return list(message.choices[0].message.tool_calls or [])  # type: ignore[union-attr]
        calls: list[Any] = []
        with client.chat.stream(model="mistral-medium-2505", messages=messages, tools=TOOLS) as events:
            for event in events:
                calls.extend(event.data.choices[0].delta.tool_calls or [])
        return calls

    messages: list[Any] = list(HELLO)
    with spanreel.span("root"):
        calls = turn(messages)
        messages.append({"role": "assistant", "content": "", "tool_calls": [c.model_dump() for c in calls]})
        messages.extend(
            {"role": "tool", "tool_call_id": c.id, "name": "lookup", "content": "42"} for c in calls
        )
        assert turn(messages) == []
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    parts = [
        {"type": "tool_call", "id": f"call0000{n}", "name": "lookup", "arguments": {"key": key}}
        for n, key in enumerate(("alpha", "beta"))
    ]
    assert asked.output_messages == [{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}]
    assert asked.tool_definitions[0]["name"] == "lookup"
    assert answered.input_messages[1]["parts"] == parts
    assert answered.input_messages[2]["parts"][0] == {
        "type": "tool_call_response",
        "id": "call00000",
        "response": "42",
    }
    assert answered.output_messages[0]["parts"] == [{"type": "text", "content": "The tool said 42."}]


class City(BaseModel):
    city: str
    people: int


def test_structured_output(recording: Recording, client: Mistral) -> None:
    """Structured output: the parsed object, the schema among the parameters."""
    with spanreel.span("root"):
        parsed = client.chat.parse(City, model="mistral-medium-2505", messages=HELLO)
    assert parsed.choices is not None
    assert parsed.choices[0].message.parsed == City(city="Paris", people=2)  # type: ignore[union-attr]
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.parameters["spanreel.request.response_format"]["json_schema"]["name"] == "City"


@pytest.mark.parametrize("stream", [False, True])
def test_fill_in_the_middle(recording: Recording, client: Mistral, stream: bool) -> None:
    """Fill in the middle: prompt and suffix in, code out, as a text completion."""
    options: dict[str, Any] = {
        "model": "codestral-2405",
        "prompt": "def add(a, b):\n",
        "suffix": "\n\nadd(1, 2)",
    }
    with spanreel.span("root"):
        if stream:
            with client.fim.stream(**options) as events:
                list(events)
        else:
            client.fim.complete(**options)
    call = only(recording.store).call
    assert (call.operation, call.provider, call.request_model) == (
        "text_completion",
        "mistral_ai",
        "codestral-2405",
    )
    assert call.input_messages[0]["parts"] == [
        {"type": "text", "content": "def add(a, b):\n"},
        {"type": "suffix", "content": "\n\nadd(1, 2)"},
    ]
    assert call.output_messages[0]["parts"] == [{"type": "text", "content": "    return a + b"}]
    assert call.usage is not None
    assert call.usage.input_tokens == 120


def test_an_agent(recording: Recording, client: Mistral) -> None:
    """An agent kept at Mistral: its id, no model asked for, the model that answered."""
    with spanreel.span("root"):
        client.agents.complete(agent_id="ag_1", messages=HELLO)
    call = only(recording.store).call
    assert (call.request_model, call.response_model) == (None, "mistral-medium-2505")
    assert call.parameters["gen_ai.agent.id"] == "ag_1"


def test_embeddings(recording: Recording, client: Mistral) -> None:
    """Embeddings: texts, count and length of the vectors, input tokens, cost."""
    with spanreel.span("root"):
        client.embeddings.create(model="mistral-embed", inputs=["a", "b"])
    span = only(recording.store, "embedding")
    assert span.call.provider == "mistral_ai"
    assert span.call.output_messages[0]["parts"] == [{"type": "embedding", "count": 2, "dimension": 16}]
    found = row(recording.store, "embedding")
    assert found["input_tokens"] == 9
    assert found["cost_usd"] == pytest.approx(price((9, 0.1)))


def test_a_rate_limit_that_is_retried(recording: Recording, client: Mistral) -> None:
    """429 and the SDK's own retry: two attempts, one call in the view."""
    again = RetryConfig("backoff", BackoffStrategy(1, 5, 1.5, 1000), retry_connection_errors=False)
    with spanreel.span("root"):
        client.chat.complete(model="limited", messages=HELLO, retries=again)
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.error_type, failed.raw.error_message) == ("429", "Rate limit exceeded [1300]")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    first, last = rows(recording.store)
    assert first["duplicate_of"] == last["span_id"]
    assert last["attempts"] == 2


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        ("unauthorised", "401", "Unauthorized"),
        ("broken", "500", "Service unavailable. [1000]"),
        ("invalid", "422", "Field required"),
    ],
)
def test_errors(recording: Recording, client: Mistral, model: str, status: str, message: str) -> None:
    """401, 422 and 500: the SDK's exception as it is, type and message recorded."""
    with spanreel.span("root"), pytest.raises(MistralError) as raised:
        client.chat.complete(model=model, messages=HELLO)
    assert isinstance(raised.value, HTTPValidationError) is (status == "422")
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == ("error", status, message)


def test_a_stream_that_is_cut(recording: Recording, client: Mistral) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    with (
        spanreel.span("root"),
        pytest.raises(httpx2.RemoteProtocolError) as raised,
        client.chat.stream(model="cut", messages=HELLO) as events,
    ):
        list(events)
    llm = only(recording.store)
    assert llm.raw.error_type is not None
    assert llm.raw.error_type.endswith(type(raised.value).__name__)
    assert "You said: Hello".startswith(llm.said)
    assert llm.call.output_started is False


def test_parallel_async_calls(recording: Recording, server: MistralServer) -> None:
    """Twenty async calls at once, half of them streams: each with its own text and usage."""

    async def one(client: Mistral, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            await client.chat.complete_async(model="mistral-medium-2505", messages=messages)
            return
        stream = await client.chat.stream_async(model="mistral-medium-2505", messages=messages)
        async with stream as events:
            async for _ in events:
                pass

    async def main() -> None:
        async with Mistral(api_key="sk-test", server_url=server.url) as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))
    assert {
        (span.call.usage.input_tokens, span.call.usage.output_tokens) for span in found if span.call.usage
    } == {(120, 30)}


def test_results_are_those_of_the_bare_client(recording: Recording, client: Mistral) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        with client.chat.stream(model="mistral-medium-2505", messages=HELLO) as events:
            streamed = list(events)
        with pytest.raises(MistralError) as raised:
            client.chat.complete(model="broken", messages=HELLO)
        return [
            client.chat.complete(model="mistral-medium-2505", messages=HELLO), streamed,
            client.embeddings.create(model="mistral-embed", inputs=["a"]), str(raised.value), raised.value.body,
        ]  # fmt: skip

    with_hook, without = with_and_without(results)
    assert with_hook == without

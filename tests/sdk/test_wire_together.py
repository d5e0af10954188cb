"""The real `together` client against a loopback server that answers as Together does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import together
from compatible_server import FLAVOURS, CompatibleServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import documents, price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Together", package="together")]

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]
DOCUMENTS = ["Berlin is old.", "Paris is big.", "Rome is warm."]


@pytest.fixture
def server() -> Iterator[CompatibleServer]:
    with CompatibleServer("together") as running:
        yield running


@pytest.fixture
def client(server: CompatibleServer) -> Iterator[together.Together]:
    with together.Together(base_url=f"{server.url}/v1", api_key="tgp-test") as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(recording: Recording, client: together.Together, stream: bool) -> None:
    """Chat, plain and streamed: parameters, text, usage with cached tokens, cost."""
    with spanreel.span("root"):
        answer: Any = client.chat.completions.create(
            model=MODEL, messages=HELLO, temperature=0.25, max_tokens=50, top_k=40, stream=stream
        )
        if stream:
            list(answer)
    llm = only(recording.store)
    call = llm.call
    assert (call.provider, call.request_model, call.stream) == ("together", MODEL, stream)
    assert call.parameters["gen_ai.request.top_k"] == 40
    assert (llm.said, call.finish_reasons) == ("You said: Hello", ("stop",))
    assert call.usage == Usage(
        input_tokens=1200, output_tokens=40, cache_read_tokens=1024, raw=FLAVOURS["together"].usage
    )
    found = row(recording.store)
    assert tokens(found) == (1200, 40, 1024, None, None)
    assert found["cost_usd"] == pytest.approx(price((1240, 0.88)))
    assert b"tgp-test" not in recording.raw()


@pytest.mark.parametrize("stream", [False, True])
def test_tools(recording: Recording, client: together.Together, stream: bool) -> None:
    """Parallel tool calls, plain and streamed."""
    with spanreel.span("root"):
        answer: Any = client.chat.completions.create(model=MODEL, messages=HELLO, tools=TOOLS, stream=stream)
        if stream:
            list(answer)
    call = only(recording.store).call
    assert call.output_messages[0]["parts"] == [
        {"type": "tool_call", "id": f"call_{n}", "name": "lookup", "arguments": {"key": key}}
        for n, key in enumerate(("alpha", "beta"))
    ]
    assert call.finish_reasons == ("tool_call",)


def test_completions_and_embeddings(recording: Recording, client: together.Together) -> None:
    """Text completions and embeddings: prompt and text, count and length of the vectors, tokens."""
    with spanreel.span("root"):
        client.completions.create(model=MODEL, prompt="Hello", max_tokens=1)
        client.embeddings.create(model="BAAI/bge-large-en-v1.5", input=["a", "b"])
    text, vectors = only(recording.store).call, only(recording.store, "embedding").call
    assert (text.provider, text.operation, text.finish_reasons) == (
        "together",
        "text_completion",
        ("length",),
    )
    assert text.output_messages[0]["parts"] == [{"type": "text", "content": " world"}]
    assert (vectors.provider, vectors.output_messages[0]["parts"]) == (
        "together",
        [{"type": "embedding", "count": 2, "dimension": 8}],
    )
    assert row(recording.store, "embedding")["input_tokens"] == 7


def test_rerank(recording: Recording, client: together.Together) -> None:
    """Rerank: query, documents with scores in the order returned, tokens; kind rerank."""
    with spanreel.span("root"):
        client.rerank.create(
            model="Salesforce/Llama-Rank-v1", query="a big city", documents=DOCUMENTS, top_n=2
        )
    call = only(recording.store, "rerank").call
    assert (call.provider, call.query) == ("together", "a big city")
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.search_units) == (60, None)
    assert documents(recording.store) == [(0, "2", "Rome is warm.", 0.9), (1, "1", "Paris is big.", 0.8)]


def test_a_rate_limit_that_is_retried(recording: Recording, client: together.Together) -> None:
    """429 and the SDK's own retry: two attempts, one call in the view."""
    with spanreel.span("root"):
        client.chat.completions.create(model="limited", messages=HELLO)
    failed, answered = spans(recording.store, "llm")
    assert failed.raw.error_type == "429"
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert [found["duplicate_of"] is None for found in rows(recording.store)] == [False, True]


def test_a_server_error(recording: Recording, client: together.Together) -> None:
    """500: the SDK's exception as it is, the provider named by the client."""
    with spanreel.span("root"), pytest.raises(together.InternalServerError):
        client.with_options(max_retries=0).chat.completions.create(model="broken", messages=HELLO)
    llm = only(recording.store)
    assert (llm.raw.error_type, llm.call.provider) == ("500", "together")


def test_a_stream_that_is_cut(recording: Recording, client: together.Together) -> None:
    """A stream cut in the middle: what came is kept, the error is the transport's."""
    with spanreel.span("root"), pytest.raises(httpx.RemoteProtocolError):
        list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.call.output_started) == ("error", False)


def test_parallel_async_calls(recording: Recording, server: CompatibleServer) -> None:
    """Twenty async calls at once, half of them streams: each with its own text."""

    async def one(client: together.AsyncTogether, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            await client.chat.completions.create(model=MODEL, messages=messages)
            return
        async for _ in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
            pass

    async def main() -> None:
        made = together.AsyncTogether(base_url=f"{server.url}/v1", api_key="tgp-test")
        async with made as client:
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))


def test_results_are_those_of_the_bare_client(recording: Recording, client: together.Together) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        with pytest.raises(together.InternalServerError) as raised:
            client.with_options(max_retries=0).chat.completions.create(model="broken", messages=HELLO)
        return [
            client.chat.completions.create(model=MODEL, messages=HELLO),
            list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)),
            client.rerank.create(model="Salesforce/Llama-Rank-v1", query="q", documents=DOCUMENTS),
            raised.value.body,
        ]

    with_hook, without = with_and_without(results)
    assert with_hook == without

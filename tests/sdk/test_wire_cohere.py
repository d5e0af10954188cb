"""The real `cohere` client against a loopback server: chat v2 and v1, embeddings, reranks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import pytest
from cohere.core.api_error import ApiError
from cohere_server import CITATION, PLAN, USAGE, CohereServer
from recording import Recording
from wire_journal import only, spans
from wire_rows import documents, price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Cohere v2 chat, embed, rerank", package="cohere")]

MODEL = "command-r-08-2024"
HELLO: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]
CHAT_USAGE = Usage(input_tokens=21, output_tokens=30, cache_read_tokens=16, raw=USAGE)
DOCUMENTS = ["Berlin is old.", "Paris is big.", "Rome is warm."]


@pytest.fixture
def server() -> Iterator[CohereServer]:
    with CohereServer() as running:
        yield running


@pytest.fixture
def transport() -> Iterator[httpx.Client]:
    with httpx.Client() as made:
        yield made


@pytest.fixture
def client(server: CohereServer, transport: httpx.Client) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="co-test", base_url=server.url, httpx_client=transport)


@pytest.fixture
def old(server: CohereServer, transport: httpx.Client) -> cohere.Client:
    return cohere.Client(api_key="co-test", base_url=server.url, httpx_client=transport)


def test_a_plain_chat(recording: Recording, client: cohere.ClientV2, server: CohereServer) -> None:
    """Plain chat: provider, parameters, messages, billed tokens before counted ones, raw usage."""
    with spanreel.span("root"):
        answer = client.chat(
            model=MODEL,
            messages=HELLO,
            temperature=0.25,
            p=0.5,
            k=40,
            seed=7,
            max_tokens=50,
            stop_sequences=["END"],
        )
    assert answer.message.content is not None
    llm = only(recording.store)
    call = llm.call
    assert (llm.raw.name, llm.raw.status) == (f"chat {MODEL}", "ok")
    assert (call.provider, call.operation, call.request_model) == ("cohere", "chat", MODEL)
    assert call.response_id == answer.id
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stop_sequences": ["END"],
    }
    assert [message["role"] for message in call.input_messages] == ["system", "user"]
    assert call.output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "You said: Hello"}],
            "finish_reason": "stop",
        }
    ]
    assert call.usage == CHAT_USAGE
    assert llm.response == server.bodies[0]
    assert b"co-test" not in recording.raw()


@pytest.mark.parametrize("stream", [False, True])
def test_rows_and_cost(recording: Recording, client: cohere.ClientV2, stream: bool) -> None:
    """The spans view, plain and streamed: token columns and the cost of the billed tokens by the price book."""
    with spanreel.span("root"):
        if stream:
            list(client.chat_stream(model=MODEL, messages=HELLO))
        else:
            client.chat(model=MODEL, messages=HELLO)
    found = row(recording.store)
    assert (found["provider"], found["request_model"]) == ("cohere", MODEL)
    assert tokens(found) == (21, 30, 16, None, None)
    assert found["cost_usd"] == pytest.approx(price((21, 0.15), (30, 0.6)), rel=1e-9)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(recording: Recording, client: cohere.ClientV2, stream: bool) -> None:
    """Thinking, plain and streamed: reasoning and text apart; the first visible token comes after the first."""
    options: dict[str, Any] = {"model": MODEL, "messages": HELLO, "thinking": {"type": "enabled"}}
    with spanreel.span("root"):
        if stream:
            list(client.chat_stream(**options))
        else:
            client.chat(**options)
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "A greeting, then."},
        {"type": "text", "content": "You said: Hello"},
    ]
    if stream:
        assert llm.raw.first_ns is not None
        assert llm.call.first_visible_ns is not None
        assert llm.call.first_visible_ns > llm.raw.first_ns


@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_several_turns(recording: Recording, client: cohere.ClientV2, stream: bool) -> None:
    """Tool calls over two turns, plain and streamed: the plan, parallel calls, their answers as documents."""

    def turn(messages: list[Any]) -> None:
        if stream:
            list(client.chat_stream(model=MODEL, messages=messages, tools=TOOLS))
        else:
            client.chat(model=MODEL, messages=messages, tools=TOOLS)

    calls: list[Any] = [
        {
            "id": f"lookup_{key}",
            "type": "function",
            "function": {"name": "lookup", "arguments": f'{{"key": "{key}"}}'},
        }
        for key in ("alpha", "beta")
    ]
    answers: list[Any] = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": [{"type": "document", "document": {"data": {"n": "42"}}}],
        }
        for call in calls
    ]
    with spanreel.span("root"):
        turn(HELLO)
        turn([*HELLO, {"role": "assistant", "tool_plan": PLAN, "tool_calls": calls}, *answers])
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    parts = [
        {"type": "reasoning", "content": PLAN},
        *(
            {"type": "tool_call", "id": f"lookup_{key}", "name": "lookup", "arguments": {"key": key}}
            for key in ("alpha", "beta")
        ),
    ]
    assert asked.output_messages == [{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}]
    assert asked.finish_reasons == ("tool_call",)
    assert asked.tool_definitions[0]["name"] == "lookup"
    assert answered.input_messages[2] == {"role": "assistant", "parts": parts}
    assert answered.input_messages[3]["parts"] == [
        {
            "type": "tool_call_response",
            "id": "lookup_alpha",
            "response": [{"type": "document", "document": {"data": {"n": "42"}}}],
        }
    ]
    assert answered.output_messages[0]["parts"] == [{"type": "text", "content": "The tool said 42."}]


@pytest.mark.parametrize("stream", [False, True])
def test_documents_and_citations(recording: Recording, client: cohere.ClientV2, stream: bool) -> None:
    """Documents given along are the call's documents; citations stand with the text that they are of."""
    given: list[Any] = [
        {"id": "doc-1", "data": {"text": "Paris is big.", "title": "Paris"}},
        "Rome is warm.",
    ]
    options: dict[str, Any] = {"model": MODEL, "messages": HELLO, "documents": given}
    with spanreel.span("root"):
        if stream:
            list(client.chat_stream(**options))
        else:
            client.chat(**options)
    call = only(recording.store).call
    assert call.output_messages[0]["parts"][0]["annotations"] == [CITATION]
    assert documents(recording.store) == [
        (0, "doc-1", "Paris is big.", None),
        (1, None, "Rome is warm.", None),
    ]


def test_structured_output(recording: Recording, client: cohere.ClientV2) -> None:
    """Structured output: the schema among the parameters, the JSON as it came."""
    wanted: Any = {"type": "json_object", "json_schema": {"type": "object", "properties": {}}}
    with spanreel.span("root"):
        client.chat(model=MODEL, messages=HELLO, response_format=wanted)
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.output_messages[0]["parts"][0]["content"] == '{"city": "Paris", "people": 2}'


@pytest.mark.parametrize("kinds", [["float"], ["int8", "ubinary"], ["ubinary"], ["base64"]])
def test_embeddings(recording: Recording, client: cohere.ClientV2, kinds: list[str]) -> None:
    """Embeddings of every type: texts, count and dimension of the vectors, billed tokens, cost."""
    with spanreel.span("root"):
        client.embed(
            model="embed-v4.0",
            texts=["a", "b"],
            input_type="search_document",
            embedding_types=kinds,
            output_dimension=8,
        )
    span = only(recording.store, "embedding")
    call = span.call
    assert (call.provider, call.operation) == ("cohere", "embeddings")
    assert [part["content"] for part in call.input_messages[0]["parts"]] == ["a", "b"]
    assert call.output_messages[0]["parts"] == [{"type": "embedding", "count": 2, "dimension": 8}]
    assert call.parameters["gen_ai.request.encoding_formats"] == kinds
    assert call.parameters["spanreel.request.input_type"] == "search_document"
    found = row(recording.store, "embedding")
    assert found["input_tokens"] == 10
    assert found["cost_usd"] == pytest.approx(price((10, 0.12)))


def test_embeddings_of_images(recording: Recording, client: cohere.ClientV2) -> None:
    """Embeddings of an image, and of text and image together: the image as a part, its billed tokens."""
    url = "data:image/png;base64,AAAA"
    together: list[Any] = [
        {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]}
    ]
    with spanreel.span("root"):
        client.embed(model="embed-v4.0", images=[url], input_type="image", embedding_types=["float"])
        client.embed(
            model="embed-v4.0", inputs=together, input_type="search_document", embedding_types=["float"]
        )
    alone, both = (span.call for span in spans(recording.store, "embedding"))
    image = {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "AAAA"}
    assert alone.input_messages[0]["parts"] == [image]
    assert both.input_messages[0]["parts"] == [{"type": "text", "content": "a"}, image]
    assert alone.usage is not None
    assert alone.usage.image_input_tokens == 258


@pytest.mark.parametrize("version", [1, 2])
def test_rerank(recording: Recording, client: cohere.ClientV2, old: cohere.Client, version: int) -> None:
    """Rerank v1 and v2: query, documents with scores in the order returned, search units; kind rerank."""
    with spanreel.span("root"):
        if version == 2:
            client.rerank(model="rerank-v3.5", query="a big city", documents=DOCUMENTS, top_n=2)
        else:
            old.rerank(
                model="rerank-v3.5",
                query="a big city",
                documents=list(DOCUMENTS),
                top_n=2,
                return_documents=True,
            )
    span = only(recording.store, "rerank")
    assert span.raw.name == "rerank rerank-v3.5"
    assert (span.call.provider, span.call.query) == ("cohere", "a big city")
    assert span.call.parameters == {"gen_ai.request.top_k": 2, "spanreel.rerank.candidates": 3}
    assert span.call.usage is not None
    assert span.call.usage.search_units == 1
    found = row(recording.store, "rerank")
    assert (found["provider"], found["search_units"]) == ("cohere", 1)
    assert documents(recording.store) == [
        (0, "2", "Rome is warm.", 0.9),
        (1, "1", "Paris is big.", 0.8),
    ]


def test_rerank_of_structured_documents(recording: Recording, old: cohere.Client) -> None:
    """Rerank of objects: the document's own id, its text, its other fields as metadata."""
    given: list[Any] = [
        {"id": "a", "text": "Berlin", "year": "1237"},
        {"id": "b", "text": "Rome", "year": "-753"},
    ]
    with spanreel.span("root"):
        old.rerank(model="rerank-v3.5", query="old", documents=given)
    first = only(recording.store, "rerank").call.documents[0]
    assert first == {"id": "b", "content": "Rome", "score": 0.9, "metadata": {"index": 1, "year": "-753"}}


@pytest.mark.parametrize("stream", [False, True])
def test_the_old_chat(recording: Recording, old: cohere.Client, stream: bool) -> None:
    """Chat v1, plain and streamed as JSON lines: message, history, preamble, billed tokens."""
    options: dict[str, Any] = {
        "model": MODEL, "message": "Hello", "preamble": "Be kind.", "chat_history": [{"role": "CHATBOT", "message": "Yes?"}]
    }  # fmt: skip
    with spanreel.span("root"):
        if stream:
            assert len(list(old.chat_stream(**options))) > 3
        else:
            old.chat(**options)
    llm = only(recording.store)
    assert llm.said == "You said: Hello"
    assert [message["role"] for message in llm.call.input_messages] == ["assistant", "user"]
    assert llm.call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert llm.call.usage == CHAT_USAGE
    assert (llm.call.stream, llm.raw.first_ns is not None) == (stream, stream)


def test_old_embeddings_in_threads_of_the_sdk(recording: Recording, old: cohere.Client) -> None:
    """Embeddings v1, which the SDK sends in batches from threads of its own: all in the one trace."""
    with spanreel.span("root"):
        old.embed(
            model="embed-english-v3.0", texts=[str(n) for n in range(200)], input_type="search_document"
        )
    found = spans(recording.store, "embedding")
    assert [sum(part["count"] for part in span.call.output_messages[0]["parts"]) for span in found].count(
        96
    ) == 2
    assert len(found) == 3
    assert len({span.raw.trace_id for span in spans(recording.store)}) == 1


def test_a_rate_limit_that_is_retried(recording: Recording, client: cohere.ClientV2) -> None:
    """429 and the SDK's own retry: two attempts, one call in the view."""
    with spanreel.span("root"):
        client.chat(model="limited", messages=HELLO)
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.error_type, failed.raw.error_message) == (
        "429",
        "trial key: limited to 20 calls / minute",
    )
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    first, last = rows(recording.store)
    assert first["duplicate_of"] == last["span_id"]
    assert last["attempts"] == 2


@pytest.mark.parametrize(
    ("model", "status"), [("unauthorised", "401"), ("invalid", "400"), ("broken", "500")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(recording: Recording, client: cohere.ClientV2, model: str, status: str, stream: bool) -> None:
    """400, 401 and 500, plain and streamed: the SDK's exception as it is, type and message recorded."""
    options: Any = {"model": model, "messages": HELLO, "request_options": {"max_retries": 0}}
    with spanreel.span("root"), pytest.raises(ApiError) as raised:
        if stream:
            list(client.chat_stream(**options))
        else:
            client.chat(**options)
    assert raised.value.status_code == int(status)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.call.error_type) == ("error", status, status)
    assert llm.raw.error_message


def test_an_error_at_the_end_of_a_stream(recording: Recording, client: cohere.ClientV2) -> None:
    """A stream whose last event says that generation failed: an error, with its text and what was billed."""
    with spanreel.span("root"):
        list(client.chat_stream(model="failing", messages=HELLO))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == (
        "error",
        "stream_error",
        "the model fell over",
    )
    assert llm.call.finish_reasons == ("error",)
    assert llm.call.usage == CHAT_USAGE


def test_a_stream_that_is_cut(recording: Recording, client: cohere.ClientV2) -> None:
    """A stream cut in the middle: what came is kept, no usage, the error is the transport's."""
    with spanreel.span("root"), pytest.raises(httpx.RemoteProtocolError):
        list(client.chat_stream(model="cut", messages=HELLO))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type) == ("error", "httpx.RemoteProtocolError")
    assert "You said: Hello".startswith(llm.said)
    assert (llm.call.output_started, llm.call.usage) == (False, None)


def test_parallel_async_calls(recording: Recording, server: CohereServer) -> None:
    """Twenty async calls at once, half of them streams: each with its own text and usage."""

    async def one(client: cohere.AsyncClientV2, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            await client.chat(model=MODEL, messages=messages)
        else:
            async for _ in client.chat_stream(model=MODEL, messages=messages):
                pass

    async def main() -> None:
        async with httpx.AsyncClient() as transport:
            client = cohere.AsyncClientV2(api_key="co-test", base_url=server.url, httpx_client=transport)
            with spanreel.span("root"):
                await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(main())
    found = spans(recording.store, "llm")
    assert sorted(span.said for span in found) == sorted(f"You said: number {n}" for n in range(20))
    assert all(span.call.usage == CHAT_USAGE for span in found)


def test_results_are_those_of_the_bare_client(recording: Recording, client: cohere.ClientV2) -> None:
    """Results, streams and exceptions are those of the bare client."""

    def results() -> list[Any]:
        with pytest.raises(ApiError) as raised:
            client.chat(model="invalid", messages=HELLO)
        return [
            client.chat(model=MODEL, messages=HELLO),
            list(client.chat_stream(model=MODEL, messages=HELLO, tools=TOOLS)),
            client.rerank(model="rerank-v3.5", query="q", documents=DOCUMENTS),
            client.embed(
                model="embed-v4.0", texts=["a"], input_type="search_query", embedding_types=["float"]
            ),
            raised.value.body,
        ]

    with_hook, without = with_and_without(results)
    assert with_hook == without

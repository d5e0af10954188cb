"""The real `ollama` client against a loopback server that speaks JSON lines: every call is one span, field by field."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest
from ollama_server import COUNTS, ERRORS, OllamaServer
from pydantic import BaseModel
from recording import Recording
from wire_journal import only, spans
from wire_rows import row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Ollama native", package="ollama")]

MODEL = "llama3.2"
HELLO: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
USED = Usage(input_tokens=26, output_tokens=282, raw=COUNTS)


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as running:
        yield running


@pytest.fixture
def client(server: OllamaServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url) as made:
        yield made


@spanreel.trace
def ask(client: ollama.Client, model: str = MODEL, **options: Any) -> Any:
    answer = client.chat(model=model, messages=options.pop("messages", HELLO), **options)
    return list(answer) if options.get("stream") else answer


def test_a_plain_chat(recording: Recording, client: ollama.Client, server: OllamaServer) -> None:
    """Plain chat: messages, options, finish reason, counts and durations, field by field."""
    options = {
        "temperature": 0.25,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 7,
        "num_predict": 50,
        "stop": ["END"],
        "num_ctx": 4096,
    }
    answer = ask(client, options=options)
    assert answer.message.content == "You said: Hello"
    llm = only(recording.store)
    call = llm.call
    assert (llm.raw.name, llm.raw.kind, llm.raw.status) == (f"chat {MODEL}", "llm", "ok")
    assert llm.raw.attributes["gen_ai.provider.name"] == "ollama"
    assert (call.provider, call.operation, call.stream) == ("ollama", "chat", False)
    assert (call.request_model, call.response_model) == (MODEL, MODEL)
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stop_sequences": ["END"],
        "spanreel.request.options": options,
    }
    assert call.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
    ]
    said = {
        "role": "assistant",
        "parts": [{"type": "text", "content": "You said: Hello"}],
        "finish_reason": "stop",
    }
    assert call.output_messages == [said]
    assert call.usage == USED
    assert llm.response == server.bodies[0]
    found = row(recording.store)
    assert tokens(found) == (26, 282, None, None, None)
    assert (found["provider"], found["request_model"], found["finish_reason"]) == ("ollama", MODEL, "stop")
    assert (found["cost_usd"], found["cost_source"]) == (None, "unpriced")


def test_a_stream(recording: Recording, client: ollama.Client, server: OllamaServer) -> None:
    """Streamed chat, JSON lines: the pieces as one text, the last line's counts, timed line by line."""
    parts = ask(client, model="slow", stream=True)
    assert "".join(part.message.content for part in parts) == "You said: Hello"
    llm = only(recording.store)
    assert (llm.said, llm.call.stream, llm.raw.status) == ("You said: Hello", True, "ok")
    assert (llm.call.usage, llm.call.finish_reasons) == (USED, ("stop",))
    assert llm.response == server.bodies[0]
    offsets = [offset for offset, _ in llm.meta["chunks"]]
    assert all(llm.response[offset:].startswith(b"{") for offset in offsets)
    assert llm.raw.first_ns == llm.meta["start_ns"] + llm.meta["chunks"][0][1]
    found = row(recording.store)
    assert (tokens(found), found["ttft_ms"] > 0) == ((26, 282, None, None, None), True)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(recording: Recording, client: ollama.Client, stream: bool) -> None:
    """Thinking: a reasoning part before the text, plain and streamed; the first visible text comes later."""
    ask(client, model="slow", think=True, stream=stream)
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "The user greets me."},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert llm.call.parameters["spanreel.request.think"] is True
    if stream:
        times = [llm.meta["start_ns"] + after for _, after in llm.meta["chunks"]]
        assert (llm.raw.first_ns, llm.call.first_visible_ns) == (times[0], times[4])  # four thoughts before


def lookup(key: str) -> str:
    """Look something up.

    Args:
        key: What to look for.
    """
    return f"{key} is 42"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_several_turns(recording: Recording, client: ollama.Client, stream: bool) -> None:
    """Tool calls over several turns, plain and streamed: two calls with their arguments, their results, the answer."""
    messages = list(HELLO)
    first = ask(client, messages=messages, tools=[lookup], stream=stream)
    for part in first if stream else [first]:
        if part.message.tool_calls:
            messages.append(part.message)
            messages += [
                {
                    "role": "tool",
                    "tool_name": call.function.name,
                    "content": lookup(**call.function.arguments),
                }
                for call in part.message.tool_calls
            ]
    ask(client, messages=messages, tools=[lookup], stream=stream)
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    calls = [
        {"type": "tool_call", "id": "call_0", "name": "lookup", "arguments": {"key": "alpha"}},
        {"type": "tool_call", "id": "call_1", "name": "lookup", "arguments": {"key": "beta"}},
    ]
    assert asked.output_messages == [{"role": "assistant", "parts": calls, "finish_reason": "tool_call"}]
    assert asked.finish_reasons == ("tool_call",)
    (declared,) = asked.tool_definitions
    assert (declared["type"], declared["name"], declared["parameters"]["required"]) == (
        "function",
        "lookup",
        ["key"],
    )
    results = [
        part for message in answered.input_messages for part in message["parts"] if message["role"] == "tool"
    ]
    assert results == [
        {"type": "tool_call_response", "name": "lookup", "response": "alpha is 42"},
        {"type": "tool_call_response", "name": "lookup", "response": "beta is 42"},
    ]
    assert answered.output_messages[0]["parts"] == [{"type": "text", "content": "The tool said beta is 42."}]
    assert answered.finish_reasons == ("stop",)


class City(BaseModel):
    city: str
    people: int


def test_structured_output(recording: Recording, client: ollama.Client) -> None:
    """Structured output: the schema asked for, and the JSON that came."""
    answer = ask(client, format=City.model_json_schema())
    assert City.model_validate_json(answer.message.content) == City(city="Paris", people=2)
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.parameters["spanreel.request.response_format"]["required"] == ["city", "people"]
    assert json.loads(call.output_messages[0]["parts"][0]["content"]) == {"city": "Paris", "people": 2}


@pytest.mark.parametrize("stream", [False, True])
def test_generate(recording: Recording, client: ollama.Client, stream: bool) -> None:
    """generate, plain and streamed: prompt, system, image, thinking and text."""
    generate: Any = client.generate
    with spanreel.span("root"):
        answer = generate(
            model=MODEL, prompt="Hello", system="Be kind.", images=[b"\x89PNG"], think="low", stream=stream,
            options={"num_predict": 1},
        )  # fmt: skip
        if stream:
            list(answer)
    call = only(recording.store).call
    assert (call.provider, call.operation, call.stream) == ("ollama", "text_completion", stream)
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]
    image = {"type": "blob", "modality": "image", "content": "iVBORw=="}
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}, image]}]
    assert call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "The user greets me."},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert (call.finish_reasons, call.usage) == (("length",), USED)
    assert call.parameters["gen_ai.request.reasoning.level"] == "low"


def test_images(recording: Recording, client: ollama.Client) -> None:
    """An image in a chat message is a part of it."""
    ask(client, messages=[{"role": "user", "content": "What is it?", "images": [b"\x89PNG"]}])
    assert only(recording.store).call.input_messages[0]["parts"] == [
        {"type": "text", "content": "What is it?"},
        {"type": "blob", "modality": "image", "content": "iVBORw=="},
    ]


def test_embeddings(recording: Recording, client: ollama.Client) -> None:
    """embed and the older embeddings: texts, number and length of the vectors, tokens where they are told."""
    with spanreel.span("root"):
        client.embed(model="all-minilm", input=["a", "b"])
        client.embeddings(model="all-minilm", prompt="c")
    first, second = spans(recording.store, "embedding")
    for span, texts in ((first, ["a", "b"]), (second, ["c"])):
        assert (span.raw.name, span.call.provider) == ("embeddings all-minilm", "ollama")
        assert [part["content"] for part in span.call.input_messages[0]["parts"]] == texts
        vectors = {"type": "embedding", "count": len(texts), "dimension": 4}
        assert span.call.output_messages[0]["parts"] == [vectors]
        assert span.call.parameters["gen_ai.embeddings.dimension.count"] == 4
    assert first.call.usage is not None
    assert (first.call.usage.input_tokens, second.call.usage) == (8, None)
    assert [item["input_tokens"] for item in rows(recording.store, "embedding")] == [8, None]


@pytest.mark.parametrize("model", sorted(ERRORS))
@pytest.mark.parametrize("stream", [False, True])
def test_errors(recording: Recording, client: ollama.Client, model: str, stream: bool) -> None:
    """400, 401, 404, 429, 500 and 503: the client's own exception, the status and Ollama's words on the span."""
    with pytest.raises(ollama.ResponseError) as raised:
        ask(client, model=model, stream=stream)
    status, message = ERRORS[model]
    assert (raised.value.status_code, raised.value.error) == (status, message)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == ("error", str(status), message)
    assert (llm.call.error_type, llm.call.finish_reasons, llm.call.output_messages) == (
        str(status),
        ("error",),
        (),
    )
    assert row(recording.store)["cost_usd"] is None


def test_a_call_that_the_program_tries_again(recording: Recording, client: ollama.Client) -> None:
    """The client has no retries of its own: the program's are linked by body, and marked as inferred."""
    with spanreel.span("root"):
        for _ in range(2):
            with pytest.raises(ollama.ResponseError):
                client.chat(model="busy", messages=HELLO)
    first, last = rows(recording.store)
    assert (first["duplicate_of"], last["attempts"]) == (last["span_id"], 2)
    assert last["attributes"]["spanreel.retry_inferred"] is True


@pytest.mark.parametrize(
    ("model", "error"),
    [("cut", "httpx.RemoteProtocolError"), ("short", "stream_cut"), ("error-in-stream", "stream_error")],
)
def test_a_stream_that_is_cut(recording: Recording, client: ollama.Client, model: str, error: str) -> None:
    """A stream cut by a reset, by a clean end without its last line, or by a line with an error: error, with what came."""
    messages = [{"role": "user", "content": "How are you today?"}]
    with contextlib.suppress(httpx.RemoteProtocolError, ollama.ResponseError):
        ask(client, model=model, messages=messages, stream=True)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.call.finish_reasons) == ("error", error, ("error",))
    assert llm.said.startswith("You said: Ho")
    assert llm.call.usage is None


def test_a_reader_that_leaves_early(recording: Recording, client: ollama.Client) -> None:
    """A break out of a stream is no error: the text so far is kept."""
    with spanreel.span("root"):
        parts = client.chat(model="slow", messages=HELLO, stream=True)
        assert next(parts).message.content == "You sa"
        parts.close()  # type: ignore[attr-defined]
    llm = only(recording.store)
    assert (llm.raw.status, llm.call.error_type, llm.said) == ("ok", None, "You sa")


def test_eight_calls_at_once(recording: Recording, server: OllamaServer) -> None:
    """Eight parallel async calls, half of them streamed: each has its own span, parent, text and tokens."""

    @spanreel.trace
    async def one(client: ollama.AsyncClient, number: int) -> str:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            parts = await client.chat(model=MODEL, messages=messages, stream=True)
            return "".join([part.message.content or "" async for part in parts])
        answer = await client.chat(model=MODEL, messages=messages)
        return answer.message.content or ""

    async def everything() -> list[str]:
        async with ollama.AsyncClient(host=server.url) as client:
            return await asyncio.gather(*(one(client, number) for number in range(8)))

    said = asyncio.run(everything())
    assert said == [f"You said: number {number}" for number in range(8)]
    found = spans(recording.store)
    parents = {span.raw.span_id for span in found if span.raw.kind == "chain"}
    calls = [span for span in found if span.raw.kind == "llm"]
    assert sorted(span.said for span in calls) == sorted(said)
    assert len({span.raw.parent_id for span in calls} & parents) == 8
    assert {tokens(item) for item in rows(recording.store)} == {(26, 282, None, None, None)}


def test_loading_a_model_is_no_call(recording: Recording, client: ollama.Client) -> None:
    """Requests without a prompt load or unload a model, and are not recorded as calls."""
    with spanreel.span("root"):
        assert client.generate(model=MODEL).done_reason == "load"
        assert client.chat(model=MODEL).done_reason == "load"
        assert client.list().models == []
    assert [span.raw.name for span in spans(recording.store)] == ["root"]


def test_results_are_those_of_the_bare_client(recording: Recording, client: ollama.Client) -> None:
    """Answers, stream parts and exceptions are identical with and without recording."""

    def results() -> list[Any]:
        plain = client.chat(model=MODEL, messages=HELLO, tools=[lookup])
        streamed = list(client.chat(model=MODEL, messages=HELLO, stream=True, think=True))
        with pytest.raises(ollama.ResponseError) as raised:
            client.chat(model="missing", messages=HELLO)
        vectors = client.embed(model="all-minilm", input="a")
        return [plain, *streamed, str(raised.value), raised.value.status_code, vectors]

    with_hook, without = with_and_without(results)
    assert with_hook == without
    assert len(spans(recording.store, "llm")) == 3

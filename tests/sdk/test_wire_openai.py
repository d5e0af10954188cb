"""The real `openai` client, sync, against a loopback server: every call is one span, field by field."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion
from openai_server import OpenAIServer
from pydantic import BaseModel
from recording import Recording
from wire_journal import only, spans

import spanreel
from spanreel import wire
from spanreel.protocols.call import Usage

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("OpenAI chat, responses, embeddings", package="openai"),
]

HELLO: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "lookup",
            "description": "Look it up.",
            "parameters": {"type": "object", "properties": {}},
        },
    }
]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="sk-test", max_retries=2) as made:
        yield made


@spanreel.trace
def ask(client: openai.OpenAI, model: str = "gpt-4o-mini", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=options.pop("messages", HELLO), **options)


def test_a_plain_chat(recording: Recording, client: openai.OpenAI, server: OpenAIServer) -> None:
    """Chat: messages, model, parameters, usage field by field (cache and reasoning inclusive), finish reason."""
    answer = ask(
        client, temperature=0.25, max_completion_tokens=50, seed=7, stop=["END"], reasoning_effort="low"
    )
    assert answer.choices[0].message.content == "You said: Hello"
    chain, llm = spans(recording.store)
    raw, call = llm.raw, llm.call
    assert (raw.name, raw.kind, raw.status, raw.state) == ("chat gpt-4o-mini", "llm", "ok", "ended")
    assert (raw.parent_id, raw.trace_id) == (chain.raw.span_id, chain.raw.trace_id)
    assert raw.attributes["gen_ai.provider.name"] == "openai"
    assert raw.attributes["server.port"] == server.port
    assert json.loads(raw.input or "")["messages"] == HELLO
    assert (call.provider, call.operation) == ("openai", "chat")
    assert (call.request_model, call.response_model) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert call.response_id == "chatcmpl-1"
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.reasoning.level": "low",
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
    }
    assert call.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
    ]
    assert call.output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "You said: Hello"}],
            "finish_reason": "stop",
        }
    ]
    assert call.finish_reasons == ("stop",)
    assert call.usage == Usage(
        input_tokens=1200,
        output_tokens=40,
        cache_read_tokens=1024,
        reasoning_tokens=16,
        audio_input_tokens=0,
        audio_output_tokens=0,
        raw=answer.usage.model_dump(exclude_none=True),
    )
    assert call.error_type is None
    assert call.stream is False
    assert llm.response == server.bodies[0]
    assert llm.meta["request_id"] == "req_123"
    assert llm.meta["status"] == 200
    assert raw.first_ns is None


def test_a_streamed_chat_with_usage(
    recording: Recording, client: openai.OpenAI, server: OpenAIServer
) -> None:
    """Streamed chat: the text folded from the chunks, usage, first token."""
    stream = ask(client, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    llm = only(recording.store)
    assert said == llm.said == "You said: Hello"
    assert llm.call.usage is not None
    assert (llm.call.usage.input_tokens, llm.call.usage.output_tokens) == (1200, 40)
    assert (llm.call.usage.cache_read_tokens, llm.call.usage.reasoning_tokens) == (1024, 16)
    assert llm.call.finish_reasons == ("stop",)
    assert llm.call.stream is True
    assert llm.raw.status == "ok"
    assert llm.response == server.bodies[0]
    offsets = [offset for offset, _ in llm.meta["chunks"]]
    times = [time for _, time in llm.meta["chunks"]]
    assert offsets[0] == 0
    assert offsets == sorted(set(offsets))
    assert times == sorted(times)
    pieces = [llm.response[a:b] for a, b in zip(offsets, [*offsets[1:], None], strict=True)]
    assert b"".join(pieces) == server.bodies[0]
    assert all(piece.startswith(b"data: ") for piece in pieces)
    assert llm.raw.first_ns is not None
    first = llm.raw.first_ns - llm.meta["start_ns"]
    assert times[0] < first <= times[-1]  # the opening {"role": "assistant"} is no token


def test_a_stream_without_usage_has_none(recording: Recording, client: openai.OpenAI) -> None:
    """A stream without usage has unknown tokens, not 0."""
    list(ask(client, stream=True))
    assert only(recording.store).call.usage is None


def test_first_token_and_chunks_of_a_slow_stream(recording: Recording, client: openai.OpenAI) -> None:
    list(ask(client, model="slow", stream=True))
    llm = only(recording.store)
    times = [time for _, time in llm.meta["chunks"]]
    assert llm.raw.first_ns is not None
    assert llm.raw.first_ns - llm.meta["start_ns"] == times[1]
    assert times[-1] - times[0] >= 20_000_000 * (len(times) - 2)


def test_tools_over_several_turns(recording: Recording, client: openai.OpenAI) -> None:
    """Tool calls over several turns, each call and its answer by id."""
    messages = list(HELLO)
    first = ask(client, messages=messages, tools=TOOLS).choices[0].message
    messages.append(first)
    for call in first.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "42"})
    last = ask(client, messages=messages, tools=TOOLS).choices[0].message
    assert last.content == "The tool said 42."
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    calls = [
        {"type": "tool_call", "id": "call_0", "name": "lookup", "arguments": {"key": "alpha"}},
        {"type": "tool_call", "id": "call_1", "name": "lookup", "arguments": {"key": "beta"}},
    ]
    assert asked.output_messages == [{"role": "assistant", "parts": calls, "finish_reason": "tool_call"}]
    assert asked.finish_reasons == ("tool_call",)
    assert asked.tool_definitions == ({"type": "function", **TOOLS[0]["function"]},)
    assert answered.input_messages[2] == {"role": "assistant", "parts": calls}
    assert answered.input_messages[3] == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "call_0", "response": "42"}],
    }


def test_streamed_parallel_tool_calls(recording: Recording, client: openai.OpenAI) -> None:
    """Parallel tool calls put together from a stream."""
    list(ask(client, tools=TOOLS, stream=True))
    call = only(recording.store).call
    assert [part["arguments"] for part in call.output_messages[0]["parts"]] == [
        {"key": "alpha"},
        {"key": "beta"},
    ]
    assert [part["id"] for part in call.output_messages[0]["parts"]] == ["call_0", "call_1"]
    assert call.finish_reasons == ("tool_call",)


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(recording: Recording, client: openai.OpenAI, stream: bool) -> None:
    answer = ask(client, n=2, stream=stream)
    if stream:
        list(answer)
    call = only(recording.store).call
    said = [message["parts"][0]["content"] for message in call.output_messages]
    assert said == ["You said: Hello", "You said: Hello (1)"]
    assert call.finish_reasons == ("stop", "stop")
    assert call.parameters["gen_ai.request.choice.count"] == 2


class City(BaseModel):
    city: str
    people: int


def test_structured_output(recording: Recording, client: openai.OpenAI) -> None:
    """Structured output parsed by the SDK."""
    answer = client.chat.completions.parse
    with spanreel.span("root"):
        parsed = answer(model="gpt-4o-mini", messages=HELLO, response_format=City)
    assert parsed.choices[0].message.parsed == City(city="Paris", people=2)
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.parameters["spanreel.request.response_format"]["json_schema"]["name"] == "City"
    assert json.loads(call.output_messages[0]["parts"][0]["content"]) == {"city": "Paris", "people": 2}


def test_the_stream_helper_of_the_sdk(recording: Recording, client: openai.OpenAI) -> None:
    with spanreel.span("root"), client.chat.completions.stream(model="gpt-4o-mini", messages=HELLO) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == only(recording.store).said


def test_embeddings(recording: Recording, client: openai.OpenAI) -> None:
    """Embeddings: input, dimensions, tokens."""
    with spanreel.span("root"):
        client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        client.embeddings.create(model="text-embedding-3-small", input="c", encoding_format="float")
    first, second = spans(recording.store, "embedding")
    assert first.raw.name == "embeddings text-embedding-3-small"
    for span, count in ((first, 2), (second, 1)):
        assert span.call.operation == "embeddings"
        assert span.call.parameters["gen_ai.embeddings.dimension.count"] == 8
        assert span.call.output_messages[0]["parts"] == [
            {"type": "embedding", "count": count, "dimension": 8}
        ]
        assert span.call.usage is not None
        assert (span.call.usage.input_tokens, span.call.usage.output_tokens) == (7, None)
    assert [part["content"] for part in first.call.input_messages[0]["parts"]] == ["a", "b"]
    assert first.call.parameters["gen_ai.request.encoding_formats"] == ["base64"]


def test_legacy_completions(recording: Recording, client: openai.OpenAI) -> None:
    with spanreel.span("root"):
        client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", max_tokens=1)
    call = only(recording.store).call
    assert (call.operation, call.finish_reasons) == ("text_completion", ("length",))
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    assert call.output_messages[0]["parts"] == [{"type": "text", "content": " world"}]


@pytest.mark.parametrize("stream", [False, True])
def test_the_responses_api(
    recording: Recording, client: openai.OpenAI, server: OpenAIServer, stream: bool
) -> None:
    """Responses, plain and streamed: items, reasoning, usage field by field."""
    with spanreel.span("root"):
        answer: Any = client.responses.create(
            model="gpt-5-mini",
            instructions="Be kind.",
            input=[
                {"role": "user", "content": "Hello"},
                {"type": "function_call", "call_id": "call_0", "name": "f", "arguments": '{"a":1}'},
                {"type": "function_call_output", "call_id": "call_0", "output": "1"},
            ],
            previous_response_id="resp_0",
            reasoning={"effort": "low"},
            stream=stream,
        )
        if stream:
            assert list(answer)[-1].type == "response.completed"
        else:
            assert answer.output_text == "Hello from the Responses API."
    llm = only(recording.store)
    call = llm.call
    assert (call.operation, call.response_id, call.response_model) == ("chat", "resp_1", "gpt-5-mini-2025")
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert call.input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_0", "name": "f", "arguments": {"a": 1}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_0", "response": "1"}]},
    ]
    assert call.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Thinking it over."},
                {"type": "text", "content": "Hello from the Responses API."},
            ],
            "finish_reason": "stop",
        }
    ]
    assert call.parameters["gen_ai.request.previous_response.id"] == "resp_0"
    assert call.parameters["gen_ai.request.reasoning.level"] == "low"
    assert call.parameters["openai.api.type"] == "responses"
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (900, 60)
    assert (call.usage.cache_read_tokens, call.usage.cache_write_tokens) == (512, 0)
    assert call.usage.reasoning_tokens == 24
    assert (llm.raw.first_ns is not None) is stream
    assert llm.response == server.bodies[0]


def test_tools_of_the_responses_api(recording: Recording, client: openai.OpenAI) -> None:
    """Tool calls of the responses API."""
    tool: Any = {"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": False}
    with spanreel.span("root"):
        list(client.responses.create(model="gpt-5-mini", input="Hello", tools=[tool], stream=True))
    call = only(recording.store).call
    assert call.finish_reasons == ("tool_call",)
    assert call.output_messages[0]["parts"][1] == {
        "type": "tool_call",
        "id": "call_1",
        "name": "lookup",
        "arguments": {"key": "alpha"},
    }
    assert call.tool_definitions == (tool,)


def test_a_rate_limit_that_is_retried(recording: Recording, client: openai.OpenAI) -> None:
    """A 429 that the SDK retries: two attempts, one logical call."""
    answer = ask(client, model="limited")
    assert answer.choices[0].message.content == "You said: Hello"
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.status, failed.raw.error_type) == ("error", "429")
    assert failed.raw.error_message == "Rate limit reached. [rate_limit_exceeded]"
    assert (failed.call.error_type, failed.call.finish_reasons) == ("429", ("error",))
    assert failed.meta["response_headers"]["retry-after-ms"] == "5"
    assert answered.raw.status == "ok"
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert answered.raw.attributes["spanreel.retry_count"] == 1
    assert "spanreel.retry_inferred" not in answered.raw.attributes
    assert (failed.meta["retry_count"], answered.meta["retry_count"]) == (0, 1)
    assert failed.meta["body_sha256"] == answered.meta["body_sha256"]
    assert answered.raw.attempts[0].seq == 1


def test_a_refused_stream_that_its_client_does_not_read(recording: Recording, client: openai.OpenAI) -> None:
    list(ask(client, model="limited", stream=True))
    failed, answered = spans(recording.store, "llm")
    assert (failed.meta["ending"], failed.meta["response_bytes"]) == ("closed", 0)
    assert failed.raw.error_message == (
        "Too Many Requests; the client did not read the answer; retry-after-ms: 5"
    )
    assert answered.raw.status == "ok"


def test_two_calls_with_one_body_are_no_retry(recording: Recording, client: openai.OpenAI) -> None:
    for _ in range(2):
        with pytest.raises(openai.BadRequestError):
            ask(client, model="refused")
    assert all("spanreel.retry_of" not in span.raw.attributes for span in spans(recording.store, "llm"))


@pytest.mark.parametrize(
    ("model", "error", "status"),
    [
        ("unauthorised", openai.AuthenticationError, "401"),
        ("refused", openai.BadRequestError, "400"),
        ("broken", openai.InternalServerError, "500"),
        ("always-limited", openai.RateLimitError, "429"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(
    recording: Recording,
    client: openai.OpenAI,
    model: str,
    error: type[openai.APIStatusError],
    status: str,
    stream: bool,
) -> None:
    """401, 400, 429 and 500 with the provider's error."""
    with pytest.raises(error) as raised:
        ask(client.with_options(max_retries=0), model=model, stream=stream)
    assert raised.value.__cause__ is None
    assert raised.value.body is not None
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.meta["status"]) == ("error", status, int(status))
    assert llm.raw.error_message
    assert llm.call.error_type == status
    assert llm.raw.state == "ended"


def test_a_connection_that_is_refused(recording: Recording) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lost = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-test", max_retries=0)
    with lost, pytest.raises(openai.APIConnectionError) as raised:
        ask(lost)
    assert isinstance(raised.value.__cause__, httpx2.ConnectError)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type) == ("error", "httpx2.ConnectError")
    assert "status" not in llm.meta
    assert llm.call.input_messages[1]["parts"][0]["content"] == "Hello"
    assert llm.call.error_type == "ConnectError"


def test_a_timeout(recording: Recording, client: openai.OpenAI) -> None:
    """A timeout, as the SDK raises it."""
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(max_retries=0, timeout=0.05), model="hang")
    assert only(recording.store).raw.error_type == "httpx2.ReadTimeout"


def test_raw_and_streaming_responses(
    recording: Recording, client: openai.OpenAI, server: OpenAIServer
) -> None:
    with spanreel.span("root"):
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)
        assert raw.headers["x-request-id"] == "req_123"
        assert raw.parse().choices[0].message.content == "You said: Hello"
        with client.chat.completions.with_streaming_response.create(
            model="gpt-4o-mini", messages=HELLO
        ) as response:
            lines = list(response.iter_lines())
    assert json.loads(lines[0])["id"] == "chatcmpl-1"
    first, second = spans(recording.store, "llm")
    assert first.response == second.response == server.bodies[0]
    assert second.raw.status == "ok"


def test_results_are_those_of_the_bare_client(recording: Recording, client: openai.OpenAI) -> None:
    """What the SDK returns is the same with and without us."""

    def results() -> list[Any]:
        with spanreel.span("root"):
            plain = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
            streamed = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))
            response = client.responses.create(model="gpt-5-mini", input="Hello")
            with pytest.raises(openai.BadRequestError) as raised:
                client.chat.completions.create(model="refused", messages=HELLO)
        assert isinstance(plain, ChatCompletion)
        return [plain, *streamed, response, raised.value.body, str(raised.value)]

    with_hook = results()
    wire.uninstall()
    try:
        without = results()
    finally:
        wire.install()
    assert with_hook == without
    assert len(spans(recording.store, "llm")) == 4


def test_a_legacy_httpx_client_in_the_sdk(recording: Recording, server: OpenAIServer) -> None:
    transport: Any = httpx.Client()  # the SDK takes it, though its types do not say so any more
    with openai.OpenAI(base_url=server.url, api_key="sk-test", http_client=transport) as client:
        ask(client)
    assert only(recording.store).said == "You said: Hello"


def test_outside_a_trace_nothing_is_recorded_unless_widened(
    recording: Recording, client: openai.OpenAI
) -> None:
    from spanreel import recorder

    client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert spans(recording.store) == []
    recorder.widen("all")
    client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert only(recording.store).raw.parent_id is None
    recorder.widen("off")
    ask(client)
    assert len(spans(recording.store, "llm")) == 1

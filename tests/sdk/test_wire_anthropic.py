"""The real `anthropic` client against a loopback server: every call is one span, field by field."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.lib.vertex import AnthropicVertex
from anthropic_server import CITATION, USAGE, AnthropicServer
from opentelemetry import trace as otel
from pydantic import BaseModel
from recording import Recording
from wire_journal import only, spans
from wire_rows import price, row, rows, tokens, with_and_without

import spanreel
from spanreel.protocols.call import Usage

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("Anthropic messages", package="anthropic"),
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),  # models age
]

MODEL = "claude-sonnet-5"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
TOOLS: list[Any] = [
    {"name": "lookup", "description": "Look it up.", "input_schema": {"type": "object", "properties": {}}}
]
COST = price((21, 2), (188, 2.5), (2048, 0.2), (93, 10))
"""Anthropic's list price of Claude Sonnet 5, US dollars for a million tokens."""


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as running:
        yield running


@pytest.fixture
def client(server: AnthropicServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="sk-ant-test", max_retries=2) as made:
        yield made


@spanreel.trace
def ask(client: anthropic.Anthropic, model: str = MODEL, **options: Any) -> Any:
    messages = options.pop("messages", HELLO)
    return client.messages.create(
        model=model, max_tokens=options.pop("max_tokens", 100), messages=messages, **options
    )


def test_a_plain_message(recording: Recording, client: anthropic.Anthropic, server: AnthropicServer) -> None:
    """Plain message: messages, system, parameters, stop reason, inclusive usage and the price, field by field."""
    answer = ask(
        client,
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        extra_body={"temperature": 0.25, "top_p": 0.9, "top_k": 40},  # gone from the SDK, not from the API
        stop_sequences=["END"],
        service_tier="auto",
        metadata={"user_id": "u-1"},
    )
    assert answer.content[0].text == "You said: Hello"
    llm = only(recording.store)
    call = llm.call
    assert (llm.raw.name, llm.raw.kind, llm.raw.status, llm.raw.state) == (
        f"chat {MODEL}",
        "llm",
        "ok",
        "ended",
    )
    assert llm.raw.attributes["gen_ai.provider.name"] == "anthropic"
    assert (call.provider, call.operation, call.stream) == ("anthropic", "chat", False)
    assert (call.request_model, call.response_model, call.response_id) == (
        MODEL,
        f"{MODEL}-20250929",
        "msg_01",
    )
    assert call.parameters == {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ["END"],
        "anthropic.request.service_tier": "auto",
        "anthropic.response.service_tier": "standard",
        "anthropic.message.stop_reason": "end_turn",
    }
    assert call.system_instructions == [
        {"type": "text", "content": "Be kind.", "cache_control": {"type": "ephemeral"}}
    ]
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    said = {
        "role": "assistant",
        "parts": [{"type": "text", "content": "You said: Hello"}],
        "finish_reason": "stop",
    }
    assert call.output_messages == [said]
    assert call.usage == Usage(
        input_tokens=21 + 188 + 2048, output_tokens=93, cache_read_tokens=2048, cache_write_tokens=188,
        cache_write_1h_tokens=0, raw=USAGE,
    )  # fmt: skip
    assert (llm.response, llm.meta["request_id"], llm.meta["status"]) == (server.bodies[0], "req_011", 200)
    assert b"sk-ant-test" not in recording.raw()
    found = row(recording.store)
    assert tokens(found) == (2257, 93, 2048, 188, None)
    assert (found["provider"], found["request_model"], found["finish_reason"]) == ("anthropic", MODEL, "stop")
    assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)
    assert found["cost_source"].startswith("book:")


def test_a_stream(recording: Recording, client: anthropic.Anthropic, server: AnthropicServer) -> None:
    """Streamed message: the same call as the plain one; the cumulative usage of message_delta counts once."""
    events = list(ask(client, stream=True))
    assert [event.type for event in events[:2]] == ["message_start", "content_block_start"]
    llm = only(recording.store)
    assert (llm.said, llm.call.stream, llm.raw.status) == ("You said: Hello", True, "ok")
    assert llm.call.usage == Usage(
        input_tokens=2257, output_tokens=93, cache_read_tokens=2048, cache_write_tokens=188,
        cache_write_1h_tokens=0, raw=USAGE,
    )  # fmt: skip
    assert llm.call.finish_reasons == ("stop",)
    assert llm.call.parameters["anthropic.message.stop_reason"] == "end_turn"
    assert llm.response == server.bodies[0]
    found = row(recording.store)
    assert tokens(found) == (2257, 93, 2048, 188, None)
    assert found["cost_usd"] == pytest.approx(COST, rel=1e-9)
    assert found["ttft_ms"] > 0


def test_thinking_comes_before_what_a_reader_sees(recording: Recording, client: anthropic.Anthropic) -> None:
    """Streamed thinking: reasoning part with signature, reasoning tokens inside output, first visible text after the first token."""
    with (
        spanreel.span("root"),
        client.messages.stream(model="slow", max_tokens=2000, messages=HELLO, thinking=THINKING) as stream,
    ):
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    llm = only(recording.store)
    assert llm.call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "The user greets me.", "signature": "EqQBCgIYAg=="},
        {"type": "text", "content": "You said: Hello"},
    ]
    assert llm.call.usage is not None
    assert (llm.call.usage.output_tokens, llm.call.usage.reasoning_tokens) == (93, 40)
    assert llm.call.parameters["anthropic.thinking.budget_tokens"] == 1024
    times = [llm.meta["start_ns"] + after for _, after in llm.meta["chunks"]]
    first, visible = llm.raw.first_ns, llm.call.first_visible_ns
    assert (first, visible) == (
        times[3],
        times[10],
    )  # message_start, ping, block start, 4 thoughts, signature, ...
    found = row(recording.store)
    assert found["attributes"]["spanreel.first_visible_ns"] == visible
    assert tokens(found) == (2257, 93, 2048, 188, 40)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_several_turns(recording: Recording, client: anthropic.Anthropic, stream: bool) -> None:
    """Tool calls over several turns, plain and streamed: two parallel calls with parsed arguments, their results, the answer."""
    messages = list(HELLO)

    def turn() -> Any:
        if not stream:
            return ask(
                client, messages=messages, tools=TOOLS, thinking=THINKING, tool_choice={"type": "auto"}
            )
        with client.messages.stream(
            model=MODEL,
            max_tokens=100,
            messages=messages,
            tools=TOOLS,
            thinking=THINKING,
            tool_choice={"type": "auto"},
        ) as events:
            return events.get_final_message()

    with spanreel.span("agent", kind="agent"):
        first = turn()
        assert first.stop_reason == "tool_use"
        messages.append({"role": "assistant", "content": first.content})
        results = [
            {"type": "tool_result", "tool_use_id": "toolu_0", "content": "42"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": [{"type": "text", "text": "no"}],
                "is_error": True,
            },
        ]
        messages.append({"role": "user", "content": results})
        assert turn().content[-1].text == "The tool said 42."
    asked, answered = (span.call for span in spans(recording.store, "llm"))
    calls = [
        {"type": "tool_call", "id": "toolu_0", "name": "lookup", "arguments": {"key": "alpha", "n": 0}},
        {"type": "tool_call", "id": "toolu_1", "name": "lookup", "arguments": {"key": "beta", "n": 1}},
    ]
    reasoning = {"type": "reasoning", "content": "The user greets me.", "signature": "EqQBCgIYAg=="}
    assert asked.output_messages == [
        {"role": "assistant", "parts": [reasoning, *calls], "finish_reason": "tool_call"}
    ]
    assert asked.finish_reasons == ("tool_call",)
    assert asked.parameters["spanreel.request.tool_choice"] == {"type": "auto"}
    assert asked.tool_definitions == (
        {
            "type": "function",
            "name": "lookup",
            "description": "Look it up.",
            "parameters": TOOLS[0]["input_schema"],
        },
    )
    assert answered.input_messages[1] == {"role": "assistant", "parts": [reasoning, *calls]}
    assert answered.input_messages[2] == {
        "role": "user",
        "parts": [
            {"type": "tool_call_response", "id": "toolu_0", "response": "42"},
            {
                "type": "tool_call_response",
                "id": "toolu_1",
                "response": [{"type": "text", "content": "no"}],
                "is_error": True,
            },
        ],
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_search_that_anthropic_ran(recording: Recording, client: anthropic.Anthropic, stream: bool) -> None:
    """Server tool: the call, its result, the citations and the number of billed searches, plain and streamed."""
    answer = ask(
        client, tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}], stream=stream
    )
    if stream:
        list(answer)
    call = only(recording.store).call
    searched, found, said = call.output_messages[0]["parts"]
    assert searched == {
        "type": "server_tool_call", "id": "srvtoolu_1", "name": "web_search",
        "server_tool_call": {"type": "web_search", "input": {"query": "paris"}},
    }  # fmt: skip
    assert (found["type"], found["id"]) == ("server_tool_call_response", "srvtoolu_1")
    assert found["server_tool_call_response"]["type"] == "web_search"
    assert found["server_tool_call_response"]["content"][0]["url"] == "https://example.org/paris"
    assert said == {"type": "text", "content": "Two million.", "citations": [CITATION]}
    assert call.usage is not None
    assert call.usage.web_searches == 1
    assert call.finish_reasons == ("stop",)
    assert call.tool_definitions == ({"type": "web_search_20250305", "name": "web_search", "max_uses": 1},)


def test_media_and_an_hour_of_cache(recording: Recording, client: anthropic.Anthropic) -> None:
    """Image and document input, and the part of the cache writes that is kept for an hour."""
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "A"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Long text."}, "citations": {"enabled": True}},
        {"type": "text", "text": "What is it?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]  # fmt: skip
    ask(client, messages=[{"role": "user", "content": content}])
    call = only(recording.store).call
    assert call.input_messages[0]["parts"] == [
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "iVBORw0KGgo="},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
        {
            "type": "blob",
            "mime_type": "application/pdf",
            "modality": "document",
            "content": "JVBERi0=",
            "title": "A",
        },
        {"type": "document", "mime_type": "text/plain", "content": "Long text."},
        {"type": "text", "content": "What is it?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    assert call.usage is not None
    assert (call.usage.cache_write_tokens, call.usage.cache_write_1h_tokens) == (188, 88)


class City(BaseModel):
    city: str
    people: int


def test_structured_output(recording: Recording, client: anthropic.Anthropic) -> None:
    """Structured output through the SDK's parse(): the schema asked for, and the JSON that came."""
    with spanreel.span("root"):
        parsed = client.messages.parse(model=MODEL, max_tokens=100, messages=HELLO, output_format=City)
    assert parsed.parsed_output == City(city="Paris", people=2)
    call = only(recording.store).call
    assert call.parameters["gen_ai.output.type"] == "json"
    assert call.parameters["spanreel.request.response_format"]["schema"]["required"] == ["city", "people"]
    assert json.loads(call.output_messages[0]["parts"][0]["content"]) == {"city": "Paris", "people": 2}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "options", "reason", "told"), [
    ("refuses", {}, "content_filter", "refusal"),
    (MODEL, {"max_tokens": 1}, "length", "max_tokens"),
])  # fmt: skip
def test_stop_reasons(
    recording: Recording,
    client: anthropic.Anthropic,
    model: str,
    options: Any,
    reason: str,
    told: str,
    stream: bool,
) -> None:
    """Refusals and limits end as content_filter and length, with Anthropic's own word beside it."""
    answer = ask(client, model=model, stream=stream, **options)
    if stream:
        list(answer)
    call = only(recording.store).call
    assert (call.finish_reasons, call.parameters["anthropic.message.stop_reason"]) == ((reason,), told)
    assert call.error_type is None


def test_redacted_thinking(recording: Recording, client: anthropic.Anthropic) -> None:
    """Redacted thinking is a reasoning part without text."""
    list(ask(client, model="redacted", stream=True))
    assert only(recording.store).call.output_messages[0]["parts"][0] == {
        "type": "reasoning", "content": "", "redacted": True, "data": "EmwKAhgBEgy3va3pzix",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [("limited", "429", "rate_limit_error"), ("overloaded", "529", "overloaded_error")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_retries(
    recording: Recording, client: anthropic.Anthropic, model: str, status: str, kind: str, stream: bool
) -> None:
    """429 and 529 with the SDK's own retry: both attempts are kept, the call counts once."""
    answer = ask(client, model=model, stream=stream)
    if stream:
        list(answer)
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.status, failed.raw.error_type) == ("error", status)
    if not stream:  # the SDK closes a refused stream unread
        assert failed.raw.error_message is not None
        assert failed.raw.error_message.endswith(f"[{kind}]")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert "spanreel.retry_inferred" not in answered.raw.attributes
    assert (failed.meta["retry_count"], answered.meta["retry_count"]) == (0, 1)
    first, last = rows(recording.store)
    assert (first["duplicate_of"], last["duplicate_of"]) == (last["span_id"], None)
    assert (last["attempts"], last["status"], tokens(last)[:2]) == (2, "ok", (2257, 93))


@pytest.mark.parametrize(
    ("model", "error", "status"),
    [
        ("unauthorised", anthropic.AuthenticationError, "401"),
        ("refused", anthropic.BadRequestError, "400"),
        ("always-limited", anthropic.RateLimitError, "429"),
        ("broken", anthropic.InternalServerError, "500"),
        ("always-overloaded", anthropic.APIStatusError, "529"),
    ],
)
def test_errors(
    recording: Recording,
    client: anthropic.Anthropic,
    model: str,
    error: type[anthropic.APIStatusError],
    status: str,
) -> None:
    """401, 400, 429, 500 and 529 that stay: the SDK's own exception, the status and Anthropic's words on the span."""
    with pytest.raises(error) as raised:
        ask(client.with_options(max_retries=0), model=model)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.call.error_type) == ("error", status, status)
    assert llm.raw.error_message == "{message} [{type}]".format(**raised.value.body["error"])  # type: ignore[index]
    assert (llm.call.finish_reasons, llm.call.output_messages, llm.call.usage) == (("error",), (), None)
    found = row(recording.store)
    assert (found["cost_usd"], found["input_tokens"]) == (None, None)


def test_an_error_inside_of_a_stream(recording: Recording, client: anthropic.Anthropic) -> None:
    """An error event in a stream: the SDK raises, what came before it and the tokens of its start are kept."""
    with pytest.raises(anthropic.APIStatusError):
        list(ask(client, model="error-in-stream", stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type, llm.raw.error_message) == (
        "error",
        "overloaded_error",
        "Overloaded",
    )
    assert (llm.said, llm.call.finish_reasons, llm.call.error_type) == (
        "You sa",
        ("error",),
        "overloaded_error",
    )
    assert llm.call.usage is not None
    assert (llm.call.usage.input_tokens, llm.call.usage.output_tokens) == (2257, 1)


@pytest.mark.parametrize(("model", "error"), [("cut", "httpx2.RemoteProtocolError"), ("short", "stream_cut")])
def test_a_stream_that_is_cut(
    recording: Recording, client: anthropic.Anthropic, model: str, error: str
) -> None:
    """A stream cut in the middle, by a reset and by a clean end without its last events: error, with what came."""
    with contextlib.suppress(httpx2.RemoteProtocolError):
        list(ask(client, model=model, stream=True))
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.error_type) == ("error", error)
    assert llm.said.startswith("You sa")
    assert llm.call.finish_reasons == ("error",)
    assert llm.call.output_started is False


def test_a_reader_that_leaves_early(recording: Recording, client: anthropic.Anthropic) -> None:
    """A break out of a stream is no error: the text so far is kept."""
    with (
        spanreel.span("root"),
        client.messages.stream(model="slow", max_tokens=100, messages=HELLO) as stream,
    ):
        for text in stream.text_stream:
            assert text == "You sa"
            break
    llm = only(recording.store)
    assert (llm.raw.status, llm.call.error_type, llm.said) == ("ok", None, "You sa")


def test_eight_calls_at_once(recording: Recording, server: AnthropicServer) -> None:
    """Eight parallel async calls, half of them streamed: each has its own span, parent, text and tokens."""

    @spanreel.trace
    async def one(client: anthropic.AsyncAnthropic, number: int) -> str:
        messages: list[Any] = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            async with client.messages.stream(model=MODEL, max_tokens=100, messages=messages) as stream:
                return await stream.get_final_text()
        answer: Any = await client.messages.create(model=MODEL, max_tokens=100, messages=messages)
        return str(answer.content[0].text)

    async def everything() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="sk-ant-test") as client:
            return await asyncio.gather(*(one(client, number) for number in range(8)))

    said = asyncio.run(everything())
    assert said == [f"You said: number {number}" for number in range(8)]
    found = spans(recording.store)
    parents = {span.raw.span_id: span for span in found if span.raw.kind == "chain"}
    calls = [span for span in found if span.raw.kind == "llm"]
    assert sorted(span.said for span in calls) == sorted(said)
    assert len({span.raw.parent_id for span in calls} & parents.keys()) == 8
    assert {tokens(item) for item in rows(recording.store)} == {(2257, 93, 2048, 188, None)}


def test_counting_tokens_is_no_call(recording: Recording, client: anthropic.Anthropic) -> None:
    """count_tokens is not recorded as a call."""
    with spanreel.span("root"):
        assert client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens == 14
    assert spans(recording.store, "llm") == []


@pytest.mark.covers("Anthropic on Vertex AI", package="anthropic")
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_on_vertex(recording: Recording, server: AnthropicServer, stream: bool) -> None:
    """The Vertex client's rawPredict and streamRawPredict: model from the path, provider gcp.vertex_ai."""
    with (
        AnthropicVertex(
            base_url=f"{server.url}/v1", region="us-east5", project_id="p", access_token="ya29.test"
        ) as client,
        spanreel.span("root"),
    ):
        answer: Any = client.messages.create(
            model="claude-sonnet-4-5@20250929", max_tokens=100, messages=HELLO, stream=stream
        )
        if stream:
            list(answer)
        assert client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens == 14
    llm = only(recording.store)
    assert (llm.call.provider, llm.call.request_model) == ("gcp.vertex_ai", "claude-sonnet-4-5@20250929")
    assert (llm.said, llm.call.stream) == ("You said: Hello", stream)
    assert tokens(row(recording.store)) == (2257, 93, 2048, 188, None)
    assert b"ya29.test" not in recording.raw()


def test_the_clients_own_spans_double_nothing(recording: Recording, client: anthropic.Anthropic) -> None:
    """The SDK has OpenTelemetry spans of its own: with our recorder alone there is none, and one llm span a call."""
    assert type(otel.get_tracer_provider()).__name__ == "ProxyTracerProvider"
    ask(client)
    assert [span.raw.kind for span in spans(recording.store)] == ["chain", "llm"]
    assert type(otel.get_tracer_provider()).__name__ == "ProxyTracerProvider"


@pytest.mark.parametrize("stream", [False, True])
def test_without_content_the_bill_is_the_same(
    recording: Recording, client: anthropic.Anthropic, stream: bool
) -> None:
    """capture="metadata": no text is kept, every bucket of the bill and both first times are."""
    cached: list[Any] = [
        {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    messages: list[Any] = [{"role": "user", "content": cached}]
    searching = [{"type": "web_search_20250305", "name": "web_search"}]
    names = (
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
        "cost_usd", "finish_reason", "response_model",
    )  # fmt: skip
    for capture in ("full", "metadata"):
        recording.configure(capture=capture)
        answer = ask(client, messages=messages, thinking=THINKING, tools=searching, stream=stream)
        if stream:
            list(answer)
    full, metadata = rows(recording.store)
    assert {name: metadata[name] for name in names} == {name: full[name] for name in names}
    assert tokens(full) == (2257, 93, 2048, 188, 40)
    hour = price((21, 2), (100, 2.5), (88, 4), (2048, 0.2), (93, 10))
    assert full["cost_usd"] == pytest.approx(hour + 0.01, rel=1e-9)  # a search costs a cent
    assert b"Two million" not in (metadata["output"] or "").encode()
    if stream:
        assert {"gen_ai.request.stream", "spanreel.first_visible_ns"} <= metadata["attributes"].keys()
        assert metadata["ttft_ms"] > 0


def test_results_are_those_of_the_bare_client(recording: Recording, client: anthropic.Anthropic) -> None:
    """Answers, stream events and exceptions are identical with and without recording."""

    def results() -> list[Any]:
        create: Any = client.messages.create
        plain = create(model=MODEL, max_tokens=100, messages=HELLO, tools=TOOLS)
        streamed = list(create(model=MODEL, max_tokens=100, messages=HELLO, thinking=THINKING, stream=True))
        with pytest.raises(anthropic.BadRequestError) as raised:
            create(model="refused", max_tokens=100, messages=HELLO)
        raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=HELLO)
        return [
            plain,
            *streamed,
            raised.value.body,
            str(raised.value),
            raw.parse(),
            raw.headers["request-id"],
        ]

    with_hook, without = with_and_without(results)
    assert with_hook == without
    assert len(spans(recording.store, "llm")) == 4

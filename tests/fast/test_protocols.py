"""The OpenAI protocols on bytes alone: shapes that servers really send, and bytes that nobody should."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.record import Attempt
from spanreel.protocols import sse, table
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.openai_usage import usage
from spanreel.protocols.providers import provider

NAMES = [protocol.name for protocol in table.PROTOCOLS]


def chat(response: Any, request: Any = None, **meta: Any) -> Call:
    """Fold a chat exchange given as JSON values; a list of values is a stream."""
    if isinstance(response, list):
        data = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in response)
    else:
        data = response if isinstance(response, bytes) else orjson.dumps(response)
    sent = orjson.dumps(request if request is not None else {"model": "m", "messages": []})
    return table.fold(
        "openai.chat",
        [
            Attempt(
                0, {"url": "https://api.openai.com/v1/chat/completions", "status": 200, **meta}, sent, data
            )
        ],
    )


def responses(response: Any, request: Any = None) -> Call:
    if isinstance(response, list):
        data = b"".join(
            f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n" for event in response
        )
    else:
        data = orjson.dumps(response)
    return table.fold("openai.responses", [Attempt(0, {"status": 200}, orjson.dumps(request or {}), data)])


def delta(index: int = 0, reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": said, "finish_reason": reason}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/v1/chat/completions", {"model": "m", "messages": []}, "openai.chat"),
        ("post", "/any/prefix/chat/completions", {"model": "m", "messages": []}, "openai.chat"),
        ("POST", "/openai/deployments/d/chat/completions", {"messages": []}, "openai.chat"),
        ("POST", "/openai/deployments/d/embeddings", {"input": "a"}, "openai.embeddings"),
        ("POST", "/v1/responses", {"model": "m", "input": "a"}, "openai.responses"),
        ("POST", "/v1/responses", {"prompt": {"id": "pmpt_1"}}, "openai.responses"),
        ("POST", "/v1/embeddings", {"model": "m", "input": ["a"]}, "openai.embeddings"),
        ("POST", "/v1/completions", {"model": "m", "prompt": "a"}, "openai.completions"),
        ("GET", "/v1/chat/completions", {"model": "m", "messages": []}, None),
        ("POST", "/v1/chat/completions", {"messages": []}, None),
        ("POST", "/v1/chat/completions", {"model": "m"}, None),
        ("POST", "/v1/chat/completions", [1], None),
        ("POST", "/v1/responses/resp_1/cancel", {"model": "m", "input": "a"}, None),
        ("POST", "/form/responses", {"answers": []}, None),
        ("POST", "/v1/models", {"model": "m", "messages": []}, None),
    ],
)
def test_recognition(method: str, path: str, body: Any, expected: str | None) -> None:
    assert table.recognise(method, "example.org", path, {}, orjson.dumps(body)) == expected


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("api.openai.com", None, "openai"),
        ("eu.api.openai.com", None, "openai"),
        ("me.openai.azure.com", 443, "azure.ai.openai"),
        ("API.GROQ.COM", None, "groq"),
        ("api.together.xyz", None, "together"),
        ("api.fireworks.ai", None, "fireworks"),
        ("api.deepseek.com", None, "deepseek"),
        ("api.x.ai", None, "x_ai"),
        ("openrouter.ai", None, "openrouter"),
        ("api.mistral.ai", None, "mistral_ai"),
        ("bedrock-runtime.us-east-1.amazonaws.com", None, "aws.bedrock"),
        ("localhost", 11434, "ollama"),
        ("127.0.0.1", 1234, "lm_studio"),
        ("::1", 8000, "openai"),
        ("notopenrouter.ai", None, "openai"),
        ("", None, "openai"),
    ],
)
def test_providers(host: str, port: int | None, name: str) -> None:
    assert provider(host, port) == name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, (5, 7, None, None, None)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}}, (32, 103, None, None, 94)),
        ({"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19, "completion_tokens_details": {"reasoning_tokens": 4}}, (10, 9, None, None, 4)),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2, "completion_tokens": 1}, (10, 1, 8, None, None)),
        ({"prompt_tokens": 10, "cached_tokens": 3, "completion_tokens": 1}, (10, 1, 3, None, None)),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 6}}, (10, 1, 0, 6, None)),
        ({"prompt_tokens": None, "completion_tokens": -1, "prompt_tokens_details": None}, (None, None, None, None, None)),
        ({"prompt_tokens": 3.0, "completion_tokens": "7"}, (3, None, None, None, None)),
    ],
)  # fmt: skip
def test_usage_is_inclusive(raw: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    found = usage(raw)
    assert found is not None
    assert (
        found.input_tokens,
        found.output_tokens,
        found.cache_read_tokens,
        found.cache_write_tokens,
        found.reasoning_tokens,
    ) == expected
    assert found.raw == raw


def test_usage_that_is_absent_or_priced() -> None:
    assert usage(None) is None
    assert usage({}) is None
    assert usage([1]) is None
    assert usage({"cost": 0.0125}) == Usage(cost_usd=0.0125, raw={"cost": 0.0125})
    perplexity = usage({"cost": {"total_cost": 0.5}})
    assert perplexity is not None
    assert perplexity.cost_usd == 0.5


def test_every_kind_of_input_part() -> None:
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC", "filename": "b.pdf"}},
        {"type": "from_the_future", "value": 1},
        "bare",
        7,
    ]
    call = chat({}, {"model": "m", "messages": [{"role": "user", "name": "ann", "content": content}]})
    assert call.input_messages == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "look"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
                {"type": "blob", "mime_type": "image/jpeg", "modality": "image", "content": "AAAA"},
                {"type": "blob", "mime_type": "audio/wav", "modality": "audio", "content": "BBBB"},
                {"type": "file", "modality": "document", "file_id": "file-1", "filename": "a.pdf"},
                {
                    "type": "blob",
                    "mime_type": "application/pdf",
                    "modality": "document",
                    "content": "CCCC",
                    "filename": "b.pdf",
                },
                {"type": "from_the_future", "value": 1},
                {"type": "text", "content": "bare"},
                {"type": "unknown"},
            ],
            "name": "ann",
        }
    ]


def test_messages_of_every_role_and_age() -> None:
    call = chat(
        {},
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "hm"},
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "one"}]},
                {"role": "assistant", "audio": {"id": "audio_1"}},
                "nonsense",
            ],
            "functions": [{"name": "f", "parameters": {}}],
            "tools": [{"type": "custom", "custom": {"name": "sql"}}, "nonsense"],
        },
    )
    assert [message["parts"] for message in call.input_messages] == [
        [{"type": "text", "content": "be brief"}],
        [{"type": "reasoning", "content": "hm"}, {"type": "refusal", "content": "no"}],
        [{"type": "tool_call", "name": "f", "arguments": {}}],
        [{"type": "tool_call_response", "response": "1"}],
        [{"type": "tool_call", "id": "c", "name": "sql", "arguments": "SELECT 1"}],
        [{"type": "tool_call_response", "id": "c", "response": [{"type": "text", "content": "one"}]}],
        [{"type": "file", "modality": "audio", "file_id": "audio_1"}],
        [],
    ]
    assert call.tool_definitions == (
        {"type": "custom", "name": "sql"},
        {"type": "function", "name": "f", "parameters": {}},
    )


def test_interleaved_tool_calls_and_a_second_choice() -> None:
    events = [
        delta(0, tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]),
        delta(0, tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]),
        delta(1, content="Hi"),
        delta(
            0,
            tool_calls=[
                {"index": 0, "function": {"arguments": ":1}"}},
                {"index": 1, "function": {"arguments": "{}"}},
            ],
        ),
        delta(1, reason="stop"),
        delta(0, reason="tool_calls"),
    ]
    call = chat(events)
    assert call.finish_reasons == ("tool_call", "stop")
    assert call.output_messages[0]["parts"] == [
        {"type": "tool_call", "id": "a", "name": "f", "arguments": {"x": 1}},
        {"type": "tool_call", "id": "b", "name": "g", "arguments": {}},
    ]
    assert call.output_messages[1]["parts"] == [{"type": "text", "content": "Hi"}]
    assert call.output_started is True


def test_tool_calls_without_an_index() -> None:
    events = [
        delta(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": '{"x":'}}]),
        delta(tool_calls=[{"function": {"arguments": "1}"}}]),
        delta(tool_calls=[{"id": "b", "function": {"name": "g", "arguments": "{}"}}], reason="tool_calls"),
    ]
    parts = chat(events).output_messages[0]["parts"]
    assert [(part["id"], part["arguments"]) for part in parts] == [("a", {"x": 1}), ("b", {})]


def test_reasoning_refusal_legacy_functions_and_audio_in_a_stream() -> None:
    events = [
        delta(role="assistant", reasoning_content="so "),
        delta(reasoning_content="then"),
        delta(refusal="I "),
        delta(refusal="won't"),
        delta(function_call={"name": "f", "arguments": "{"}),
        delta(function_call={"arguments": "}"}),
        delta(audio={"id": "au", "transcript": "he"}),
        delta(audio={"data": "QUJD", "transcript": "llo"}, reason="length"),
    ]
    assert chat(events).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "so then"},
                {"type": "refusal", "content": "I won't"},
                {"type": "text", "content": "hello"},
                {"type": "blob", "modality": "audio", "content": "QUJD", "id": "au"},
                {"type": "tool_call", "name": "f", "arguments": {}},
            ],
            "finish_reason": "length",
        }
    ]


def test_usage_in_the_places_where_servers_put_it() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    for events in (
        [delta(content="a", reason="stop"), {"choices": [], "usage": counts}],
        [{**delta(content="a", reason="stop"), "x_groq": {"usage": counts}}],
        [
            {**delta(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
            {**delta(reason="stop"), "usage": counts},
        ],
    ):
        found = chat(events).usage
        assert found is not None
        assert (found.input_tokens, found.output_tokens) == (1, 2)


@pytest.mark.parametrize(
    ("said", "normal"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_call"), ("function_call", "tool_call"), ("content_filter", "content_filter"), ("eos", "stop"), ("brand_new", "brand_new")],
)  # fmt: skip
def test_finish_reasons(said: str, normal: str) -> None:
    assert chat({"choices": [{"message": {"content": "x"}, "finish_reason": said}]}).finish_reasons == (
        normal,
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "Slow down", "type": "rate_limit", "code": "rl"}}, "Slow down [rl]"),
        ({"error": "just text"}, "just text"),
        ([{"error": {"message": "Google says no", "code": 400}}], "Google says no"),
        ({"detail": "vLLM says no"}, "vLLM says no"),
        ({"message": "no", "object": "error"}, "no"),
    ],
)
def test_error_bodies(body: Any, message: str) -> None:
    call = chat(orjson.dumps(body), status=429)
    assert (call.error_type, call.error_message, call.finish_reasons) == ("429", message, ("error",))


def test_a_stream_cut_anywhere_gives_what_came() -> None:
    events = [
        delta(role="assistant", content=""),
        *(delta(content=letter) for letter in "Grüße"),
        delta(reason="stop"),
    ]
    data = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    whole = chat(data)
    assert whole.output_messages[0]["parts"][0]["content"] == "Grüße"
    lengths = []
    for end in range(len(data)):
        call = chat(data[:end])
        said = "".join(part["content"] for message in call.output_messages for part in message["parts"])
        assert "Grüße".startswith(said)
        lengths.append(len(said))
        assert call.output_started or call.finish_reasons == ("error",)
        assert call.output_started == (call.error_type is None)
    assert lengths == sorted(lengths)


def test_a_stream_that_was_left_is_not_cut() -> None:
    call = chat([delta(content="a")], ending="closed")
    assert (call.error_type, call.finish_reasons, call.output_started) == (None, (), True)


def test_line_ends_comments_and_names_of_events() -> None:
    data = (
        b': hello\r\n\r\nevent: ping\r\ndata: {}\r\n\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata: [DONE]\r\n\r\n'
    )
    found = list(sse.events(data))
    assert [(event.name, event.data) for event in found] == [
        ("ping", b"{}"),
        ("", b'{"a":\n1}'),
        ("", b"[DONE]"),
    ]
    assert [data[event.end : event.end + 2] for event in found] == [b"\r\n"] * 3
    assert [event.data for event in sse.last(data, 2)] == [b'{"a":\n1}', b"[DONE]"]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1), min_size=1),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_events_come_back_as_they_were_sent(texts: list[str], line_end: bytes) -> None:
    data = b"".join(b"data: " + orjson.dumps(text) + line_end * 2 for text in texts)
    found = list(sse.events(data))
    assert [orjson.loads(event.data) for event in found] == texts
    assert [event.data for event in sse.last(data, 3)] == [event.data for event in found[-3:]]
    assert sse.looks_like(data)


def test_responses_with_built_in_tools_and_incomplete() -> None:
    call = responses(
        {
            "id": "resp_1", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
            "output": [
                {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
                {"type": "mcp_call", "id": "m_1", "name": "roll", "arguments": "{}", "output": "4", "server_label": "dice"},
                {"type": "computer_call", "id": "x", "call_id": "cc", "action": {"type": "click"}},
                {"type": "custom_tool_call", "call_id": "ct", "name": "sql", "input": "SELECT 1"},
                {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "t", "annotations": [{"type": "url_citation"}]}]},
            ],
        },
        {"model": "m", "input": [{"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/y.png"}, {"type": "input_file", "file_id": "f"}]},
            {"type": "item_reference", "id": "i"}, "bare"], "tools": [{"type": "web_search"}]},
    )  # fmt: skip
    assert call.finish_reasons == ("length",)
    assert [part["type"] for part in call.output_messages[0]["parts"]] == [
        "server_tool_call", "server_tool_call", "tool_call", "tool_call", "refusal", "text",
    ]  # fmt: skip
    assert call.output_messages[0]["parts"][1]["name"] == "roll"
    assert call.output_messages[0]["parts"][2] == {
        "type": "tool_call",
        "id": "cc",
        "name": "computer",
        "arguments": {"type": "click"},
    }
    assert [part["type"] for part in call.input_messages[0]["parts"]] == ["text", "uri", "file"]
    assert call.input_messages[-1] == {"role": "user", "parts": [{"type": "text", "content": "bare"}]}
    assert call.tool_definitions == ({"type": "web_search"},)


def test_responses_that_fail() -> None:
    failed = {
        "id": "resp_1",
        "status": "failed",
        "error": {"code": "server_error", "message": "oops"},
        "output": [],
    }
    for given_response in (
        failed,
        [{"type": "response.created", "response": {}}, {"type": "response.failed", "response": failed}],
    ):
        call = responses(given_response)
        assert (call.error_type, call.error_message, call.finish_reasons) == (
            "server_error",
            "oops",
            ("error",),
        )
    call = responses([{"type": "error", "code": "rate_limit", "message": "slow down"}])
    assert (call.error_type, call.error_message) == ("rate_limit", "slow down")


def test_the_last_attempt_is_the_answer() -> None:
    attempts = [
        Attempt(
            1, {"status": 200}, b"{}", b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
        ),
        Attempt(0, {"status": 429}, b"{}", b'{"error":{"message":"no"}}'),
    ]
    call = table.fold("openai.chat", attempts)
    assert call.error_type is None
    assert call.output_messages[0]["parts"][0]["content"] == "yes"
    assert table.fold("openai.chat", []) == Call(provider="", operation="chat")
    assert table.fold("from.the.future", attempts).operation == ""


NAMES_IN_BODIES = """
    choices delta message messages content role tool_calls function name arguments index id usage prompt_tokens
    finish_reason error type code output input item output_index response status text part audio data embedding
    model stream tools reasoning summary image_url url file input_audio prompt custom refusal stop metadata
    message_start message_delta message_stop content_block_start content_block_delta content_block delta text_delta
    thinking_delta input_json_delta signature_delta citations_delta citation citations partial_json thinking signature
    stop_reason cache_creation cache_read_input_tokens iterations compaction tool_use tool_result tool_use_id source
    server_tool_use web_search_tool_result redacted_thinking document image max_tokens system
    contents candidates parts thought functionCall functionResponse args partialArgs jsonPath stringValue willContinue
    inlineData finishReason usageMetadata promptTokenCount thoughtsTokenCount promptTokensDetails modality tokenCount
    generationConfig systemInstruction groundingMetadata promptFeedback blockReason requests instances predictions
    embeddings values statistics executableCode codeExecutionResult functionDeclarations
    response done done_reason images options format think prompt_eval_count eval_count
"""
KEYS = st.sampled_from(NAMES_IN_BODIES.split()) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
BODY = (
    JSON.map(lambda value: json.dumps(value).encode())
    | st.lists(
        st.tuples(
            st.sampled_from(
                ["", "event: error\n", "event: response.output_item.added\n", "event: content_block_delta\n"]
            ),
            JSON,
        ),
        max_size=5,
    ).map(lambda events: "".join(f"{name}data: {json.dumps(value)}\n\n" for name, value in events).encode())
    | st.lists(JSON, max_size=5).map(lambda lines: "\n".join(map(json.dumps, lines)).encode())
    | st.binary(max_size=60)
)


URLS = JSON | st.sampled_from(
    [
        "http://h/v1beta/models/m:streamGenerateContent",
        "http://h/api/chat",
        "http://h/v1/projects/p/models/m:predict",
    ]
)


@given(st.sampled_from(NAMES), BODY, BODY, st.none() | st.integers(100, 599), URLS)
def test_fold_is_total_and_can_be_written(
    name: str, request: bytes, response: bytes, status: int | None, noise: Any
) -> None:
    protocol = table.named(name)
    assert protocol is not None
    attempt = Attempt(
        0, {"url": noise, "status": status, "ending": noise, "error_type": noise}, request, response
    )
    from spanreel.protocols import exchange

    call = protocol.fold(exchange.read(attempt))  # not table.fold: its net must not be what holds
    orjson.dumps(
        [
            call.input_messages,
            call.output_messages,
            call.parameters,
            call.tool_definitions,
            call.finish_reasons,
            call.usage and call.usage.raw,
        ],
    )
    assert table.fold(name, [attempt]) == call
    for event in exchange.read(attempt).events:
        assert protocol.carries_output(event) in {True, False}
        assert protocol.carries_text(event) in {True, False}
        assert protocol.ends(event) in {True, False}


@given(st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions"]), BODY)
def test_recognition_is_total(path: str, body: bytes) -> None:
    table.recognise("POST", "h", path, {}, body)

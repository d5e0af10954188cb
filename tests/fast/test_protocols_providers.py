"""Anthropic, Gemini and Ollama on bytes alone: shapes that are hard to get from a client, framings, recognition."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.record import Attempt
from spanreel.protocols import anthropic_usage, framing, gemini_usage, json_array, json_lines, table
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.providers import provider
from spanreel.redaction import Redactor
from spanreel.wire import split
from spanreel.wire.body import TAIL, bounded

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def fold(name: str, response: Any, request: Any = None, url: str = "http://h:1/x", **meta: Any) -> Call:
    """Fold an exchange; a list of values is a stream of server-sent events, bytes are taken as they are."""
    if isinstance(response, list):
        response = b"".join(
            f"event: {event.get('type', '')}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"
            for event in response
        )
    data = response if isinstance(response, bytes) else orjson.dumps(response)
    attempt = Attempt(0, {"url": url, "status": 200, **meta}, orjson.dumps(request or {}), data)
    return table.fold(name, [attempt])


def said(call: Call) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = call.output_messages[0]["parts"]
    return parts


MESSAGES = {"messages": [], "max_tokens": 5}
PUBLISHER = "/v1/projects/p/locations/l/publishers"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/messages", {"model": "m", **MESSAGES}, "anthropic.messages"),
        ("/gateway/anthropic/v1/messages", {"model": "m", **MESSAGES}, "anthropic.messages"),
        ("/v1/messages", MESSAGES, None),
        ("/v1/threads/t/messages", {"role": "user", "content": "a"}, None),
        ("/v1/messages/count_tokens", {"model": "m", "messages": []}, None),
        ("/v1/messages/batches", {"requests": []}, None),
        (f"{PUBLISHER}/anthropic/models/m:rawPredict", MESSAGES, "vertex.anthropic"),
        (f"{PUBLISHER}/anthropic/models/m:streamRawPredict", MESSAGES, "vertex.anthropic"),
        (f"{PUBLISHER}/anthropic/models/count-tokens:rawPredict", {"model": "m", "messages": []}, None),
        (f"{PUBLISHER}/other/models/m:rawPredict", MESSAGES, None),
        ("/v1beta/models/m:generateContent", {"contents": []}, "gemini.generate_content"),
        ("/v1beta/tunedModels/m:streamGenerateContent", {"contents": {}}, "gemini.generate_content"),
        (f"{PUBLISHER}/google/models/m:generateContent", {"contents": []}, "vertex.generate_content"),
        ("/v1/publishers/google/models/m:generateContent", {"contents": []}, "vertex.generate_content"),
        (
            "/v1/projects/p/locations/l/endpoints/7:generateContent",
            {"contents": []},
            "vertex.generate_content",
        ),
        ("/v1beta/models/m:countTokens", {"contents": []}, None),
        ("/v1beta/models/m:generateContent", {"prompt": "a"}, None),
        ("/v1beta/models/m:embedContent", {"content": {"parts": []}}, "gemini.embeddings"),
        ("/v1beta/models/m:batchEmbedContents", {"requests": []}, "gemini.embeddings"),
        (f"{PUBLISHER}/google/models/m:predict", {"instances": [{"content": "a"}]}, "vertex.embeddings"),
        (f"{PUBLISHER}/google/models/imagen:predict", {"instances": [{"prompt": "a"}]}, None),
        ("/v1/models/mine:predict", {"instances": [{"content": "a"}]}, None),
        ("/api/chat", {"model": "m", "messages": [{"role": "user"}]}, "ollama.chat"),
        ("/api/chat", {"id": "x", "messages": [{"role": "user"}]}, None),
        ("/api/chat", {"model": "m", "messages": []}, None),
        ("/api/generate", {"model": "m", "prompt": "a"}, "ollama.generate"),
        ("/api/generate", {"model": "m"}, None),
        ("/api/embed", {"model": "m", "input": "a"}, "ollama.embeddings"),
        ("/api/embeddings", {"model": "m", "prompt": "a"}, "ollama.embeddings"),
        ("/api/embeddings", {"model": "m", "input": "a"}, "openai.embeddings"),
    ],
)
def test_recognition(path: str, body: Any, expected: str | None) -> None:
    assert table.recognise("POST", "h", path, {}, orjson.dumps(body)) == expected


@pytest.mark.parametrize(
    ("host", "port", "protocol", "name"),
    [
        ("127.0.0.1", 9, "anthropic.messages", "anthropic"),
        ("proxy.example.org", None, "anthropic.messages", "anthropic"),
        ("localhost", 11434, "anthropic.messages", "ollama"),
        ("api.deepseek.com", None, "anthropic.messages", "deepseek"),
        ("localhost", 9, "vertex.anthropic", "gcp.vertex_ai"),
        ("us-east5-aiplatform.googleapis.com", None, "vertex.anthropic", "gcp.vertex_ai"),
        ("aiplatform.eu.rep.googleapis.com", None, "openai.chat", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", None, "openai.chat", "gcp.gemini"),
        ("localhost", 9, "gemini.generate_content", "gcp.gemini"),
        ("localhost", 9, "ollama.chat", "ollama"),
        ("ollama.com", None, "ollama.chat", "ollama"),
    ],
)
def test_providers_by_protocol(host: str, port: int | None, protocol: str, name: str) -> None:
    assert provider(host, port, protocol) == name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 7}, (5, 7, None, None, None)),
        ({"input_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 7}, (5, 7, 0, 0, None)),
        ({"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 7}, (105, 7, 100, None, None)),
        ({"input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}, "output_tokens": 1}, (10, 1, None, 5, 3)),
        (
            # A compaction is billed beside the totals; the rounds of the message are inside of them.
            {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 5, "iterations": [
                {"type": "compaction", "input_tokens": 1000, "output_tokens": 300, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 2},
                {"type": "message", "input_tokens": 10, "output_tokens": 20},
                {"type": "advisor_message", "model": "m", "input_tokens": 7, "output_tokens": 8},
                "nonsense",
            ]},
            (1018, 320, 6, 2, None),
        ),
        ({"output_tokens": -1, "input_tokens": None}, (None, None, None, None, None)),
    ],
)  # fmt: skip
def test_anthropic_usage_is_inclusive(raw: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    found = anthropic_usage.usage(raw)
    assert found is not None
    assert (
        found.input_tokens, found.output_tokens, found.cache_read_tokens, found.cache_write_tokens,
        found.cache_write_1h_tokens,
    ) == expected  # fmt: skip
    assert found.raw == raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}, (10, 5, None, None)),
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22}, (10, 12, None, 7)),
        ({"promptTokenCount": 10, "candidatesTokenCount": 12, "thoughtsTokenCount": 7, "totalTokenCount": 22}, (10, 12, None, 7)),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 17}, (10, 7, None, 7)),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, (10, 0, None, None)),
        ({"promptTokenCount": 10}, (10, None, None, None)),
        ({"promptTokenCount": 10, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 1, "cachedContentTokenCount": 8}, (13, 1, 8, None)),
        ({"prompt_token_count": 4, "candidates_token_count": 2}, (4, 2, None, None)),
        ({"promptTokenCount": 10, "responseTokenCount": 4}, (10, 4, None, None)),
    ],
)  # fmt: skip
def test_gemini_usage_is_inclusive(raw: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    found = gemini_usage.usage(raw)
    assert found is not None
    assert (
        found.input_tokens, found.output_tokens, found.cache_read_tokens, found.reasoning_tokens,
    ) == expected  # fmt: skip


def test_gemini_counts_by_modality_and_searches() -> None:
    def details(**counts: int) -> list[dict[str, Any]]:
        return [{"modality": name, "tokenCount": count} for name, count in counts.items()]

    counts = {
        "promptTokenCount": 500, "cachedContentTokenCount": 90, "candidatesTokenCount": 1290,
        "promptTokensDetails": details(TEXT=100, AUDIO=300, IMAGE=100), "cacheTokensDetails": details(AUDIO=80, TEXT=10),
        "candidatesTokensDetails": details(IMAGE=1290),
    }  # fmt: skip
    grounded = {
        "index": 0,
        "finishReason": "STOP",
        "groundingMetadata": {"webSearchQueries": ["a", "b", "c"]},
    }
    for model, searches in (("gemini-2.5-flash", 1), ("gemini-3-pro-preview", 3)):
        answer = {"candidates": [grounded], "usageMetadata": counts, "modelVersion": model}
        call = fold("gemini.generate_content", answer, url=GEMINI)
        assert call.usage == Usage(
            input_tokens=500, output_tokens=1290, cache_read_tokens=90, audio_input_tokens=300,
            audio_cache_read_tokens=80, image_input_tokens=100, image_output_tokens=1290, web_searches=searches,
            raw=counts,
        )  # fmt: skip


def test_gemini_usage_that_tells_nothing() -> None:
    assert gemini_usage.usage(None) is None
    assert gemini_usage.usage({"trafficType": "ON_DEMAND"}) == Usage(raw={"trafficType": "ON_DEMAND"})


def test_blocks_of_servers_own_tools() -> None:
    content = [
        {"type": "mcp_tool_use", "id": "m1", "name": "roll", "server_name": "dice", "input": {"n": 1}},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "m1",
            "is_error": False,
            "content": [{"type": "text", "text": "4"}],
        },
        {"type": "server_tool_use", "id": "c1", "name": "bash_code_execution", "input": {"command": "ls"}},
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "c1",
            "content": {"stdout": "a", "return_code": 0},
        },
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "compaction", "content": "what was said"},
        {"type": "from_the_future", "value": 1},
        {"type": "text"},
        "bare",
        7,
    ]
    call = fold("anthropic.messages", {"role": "assistant", "content": content, "stop_reason": "compaction"})
    assert said(call) == [
        {"type": "server_tool_call", "id": "m1", "name": "roll",
         "server_tool_call": {"type": "mcp", "server_name": "dice", "input": {"n": 1}}},
        {"type": "server_tool_call_response", "id": "m1",
         "server_tool_call_response": {"type": "mcp", "is_error": False, "content": [{"type": "text", "text": "4"}]}},
        {"type": "server_tool_call", "id": "c1", "name": "bash_code_execution",
         "server_tool_call": {"type": "bash_code_execution", "input": {"command": "ls"}}},
        {"type": "server_tool_call_response", "id": "c1",
         "server_tool_call_response": {"type": "bash_code_execution", "content": {"stdout": "a", "return_code": 0}}},
        {"type": "file", "modality": "document", "file_id": "file_1"},
        {"type": "compaction", "content": "what was said"},
        {"type": "from_the_future", "value": 1},
        {"type": "text"},
        {"type": "text", "content": "bare"},
        {"type": "unknown"},
    ]  # fmt: skip
    assert call.finish_reasons == ("compaction",)


def test_documents_of_every_source() -> None:
    content = [
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
            "context": "c",
        },
        {
            "type": "search_result",
            "source": "https://x",
            "title": "T",
            "content": [{"type": "text", "text": "b"}],
        },
        {"type": "image", "source": {"type": "from_the_future"}},
    ]
    call = fold(
        "anthropic.messages", {}, {"messages": [{"role": "user", "content": content}], "system": "Be kind."}
    )
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert call.input_messages[0]["parts"] == [
        {"type": "file", "modality": "document", "file_id": "f"},
        {"type": "document", "content": [{"type": "text", "content": "a"}], "context": "c"},
        {
            "type": "search_result",
            "source": "https://x",
            "title": "T",
            "content": [{"type": "text", "content": "b"}],
        },
        {"type": "image", "source": {"type": "from_the_future"}},
    ]


def test_a_stream_of_anthropic_that_was_shortened_or_handed_over() -> None:
    start = {
        "id": "msg",
        "model": "big",
        "role": "assistant",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    call = fold("anthropic.messages", [
        {"type": "message_start", "message": start},
        {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": '{"a": '}},
        {"type": "content_block_start", "index": 5, "content_block": {"type": "fallback", "to": {"model": "small"}}},
        {"type": "content_block_start", "index": 6, "content_block": {"type": "text", "text": "Hel"}},
        {"type": "content_block_delta", "index": 6, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "message_delta", "delta": {"stop_reason": "pause_turn"}, "usage": {"output_tokens": 9, "input_tokens": None}},
    ])  # fmt: skip
    assert said(call)[0] == {"type": "tool_call", "arguments": '{"a": '}
    assert said(call)[2] == {"type": "text", "content": "Hello"}
    assert (call.response_model, call.finish_reasons, call.error_type) == ("small", ("stop",), None)
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (3, 9)


def test_gemini_in_snake_case() -> None:
    call = fold(
        "gemini.generate_content",
        {"candidates": [{"content": {"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]}, "finish_reason": "STOP"}]},
        {
            "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "video/mp4", "data": "AA=="}}]}],
            "system_instruction": {"parts": {"text": "Be kind."}},
            "generation_config": {"max_output_tokens": 5, "top_k": 40, "thinking_config": {"thinking_level": "LOW"}},
            "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}, {"google_search": {}}],
            "tool_config": {"function_calling_config": {"mode": "ANY"}},
        },
        url=GEMINI,
    )  # fmt: skip
    assert call.input_messages[0]["parts"] == [
        {"type": "blob", "mime_type": "video/mp4", "modality": "video", "content": "AA=="}
    ]
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]
    assert call.parameters == {
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.reasoning.level": "low",
        "spanreel.request.tool_choice": {"mode": "ANY"},
    }
    assert call.tool_definitions == (
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "google_search"},
    )
    assert (said(call), call.finish_reasons) == (
        [{"type": "tool_call", "name": "f", "arguments": {}}],
        ("tool_call",),
    )


def piece(call: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    found = {"content": {"role": "model", "parts": [{"functionCall": call}]}, "index": 0}
    return {"candidates": [{**found, "finishReason": reason} if reason else found]}


def test_arguments_that_vertex_streams() -> None:
    call = fold("vertex.generate_content", [
        piece({"name": "book", "id": "1", "willContinue": True}),
        piece({"partialArgs": [{"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}], "willContinue": True}),
        piece({"partialArgs": [{"jsonPath": "$.city", "stringValue": "is"}], "willContinue": True}),
        piece({"partialArgs": [
            {"jsonPath": "$.rooms[0].beds", "numberValue": 2}, {"jsonPath": "$.rooms[1]['sea view']", "boolValue": True},
            {"jsonPath": "$.rooms[7].beds", "numberValue": 9}, {"jsonPath": "$"}, {"jsonPath": "$.city.x", "boolValue": True},
        ], "willContinue": True}),
        piece({}, "STOP"),
    ])  # fmt: skip
    assert said(call)[0] == {
        "type": "tool_call", "id": "1", "name": "book",
        "arguments": {"city": {"x": True}, "rooms": [{"beds": 2}, {"sea view": True}]},
    }  # fmt: skip
    assert call.finish_reasons == ("tool_call",)


def test_ollama_that_ends_without_a_word() -> None:
    lines = b'{"model":"m","message":{"role":"assistant","content":""},"done":true}\n'
    call = fold("ollama.chat", lines, response_headers={"content-type": "application/x-ndjson"})
    assert (call.stream, call.finish_reasons, call.usage, call.error_type) == (True, ("stop",), None, None)
    call = fold("ollama.chat", {"message": {"content": "half"}, "done": False})
    assert (call.error_type, call.finish_reasons) == ("stream_cut", ("error",))


VALUES: st.SearchStrategy[Any] = st.lists(
    st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.lists(st.integers(-9, 9), max_size=2) | st.just({"a": {}}), min_size=1),
    min_size=1,
    max_size=6,
)  # fmt: skip


@given(VALUES, st.sampled_from([None, 1]), st.data())
def test_elements_of_an_array_come_back_even_if_it_was_cut(
    values: Any, indent: int | None, data: Any
) -> None:
    whole = json.dumps(values, indent=indent).encode()
    assert [orjson.loads(event.data) for event in json_array.events(whole)] == values
    assert framing.find(whole, path="/m:streamGenerateContent") is framing.ARRAY
    assert framing.find(whole, path="/m:generateContent") is None
    assert [event.data for event in json_array.last(whole, 2)] == [
        event.data for event in json_array.events(whole)
    ][-2:]
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    found = [event for event in json_array.events(cut) if event.end < len(cut) or event.end == len(whole) - 1]
    assert [orjson.loads(event.data) for event in found] == values[: len(found)]


@given(VALUES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_lines_come_back_as_they_were_sent(values: Any, newline: bytes, ended: bool) -> None:
    data = newline.join(map(orjson.dumps, values)) + (newline if ended else b"")
    assert [orjson.loads(event.data) for event in json_lines.events(data)] == values
    assert [event.data for event in json_lines.last(data, 2)] == [orjson.dumps(value) for value in values][
        -2:
    ]
    assert [data[: event.end].rstrip().endswith(event.data) for event in json_lines.events(data)] == [
        True
    ] * len(values)
    assert json_lines.looks_like(data) is (len(values) > 1)
    assert framing.find(data, "application/x-ndjson; charset=utf-8") is framing.LINES


def test_one_json_value_is_no_stream() -> None:
    for value in ({"a": [{"b": 1}, {"c": 2}]}, [{"a": 1}], {}, [], "text"):
        for indent in (None, 2):
            assert (
                framing.find(json.dumps(value, indent=indent).encode(), "application/json", "/api/chat")
                is None
            )


@pytest.mark.parametrize("framed", [framing.LINES, framing.ARRAY])
def test_a_long_stream_keeps_its_first_and_last_events(framed: framing.Framing) -> None:
    values = [{"n": n, "text": "x" * 500} for n in range(2000)]
    lines = b"\n".join(map(orjson.dumps, values)) + b"\n"
    data = lines if framed is framing.LINES else orjson.dumps(values)
    kept, untouched = bounded(data, b"", 4 * TAIL, framed)
    assert len(kept) <= 6 * TAIL
    assert kept[:untouched] == data[:untouched]
    numbers = [orjson.loads(event.data)["n"] for event in framed.events(kept)]
    assert numbers[:3] == [0, 1, 2]
    assert numbers[-1] == 1999
    assert numbers == sorted(set(numbers))
    if framed is framing.ARRAY:
        assert len(orjson.loads(kept)) == len(numbers)


def test_a_secret_that_json_lines_bring_in_pieces() -> None:
    secret = "sk-ant-api03-" + "aB3dE5gH7jK9mN1p" * 5
    pieces = [secret[start : start + 9] for start in range(0, len(secret), 9)]
    data = b"".join(
        orjson.dumps({"response": text, "done": False}) + b"\n" for text in ["It is ", *pieces, "."]
    )
    clean, _ = split.without_secrets(data, [0], Redactor())
    joined = "".join(orjson.loads(line)["response"] for line in clean.splitlines())
    assert "REDACTED" in joined
    assert secret not in joined
    assert all("done" in orjson.loads(line) for line in clean.splitlines())


def test_an_error_that_google_wraps_into_a_list() -> None:
    body = b'[{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}]'
    call = fold("gemini.generate_content", body, url=GEMINI, status=429)
    assert (call.error_type, call.error_message) == ("429", "Slow down. [RESOURCE_EXHAUSTED]")


def timed(name: str, events: list[dict[str, Any]], **meta: Any) -> Call:
    """Fold a stream whose every event came in a chunk of its own, a nanosecond after the one before."""
    blocks = [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]
    starts = [sum(map(len, blocks[:number])) for number in range(len(blocks))]
    chunks = [[start, number] for number, start in enumerate(starts)]
    attempt = Attempt(0, {"status": 200, "start_ns": 1000, "chunks": chunks, **meta}, b"{}", b"".join(blocks))
    return table.fold(name, [attempt])


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": None}]}


def test_when_a_reasoning_models_text_begins() -> None:
    opening, thought, text = (
        delta(role="assistant", content=""),
        delta(reasoning_content="hm"),
        delta(content="Hi"),
    )
    assert timed("openai.chat", [opening, thought, text, text]).first_visible_ns == 1002
    assert timed("openai.chat", [opening, text]).first_visible_ns == 1001
    assert timed("openai.chat", [opening, delta(tool_calls=[{"index": 0}])]).first_visible_ns is None
    mistral = [
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        delta(content="Hi"),
    ]
    assert timed("openai.chat", mistral).first_visible_ns == 1001
    responses: list[Any] = [
        {"type": "response.created", "response": {}},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.function_call_arguments.delta", "delta": "{"},
        {"type": "response.output_text.delta", "delta": "Hi"},
    ]
    assert timed("openai.responses", responses).first_visible_ns == 1003
    assert timed("openai.completions", [{"choices": [{"text": "Hi"}]}]).first_visible_ns == 1000


@pytest.mark.parametrize("chunks", [None, 7, [[0]], [["a", 1]], [[10**9, 1]]])
def test_times_that_are_not_told(chunks: Any) -> None:
    assert timed("openai.chat", [delta(content="Hi")], chunks=chunks).first_visible_ns is None

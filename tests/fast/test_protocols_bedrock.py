"""Bedrock's protocols on bodies of any shape, and on what boto3 has no model for."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from bedrock_server import chunk, frame
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.record import Attempt
from spanreel.protocols import exchange, table
from spanreel.protocols.bedrock_parts import usage

NAMES = ("bedrock.converse", "bedrock.invoke", "bedrock.embed", "bedrock.rerank")
EVENTS = (
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "chunk", "x",
)  # fmt: skip
NAMES_IN_BODIES = """
    messages role content text image document video audio toolUse toolResult toolUseId input name status json source
    bytes s3Location uri format guardContent cachePoint reasoningContent reasoningText redactedContent signature
    citationsContent citations system inferenceConfig maxTokens stopSequences topP toolConfig tools toolSpec inputSchema
    systemTool guardrailConfig additionalModelRequestFields top_k thinking outputConfig textFormat serviceTier type
    output message stopReason usage inputTokens outputTokens cacheReadInputTokens cacheWriteInputTokens cacheDetails ttl
    metrics latencyMs trace guardrail promptRouter invokedModelId contentBlockIndex start delta citation promptVariables
    messageStart contentBlockDelta messageStop metadata amazon-bedrock-invocationMetrics inputTokenCount
    prompt inputText textGenerationConfig generation prompt_token_count results outputText tokenCount completionReason
    outputs choices stop_reason finish_reason generations completion anthropic_version event_type response is_finished
    texts images embeddings embedding embeddingsByType inputTextTokenCount query documents index relevance_score
"""
KEYS = st.sampled_from(NAMES_IN_BODIES.split()) | st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
MODELS = (
    "anthropic.claude-3",
    "amazon.nova-pro-v1:0",
    "amazon.titan-embed",
    "cohere.command-r",
    "meta.llama3",
)
PATHS = [f"http://h/model/{model}/{end}" for model in MODELS
         for end in ("converse", "converse-stream", "invoke", "invoke-with-response-stream")]  # fmt: skip
STREAM = st.lists(
    st.tuples(st.sampled_from(EVENTS), JSON).map(lambda pair: frame(pair[0], json.dumps(pair[1])))
    | st.dictionaries(KEYS, JSON, max_size=5).map(chunk),
    max_size=6,
).map(b"".join)
BODY = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@given(st.sampled_from(NAMES), BODY, BODY | STREAM, st.none() | st.integers(100, 599), st.sampled_from(PATHS))
def test_fold_is_total_and_can_be_written(
    name: str, request: bytes, response: bytes, status: int | None, url: str
) -> None:
    attempt = Attempt(0, {"url": url, "status": status}, request, response)
    protocol = table.named(name)
    assert protocol is not None
    read = exchange.read(attempt)
    call = protocol.fold(read)
    orjson.dumps(
        [call.input_messages, call.output_messages, call.parameters, call.tool_definitions, call.documents,
         call.system_instructions, call.finish_reasons, call.usage and call.usage.raw],
    )  # fmt: skip
    assert table.fold(name, [attempt]).provider == "aws.bedrock"
    for event in read.events:
        assert {protocol.carries_output(event), protocol.carries_text(event), protocol.ends(event)} <= {
            True,
            False,
        }
    table.recognise("POST", "h", url.removeprefix("http://h"), {}, request)


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        ("/model/m/converse", {"messages": []}, "bedrock.converse"),
        ("/model/a%3Ab%2Fc/converse-stream", {"messages": []}, "bedrock.converse"),
        ("/prefix/model/m/converse", {"promptVariables": {}}, "bedrock.converse"),
        ("/model/meta.m/invoke", {"prompt": "x"}, "bedrock.invoke"),
        ("/model/arn%3Aaws%3Abedrock/invoke", {"messages": []}, "bedrock.invoke"),
        ("/model/amazon.titan-embed-text-v2:0/invoke", {"inputText": "x"}, "bedrock.embed"),
        ("/model/amazon.titan-text-lite-v1/invoke", {"inputText": "x"}, "bedrock.invoke"),
        ("/model/cohere.rerank-v3-5:0/invoke", {"query": "q", "documents": ["d"]}, "bedrock.rerank"),
        ("/model/m/count-tokens", {"input": {}}, None),
        ("/chain/invoke", {"input": "x", "messages": []}, None),
        ("/converse", {"messages": []}, None),
    ],
)
def test_recognition(path: str, request_: dict[str, Any], expected: str | None) -> None:
    assert table.recognise("POST", "h", path, {}, json.dumps(request_).encode()) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"inputTokens": 5, "outputTokens": 3}, (5, 3, None, None, None)),
        ({"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}, (5, 3, 0, 0, None)),
        ({"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokenCount": 7}, (12, 3, 7, None, None)),
        (
            {"inputTokens": 5, "outputTokens": 0, "cacheWriteInputTokens": 9,
             "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 5}]},
            (14, 0, None, 9, 4),
        ),
    ],
)  # fmt: skip
def test_usage_is_inclusive(raw: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    found = usage(raw)
    assert found is not None
    assert (
        found.input_tokens, found.output_tokens, found.cache_read_tokens, found.cache_write_tokens, found.cache_write_1h_tokens,
    ) == expected  # fmt: skip
    assert found.raw == raw
    assert usage({}) is usage(None) is None


def test_blocks_that_boto3_has_no_name_for_yet() -> None:
    request = {
        "messages": [{"role": "user", "content": [{"hologram": {"format": "x"}}, {}, "odd", {"text": 3}]}]
    }
    attempt = Attempt(0, {"url": PATHS[0]}, json.dumps(request).encode(), b"")
    parts = table.fold("bedrock.converse", [attempt]).input_messages[0]["parts"]
    assert parts[0] == {"type": "hologram", "format": "x"}
    assert [part["type"] for part in parts[1:]] == ["unknown", "unknown", "text"]


def test_results_of_server_tools_citations_and_redacted_thoughts_in_a_stream() -> None:
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "c2Vj"}}}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "s", "type": "server_tool_use"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":'}}}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolResult": {"toolUseId": "t", "status": "error"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolResult": [{"text": "no"}]}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"text": "It says"}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"citation": {"title": "Book"}}}),
        ("messageStop", {"stopReason": "stop_sequence"}),
    ]  # fmt: skip
    response = b"".join(frame(kind, json.dumps(body)) for kind, body in events)
    call = table.fold("bedrock.converse", [Attempt(0, {"url": PATHS[1]}, b'{"messages":[]}', response)])
    assert call.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "", "redacted": True, "data": "c2Vj"},
        {"type": "server_tool_call", "id": "t", "name": "s", "server_tool_call": {"input": '{"a":'}},
        {"type": "tool_call_response", "id": "t", "response": "no", "is_error": True},
        {"type": "text", "content": "It says", "citations": [{"title": "Book"}]},
    ]
    assert (call.finish_reasons, call.error_type) == (("stop",), None)

"""Spans of instrumentations that have no dialect here: read by what their attributes are called, or left alone.

The first cases are real products by the names that they document; `acme` and `app` are nobody's.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from otlp_spans import read

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]
HI, HELLO = (
    json.dumps([{"role": "user", "content": "hi"}]),
    json.dumps([{"role": "assistant", "content": "hello"}]),
)
GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 9,
    "gen_ai.usage.output_tokens": 2,
}
CHOICE = {"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
CALLS: dict[str, dict[str, Any]] = {
    "laminar": {**GENAI, "lmnr.span.type": "LLM", "lmnr.span.input": HI, "lmnr.span.output": HELLO,
                "lmnr.association.properties.session_id": "s1"},
    "livekit": {**GENAI, "lk.response.text": "hello", "session.id": "s1",
                "lk.chat_ctx": json.dumps({"items": [{"type": "message", "role": "user", "content": ["hi"]}]})},
    "langwatch": {"langwatch.span.type": "llm", "langwatch.input": json.dumps({"type": "chat_messages", "value": json.loads(HI)}),
                  "langwatch.output": json.dumps({"type": "chat_messages", "value": json.loads(HELLO)}), "langwatch.thread.id": "s1",
                  "langwatch.metrics": json.dumps({"promptTokens": 9, "completionTokens": 2}), "gen_ai.request.model": "gpt-4o"},
    "braintrust": {"braintrust.span_attributes": json.dumps({"type": "llm"}), "braintrust.input_json": HI,
                   "braintrust.output_json": json.dumps([CHOICE]), "braintrust.metadata": json.dumps({"model": "gpt-4o"}),
                   "braintrust.metrics": json.dumps({"prompt_tokens": 9, "completion_tokens": 2}), "session.id": "s1"},
    "langtrace": {"langtrace.service.type": "llm", "langtrace.service.name": "OpenAI", "llm.model": "gpt-4o", "llm.prompts": HI,
                  "llm.responses": HELLO, "llm.token.counts": json.dumps({"input_tokens": 9, "output_tokens": 2}), "session.id": "s1"},
    "voltagent": {"span.type": "llm", "llm.model": "gpt-4o", "llm.provider": "openai", "llm.usage.prompt_tokens": 9,
                  "llm.usage.completion_tokens": 2, "input": HI, "output": "hello", "conversation.id": "s1"},
    "acme names": {"acme.llm.modelName": "gpt-4o", "acme.llm.promptTokens": "9", "acme.llm.completionTokens": 2, "acme.llm.input": "hi",
                   "acme.llm.output": "hello", "acme.sessionId": "s1"},
    "acme flattened": {"acme.request.model": "gpt-4o", "acme.messages.0.role": "user", "acme.messages.0.content": "hi",
                       "acme.completions.0.role": "assistant", "acme.completions.0.content": "hello", "acme.usage.input_tokens": 9,
                       "acme.usage.output_tokens": 2, "acme.thread_id": "s1"},
    "app objects": {"app.model": "gpt-4o", "app.usage": {"prompt_tokens": 9, "completion_tokens": 2}, "app.messages": HI,
                    "app.response": {"choices": [CHOICE]}, "app.session-id": "s1"},
}  # fmt: skip


@pytest.mark.parametrize("who", sorted(CALLS))
def test_a_call_is_read_by_its_names(who: str) -> None:
    row = read(CALLS[who], name="call")
    assert (row.kind, row.request_model, row.input_tokens, row.output_tokens) == ("llm", "gpt-4o", 9, 2)
    assert json.loads(row.input or "null") == ASKED
    assert [{**one, "finish_reason": None} for one in json.loads(row.output or "null")] == [
        {**one, "finish_reason": None} for one in ANSWERED
    ]
    assert row.session_id == "s1"


TOOLS: dict[str, dict[str, Any]] = {
    "laminar": {"lmnr.span.type": "TOOL", "lmnr.span.input": '{"city": "Paris"}', "lmnr.span.output": '{"temp": 18}'},
    "livekit": {"lk.function_tool.name": "get_weather", "lk.function_tool.arguments": '{"city": "Paris"}',
                "lk.function_tool.output": '{"temp": 18}'},
    "spring": {"spring.ai.kind": "tool_call", "spring.ai.tool.definition.name": "get_weather",
               "spring.ai.tool.call.arguments": '{"city": "Paris"}', "spring.ai.tool.call.result": '{"temp": 18}'},
    "acme": {"acme.tool_name": "get_weather", "acme.tool_input": {"city": "Paris"}, "acme.tool_output": {"temp": 18}},
}  # fmt: skip


@pytest.mark.parametrize("who", sorted(TOOLS))
def test_a_tool_is_read_by_its_names(who: str) -> None:
    row = read(TOOLS[who], name="get_weather")
    assert (row.kind, row.tool_name) == ("tool", "get_weather")
    assert json.loads(row.input or "null") == {"city": "Paris"}
    assert json.loads(row.output or "null") == {"temp": 18}


def test_a_retrieval_is_read_by_its_names() -> None:
    row = read(
        {"rag.query": "refunds?", "rag.documents": '[{"id": "d1", "text": "30 days", "score": 0.9}]'},
        name="search",
    )
    assert row.kind == "retrieval"
    assert json.loads(row.input or "null") == "refunds?"
    assert [(doc.id, doc.score, doc.content) for doc in row.documents] == [("d1", 0.9, "30 days")]


def test_claude_code_counts_cached_tokens_beside_the_input() -> None:
    row = read(
        {"span.type": "llm_request", "model": "claude-sonnet-4-5", "input_tokens": 21, "output_tokens": 93,
         "cache_read_tokens": 2048, "cache_creation_tokens": 188, "ttft_ms": 700},
        name="claude_code.llm_request",
    )  # fmt: skip
    assert (row.kind, row.input_tokens, row.cache_read_tokens, row.cache_write_tokens) == (
        "llm",
        2257,
        2048,
        188,
    )
    assert row.ttft_ms == 700


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "http.request.method": "POST",
            "url.path": "/chat",
            "server.address": "x",
            "http.request.model": "gpt-4o",
        },
        {"db.system": "postgresql", "db.operation": "SELECT", "db.statement": "select 1"},
        {"query": "x", "type": "gold", "result": "ok", "input": "a", "customer.tier": "gold"},
        {"model": "T", "colour": "black"},
        {"rpc.system": "grpc", "rpc.method": "Retrieve"},
    ],
)
def test_what_is_about_something_else_is_left_alone(attributes: dict[str, Any]) -> None:
    row = read(attributes, name="handle")
    assert (row.kind, row.dialect, row.input, row.output, row.request_model) == (
        "span",
        "otel",
        None,
        None,
        None,
    )


def test_buckets_of_langfuse_do_not_overlap_unless_a_total_says_so() -> None:
    head = {"langfuse.observation.type": "generation"}
    usage = {"input": 21, "output": 93, "cache_read_input_tokens": 2048, "cache_creation_input_tokens": 188}
    apart = read({**head, "langfuse.observation.usage_details": json.dumps(usage)})
    assert (apart.input_tokens, apart.output_tokens, apart.cache_read_tokens) == (2257, 93, 2048)
    inside = read(
        {
            **head,
            "langfuse.observation.usage_details": {
                "input": 49,
                "output": 31,
                "total": 80,
                "input_cached_tokens": 10,
            },
        }
    )
    assert (inside.input_tokens, inside.cache_read_tokens) == (49, 10)


def test_haystack_says_by_its_types_what_ran() -> None:
    reply = {"role": "assistant", "meta": {"model": "gpt-4o-2024-08-06", "finish_reason": "stop",
                                           "usage": {"prompt_tokens": 9, "completion_tokens": 2}}, "content": [{"text": "hello"}]}  # fmt: skip
    row = read({
        "haystack.component.type": "OpenAIChatGenerator", "haystack.component.name": "llm",
        "haystack.component.input": json.dumps({"messages": json.loads(HI)}), "haystack.component.output": json.dumps({"replies": [reply]}),
    }, name="haystack.component.run")  # fmt: skip
    assert (row.kind, row.provider, row.response_model, row.input_tokens, row.finish_reason) == (
        "llm", "openai", "gpt-4o-2024-08-06", 9, "stop",
    )  # fmt: skip
    assert json.loads(row.input or "null") == ASKED
    found = read({
        "haystack.component.type": "InMemoryBM25Retriever", "haystack.component.input": {"query": "refunds?"},
        "haystack.component.output": {"documents": [{"id": "d1", "content": "30 days", "score": 0.9}]},
    })  # fmt: skip
    assert (found.kind, found.documents[0].content) == ("retrieval", "30 days")
    assert json.loads(found.input or "null") == "refunds?"

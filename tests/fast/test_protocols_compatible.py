"""Cohere, Mistral, TGI, rerankers and the imitators of OpenAI on bytes alone: who it was, odd shapes, odd bytes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.analysis.record import Attempt
from spanreel.protocols import exchange, servers, table
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.openai_usage import usage
from spanreel.protocols.providers import by_host, provider
from spanreel.redaction import Redactor
from spanreel.wire import split
from spanreel.wire.headers import REQUEST, RESPONSE

LOCAL = "http://127.0.0.1:8000/v1/chat/completions"


def fold(name: str, response: Any, request: Any = None, *, url: str = LOCAL, **meta: Any) -> Call:
    """Fold an exchange; a list of values is a stream, bytes are taken as they are."""
    if isinstance(response, list):
        response = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in response)
    elif not isinstance(response, bytes):
        response = orjson.dumps(response)
    sent = orjson.dumps(request if request is not None else {"model": "m", "messages": []})
    return table.fold(name, [Attempt(0, {"url": url, "status": 200, **meta}, sent, response)])


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v2/chat", {"model": "m", "messages": []}, "cohere.chat"),
        ("/v1/chat", {"message": "hi", "stream": False}, "cohere.chat_v1"),
        ("/v1/chat", {"messages": []}, None),
        ("/v2/embed", {"model": "m", "texts": ["a"]}, "cohere.embed"),
        ("/v1/embed", {"texts": ["a"], "model": "m"}, "cohere.embed"),
        ("/v1/embed", {"inputs": "a"}, "tei.embed"),
        ("/embed", {"inputs": ["a"]}, "tei.embed"),
        ("/v2/rerank", {"model": "m", "query": "q", "documents": ["a"]}, "cohere.rerank"),
        ("/rerank", {"query": "q", "texts": ["a"]}, "tei.rerank"),
        ("/v1/rerank", {"query": "q"}, None),
        ("/v1/fim/completions", {"model": "m", "prompt": "a", "suffix": "b"}, "mistral.fim"),
        ("/v1/agents/completions", {"agent_id": "a", "messages": []}, "mistral.agents"),
        ("/v1/agents/completions", {"agent_id": "a"}, None),
        ("/beta/completions", {"model": "deepseek-chat", "prompt": "a", "suffix": "b"}, "openai.completions"),
        ("/generate", {"inputs": "a"}, "tgi.generate"),
        ("/generate_stream", {"inputs": "a", "parameters": {"x": 1}}, "tgi.generate"),
        ("/generate", {"prompt": "a"}, None),
        ("/", {"inputs": "a", "parameters": {}}, "tgi.generate"),
        ("", {"inputs": "a", "parameters": {"max_new_tokens": 5}, "stream": True}, "tgi.generate"),
        ("/", {"inputs": "a", "parameters": {"brightness": 5}}, None),
        ("/", {"inputs": "a", "parameters": {}, "user": 1}, None),
        ("/", {"inputs": ["a"], "parameters": {}}, None),
        ("/", {"jsonrpc": "2.0"}, None),
        ("/hf-inference/models/o/n", {"inputs": "a", "parameters": {}}, "tgi.generate"),
        (
            "/hf-inference/models/o/n/pipeline/feature-extraction",
            {"inputs": "a"},
            "hugging_face.feature_extraction",
        ),
        ("/openai/v1/chat/completions", {"model": "m", "messages": []}, "openai.chat"),
        ("/api/items/", {"inputs": "a", "parameters": {}}, None),
    ],
)
def test_recognition(path: str, body: Any, expected: str | None) -> None:
    assert table.recognise("POST", "127.0.0.1", path, {}, orjson.dumps(body)) == expected


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.cohere.com", "cohere"),
        ("router.huggingface.co", "hugging_face"),
        ("xyz.us-east-1.aws.endpoints.huggingface.cloud", "hugging_face"),
        ("api.jina.ai", "jina_ai"),
        ("api.voyageai.com", "voyageai"),
        ("127.0.0.1", None),
        ("llm.internal", None),
    ],
)
def test_hosts(host: str, name: str | None) -> None:
    assert by_host(host) == name


def test_a_protocol_names_who_leaves_no_sign() -> None:
    assert provider("llm.internal", 80, "cohere.rerank") == "cohere"
    assert provider("llm.internal", 80, "mistral.fim") == "mistral_ai"
    assert provider("llm.internal", 80, "tgi.generate") == "tgi"
    assert provider("localhost", 1234, "openai.chat") == "lm_studio"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"system_fingerprint": "3.3.6-sha-e3d5c0a"}, "tgi"),
        ({"system_fingerprint": "3.3.6-dev0-sha-e3d5c0a"}, "tgi"),
        ({"system_fingerprint": "2.0.1-native"}, "tgi"),
        ({"system_fingerprint": "b6123-79c1160b"}, "llama_cpp"),
        ({"system_fingerprint": "vllm-0.15.0-0a1b2c3d"}, "vllm"),
        ({"system_fingerprint": "fp_ollama"}, "ollama"),
        ({"system_fingerprint": "qwen", "model": "qwen"}, "lm_studio"),
        ({"system_fingerprint": "", "model": ""}, "openai"),
        ({"id": "embd-1"}, "vllm"),
        ({"id": "gen-1", "provider": "Anthropic"}, "openrouter"),
        ({"id": "gen-1"}, "openai"),
        ({"usage": {"prompt_cache_miss_tokens": 1}, "model": "deepseek-chat"}, "deepseek"),
        ({"usage": {"prompt_cache_miss_tokens": 1}, "model": "other"}, "openai"),
        ({"usage": {"search_context_size": "low"}}, "perplexity"),
        ({"model": "accounts/fireworks/models/x"}, "fireworks"),
        ({"time_info": {}}, "cerebras"),
        ({"choices": [{"seed": 1}]}, "together"),
        ({"choices": [{"content_filter_results": {}}]}, "azure.ai.openai"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_signs_in_a_body(body: dict[str, Any], name: str, stream: bool) -> None:
    assert fold("openai.chat", [body] if stream else body).provider == name


@pytest.mark.parametrize(("header", "name"), servers.RESPONSE_HEADERS.items())
def test_signs_in_response_headers(header: str, name: str) -> None:
    assert header in RESPONSE
    assert fold("openai.chat", {}, response_headers={header: "1"}).provider == name


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("speakeasy-sdk/python 3.7.0 2.935.1 1.0.0 mistralai", "mistral_ai"),
        ("speakeasy-sdk/python 1.0 2.0 1.0.0 other", "openai"),
        ("Groq/Python 1.7.0", "groq"),
        ("AsyncTogether/Python 3.1.1", "together"),
        ("AzureOpenAI/Python 3.57.0", "azure.ai.openai"),
        ("cohere/7.3.1", "cohere"),
        ("OpenAI/Python 3.57.0", "openai"),
    ],
)
def test_signs_of_a_client(agent: str, name: str) -> None:
    assert "user-agent" in REQUEST
    headers = {"user-agent": agent}
    assert fold("openai.chat", {}, request_headers=headers).provider == name
    # what the answer shows comes first: an SDK may be pointed at another's server
    assert fold("openai.chat", {"x_groq": {}}, request_headers=headers).provider == "groq"
    assert fold("openai.chat", {}, request_headers=headers, url="https://api.x.ai/v1/chat").provider == "x_ai"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # xAI (docs.x.ai): reasoning counted apart, ticks of 1e-10 dollars, searches of its tools
        (
            {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}, "cost_in_usd_ticks": 37756000, "server_side_tool_usage_details": {"web_search_calls": 0, "x_search_calls": 3}},
            Usage(32, 103, reasoning_tokens=94, web_searches=3, cost_usd=0.0037756),
        ),
        # Perplexity's deep research: reasoning and searches billed beside the output
        (
            {"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196, "reasoning_tokens": 3000, "citation_tokens": 20016, "num_search_queries": 20, "search_context_size": "medium", "cost": {"total_cost": 0.5}},
            Usage(33, 10163, reasoning_tokens=3000, web_searches=20, cost_usd=0.5),
        ),
        # OpenRouter with a key of one's own: its fee and what the provider bills
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}},
            Usage(10, 2, cost_usd=0.21000000000000002),
        ),
        # without one, the same detail is part of the number
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}},
            Usage(10, 2, cost_usd=0.01),
        ),
        # LiteLLM's proxy
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 3},
            Usage(10, 2, cache_read_tokens=3, cache_write_tokens=4),
        ),
        # images
        (
            {"prompt_tokens": 10, "completion_tokens": 8, "prompt_tokens_details": {"image_tokens": 4}, "completion_tokens_details": {"image_tokens": 7}},
            Usage(10, 8, image_input_tokens=4, image_output_tokens=7),
        ),
    ],
)  # fmt: skip
def test_usage_of_the_imitators(raw: dict[str, Any], expected: Usage) -> None:
    found = usage(raw)
    assert found is not None
    assert found.raw == raw
    for name in (
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
        "image_input_tokens", "image_output_tokens", "web_searches",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(expected, name), name
    assert found.cost_usd == (None if expected.cost_usd is None else pytest.approx(expected.cost_usd))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (422, {"detail": [{"msg": "Field required"}, {"msg": "Too long"}]}, "Field required; Too long"),
        (400, {"message": {"detail": [{"msg": "Bad"}]}, "object": "error", "code": "1500"}, "Bad [1500]"),
        (429, {"code": "exhausted", "error": "Slow down"}, "Slow down [exhausted]"),
        (424, {"error": "Request failed", "error_type": "generation"}, "Request failed [generation]"),
        (401, {"detail": "Unauthorized"}, "Unauthorized"),
    ],
)
def test_error_bodies(status: int, body: Any, message: str) -> None:
    call = fold("openai.chat", body, status=status)
    assert (call.error_type, call.error_message) == (str(status), message)


def test_an_error_that_a_gateway_answers_with_200() -> None:
    call = fold("openai.chat", {"error": {"message": "No provider left", "code": 503}, "user_id": "u"})
    assert (call.error_type, call.error_message, call.finish_reasons) == (
        "503",
        "No provider left",
        ("error",),
    )
    whole = fold("openai.chat", {"error": None, "choices": [{"message": {"content": "x"}}]})
    assert whole.error_type is None


def test_thinking_text_and_citations_that_come_in_turns() -> None:
    """Mistral: thinking and text as parts or as strings, neighbouring ones of a kind are one."""
    deltas: list[Any] = [
        "", [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}], [{"type": "thinking", "thinking": "b"}],
        "c", [{"type": "text", "text": "d"}], [{"type": "reference", "reference_ids": [1]}], "e",
    ]  # fmt: skip
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": delta}, "finish_reason": None}]} for delta in deltas
    ]
    events.append({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
    assert fold("openai.chat", events).output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "ab"},
        {"type": "text", "content": "cd"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "content": "e"},
    ]


def test_what_openrouter_and_groq_add_to_a_message() -> None:
    message = {
        "role": "assistant", "content": "Look", "reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}, {"type": "reasoning.encrypted", "data": "x"}],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x.y"}}],
        "executed_tools": [{"type": "python", "arguments": "{}", "output": "4"}],
    }  # fmt: skip
    delta = {"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}
    plain = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    for response in (plain, [delta]):
        assert fold("openai.chat", response).output_messages[0]["parts"] == [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "Look", "annotations": message["annotations"]},
            {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "AAAA"},
            {
                "type": "server_tool_call",
                "name": "python",
                "server_tool_call": {"type": "python", "arguments": "{}", "output": "4"},
            },
        ]


def test_azure_on_your_data() -> None:
    context = {"citations": [{"content": "Paris is big.", "title": "Paris", "filepath": "a.pdf", "url": None, "chunk_id": "0"}]}  # fmt: skip
    message = {"role": "assistant", "content": "Big [doc1].", "context": context}
    call = fold("openai.chat", {"choices": [{"message": message, "finish_reason": "stop"}]})
    (found,) = call.documents
    assert (found["id"], found["content"]) == ("a.pdf", "Paris is big.")


def test_searches_of_the_responses_api() -> None:
    output = [
        {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
        {"type": "web_search_call", "action": {"type": "open_page", "url": "u"}},
        {"type": "web_search_call"},
        {"type": "message", "content": []},
    ]
    counts = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    call = fold("openai.responses", {"status": "completed", "output": output, "usage": counts})
    assert call.usage is not None
    assert call.usage.web_searches == 2


def test_rerankers_of_other_makes() -> None:
    request = {"model": "m", "query": "q", "documents": ["a", {"title": "t", "text": "b"}]}
    jina = fold(
        "cohere.rerank",
        {"model": "m", "usage": {"total_tokens": 9}, "results": [{"index": 1, "relevance_score": 0.5}]},
        request,
        url="https://api.jina.ai/v1/rerank",
    )
    assert (jina.provider, jina.usage and jina.usage.input_tokens) == ("jina_ai", 9)
    assert jina.documents == [
        {"id": "1", "content": "b", "score": 0.5, "metadata": {"index": 1, "title": "t"}}
    ]
    voyage = fold(
        "cohere.rerank",
        {"object": "list", "data": [{"index": 0, "relevance_score": 0.25}], "usage": {"total_tokens": 3}},
        request,
        url="https://api.voyageai.com/v1/rerank",
    )
    assert [document["content"] for document in voyage.documents] == ["a"]
    vllm = fold("cohere.rerank", {"id": "rerank-1", "results": [{"index": 7}, {"index": -1}, 3]}, request)
    assert (vllm.provider, [document["content"] for document in vllm.documents]) == ("vllm", [None, None])


def test_counts_of_cohere_without_billed_units() -> None:
    call = fold("cohere.chat", {"usage": {"tokens": {"input_tokens": 7.0, "output_tokens": 2.0}}})
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (7, 2)


@pytest.mark.parametrize("name", ["cohere.chat", "cohere.chat_v1", "tgi.generate"])
def test_a_stream_cut_anywhere_gives_what_came(name: str) -> None:
    said = "Grüße aus Köln"
    words = [said[place : place + 3] for place in range(0, len(said), 3)]
    if name == "cohere.chat":
        events: list[Any] = [{"type": "message-start", "id": "1"}, *({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": word}}}} for word in words), {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}]  # fmt: skip
        data = b"".join(
            f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n" for event in events
        )
    elif name == "cohere.chat_v1":
        lines: list[Any] = [*({"event_type": "text-generation", "text": word} for word in words), {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": said}}]  # fmt: skip
        data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    else:
        tokens: list[Any] = [
            {"token": {"text": word, "special": False}, "generated_text": None} for word in words
        ]
        tokens.append({"token": {"text": "</s>", "special": True}, "generated_text": said})
        data = b"".join(b"data:" + orjson.dumps(token) + b"\n\n" for token in tokens)
    headers = {"content-type": "application/jsonl" if name == "cohere.chat_v1" else "text/event-stream"}
    lengths = []
    for end in range(1, len(data) + 1):
        call = fold(name, data[:end], response_headers=headers)
        came = "".join(part["content"] for message in call.output_messages for part in message["parts"])
        assert said.startswith(came)
        lengths.append(len(came))
        assert call.output_started == (call.error_type is None)
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(said)


@pytest.mark.parametrize("name", ["text", "thinking", "tool_plan", "arguments", "token"])
def test_a_secret_that_streams_bring_in_pieces(name: str) -> None:
    """Cohere's texts, thoughts, plans and arguments, and TGI's tokens."""
    secret = "sk-ant-api03-" + "aB3dE5gH7jK9mN1p" * 5
    pieces = ["It is ", *(secret[start : start + 9] for start in range(0, len(secret), 9)), "."]
    messages: dict[str, Any] = {
        "text": lambda piece: {"content": {"text": piece}},
        "thinking": lambda piece: {"content": {"thinking": piece}},
        "tool_plan": lambda piece: {"tool_plan": piece},
        "arguments": lambda piece: {"tool_calls": {"function": {"arguments": piece}}},
    }
    if name == "token":
        data = b"".join(b"data:" + orjson.dumps({"token": {"text": piece}}) + b"\n\n" for piece in pieces)
    else:
        kind = "content-delta" if name in {"text", "thinking"} else "tool-plan-delta"
        events = ({"type": kind, "index": 0, "delta": {"message": messages[name](piece)}} for piece in pieces)
        data = b"".join(b"event: x\ndata: " + orjson.dumps(event) + b"\n\n" for event in events)
    clean, _ = split.without_secrets(data, [0], Redactor())
    assert b"REDACTED" in clean
    assert b"aB3dE5gH" not in clean


NAMES = [
    protocol.name
    for protocol in table.PROTOCOLS
    if protocol.name.split(".")[0] in {"openai", "cohere", "mistral", "tgi", "tei", "hugging_face"}
]
WORDS = """
    choices delta message content thinking text type index finish_reason usage billed_units tokens input_tokens
    search_units meta results relevance_score document documents query texts inputs parameters details prefill
    token generated_text special event_type response tool_calls function name arguments tool_plan citations
    content_index chat_history message role embeddings float ubinary images data score search_results x_groq
    system_fingerprint model provider reasoning_details annotations executed_tools context server_tool_use
    message-start content-delta content-start tool-call-delta message-end citation-start stream-end embedding
"""
VOCABULARY = WORDS.split()
KEYS = st.sampled_from(VOCABULARY) | st.text(max_size=4)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(VOCABULARY)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
BODY = (
    JSON.map(lambda value: json.dumps(value).encode())
    | st.lists(st.tuples(st.sampled_from(VOCABULARY), JSON), max_size=5).map(
        lambda events: "".join(f"event: {n}\ndata: {json.dumps(v)}\n\n" for n, v in events).encode()
    )
    | st.lists(st.dictionaries(KEYS, JSON, min_size=1, max_size=4), min_size=2, max_size=4).map(
        lambda lines: b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    )
)


@given(st.sampled_from(NAMES), BODY, BODY, st.none() | st.integers(100, 599), JSON)
def test_fold_is_total_and_can_be_written(
    name: str, request: bytes, response: bytes, status: int | None, noise: Any
) -> None:
    protocol = table.named(name)
    assert protocol is not None
    meta = {"url": noise, "status": status, "request_headers": noise, "response_headers": {"x-prompt-tokens": noise, "content-type": noise}}  # fmt: skip
    attempt = Attempt(0, meta, request, response)
    read = exchange.read(attempt)
    call = protocol.fold(read)  # not table.fold: its net must not be what holds
    orjson.dumps(
        [
            call.input_messages, call.output_messages, call.parameters, call.tool_definitions, call.documents,
            call.system_instructions, call.finish_reasons, call.query, call.usage and call.usage.raw,
        ],
        option=orjson.OPT_NON_STR_KEYS,
    )  # fmt: skip
    for event in read.events:
        assert protocol.carries_output(event) in {True, False}
        assert protocol.carries_text(event) in {True, False}
        assert protocol.ends(event) in {True, False}


@given(JSON, JSON)
def test_recognition_is_total(path: Any, body: Any) -> None:
    for suffix in ("", "/", *table.SUFFIXES):
        table.recognise("POST", "h", f"/{path}{suffix}", {}, json.dumps(body).encode())

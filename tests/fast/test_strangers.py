"""Services of the program's own whose paths are words of a model API: no call of a model, and nothing on the bill."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Recording
from wire_rows import rows

import spanreel
from spanreel import wire
from spanreel.protocols import table
from spanreel.protocols.providers import by_host
from spanreel.protocols.strangers import resembles

HELLO = [{"role": "user", "content": "Hello"}]
FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"id": "c", "model": "gpt-4o", "messages": [{"role": "user", "parts": []}]}),
    ("/api/chat", {"session_id": "s", "model": "gpt-4o", "messages": HELLO}),
    ("/api/chat", {"thread": "t", "message": "Hello"}),
    ("/api/chat", {"model": "m", "messages": ["Hello"]}),
    ("/api/generate", {"model": "m", "prompt": "a cat", "style": "oil"}),
    ("/api/embed", {"model": "player", "input": "http://video", "autoplay": True}),
    ("/v1/chat", {"message": "Hello"}),
    ("/v1/chat", {"message": "Hello", "stream": True, "user_id": 7}),
    ("/v2/chat", {"model": "bot", "messages": ["Hello"]}),
    ("/v2/chat", {"model": "bot", "messages": HELLO, "tenant": "t"}),
    ("/v1/responses", {"prompt": {"text": "How are you?"}, "answers": [1, 2]}),
    ("/form/responses", {"answers": []}),
    ("/v1/messages", {"messages": [{"to": "+1", "body": "Hello"}], "max_tokens": 3, "model": "sms"}),
    ("/messages", {"to": "+1", "body": "Hello"}),
    ("/invoke", {"input": "x"}),
    ("/functions/f/invoke", {"prompt": "x"}),
    ("/model/churn/invoke", {"prompt": "x"}),
    ("/model/churn/invoke", {"message": "x"}),
    ("/chain/invoke", {"input": {"messages": HELLO}}),
    ("/generate", {"inputs": "invoice", "template": "a4"}),
    ("/generate", {"prompt": "a cat"}),
    ("/generate", {"text": "https://qr"}),
    ("/embed", {"inputs": ["https://video"], "width": 300}),
    ("/embed", {"url": "https://video"}),
    ("/v1/embed", {"texts": ["a"], "player": "x"}),
    ("/v1/embed", {"images": ["https://image"], "size": 300}),
    ("/rerank", {"query": "q", "ids": [1]}),
    ("/completions", {"user": 1, "course": 2}),
    ("/embeddings", {"text": "a"}),
    ("/converse", {"messages": HELLO}),
    ("/v1/models/churn:predict", {"instances": [{"content": "x"}]}),
    ("/projects/p/models/churn:predict", {"instances": [{"content": "x"}]}),
    ("/", {"jsonrpc": "2.0", "method": "m", "params": []}),
    ("/", {"inputs": "x", "parameters": {"brightness": 5}}),
]


@pytest.mark.parametrize(("path", "body"), FOREIGN)
def test_a_service_of_ones_own_is_no_model(path: str, body: dict[str, Any]) -> None:
    assert table.recognise("POST", "app.example.org", path, {}, orjson.dumps(body)) is None


@pytest.mark.parametrize(
    ("url", "body", "protocol"),
    [
        ("https://api.cohere.com/v1/chat", {"message": "Hello", "new": 1}, "cohere.chat_v1"),
        ("https://ollama.com/api/chat", {"model": "m", "messages": HELLO, "new": 1}, "ollama.chat"),
        (
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/abc/invoke",
            {"messages": HELLO},
            "bedrock.invoke",
        ),
    ],
)
def test_a_providers_own_host_may_have_new_fields(url: str, body: dict[str, Any], protocol: str) -> None:
    parts = urlsplit(url)
    assert table.recognise("POST", parts.hostname or "", parts.path, {}, orjson.dumps(body)) == protocol
    assert (
        table.find("/api/chat", {"model": "m", "messages": HELLO, "new": 1}, "localhost", 11434) is not None
    )
    assert table.find("/api/chat", {"model": "m", "messages": HELLO, "new": 1}, "localhost", 8000) is None


@pytest.mark.parametrize("capture", ["full", "none"])
@pytest.mark.parametrize(
    ("path", "body", "foreign", "own"),
    [
        ("/api/chat", {"model": "gpt-4o", "messages": HELLO}, b'{"reply": "Hi."}', b'{"done": true}'),
        ("/api/chat", {"model": "gpt-4o", "messages": HELLO}, b"data: Hi.\n\ndata: !\n\n", b'{"done": true}'),
        ("/api/generate", {"model": "sdxl", "prompt": "a cat"}, b'{"image": "..."}', b'{"done": true}'),
        ("/generate", {"inputs": "invoice"}, b"%PDF-1.7", b'{"generated_text": "Hi."}'),
        ("/embed", {"inputs": "https://video"}, b'{"html": "<iframe>"}', b"[[0.5]]"),
    ],
)
def test_what_the_answer_gives_away(
    recording: Recording, capture: str, path: str, body: dict[str, Any], foreign: bytes, own: bytes
) -> None:
    """A request that cannot be told from a model's, answered by something else: a plain span, on no bill."""
    recording.configure(capture=capture)
    wire.install()
    for answer in (foreign, own):
        transport = httpx.MockTransport(lambda _, answer=answer: httpx.Response(200, content=answer))
        with spanreel.span("root"), httpx.Client(transport=transport) as client:
            assert client.post(f"http://app.example.org{path}", json=body).content == answer
    plain = [row for row in rows(recording.store, "span") if row["name"] != "root"]
    assert [(row["name"], row["status"]) for row in plain] == [(f"POST {path}", "ok")]
    assert (plain[0]["request_model"], plain[0]["provider"], plain[0]["cost_source"]) == (None, None, None)
    models = rows(recording.store, "llm") + rows(recording.store, "embedding")
    assert len(models) == 1
    assert models[0]["provider"]


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com.", "openai"),
        ("API.GROQ.COM", "groq"),
        ("api.groq.com.evil.example", None),
        ("notapi.groq.com.", None),
        ("xapi.groq.com", None),
        ("evil-bedrock-runtime.us-east-1.amazonaws.com", None),
        ("bedrock-runtime.us-east-1.amazonaws.com.evil.example", None),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "aws.bedrock"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "aws.bedrock"),
        ("vpce-0a-1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", "aws.bedrock"),
        ("bedrock-mantle.us-east-1.api.aws", "aws.bedrock"),
        ("[::1]", None),
    ],
)
def test_hosts_that_look_alike(host: str, provider: str | None) -> None:
    assert by_host(host) == provider


@given(
    st.sampled_from([protocol.name for protocol in table.PROTOCOLS]),
    st.text(),
    st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.none() | st.text())),
)
def test_the_closer_look_is_total(protocol: str, path: str, request: dict[str, Any]) -> None:
    assert resembles(protocol, path, {**request, "messages": [None, 1]}) in {True, False}

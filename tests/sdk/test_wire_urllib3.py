"""The hook on urllib3, and what is above it: every way of reading, each attempt of a retry, other traffic alone."""

from __future__ import annotations

import gc
import inspect
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from openai_server import OpenAIServer
from proxy_server import ProxyServer
from recording import Recording
from requests.adapters import HTTPAdapter
from wire_journal import only, spans

import spanreel
from spanreel import wire
from spanreel_exporters.duckdb.ingest import catch_up

pytestmark = [pytest.mark.sdk, pytest.mark.covers("urllib3", package="urllib3")]

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    running = ProxyServer()
    yield running
    running.close()


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as made:
        yield made


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


def chat(pool: urllib3.PoolManager, server: OpenAIServer, body: dict[str, Any], **options: Any) -> Any:
    with spanreel.span("root"):
        return pool.request("POST", f"{server.url}/chat/completions?key=planted", json=body, **options)


def events(server: OpenAIServer) -> bytes:
    return server.bodies[-1]


READERS: dict[str, Callable[[Any], bytes]] = {
    "stream": lambda response: b"".join(response.stream(decode_content=True)),
    "stream of 7": lambda response: b"".join(response.stream(7, decode_content=True)),
    "read": lambda response: bytes(response.read()),
    "read by 50": lambda response: b"".join(iter(lambda: response.read(50), b"")),
    "read1": lambda response: b"".join(iter(response.read1, b"")),
    "data": lambda response: bytes(response.data),
    "lines": b"".join,
    "readinto": lambda response: io.BufferedReader(response).read(),
    "chunked": lambda response: b"".join(response.read_chunked(decode_content=True)),
}


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gzip"])
@pytest.mark.parametrize("how", READERS)
def test_a_stream_read_in_every_way(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager, how: str, model: str
) -> None:
    """A streamed answer is recorded byte for byte, decoded, however the program reads it."""
    response = chat(pool, server, {**STREAM, "model": model}, preload_content=False)
    assert isinstance(response, urllib3.HTTPResponse)
    assert type(response).__name__ == "HTTPResponse"
    read = READERS[how](response)
    assert read == events(server)
    llm = only(recording.store)
    assert llm.response == events(server)
    assert (llm.said, llm.raw.status, llm.meta["ending"]) == ("You said: Hello", "ok", "exhausted")
    assert llm.meta["url"] == f"{server.url}/chat/completions"
    if how == "stream":
        offsets = [offset for offset, _ in llm.meta["chunks"]]
        assert len(offsets) >= events(server).count(b"data: ")
        assert {llm.response[offset : offset + 6] for offset in offsets} <= {b"data: ", b""}
    assert b"planted" not in recording.raw()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("decode", [False, True])
def test_every_encoding_is_recorded_decoded(
    recording: Recording,
    server: OpenAIServer,
    pool: urllib3.PoolManager,
    encoding: str,
    preload: bool,
    decode: bool,
) -> None:
    """Compressed answers (gzip, deflate, br, zstd) are recorded decoded, also where the program wants them raw."""
    response = chat(pool, server, {**CHAT, "model": encoding}, preload_content=preload, decode_content=decode)
    read = response.data if preload else response.read()
    assert (read == server.bodies[0]) is decode
    llm = only(recording.store)
    assert llm.response == server.bodies[0]
    assert llm.meta["content_encoding"] == encoding


@pytest.mark.parametrize("preload", [False, True])
def test_a_plain_answer(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager, preload: bool
) -> None:
    """A plain answer is recorded with its usage, preloaded or not, and the connection goes back to its pool."""
    for _ in range(2):
        response = chat(pool, server, CHAT, preload_content=preload)
        assert json.loads(response.data)["id"] == "chatcmpl-1"
    assert pool.connection_from_url(server.url).num_connections == 1
    first, second = spans(recording.store, "llm")
    assert first.said == second.said == "You said: Hello"
    assert first.call.usage is not None
    assert (first.call.usage.input_tokens, first.call.usage.cache_read_tokens) == (1200, 1024)


@pytest.mark.parametrize(
    "body",
    [json.dumps(CHAT), json.dumps(CHAT).encode(), bytearray(json.dumps(CHAT).encode())],
    ids=["str", "bytes", "bytearray"],
)
def test_bodies_of_every_kind(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager, body: Any
) -> None:
    with spanreel.span("root"):
        pool.request("POST", f"{server.url}/chat/completions", body=body)
    assert only(recording.store).call.input_messages[0]["parts"][0]["content"] == "Hello"


def test_a_file_in_memory_is_recorded_and_a_generator_counted(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager
) -> None:
    data = json.dumps(CHAT).encode()
    headers = {"content-length": str(len(data))}
    with spanreel.span("root"):
        pool.request("POST", f"{server.url}/chat/completions", body=io.BytesIO(data), headers=headers)
        pool.request("POST", f"{server.url}/chat/completions", body=iter([data]), headers=headers)
    assert only(recording.store).said == "You said: Hello"
    assert len(server.requests) == 2
    assert recording.losses() == {"wire_streamed_request": 1}


def test_unrelated_traffic_is_left_alone(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager
) -> None:
    with spanreel.span("root"):
        response = pool.request("GET", f"{server.url}/models", preload_content=False)
        assert type(response) is urllib3.HTTPResponse
        assert response.json() == {"object": "list", "data": []}
        assert pool.request("POST", f"{server.url}/other", json={"a": 1}).json() == {"ok": True}
        assert pool.request("POST", f"{server.url}/chat/completions", body=b"no json").status == 200
    assert [span.raw.name for span in spans(recording.store)] == ["root"]


@pytest.mark.parametrize("how", ["close", "release", "forget"])
def test_a_stream_left_early(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager, how: str
) -> None:
    """A stream that is closed early ended well; one that is forgotten is abandoned; both with what came."""
    response = chat(pool, server, {**STREAM, "model": "slow"}, preload_content=False)
    first = next(response.stream())
    if how == "close":
        response.close()
    elif how == "release":
        response.release_conn()
    del response
    gc.collect()
    llm = only(recording.store)
    assert llm.response == first
    expected = ("ended", "closed") if how == "close" else ("abandoned", "collected")
    assert (llm.raw.state, llm.meta["ending"]) == expected
    assert llm.raw.error_type is None


def test_a_stream_that_is_cut(recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager) -> None:
    """A stream cut in the middle is an error with the exception's type, and what came is kept."""
    response = chat(pool, server, {**STREAM, "model": "cut"}, preload_content=False)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        list(response.stream())
    llm = only(recording.store)
    assert llm.raw.status == "error"
    assert llm.raw.error_type is not None
    assert llm.call.finish_reasons == ("error",)
    assert llm.said


def test_timeouts_and_connection_errors(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager
) -> None:
    """A read timeout and a refused connection are errors of the call, raised as urllib3 raises them."""
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        chat(pool, server, {**CHAT, "model": "hang"}, timeout=0.1)
    with spanreel.span("root"), pytest.raises(urllib3.exceptions.NewConnectionError):
        pool.request("POST", "http://127.0.0.1:9/v1/chat/completions", json=CHAT)
    timed_out, refused = spans(recording.store, "llm")
    assert timed_out.raw.error_type == "urllib3.exceptions.ReadTimeoutError"
    assert refused.raw.error_type == "urllib3.exceptions.NewConnectionError"


def test_retries_inside_urlopen_are_attempts_of_one_call(recording: Recording, server: OpenAIServer) -> None:
    """urllib3.Retry: each attempt has a span of its own with what it was answered; they are one call."""
    retry = urllib3.Retry(3, status_forcelist=[429], allowed_methods=None, backoff_factor=0.01)
    with urllib3.PoolManager(retries=retry) as pool:
        response = chat(pool, server, {**CHAT, "model": "limited"})
    assert response.status == 200
    failed, answered = spans(recording.store, "llm")
    assert (failed.raw.error_type, failed.raw.error_message) == (
        "429",
        "Rate limit reached. [rate_limit_exceeded]",
    )
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert answered.raw.attributes["spanreel.retry_inferred"] is True
    assert answered.raw.attributes["spanreel.retry_wait_ms"] >= 0
    assert answered.raw.parent_id == failed.raw.parent_id
    catch_up(recording.store)
    rows = spanreel.sql(
        "SELECT span_id, duplicate_of, attempts FROM spans WHERE kind = 'llm' ORDER BY start_ns",
        store=recording.store,
    )
    assert [(row["duplicate_of"], row["attempts"]) for row in rows] == [(answered.raw.span_id, 1), (None, 2)]


def test_retries_of_connection_errors(recording: Recording) -> None:
    """Connections that cannot be made are tried again; every try is seen, and the last raises."""
    retry = urllib3.Retry(2, backoff_factor=0)
    with (
        urllib3.PoolManager(retries=retry) as pool,
        spanreel.span("root"),
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        pool.request("POST", "http://127.0.0.1:9/v1/chat/completions", json=CHAT)
    attempts = spans(recording.store, "llm")
    assert [span.raw.error_type for span in attempts] == ["urllib3.exceptions.NewConnectionError"] * 3
    assert [span.raw.attributes.get("spanreel.retry_count") for span in attempts] == [None, 1, 2]


def test_a_redirect_is_one_call(recording: Recording, server: OpenAIServer) -> None:
    """A redirected request counts once."""
    with urllib3.PoolManager() as pool, spanreel.span("root"):
        response = pool.request("POST", f"{server.url}/moved/chat/completions", json=CHAT)
    assert response.json()["id"] == "chatcmpl-1"
    moved, answered = spans(recording.store, "llm")
    assert (moved.raw.status, moved.meta["status"]) == ("unset", 307)
    assert answered.raw.attributes["spanreel.retry_of"] == moved.raw.span_id
    assert "spanreel.retry_count" not in answered.raw.attributes


def test_through_proxies(recording: Recording, server: OpenAIServer, proxy: ProxyServer) -> None:
    """Through a forwarding proxy the address recorded is the server's; a dead proxy is an error of the call."""
    with urllib3.ProxyManager(proxy.url) as pool:
        assert chat(pool, server, CHAT).status == 200
    assert proxy.asked == [f"{server.url}/chat/completions?key=planted"]
    with (
        urllib3.ProxyManager("http://127.0.0.1:9", retries=urllib3.Retry(1)) as dead,
        spanreel.span("root"),
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        dead.request("POST", "https://api.openai.com/v1/chat/completions", json=CHAT)
    through, first, second = spans(recording.store, "llm")
    assert through.meta["url"] == f"{server.url}/chat/completions"
    assert through.said == "You said: Hello"
    assert first.raw.error_type == "urllib3.exceptions.ProxyError"
    assert first.raw.attributes["gen_ai.provider.name"] == "openai"
    assert second.raw.attributes["spanreel.retry_of"] == first.raw.span_id
    assert b"planted" not in recording.raw()


@pytest.mark.covers("requests", package="requests")
@pytest.mark.parametrize("how", ["json", "iter_content", "iter_lines", "raw", "session"])
def test_requests(recording: Recording, server: OpenAIServer, how: str) -> None:
    """Calls made with requests are recorded, plain and streamed, credentials left out."""
    url, headers = f"{server.url}/chat/completions", {"authorization": "Bearer planted-token-0123456789"}
    body = CHAT if how == "json" else STREAM
    with spanreel.span("root"), requests.Session() as session:
        send = session.post if how == "session" else requests.post
        with send(url, json=body, headers=headers, stream=how != "json", timeout=10) as response:
            response.raise_for_status()
            if how == "json":
                assert response.json()["id"] == "chatcmpl-1"
            elif how == "iter_lines":
                assert list(response.iter_lines())[-2:] == [b"data: [DONE]", b""]
            elif how == "raw":
                assert response.raw.read() == server.bodies[0]
            else:
                assert b"".join(response.iter_content(None)) == server.bodies[0]
    llm = only(recording.store)
    assert (llm.said, llm.raw.status, llm.meta["status"]) == ("You said: Hello", "ok", 200)
    assert llm.response == server.bodies[0]
    assert b"planted" not in recording.raw()


@pytest.mark.covers("requests", package="requests")
def test_requests_left_early_refused_and_retried(recording: Recording, server: OpenAIServer) -> None:
    """requests: a stream left early, a 401, an adapter's own retries, and a connection that fails."""
    url = f"{server.url}/chat/completions"
    with spanreel.span("root"), requests.Session() as session:
        session.mount(
            "http://",
            HTTPAdapter(
                max_retries=urllib3.Retry(2, status_forcelist=[429], allowed_methods=None, backoff_factor=0)
            ),
        )
        with session.post(url, json={**STREAM, "model": "slow"}, stream=True) as response:
            next(response.iter_lines())
        assert session.post(url, json={**CHAT, "model": "unauthorised"}).status_code == 401
        assert session.post(url, json={**CHAT, "model": "limited"}).status_code == 200
    with spanreel.span("root"), pytest.raises(requests.ConnectionError):
        requests.post("http://127.0.0.1:9/v1/chat/completions", json=CHAT, timeout=5)
    left, refused, limited, answered, failed = spans(recording.store, "llm")
    assert (left.raw.status, left.meta["ending"]) == ("ok", "closed")
    assert (refused.raw.error_type, refused.raw.error_message) == (
        "401",
        "Incorrect API key provided. [invalid_api_key]",
    )
    assert answered.raw.attributes["spanreel.retry_of"] == limited.raw.span_id
    assert failed.raw.error_type == "urllib3.exceptions.NewConnectionError"


def test_install_is_reversible() -> None:
    wire.uninstall()
    plain = [urllib3.HTTPConnectionPool.__dict__[name] for name in ("urlopen", "_make_request")]
    assert all(inspect.isfunction(method) for method in plain)
    wire.install()
    wrapped = [urllib3.HTTPConnectionPool.__dict__[name] for name in ("urlopen", "_make_request")]
    assert [method.__wrapped__ for method in wrapped] == plain
    wire.uninstall()
    assert [urllib3.HTTPConnectionPool.__dict__[name] for name in ("urlopen", "_make_request")] == plain
    wire.install()


def test_the_response_is_the_same_in_every_respect(
    recording: Recording, server: OpenAIServer, pool: urllib3.PoolManager
) -> None:
    def facts() -> dict[str, Any]:
        response = chat(pool, server, {**STREAM, "model": "gzip"}, preload_content=False)
        before = (response.closed, response.tell(), response.isclosed(), repr(response)[:40])
        return {
            "before": before,
            "read": b"".join(response.stream(64)),
            "after": (response.closed, response.isclosed(), response.connection, response.status),
            "class": (type(response).__name__, type(response).__module__, isinstance(response, io.IOBase)),
            "headers": sorted(name for name in response.headers if name != "Date"),
        }

    with_hook = facts()
    wire.uninstall()
    try:
        assert facts() == with_hook
    finally:
        wire.install()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/v1/x?key=1", "/v1/x"),
        ("http://host:8080", ""),
        ("http://host/", "/"),
        ("https://host/a/b?c=/d", "/a/b"),
        ("http://host?x=/y", ""),
        ("relative/path", "relative/path"),
        ("", ""),
    ],
)
def test_the_path_of_a_url(url: str, path: str) -> None:
    from spanreel.wire.urllib3 import path_of

    assert path_of(url) == path

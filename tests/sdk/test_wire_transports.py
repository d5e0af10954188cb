"""httpx and httpx2 over everything they run on: HTTP/2, proxies, encodings, timeouts, retrying transports, in parallel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from h2_server import H2Server
from openai_server import OpenAIServer
from proxy_server import ProxyServer
from recording import Recording
from wire_journal import only, spans

import spanreel
from spanreel import wire

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("httpx", package="httpx"),
    pytest.mark.covers("httpx2", package="httpx2"),
]

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
PATH = "/chat/completions"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


@LIBRARIES
def test_http2(recording: Recording, library: Any) -> None:
    """HTTP/2: streamed calls side by side on one connection, each with its own bytes; a stream that is reset."""
    server = H2Server()

    async def ask(client: Any, number: int) -> str:
        said = f"number {number}"
        with spanreel.span(said):
            body = {**STREAM, "messages": [{"role": "user", "content": said}]}
            async with client.stream("POST", server.url + PATH, json=body) as response:
                assert response.http_version == "HTTP/2"
                return "".join([line async for line in response.aiter_text()])

    async def main() -> None:
        async with library.AsyncClient(http1=False, http2=True) as client:
            with spanreel.span("root"):
                await asyncio.gather(*(ask(client, number) for number in range(4)))
                with pytest.raises(library.RemoteProtocolError):
                    async with client.stream(
                        "POST", server.url + PATH, json={**STREAM, "model": "reset"}
                    ) as response:
                        await response.aread()

    asyncio.run(main())
    server.close()
    assert len(set(server.streams)) == 5
    *answered, reset = spans(recording.store, "llm")
    names = {span.raw.span_id: span.raw.name for span in spans(recording.store, "span")}
    assert [span.raw.status for span in answered] == ["ok"] * 4
    for span in answered:
        assert span.said == f"You said: {names[span.raw.parent_id or '']}"
    assert reset.raw.error_type == f"{library.__name__}.RemoteProtocolError"
    assert reset.call.finish_reasons == ("error",)


@LIBRARIES
def test_http2_of_the_blocking_client(recording: Recording, library: Any) -> None:
    """HTTP/2 with the blocking client."""
    server = H2Server()
    with spanreel.span("root"), library.Client(http1=False, http2=True) as client:
        response = client.post(server.url + PATH, json=STREAM)
        assert response.http_version == "HTTP/2"
    server.close()
    assert only(recording.store).said == "You said: Hello"


@LIBRARIES
def test_proxies(recording: Recording, server: OpenAIServer, library: Any) -> None:
    """Through a proxy, by forwarding and by its mount, the server's address is recorded; a dead proxy is an error."""
    proxy = ProxyServer()
    with spanreel.span("root"):
        with library.Client(proxy=f"http://user:planted@{proxy.url[7:]}") as client:
            assert client.post(server.url + PATH, json=CHAT).status_code == 200
        with library.Client(mounts={"http://": library.HTTPTransport(proxy=proxy.url)}) as client:
            assert client.post(server.url + PATH, json=CHAT).status_code == 200
        with library.Client(proxy="http://127.0.0.1:9") as client, pytest.raises(library.ConnectError):
            client.post(server.url + PATH, json=CHAT)
    proxy.close()
    assert proxy.asked == [server.url + PATH] * 2
    first, second, dead = spans(recording.store, "llm")
    assert first.meta["url"] == second.meta["url"] == dead.meta["url"] == server.url + PATH
    assert first.said == second.said == "You said: Hello"
    assert dead.raw.error_type == f"{library.__name__}.ConnectError"
    assert b"planted" not in recording.raw()


@LIBRARIES
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_encodings(
    recording: Recording, server: OpenAIServer, library: Any, encoding: str, stream: bool
) -> None:
    """Bodies compressed with gzip, deflate, brotli and zstd are recorded decoded, streamed ones chunk by chunk."""
    body = {**CHAT, "model": encoding, "stream": stream}
    with spanreel.span("root"), library.Client() as client:
        response = client.post(server.url + PATH, json=body)
        assert response.content == server.bodies[0]
    llm = only(recording.store)
    assert llm.response == server.bodies[0]
    assert llm.meta["content_encoding"] == encoding
    assert (llm.said, llm.raw.status) == ("You said: Hello", "ok")


@LIBRARIES
def test_a_base_url_with_a_path(recording: Recording, server: OpenAIServer, library: Any) -> None:
    """A base URL with a path in front, and a query whose key is not recorded."""
    base = server.url.removesuffix("/v1") + "/gateway/openai/v1"
    with spanreel.span("root"), library.Client(base_url=base, params={"key": "planted"}) as client:
        assert client.post("chat/completions", json=CHAT).status_code == 200
    llm = only(recording.store)
    assert llm.meta["url"] == base + PATH
    assert server.requests[0]["path"] == "/gateway/openai/v1/chat/completions?key=planted"
    assert b"planted" not in recording.raw()


@LIBRARIES
def test_timeouts_and_connection_errors(recording: Recording, server: OpenAIServer, library: Any) -> None:
    """A read timeout, a pool without room and a refused connection are errors with the library's own types."""
    with spanreel.span("root"):
        with library.Client(timeout=0.1) as client, pytest.raises(library.ReadTimeout):
            client.post(server.url + PATH, json={**CHAT, "model": "hang"})
        with library.Client() as client, pytest.raises(library.ConnectError):
            client.post("http://127.0.0.1:9/v1" + PATH, json=CHAT)
        limits = library.Limits(max_connections=1)
        with (
            library.Client(limits=limits, timeout=library.Timeout(5, pool=0.05)) as client,
            client.stream("POST", server.url + PATH, json=STREAM),
            pytest.raises(library.PoolTimeout),
        ):
            client.post(server.url + PATH, json=CHAT)
    found = [span.raw.error_type for span in spans(recording.store, "llm")]
    assert found == [f"{library.__name__}.{name}" if name else None for name in ("ReadTimeout", "ConnectError", None, "PoolTimeout")]  # fmt: skip


@LIBRARIES
def test_parallel_async_calls(recording: Recording, server: OpenAIServer, library: Any) -> None:
    """Sixteen calls at once, plain and streamed, some left early: each has its own parent, bytes and end."""

    @spanreel.trace
    async def work(client: Any, number: int) -> str:
        body = {
            "model": "slow",
            "messages": [{"role": "user", "content": f"number {number}"}],
            "stream": number % 4 > 0,
        }
        async with client.stream("POST", server.url + PATH, json=body) as response:
            said = ""
            async for line in response.aiter_lines():
                said += line
                if number % 4 == 3:
                    break
        return said

    async def main() -> None:
        async with library.AsyncClient() as client:
            with spanreel.span("root"):
                await asyncio.gather(*(work(client, number) for number in range(16)))

    asyncio.run(main())
    chains = {span.raw.span_id for span in spans(recording.store, "chain")}
    calls = spans(recording.store, "llm")
    assert {span.raw.parent_id for span in calls} == chains
    assert len(chains) == 16
    assert sorted(span.meta["ending"] for span in calls) == ["closed"] * 4 + ["exhausted"] * 12
    whole = [span.said for span in calls if span.meta["ending"] == "exhausted"]
    assert sorted(whole) == sorted(f"You said: number {number}" for number in range(16) if number % 4 != 3)


@LIBRARIES
def test_a_transport_that_retries_by_itself_is_one_attempt(
    recording: Recording, server: OpenAIServer, library: Any
) -> None:
    """A transport of the program's that tries again below the client: the outermost hook sees one call."""

    class Retrying(library.BaseTransport):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inner = library.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            response = self.inner.handle_request(request)
            if response.status_code == 429:
                response.close()
                response = self.inner.handle_request(request)
            return response

        def close(self) -> None:
            self.inner.close()

    with spanreel.span("root"), library.Client(transport=Retrying()) as client:
        assert client.post(server.url + PATH, json={**CHAT, "model": "limited"}).status_code == 200
    llm = only(recording.store)
    assert (llm.said, llm.meta["status"], llm.raw.status) == ("You said: Hello", 200, "ok")

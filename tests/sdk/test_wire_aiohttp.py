"""The hook on aiohttp: every way of reading a response, left early, refused, cut, in parallel."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
import yarl
from openai_server import OpenAIServer
from proxy_server import ProxyServer
from recording import Recording
from wire_journal import only, spans

import spanreel
from spanreel import wire

pytestmark = [pytest.mark.sdk, pytest.mark.covers("aiohttp", package="aiohttp")]

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


def run(body: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """Run `body` with a session, below a span."""

    async def main() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            with spanreel.span("root"):
                return await body(session)

    return asyncio.run(main())


async def _chunks(response: aiohttp.ClientResponse, size: int) -> bytes:
    return b"".join([piece async for piece in response.content.iter_chunked(size)])


async def _any(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([piece async for piece in response.content.iter_any()])


async def _http_chunks(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([piece async for piece, _ in response.content.iter_chunks()])


async def _lines(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([line async for line in response.content])


async def _readline(response: aiohttp.ClientResponse) -> bytes:
    found = b""
    while line := await response.content.readline():
        found += line
    return found


async def _exactly(response: aiohttp.ClientResponse) -> bytes:
    head = await response.content.readexactly(10)
    return head + await response.content.readuntil(b"\n\n") + await response.content.read()


READERS: dict[str, Callable[[aiohttp.ClientResponse], Awaitable[bytes]]] = {
    "read": lambda response: response.read(),
    "content.read": lambda response: response.content.read(),
    "chunks of 7": lambda response: _chunks(response, 7),
    "any": _any,
    "http chunks": _http_chunks,
    "lines": _lines,
    "readline": _readline,
    "exactly": _exactly,
}


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gzip", "slow"])
@pytest.mark.parametrize("how", READERS)
def test_a_stream_read_in_every_way(recording: Recording, server: OpenAIServer, how: str, model: str) -> None:
    """A streamed answer is recorded byte for byte, decoded, however the program reads it."""

    async def body(session: aiohttp.ClientSession) -> bytes:
        url = f"{server.url}{PATH}?key=planted"
        async with session.post(url, json={**STREAM, "model": model}) as response:
            assert isinstance(response, aiohttp.ClientResponse)
            assert isinstance(response.content, aiohttp.StreamReader)
            return await READERS[how](response)

    assert run(body) == server.bodies[-1]
    llm = only(recording.store)
    assert llm.response == server.bodies[-1]
    assert (llm.said, llm.raw.status, llm.meta["ending"]) == ("You said: Hello", "ok", "exhausted")
    assert llm.meta["url"] == f"{server.url}{PATH}"
    assert llm.raw.attributes["gen_ai.request.stream"] is True
    if model == "slow":
        assert len(llm.meta["chunks"]) > 3
    assert b"planted" not in recording.raw()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("undone", [False, True])
def test_every_encoding_is_recorded_decoded(
    recording: Recording, server: OpenAIServer, encoding: str, undone: bool
) -> None:
    """Compressed answers (gzip, deflate, br, zstd) are recorded decoded, also where the session leaves them so."""

    async def body(session: aiohttp.ClientSession) -> bytes:
        async with session.post(f"{server.url}{PATH}", json={**CHAT, "model": encoding}) as response:
            return await response.read()

    assert (run(body, auto_decompress=undone) == server.bodies[0]) is undone
    assert only(recording.store).response == server.bodies[0]


BODIES: dict[str, dict[str, Any]] = {
    "json": {"json": CHAT},
    "bytes": {"data": json.dumps(CHAT).encode()},
    "str": {"data": json.dumps(CHAT)},
    "file": {"data": io.BytesIO(json.dumps(CHAT).encode())},
}


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_and_answers(recording: Recording, server: OpenAIServer, kind: str) -> None:
    """The request is recorded as it is sent, the answer with its usage; the server sees the same as without us."""

    async def body(session: aiohttp.ClientSession) -> Any:
        BODIES["file"]["data"].seek(0)
        response = await session.post(f"{server.url}{PATH}", **BODIES[kind])
        return await response.json()

    assert run(body)["id"] == "chatcmpl-1"
    llm = only(recording.store)
    assert llm.raw.attempts[0].request == json.dumps(CHAT).encode()
    assert llm.call.usage is not None
    assert (llm.call.usage.input_tokens, llm.call.usage.reasoning_tokens) == (1200, 16)
    recorded = server.requests[0]["headers"]
    wire.uninstall()
    try:
        run(body)
    finally:
        wire.install()
    assert server.requests[1]["headers"] == recorded


def test_a_serialiser_base_url_and_yarl(recording: Recording, server: OpenAIServer) -> None:
    def dumps(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    async def body(session: aiohttp.ClientSession) -> None:
        for url in ("chat/completions", yarl.URL("chat/completions?api-version=1")):
            async with session.post(url, json=CHAT) as response:
                await response.text()

    run(body, base_url=f"{server.url}/", json_serialize=dumps)
    first, second = spans(recording.store, "llm")
    assert first.raw.attempts[0].request == dumps(CHAT).encode()
    assert first.meta["url"] == second.meta["url"] == f"{server.url}{PATH}"


def test_what_is_not_ours_and_what_cannot_be_sent(recording: Recording, server: OpenAIServer) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield json.dumps(CHAT).encode()

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{server.url}/models") as response:
            assert type(response.content) is aiohttp.StreamReader
        async with session.post(f"{server.url}/other", json={"a": 1}) as response:
            assert await response.json() == {"ok": True}
        async with session.post(f"{server.url}{PATH}", data=b"no json") as response:
            assert await response.json() == {"ok": True}
        with pytest.raises(TypeError):
            await session.post(f"{server.url}{PATH}", json={"model": "m", "messages": [object()]})
        with pytest.raises(ValueError, match="can not be used at the same time"):
            await session.post(f"{server.url}{PATH}", json=CHAT, data=b"{}")
        length = {"content-length": str(len(json.dumps(CHAT)))}
        async with session.post(f"{server.url}{PATH}", data=upload(), headers=length) as response:
            assert response.status == 200

    run(body)
    assert [span.raw.name for span in spans(recording.store)] == ["root"]
    assert recording.losses() == {"wire_streamed_request": 1}


@pytest.mark.parametrize("how", ["break", "close", "unread"])
def test_a_stream_left_early(recording: Recording, server: OpenAIServer, how: str) -> None:
    """A stream that is left early ended well, with what came."""

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json={**STREAM, "model": "slow"}) as response:
            if how != "unread":
                async for _ in response.content:
                    break
            if how == "close":
                response.close()

    run(body)
    llm = only(recording.store)
    assert (llm.raw.state, llm.raw.status, llm.meta["ending"]) == ("ended", "ok", "closed")
    assert (llm.response == b"") == (how == "unread")
    assert llm.raw.error_type is None


def test_a_stream_that_is_cut_and_one_that_times_out(recording: Recording, server: OpenAIServer) -> None:
    """A cut stream, a read that times out and a refused connection are errors with aiohttp's own types."""

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json={**STREAM, "model": "cut"}) as response:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        with pytest.raises(asyncio.TimeoutError):
            timeout = aiohttp.ClientTimeout(total=0.1)
            await session.post(f"{server.url}{PATH}", json={**CHAT, "model": "hang"}, timeout=timeout)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post(f"http://127.0.0.1:9/v1{PATH}", json=CHAT)

    run(body)
    cut, timed_out, refused = spans(recording.store, "llm")
    assert (cut.raw.status, cut.call.finish_reasons) == ("error", ("error",))
    assert cut.said
    assert timed_out.raw.error_type is not None
    assert "Timeout" in timed_out.raw.error_type
    assert refused.raw.error_type is not None
    assert refused.raw.error_type.endswith("ClientConnectorError")


def test_a_read_that_is_given_up_and_taken_up_again(recording: Recording, server: OpenAIServer) -> None:
    async def body(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json={**STREAM, "model": "slow"}) as response:
            for _ in range(200):
                try:
                    if not await asyncio.wait_for(response.content.readany(), 0.004):
                        break
                except TimeoutError:
                    continue

    run(body)
    llm = only(recording.store)
    assert (llm.said, llm.meta["ending"]) == ("You said: Hello", "exhausted")


def test_a_cancelled_read_is_abandoned(recording: Recording, server: OpenAIServer) -> None:
    """A task that is cancelled while it waits for the stream leaves an abandoned call with what came."""

    async def read(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json={**STREAM, "model": "slow"}) as response:
            await response.read()

    async def body(session: aiohttp.ClientSession) -> None:
        task = asyncio.create_task(read(session))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body)
    llm = only(recording.store)
    assert (llm.raw.status, llm.raw.state) == ("unset", "abandoned")


def test_errors_of_the_server_read_and_raised(recording: Recording, server: OpenAIServer) -> None:
    """A 401 is an error of the call, whether the program reads it or has it raised; a retry is linked."""

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json={**CHAT, "model": "unauthorised"}) as response:
            assert (await response.json())["error"]["code"] == "invalid_api_key"
        with pytest.raises(aiohttp.ClientResponseError):
            await session.post(
                f"{server.url}{PATH}", json={**CHAT, "model": "unauthorised"}, raise_for_status=True
            )
        for status in (429, 200):
            async with session.post(f"{server.url}{PATH}", json={**CHAT, "model": "limited"}) as response:
                assert response.status == status
                await response.read()

    run(body)
    read, raised, limited, answered = spans(recording.store, "llm")
    assert read.raw.error_message == "Incorrect API key provided. [invalid_api_key]"
    assert (raised.raw.error_type, raised.meta["status"]) == ("401", 401)
    assert answered.raw.attributes["spanreel.retry_of"] == limited.raw.span_id


def test_calls_side_by_side_keep_their_parents(recording: Recording, server: OpenAIServer) -> None:
    """Parallel calls of one session keep their own bytes and parents."""

    @spanreel.trace
    async def work(session: aiohttp.ClientSession, number: int) -> str:
        content = [{"role": "user", "content": f"number {number}"}]
        request = {"model": "slow", "messages": content, "stream": bool(number % 2)}
        async with session.post(f"{server.url}{PATH}", json=request) as response:
            return await response.text()

    async def body(session: aiohttp.ClientSession) -> None:
        await asyncio.gather(*(work(session, number) for number in range(8)))

    run(body)
    parents = {span.raw.span_id: span for span in spans(recording.store, "chain")}
    calls = spans(recording.store, "llm")
    assert len({span.raw.parent_id for span in calls}) == 8
    for span in calls:
        assert span.raw.parent_id is not None
        assert json.loads(parents[span.raw.parent_id].raw.output or "") == span.response.decode()


def test_through_a_proxy_and_a_redirect(recording: Recording, server: OpenAIServer) -> None:
    """Through a proxy the server's address is recorded; a redirected request is one call."""
    proxy = ProxyServer()

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.url}{PATH}", json=CHAT, proxy=proxy.url) as response:
            await response.read()
        async with session.post(f"{server.url}/moved{PATH}", json=CHAT) as response:
            assert response.history
            assert (await response.json())["id"] == "chatcmpl-1"

    run(body)
    proxy.close()
    assert proxy.asked
    through, moved = spans(recording.store, "llm")
    assert through.meta["url"] == f"{server.url}{PATH}"
    assert moved.said == "You said: Hello"


def test_below_the_openai_client_it_is_recorded_once(recording: Recording, server: OpenAIServer) -> None:
    """openai over a transport of aiohttp's: the outermost hook records, once, and streams go through."""

    class Body(httpx2.AsyncByteStream):
        def __init__(self, response: aiohttp.ClientResponse) -> None:
            self.response = response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.response.content.iter_any():
                yield piece

        async def aclose(self) -> None:
            self.response.release()

    class Transport(httpx2.AsyncBaseTransport):
        def __init__(self, session: aiohttp.ClientSession) -> None:
            self.session = session

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await self.session.post(
                str(request.url), data=request.content, headers=dict(request.headers)
            )
            return httpx2.Response(response.status, headers=dict(response.headers), stream=Body(response))

    async def body(session: aiohttp.ClientSession) -> None:
        http = httpx2.AsyncClient(transport=Transport(session))
        async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", http_client=http) as client:
            async for _ in await client.chat.completions.create(**STREAM):
                pass

    run(body)
    llm = only(recording.store)
    assert (llm.said, llm.raw.status, llm.meta["ending"]) == ("You said: Hello", "ok", "exhausted")


def test_install_is_reversible() -> None:
    wire.uninstall()
    plain = aiohttp.ClientSession.__dict__["_request"]
    assert inspect.iscoroutinefunction(plain)
    wire.install()
    assert aiohttp.ClientSession.__dict__["_request"].__wrapped__ is plain
    assert inspect.iscoroutinefunction(aiohttp.ClientSession._request)
    wire.uninstall()
    assert aiohttp.ClientSession.__dict__["_request"] is plain
    wire.install()

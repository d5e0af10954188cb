"""The hook on httpx and httpx2 themselves: other traffic is left alone, ours is seen through any transport."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest
import wrapt
from openai_server import OpenAIServer
from recording import Recording
from wire_journal import only, spans

import spanreel
from spanreel import wire
from spanreel.wire.nesting import inside

pytestmark = pytest.mark.sdk

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


@LIBRARIES
def test_unrelated_traffic_is_left_alone(recording: Recording, server: OpenAIServer, library: Any) -> None:
    with spanreel.span("root"), library.Client() as client:
        assert client.get(f"{server.url}/models").json() == {"object": "list", "data": []}
        assert client.post(f"{server.url}/other", json={"a": 1}).json() == {"ok": True}
        assert client.post(f"{server.url}/chat/completions", content=b"no json").json() == {"ok": True}
        assert client.post(f"{server.url}/embeddings", json={"something": "else"}).status_code == 200
    assert [span.raw.name for span in spans(recording.store)] == ["root"]


@LIBRARIES
def test_a_response_is_the_same_in_every_respect(
    recording: Recording, server: OpenAIServer, library: Any
) -> None:
    def facts() -> dict[str, Any]:
        with spanreel.span("root"), library.Client() as client:
            response = client.post(f"{server.url}/chat/completions", json=CHAT)
            request = client.build_request(
                "POST", f"{server.url}/chat/completions", json={**CHAT, "stream": True}
            )
            streamed = client.send(request, stream=True)
            before = (streamed.is_closed, streamed.is_stream_consumed)
            text = "".join(streamed.iter_text())
        return {
            "content": response.content,
            "elapsed": response.elapsed.total_seconds() > 0,
            "flags": (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded),
            "history": response.history,
            "stream": (
                before,
                text,
                streamed.is_closed,
                streamed.is_stream_consumed,
                streamed.elapsed is not None,
            ),
            "is a stream": isinstance(streamed.stream, library.SyncByteStream),
        }

    with_hook = facts()
    wire.uninstall()
    without = facts()
    assert with_hook == without
    assert len(spans(recording.store, "llm")) == 2


@LIBRARIES
def test_async_clients(recording: Recording, server: OpenAIServer, library: Any) -> None:
    async def main() -> None:
        async with library.AsyncClient() as client:
            with spanreel.span("root"):
                await client.get(f"{server.url}/models")
                answer = await client.post(f"{server.url}/chat/completions", json=CHAT)
                assert answer.json()["id"] == "chatcmpl-1"
                body = {**CHAT, "stream": True}
                async with client.stream("POST", f"{server.url}/chat/completions", json=body) as response:
                    assert isinstance(response.stream, library.AsyncByteStream)
                    lines = [line async for line in response.aiter_lines()]
                assert lines[-2:] == ["data: [DONE]", ""]
                async with client.stream("POST", f"{server.url}/chat/completions", json=body) as response:
                    async for _ in response.aiter_bytes():
                        break

    asyncio.run(main())
    plain, streamed, left = spans(recording.store, "llm")
    assert plain.said == streamed.said == "You said: Hello"
    assert left.meta["ending"] == "closed"
    assert [span.raw.status for span in (plain, streamed, left)] == ["ok"] * 3


@LIBRARIES
def test_custom_transports_and_base_urls(recording: Recording, library: Any) -> None:
    def answer(request: Any) -> Any:
        assert json.loads(request.content)["model"]
        return library.Response(
            200,
            json={
                "id": "x",
                "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
            },
        )

    urls = {
        "https://api.groq.com/openai/v1/chat/completions": "groq",
        "https://me.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=1": "azure.ai.openai",
        "http://localhost:8000/deep/prefix/v1/chat/completions": "openai",
        "http://localhost:11434/v1/chat/completions": "ollama",
    }
    with spanreel.span("root"), library.Client(transport=library.MockTransport(answer)) as client:
        for url in urls:
            client.post(url, json=CHAT)
    found = spans(recording.store, "llm")
    assert [span.raw.attributes["gen_ai.provider.name"] for span in found] == list(urls.values())
    assert [span.call.provider for span in found] == list(urls.values())
    assert all(span.said == "hi" and span.raw.status == "ok" for span in found)
    assert "api-version" not in found[1].meta["url"]


@LIBRARIES
def test_a_transport_of_the_users_that_streams(recording: Recording, library: Any) -> None:
    class Body(library.SyncByteStream):  # type: ignore[misc]
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield b'data: {"choices":[{"index":0,"delta":{"content":"o'
            yield b'ne"}}]}\n\ndata: [DONE]\n\n'

        def close(self) -> None:
            Body.closed = True

    class Transport(library.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            del request
            return library.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    with spanreel.span("root"), library.Client(transport=Transport()) as client:
        client.post("http://test/v1/chat/completions", json=CHAT)
    llm = only(recording.store)
    assert Body.closed
    assert llm.said == "one"
    assert [offset for offset, _ in llm.meta["chunks"]] == [0, 50]


@LIBRARIES
def test_a_transport_that_raises(recording: Recording, library: Any) -> None:
    failure = library.ConnectTimeout("too slow")

    def refuse(request: Any) -> Any:
        raise failure

    client = library.Client(transport=library.MockTransport(refuse))
    with spanreel.span("root"), client, pytest.raises(library.ConnectTimeout) as raised:
        client.post("http://test/v1/chat/completions", json=CHAT)
    assert raised.value is failure
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert only(recording.store).raw.error_type == f"{library.__name__}.ConnectTimeout"


@LIBRARIES
def test_a_response_read_by_an_event_hook(recording: Recording, server: OpenAIServer, library: Any) -> None:
    with spanreel.span("root"), library.Client(event_hooks={"response": [lambda r: r.read()]}) as client:
        assert (
            client.post(f"{server.url}/chat/completions", json={**CHAT, "model": "gzip"}).json()["id"]
            == "chatcmpl-1"
        )
    llm = only(recording.store)
    assert llm.said == "You said: Hello"
    assert llm.response == server.bodies[0]


@LIBRARIES
def test_redirects_are_one_call(recording: Recording, server: OpenAIServer, library: Any) -> None:
    def answer(request: Any) -> Any:
        if request.url.path.startswith("/old"):
            return library.Response(307, headers={"location": "/v1/chat/completions"})
        return library.Response(
            200, json={"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
        )

    with (
        spanreel.span("root"),
        library.Client(transport=library.MockTransport(answer), follow_redirects=True) as client,
    ):
        response = client.post("http://test/old/chat/completions", json=CHAT)
    assert len(response.history) == 1
    assert only(recording.store).said == "hi"


@LIBRARIES
def test_an_upload_from_an_iterator_is_counted_not_read(
    recording: Recording, server: OpenAIServer, library: Any
) -> None:
    body = json.dumps(CHAT).encode()
    headers = {"content-length": str(len(body))}
    with spanreel.span("root"), library.Client() as client:
        assert client.post(f"{server.url}/chat/completions", content=iter([body]), headers=headers).json()[
            "id"
        ]
    assert spans(recording.store, "llm") == []
    assert recording.losses() == {"wire_streamed_request": 1}


@LIBRARIES
def test_a_send_inside_a_send_is_recorded_once(
    recording: Recording, server: OpenAIServer, library: Any
) -> None:
    inner = httpx.Client()

    def forward(request: Any) -> Any:
        assert inside()
        answer = inner.post(f"{server.url}/chat/completions", content=request.content)
        return library.Response(answer.status_code, content=answer.content)

    with spanreel.span("root"), library.Client(transport=library.MockTransport(forward)) as client:
        client.post("http://gateway/v1/chat/completions", json=CHAT)
    assert not inside()
    assert only(recording.store).raw.attributes["server.address"] == "gateway"
    inner.close()


@LIBRARIES
def test_a_subclass_that_overrides_send(recording: Recording, server: OpenAIServer, library: Any) -> None:
    class Mine(library.Client):  # type: ignore[misc]
        def send(self, request: Any, **options: Any) -> Any:
            return super().send(request, **options)

    with spanreel.span("root"), Mine() as client:
        client.post(f"{server.url}/chat/completions", json=CHAT)
    assert only(recording.store).said == "You said: Hello"


@LIBRARIES
def test_a_plain_retry_is_linked_and_marked_as_inferred(recording: Recording, library: Any) -> None:
    answers = iter([503, 200])

    def answer(request: Any) -> Any:
        return library.Response(next(answers), json={"choices": []})

    with spanreel.span("root"), library.Client(transport=library.MockTransport(answer)) as client:
        for _ in range(2):
            client.post("http://test/v1/chat/completions", json=CHAT)
    failed, answered = spans(recording.store, "llm")
    assert answered.raw.attributes["spanreel.retry_of"] == failed.raw.span_id
    assert answered.raw.attributes["spanreel.retry_inferred"] is True
    assert answered.meta["retry_count"] == 1


def test_install_is_idempotent_and_reversible() -> None:
    wire.uninstall()
    plain = {
        library: (library.Client.__dict__["send"], library.AsyncClient.__dict__["send"])
        for library in (httpx, httpx2)
    }
    assert all(inspect.isfunction(send) for pair in plain.values() for send in pair)
    first = wire.install()
    second = wire.install()
    assert first == second
    assert [(outcome.name, outcome.state) for outcome in first[:2]] == [
        ("httpx", "wrapped"),
        ("httpx2", "wrapped"),
    ]
    for library, pair in plain.items():
        send = library.Client.__dict__["send"]
        assert isinstance(send, wrapt.FunctionWrapper)
        assert send.__wrapped__ is pair[0]
        assert inspect.signature(library.Client.send) == inspect.signature(pair[0])
        assert inspect.iscoroutinefunction(library.AsyncClient.send)
    wire.uninstall()
    for library, pair in plain.items():
        assert (library.Client.__dict__["send"], library.AsyncClient.__dict__["send"]) == pair
    wire.install()


def test_a_wrapper_below_another_is_switched_off(recording: Recording, server: OpenAIServer) -> None:
    ours = httpx.Client.__dict__["send"]

    def theirs(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    httpx.Client.send = wrapt.FunctionWrapper(ours, theirs)  # type: ignore[method-assign]
    try:
        with spanreel.span("root"), httpx.Client() as client:
            client.post(f"{server.url}/chat/completions", json=CHAT)
            wire.uninstall()
            client.post(f"{server.url}/chat/completions", json=CHAT)
        assert len(spans(recording.store, "llm")) == 1
    finally:
        httpx.Client.send = ours.__wrapped__  # type: ignore[method-assign]
        wire.install()


def test_a_version_out_of_range_is_named() -> None:
    import types

    hook = wire.HOOKS[0]
    module = types.ModuleType("httpx")
    module.__version__ = "one"  # type: ignore[attr-defined]
    assert wire.hooks.wrap(hook, module).state == "out of range"
    module.__version__ = "1.0.0"  # type: ignore[attr-defined]
    assert wire.hooks.wrap(hook, module).reason == "httpx 1.0.0 is not >=0.24,<1"
    module.__version__ = "0.28.1"  # type: ignore[attr-defined]
    from spanreel.guard import guard

    guard.strict = False
    outcome = wire.hooks.wrap(hook, module)
    assert outcome.state == "failed"
    assert "Client" in outcome.reason


def test_an_async_stream_that_is_its_own_iterator_is_not_closed_by_us(recording: Recording) -> None:
    class Body(httpx2.AsyncByteStream):
        closed = 0

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._pieces()

        async def _pieces(self) -> AsyncIterator[bytes]:
            yield b"{}"
            yield b" "

        async def aclose(self) -> None:
            self.closed += 1

    body = Body()

    async def answer(request: Any) -> Any:
        del request
        return httpx2.Response(200, stream=body)

    async def main() -> None:
        with spanreel.span("root"):
            async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
                await client.post("http://test/v1/chat/completions", json=CHAT)

    asyncio.run(main())
    assert body.closed == 1
    assert only(recording.store).response == b"{} "

"""httpx and httpx2, sync and async: `Client.send` of the class, so that clients made earlier are seen too.

`send` is the public method that every request goes through, redirects and authentication included. It is called
with `stream=True`, the response's stream is wrapped, and where the caller did not ask for a stream the body is
read here, as `send` itself would have: so one road sees every chunk as it comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import wrapt

from spanreel import clock, recorder
from spanreel.guard import guard
from spanreel.protocols.table import may_be_ours
from spanreel.wire.encodings import MOST
from spanreel.wire.nesting import Nested
from spanreel.wire.patching import Switch, Undo, patch, together
from spanreel.wire.recording import Address, Recording, begin, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

    from spanreel.wire.patching import Wrapper


def install(module: ModuleType) -> Undo:
    """Wrap the client classes of `module` (httpx or httpx2); the result takes the wrappers out again."""
    switch = Switch()
    return together(
        switch,
        [
            patch(module.Client, "send", _sync_hook(module, switch)),
            patch(module.AsyncClient, "send", _async_hook(module, switch)),
        ],
    )


def _sync_hook(module: ModuleType, switch: Switch) -> Wrapper:
    def send(wrapped: Callable[..., Any], _client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        request = args[0] if args else kwargs.get("request")
        if getattr(request, "method", "") != "POST" or not switch.on:
            return wrapped(*args, **kwargs)
        recording = _begin(request)
        if recording is None:
            return wrapped(*args, **kwargs)
        mark = Nested()
        try:
            response = wrapped(*args, **{**kwargs, "stream": True})
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            mark.leave()
        _watch(module, recording, response)
        if not kwargs.get("stream"):
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    return send


def _async_hook(module: ModuleType, switch: Switch) -> Wrapper:
    async def record(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        recording = _begin(args[0] if args else kwargs["request"])
        if recording is None:
            return await wrapped(*args, **kwargs)
        mark = Nested()
        try:
            response = await wrapped(*args, **{**kwargs, "stream": True})
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            mark.leave()
        _watch(module, recording, response)
        if not kwargs.get("stream"):
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    def send(wrapped: Callable[..., Any], _client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        request = args[0] if args else kwargs.get("request")
        if getattr(request, "method", "") != "POST" or not switch.on or not _may_be_ours(request):
            return wrapped(*args, **kwargs)
        return record(wrapped, args, kwargs)

    return send


def _may_be_ours(request: Any) -> bool:
    try:
        return may_be_ours(str(request.url.path))
    except Exception:
        return False


def _begin(request: Any) -> Recording | None:
    """Open the recording of a request whose body is at hand; an upload that is streamed has none to tell by."""
    try:
        url = request.url
        if not may_be_ours(url.path) or not wanted():
            return None
        try:
            body = request.content
        except Exception:  # RequestNotRead: an upload from an iterator, which only its receiver may read
            recorder.loss("wire_streamed_request")
            return None
        return begin(
            method=request.method,
            address=Address(url.scheme, url.host, url.port, _raw_path(url)),
            headers=request.headers,
            body=body,
        )
    except Exception as error:
        guard.caught("wire.httpx.begin", error)
        return None


def _raw_path(url: Any) -> str:
    """The path as it is sent: a slash inside of a model's name (an ARN of Amazon's) stays told from the others."""
    return str(url.raw_path.partition(b"?")[0].decode("ascii"))


def _watch(module: ModuleType, recording: Recording, response: Any) -> None:
    """Tell the recording of the response, and have its stream report what passes."""
    with guard("wire.httpx.answered"):
        if response.is_closed:
            # Read already: by an event hook of the client, or made whole by a transport. Its content is decoded.
            recording.answered(response.status_code, response.headers, None)
            recording.log.note(response.content, clock.tick())
            recording.finish("exhausted")
            return
        recording.answered(response.status_code, response.headers, _decoder(module))
        stream = response.stream
        kind = _SyncStream if isinstance(stream, module.SyncByteStream) else _AsyncStream
        response.stream = kind(stream, recording)


class _Stream(wrapt.ObjectProxy[Any]):
    """A byte stream that is the library's own in everything but that its chunks are noted."""

    _self_recording: Recording

    def __init__(self, stream: Any, recording: Recording) -> None:
        super().__init__(stream)
        self._self_recording = recording


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        recording, tick = self._self_recording, clock.tick
        note = recording.log.note
        try:
            for chunk in self.__wrapped__:
                note(chunk, tick())
                yield chunk
        except GeneratorExit:  # left early: the end comes when the response is closed, or collected
            raise
        except BaseException as error:
            recording.finish("raised", error)
            raise
        recording.finish("exhausted")

    def close(self) -> None:
        try:
            self.__wrapped__.close()
        finally:
            self._self_recording.finish("closed")


class _AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        recording, tick = self._self_recording, clock.tick
        note = recording.log.note
        stream = self.__wrapped__.__aiter__()
        try:
            async for chunk in stream:
                note(chunk, tick())
                yield chunk
        except GeneratorExit:
            # As httpx2 does itself: an async generator that is left early is closed, not left to the event loop.
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
            raise
        except BaseException as error:
            recording.finish("raised", error)
            raise
        recording.finish("exhausted")

    async def aclose(self) -> None:
        try:
            await self.__wrapped__.aclose()
        finally:
            self._self_recording.finish("closed")


def _decoder(module: ModuleType) -> Callable[[str, list[bytes]], list[bytes]]:
    """Content-Encoding undone by the library itself, on a response of ours: whatever it supports is supported."""

    def decode(encoding: str, chunks: list[bytes]) -> list[bytes]:
        decoded: list[list[bytes]] = [[] for _ in chunks]
        place = 0

        class Source(module.SyncByteStream):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Iterator[bytes]:
                nonlocal place
                for place, chunk in enumerate(chunks):  # noqa: B007 - the place is what the reader below looks at
                    yield chunk

        response = module.Response(200, headers={"content-encoding": encoding}, stream=Source())
        size = 0
        try:
            for piece in response.iter_bytes():
                decoded[place].append(piece)
                size += len(piece)
                if size > MOST:
                    break
        except module.DecodingError:
            pass  # a stream that was cut inside a compressed block: what came before it holds
        return [b"".join(pieces) for pieces in decoded]

    return decode

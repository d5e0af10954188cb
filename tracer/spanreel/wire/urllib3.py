"""urllib3, and requests above it: every attempt of a call, those of `Retry` included.

`urlopen` calls itself again for each retry and redirect, so wrapping it sees each attempt; `_make_request`
below it hands over the response of one before urllib3 drains it and tries again. The response becomes an
instance of a subclass of its own class: its bytes are noted where they are read, before they are decoded.
"""

from __future__ import annotations

import io
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spanreel import clock, recorder
from spanreel.guard import guard
from spanreel.protocols.table import may_be_ours
from spanreel.wire import encodings
from spanreel.wire.nesting import leave
from spanreel.wire.patching import Switch, Undo, patch, together
from spanreel.wire.recording import Address, Recording, begin, wanted

if TYPE_CHECKING:
    from types import ModuleType

    from spanreel.wire.patching import Wrapper

DEFAULT_PORTS = {"http": 80, "https": 443}


class Awaited:
    """A recording that waits for its response. `handed`: its owner is a hook above, which sees what is raised."""

    __slots__ = ("handed", "recording")

    def __init__(self, recording: Recording, *, handed: bool) -> None:
        self.recording: Recording | None = recording
        self.handed = handed

    def take(self) -> Recording | None:
        """Return the recording, the first time."""
        recording, self.recording = self.recording, None
        return recording


awaited: ContextVar[Awaited | None] = ContextVar("spanreel-urllib3-awaited", default=None)
"""The attempt whose response `_make_request` is about to return."""


def install(module: ModuleType) -> Undo:
    """Wrap the connection pools of urllib3 2; the result takes the wrappers out again."""
    switch = Switch()
    pool = module.HTTPConnectionPool
    return together(
        switch,
        [patch(pool, "urlopen", _urlopen(switch)), patch(pool, "_make_request", _make_request)],
    )


def _urlopen(switch: Switch) -> Wrapper:
    def urlopen(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (args[0] if args else kwargs.get("method")) != "POST" or not switch.on:
            return wrapped(*args, **kwargs)
        recording = _begin(pool, args, kwargs)
        if recording is None:
            return wrapped(*args, **kwargs)
        token = awaited.set(Awaited(recording, handed=False))
        try:
            return wrapped(*args, **kwargs)
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            leave(awaited, token)

    return urlopen


def _make_request(wrapped: Any, _pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    waiting = awaited.get()
    if waiting is None or waiting.recording is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        if not waiting.handed:  # now, not when urlopen gives up: it may wait and try again
            recording = waiting.take()
            if recording is not None:
                recording.finish("raised", error)
        raise
    recording = waiting.take()
    if recording is not None:
        watch(recording, response)
    return response


def _begin(pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recording | None:
    """Open the recording of one attempt whose body is at hand."""
    try:
        url = args[1] if len(args) > 1 else kwargs.get("url", "")
        if not may_be_ours(path_of(url)) or not wanted():
            return None
        _settle(args[4] if len(args) > 4 else kwargs.get("retries"))
        body = content(args[2] if len(args) > 2 else kwargs.get("body"))
        if body is None:
            return None
        headers = args[3] if len(args) > 3 else kwargs.get("headers")
        return begin(
            method="POST",
            address=_address(pool, url),
            headers=pool.headers if headers is None else headers,
            body=body,
        )
    except Exception as error:
        guard.caught("wire.urllib3.begin", error)
        return None


def _settle(retries: Any) -> None:
    """End the attempt before, where it failed on its way to the proxy and never got to `_make_request`."""
    waiting, history = awaited.get(), getattr(retries, "history", ())
    if waiting is not None and waiting.recording is not None and history and not waiting.handed:
        before = waiting.take()
        if before is not None:
            before.finish("raised", history[-1].error or ConnectionError("the request was not sent"))


def content(body: Any) -> bytes | None:
    """Return the bytes of a request body; None (counted) for an upload that only its receiver may read."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    if isinstance(body, io.BytesIO):
        return body.getvalue()[body.tell() :]
    if body is not None:
        recorder.loss("wire_streamed_request")
    return None


def path_of(url: str) -> str:
    """Return the path of a URL or of a request's target, without its query."""
    path = url.partition("?")[0]
    if path[:1] == "/":
        return path
    after = path.find("://")
    if after < 0:
        return path
    slash = path.find("/", after + 3)
    return path[slash:] if slash >= 0 else ""


def _address(pool: Any, url: str) -> Address:
    if url.startswith("/"):
        return address_of(pool.scheme, pool.host, pool.port, path_of(url))
    parts = urlsplit(url)  # a proxy is asked for the whole of it
    return address_of(parts.scheme, parts.hostname or "", parts.port, parts.path)


def address_of(scheme: str, host: str, port: int | None, path: str) -> Address:
    """Make an address, without the port that its scheme has by default."""
    return Address(scheme, host.strip("[]"), None if port == DEFAULT_PORTS.get(scheme) else port, path)


def watch(recording: Recording, response: Any) -> None:
    """Tell the recording of the response, and have it report what is read of it."""
    with guard("wire.urllib3.answered"):
        read_already = getattr(response, "_body", None)
        streams = hasattr(response, "_raw_read") and hasattr(response, "_handle_chunk")
        undoes = (
            getattr(response, "decode_content", False) and getattr(response, "_decoder", None) is not None
        )
        decoded = read_already is not None and undoes
        recording.answered(response.status, response.headers, None if decoded else encodings.decode)
        if read_already is not None or not streams:  # preloaded, or HTTP/2
            recording.log.note(bytes(response.data or b""), clock.tick())
            recording.finish("exhausted")
            return
        response.__class__ = _recorded(type(response))
        response.spanreel_recording = recording
        if response.length_remaining == 0:
            recording.finish("exhausted")


class _Silent:
    """Takes the place of a recording that must not end yet."""

    def finish(self, _ending: str) -> None:
        """Nothing ends."""


_SILENT = _Silent()


_kinds: dict[Any, Any] = {}


def _recorded(kind: Any) -> Any:
    """Return a subclass of a response class that notes what is read, and looks like that class."""
    if kind in _kinds:
        return _kinds[kind]
    namespace = {
        "_raw_read": _raw_read(kind),
        "_handle_chunk": _handle_chunk(kind),
        "_update_chunk_length": _update_chunk_length(kind),
        "close": _close(kind),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    made = type(kind.__name__, (kind,), namespace)
    _kinds[kind] = _kinds[made] = made
    return made


def _raw_read(kind: Any) -> Any:
    def raw_read(self: Any, amt: int | None = None, **options: Any) -> Any:
        recording: Recording = self.spanreel_recording
        try:
            data = kind._raw_read(self, amt, **options)  # noqa: SLF001 - the one place where all bytes pass
        except BaseException as error:
            recording.finish("raised", error)
            raise
        if data:
            recording.log.note(data, clock.tick())
        if (not data and amt != 0) or self.isclosed():
            recording.finish("exhausted")
        return data

    return raw_read


def _handle_chunk(kind: Any) -> Any:
    def handle_chunk(self: Any, amt: int | None) -> Any:
        recording: Recording = self.spanreel_recording
        try:
            data = kind._handle_chunk(self, amt)  # noqa: SLF001 - as above, of a chunked body
        except BaseException as error:
            recording.finish("raised", error)
            raise
        recording.log.note(data, clock.tick())
        return data

    return handle_chunk


def _update_chunk_length(kind: Any) -> Any:
    def update_chunk_length(self: Any) -> None:
        recording: Recording = self.spanreel_recording
        self.spanreel_recording = _SILENT  # it closes itself before it raises
        try:
            kind._update_chunk_length(self)  # noqa: SLF001 - as above: the last chunk has length 0
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            self.spanreel_recording = recording
        if self.chunk_left == 0:
            recording.finish("exhausted")

    return update_chunk_length


def _close(kind: Any) -> Any:
    def close(self: Any) -> None:
        try:
            kind.close(self)
        finally:
            self.spanreel_recording.finish("closed")

    return close

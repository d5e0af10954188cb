"""aiohttp: `ClientSession._request`, which every request method calls, and the content stream of its response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import wrapt

from spanreel import clock
from spanreel.guard import guard
from spanreel.protocols.table import may_be_ours
from spanreel.wire import encodings
from spanreel.wire.nesting import Nested
from spanreel.wire.patching import Switch, Undo, patch, together
from spanreel.wire.recording import Recording, begin, wanted
from spanreel.wire.urllib3 import address_of, content, path_of

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import ModuleType

    from spanreel.wire.patching import Wrapper


def install(module: ModuleType) -> Undo:
    """Wrap the session class of aiohttp; the result takes the wrapper out again."""
    switch = Switch()
    return together(switch, [patch(module.ClientSession, "_request", _hook(module, switch))])


def _hook(module: ModuleType, switch: Switch) -> Wrapper:
    async def record(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        recording = _begin(module, session, args, kwargs)
        if recording is None:
            return await wrapped(*args, **kwargs)
        mark = Nested()
        try:
            response = await wrapped(*args, **kwargs)
        except module.ClientResponseError as error:
            _refused(recording, error)
            raise
        except BaseException as error:
            recording.finish("raised", error)
            raise
        finally:
            mark.leave()
        _watch(recording, session, response, kwargs.get("auto_decompress"))
        return response

    def request(wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not switch.on or not _may_be_ours(args, kwargs):
            return wrapped(*args, **kwargs)
        return record(wrapped, session, args, kwargs)

    return request


def _may_be_ours(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        method = args[0] if args else kwargs["method"]
        if method != "POST" and method.upper() != "POST":
            return False
        url = args[1] if len(args) > 1 else kwargs["str_or_url"]
        return may_be_ours(path_of(url) if isinstance(url, str) else url.raw_path)
    except Exception:
        return False


def _begin(
    module: ModuleType, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Recording | None:
    """Open the recording of a request whose body is at hand."""
    try:
        if not wanted():
            return None
        body = _body(module, session, kwargs)
        if body is None:
            return None
        url = session._build_url(args[1] if len(args) > 1 else kwargs["str_or_url"])  # noqa: SLF001 - with its base
        return begin(
            method="POST",
            address=address_of(url.scheme, url.host or "", url.port, url.raw_path),
            headers={**session.headers, **dict(kwargs.get("headers") or {})},
            body=body,
        )
    except Exception as error:
        guard.caught("wire.aiohttp.begin", error)
        return None


def _body(module: ModuleType, session: Any, kwargs: dict[str, Any]) -> bytes | None:
    """Return the request's bytes. A value given as `json` is put into the payload that aiohttp would make of it."""
    data: Any = kwargs.get("data")
    value = kwargs.get("json")
    if value is not None and data is None:
        in_bytes = getattr(session, "_json_serialize_bytes", None)
        try:
            if in_bytes is not None:
                data = module.payload.JsonBytesPayload(value, dumps=in_bytes)
            else:
                data = module.payload.JsonPayload(value, dumps=session._json_serialize)  # noqa: SLF001
        except Exception:  # aiohttp raises the same, where the program expects it
            return None
        kwargs["data"], kwargs["json"] = data, None
    if data is not None and isinstance(data, module.payload.BytesPayload):
        data = data._value  # noqa: SLF001 - its `decode` would take a copy as text
    if data is None or isinstance(data, dict | module.FormData):
        return None
    return content(data)


def _refused(recording: Recording, error: Any) -> None:
    """A response that `raise_for_status` turned into an exception, its body unread; or no HTTP at all."""
    with guard("wire.aiohttp.refused"):
        if (
            error.status >= 400
            and error.headers is not None
            and type(error).__name__ == "ClientResponseError"
        ):
            recording.answered(error.status, error.headers, None)
            recording.finish("closed")
            return
    recording.finish("raised", error)


def _watch(recording: Recording, session: Any, response: Any, decompress: bool | None) -> None:
    """Tell the recording of the response, and have its content report what is read."""
    with guard("wire.aiohttp.answered"):
        if decompress is None:
            decompress = session._auto_decompress  # noqa: SLF001 - the session's default
        recording.answered(response.status, response.headers, None if decompress else encodings.decode)
        stream, body = response.content, response._body  # noqa: SLF001 - read by a middleware or a callback
        if body is not None or stream.at_eof():
            recording.log.note(body or b"", clock.tick())
            recording.finish("exhausted")
            return
        response.content = _Content(stream, recording)


class _Content(wrapt.ObjectProxy[Any]):
    """A stream reader that is aiohttp's own in everything but that what is read is noted."""

    _self_recording: Recording
    _self_cancelled: BaseException | None

    def __init__(self, stream: Any, recording: Recording) -> None:
        super().__init__(stream)
        self._self_recording = recording
        self._self_cancelled = None

    async def _self_read(self, reading: Coroutine[Any, Any, Any]) -> Any:
        recording = self._self_recording
        try:
            found = await reading
        except asyncio.IncompleteReadError as error:
            recording.log.note(error.partial, clock.tick())
            recording.finish("raised", error)
            raise
        except Exception as error:
            recording.finish("raised", error)
            raise
        except BaseException as error:  # a timeout of the program's around one read: it may read on
            self._self_cancelled = error
            raise
        self._self_note(found[0] if type(found) is tuple else found, at_end=found in (b"", (b"", False)))
        return found

    def _self_note(self, data: bytes, *, at_end: bool) -> None:
        self._self_cancelled = None
        if data:
            self._self_recording.log.note(data, clock.tick())
        if at_end or self.__wrapped__.at_eof():
            self._self_recording.finish("exhausted")

    async def readany(self) -> Any:
        return await self._self_read(self.__wrapped__.readany())

    async def readchunk(self) -> Any:
        return await self._self_read(self.__wrapped__.readchunk())

    async def readline(self, **options: Any) -> Any:
        return await self._self_read(self.__wrapped__.readline(**options))

    async def readuntil(self, *args: Any, **options: Any) -> Any:
        return await self._self_read(self.__wrapped__.readuntil(*args, **options))

    async def readexactly(self, n: int) -> Any:
        return await self._self_read(self.__wrapped__.readexactly(n))

    async def read(self, n: int = -1) -> Any:
        """As aiohttp's own; all of it is read piece by piece, as there, so that each has its time."""
        if n == 0:
            return await self.__wrapped__.read(0)
        if n > 0:
            return await self._self_read(self.__wrapped__.read(n))
        lift = getattr(self.__wrapped__, "set_read_chunk_size", None)
        if lift is not None:
            import sys

            lift(sys.maxsize)
        blocks: list[bytes] = []
        while block := await self.readany():
            blocks.append(block)
        return b"".join(blocks)

    def read_nowait(self, n: int = -1) -> Any:
        data = self.__wrapped__.read_nowait(n)
        self._self_note(data, at_end=False)
        return data

    def __aiter__(self) -> Any:
        return type(self.__wrapped__.iter_any())(self.readline)

    def iter_any(self) -> Any:
        return type(self.__wrapped__.iter_any())(self.readany)

    def iter_chunked(self, n: int) -> Any:
        self.__wrapped__.iter_chunked(n)  # for the size of buffer that it sets
        return type(self.__wrapped__.iter_any())(lambda: self.read(n))

    def iter_chunks(self) -> Any:
        return type(self.__wrapped__.iter_chunks())(self)

    def set_exception(self, *args: Any, **options: Any) -> None:
        """Called by the response when it is closed or released: the rest will not be read."""
        self.__wrapped__.set_exception(*args, **options)
        if self._self_cancelled is not None:
            self._self_recording.finish("raised", self._self_cancelled)
        self._self_recording.finish("closed")

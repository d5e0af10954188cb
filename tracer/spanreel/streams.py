"""Results that come piece by piece: the span stays open until exhaustion, close or collection.

Nothing is consumed by us. Generators are driven by real generators (type and protocol stay); other iterators
are seen through a transparent proxy; a web framework's streaming response keeps its identity, only the
iterator inside is exchanged. The span is current during each step and never across one.
"""

from __future__ import annotations

import inspect
import sys
import types
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import wrapt

from spanreel import anatomy
from spanreel import context as contexts
from spanreel.guard import guard

if TYPE_CHECKING:
    from spanreel.spans import Span

ITEMS = 10_000
"""Items of a stream that are kept for the output."""
PLAIN = frozenset({
    str, int, float, bool, type(None), dict, list, tuple, set, frozenset, bytes, bytearray, complex,
})  # fmt: skip
"""Results that cannot be streams: told by one look-up."""


class Reel:
    """Collects what a stream yields and ends its span once."""

    __slots__ = ("_capture", "_carried", "_count", "_items", "_room", "_span", "_whole")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._carried = contexts.below(span, otel=span._recorder.shows_otel())
        self._items: list[Any] = []
        self._count = 0
        self._capture = span._recorder.full and span._output is None
        self._room = span._recorder.settings.body_limit
        self._whole = True

    def enter(self) -> Any:
        """Make the span, and what it inherited where it was opened, current for one step."""
        return contexts.variable.set(contexts.merged(self._carried))

    def item(self, value: object) -> None:
        """Note one item."""
        try:
            span = self._span
            if not self._count:
                span.first_token()
            self._count += 1
            if not self._capture:
                return
            if self._room <= 0 or len(self._items) >= ITEMS:
                self._whole = False
                return
            if type(value) is str or type(value) is bytes:
                self._items.append(value)
                self._room -= len(value)
            else:
                text = span._recorder.capture(value)
                self._items.append(Captured(text))
                self._room -= len(text)
        except Exception as error:
            guard.caught("stream.item", error)

    def fail(self, error: BaseException) -> None:
        """End the span with an exception that came out of the stream."""
        with guard("stream.fail"):
            self._span.fail_with(error)
            self.end()

    def end(self) -> None:
        """End the span with what was yielded so far."""
        with guard("stream.end"):
            span = self._span
            if span._ended:
                return
            span.set_attribute("spanreel.items", self._count)
            if not self._whole:
                span._recorder.loss("stream_items_not_kept", 1)
            if span._status == b"unset":
                span._status = b"ok"
            span.close(self._output() if self._capture else b"")
            self._items = []

    def __del__(self) -> None:
        """The stream went out of use, begun or not. The interpreter may be half gone: say nothing."""
        try:
            self.end()
        except Exception:
            pass

    def _output(self) -> bytes:
        items = self._items
        capture = self._span._recorder.capture
        if items and all(type(item) is str for item in items):
            return capture("".join(items))
        if items and all(type(item) is bytes for item in items):
            return capture(b"".join(items).decode("utf-8", "replace"))
        parts = [item.text if type(item) is Captured else capture(item) for item in items]
        return b"[" + b",".join(parts) + b"]"


class Captured:
    """An item captured at the moment it passed."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


def drive(begin: Callable[[], Reel | None], inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A generator that yields what `inner` yields (PEP 380's protocol), recording each step."""
    reel = begin()
    if reel is None:
        return (yield from inner)
    step: Callable[[Any], Any] = inner.send
    sent: Any = None
    try:
        while True:
            token = reel.enter()
            try:
                item = step(sent)
            finally:
                contexts.detach(token)
            reel.item(item)
            try:
                sent = yield item
                step = inner.send
            except GeneratorExit:
                _step_close(reel, inner)
                reel.end()
                raise
            except BaseException as thrown:
                step, sent = inner.throw, thrown
    except StopIteration as stop:
        reel.end()
        return stop.value
    except GeneratorExit:
        reel.end()
        raise
    except BaseException as error:
        reel.fail(error)
        raise
    finally:
        del step, sent


def _step_close(reel: Reel, inner: Generator[Any, Any, Any]) -> None:
    token = reel.enter()
    try:
        inner.close()
    finally:
        contexts.detach(token)


async def drive_async(
    begin: Callable[[], Reel | None], inner: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    """The asynchronous twin of `drive`: `asend`, `athrow` and `aclose` reach the inner generator."""
    reel = begin()
    if reel is None:
        reel = Silent()
    step: Callable[[Any], Any] = inner.asend
    sent: Any = None
    try:
        while True:
            token = reel.enter()
            try:
                item = await step(sent)
            finally:
                contexts.detach(token)
            reel.item(item)
            try:
                sent = yield item
                step = inner.asend
            except GeneratorExit:
                token = reel.enter()
                try:
                    await inner.aclose()
                finally:
                    contexts.detach(token)
                reel.end()
                raise
            except BaseException as thrown:
                step, sent = inner.athrow, thrown
    except StopAsyncIteration:
        reel.end()
    except GeneratorExit:
        reel.end()
        raise
    except BaseException as error:
        reel.fail(error)
        raise
    finally:
        del step, sent


class Silent(Reel):
    """Stands in where nothing is recorded, so that the drivers have one shape."""

    __slots__ = ()

    def __init__(self) -> None:
        """Hold nothing."""

    def enter(self) -> Any:
        """Leave the context as it is."""
        return contexts.variable.set(contexts.current())

    def item(self, value: object) -> None:
        """Keep nothing."""

    def fail(self, error: BaseException) -> None:
        """Keep nothing."""

    def end(self) -> None:
        """Write nothing."""


class _Own:
    """An attribute that the proxy has only where the real object has it."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, proxy: Any, _owner: Any = None) -> Any:
        if proxy is None:
            raise AttributeError(self._name)
        return getattr(proxy.__wrapped__, self._name)


class _Close(_Own):
    """`close` or `aclose` of the real object, which ends the span too."""

    def __get__(self, proxy: Any, owner: Any = None) -> Any:
        close, reel = super().__get__(proxy, owner), proxy._self_reel

        def closing(*args: Any, **kwargs: Any) -> Any:
            try:
                result = close(*args, **kwargs)
            except BaseException:
                reel.end()
                raise
            if inspect.isawaitable(result):
                return _closed(result, reel)
            reel.end()
            return result

        return closing


async def _closed(closing: Awaitable[Any], reel: Reel) -> Any:
    try:
        return await closing
    finally:
        reel.end()


class _Watched(wrapt.ObjectProxy[Any]):
    """An iterator seen through a proxy: everything but the steps goes to the real object; a copy is not watched."""

    def __init__(self, wrapped: Any, reel: Reel) -> None:
        super().__init__(wrapped)
        self._self_reel = reel

    __copy__: Any = _Own()
    __deepcopy__: Any = _Own()
    close = _Close()
    aclose = _Close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)


class TracedIterator(_Watched):
    """A watched iterator."""

    def __iter__(self) -> TracedIterator:
        return self

    def __next__(self) -> Any:
        reel: Reel = self._self_reel
        token = reel.enter()
        try:
            item = next(self.__wrapped__)
        except StopIteration:
            reel.end()
            raise
        except BaseException as error:
            reel.fail(error)
            raise
        finally:
            contexts.detach(token)
        reel.item(item)
        return item

    def __enter__(self) -> Any:
        entered = self.__wrapped__.__enter__()
        return self if entered is self.__wrapped__ else entered

    def __exit__(self, *details: object) -> Any:
        try:
            return self.__wrapped__.__exit__(*details)
        finally:
            self._self_reel.end()


class TracedAsyncIterator(_Watched):
    """The asynchronous twin of `TracedIterator`."""

    def __aiter__(self) -> TracedAsyncIterator:
        return self

    async def __anext__(self) -> Any:
        reel: Reel = self._self_reel
        token = reel.enter()
        try:
            item = await self.__wrapped__.__anext__()
        except StopAsyncIteration:
            reel.end()
            raise
        except BaseException as error:
            reel.fail(error)
            raise
        finally:
            contexts.detach(token)
        reel.item(item)
        return item

    async def __aenter__(self) -> Any:
        entered = await self.__wrapped__.__aenter__()
        return self if entered is self.__wrapped__ else entered

    async def __aexit__(self, *details: object) -> Any:
        try:
            return await self.__wrapped__.__aexit__(*details)
        finally:
            self._self_reel.end()


_STEPS = (types.FunctionType, types.WrapperDescriptorType, types.MethodDescriptorType)
_FILE_LIKE = ("readline", "execute")
"""Files, sockets' readers and database cursors: iterators too, but read in other ways, and kept as they are."""


def _steps(kind: type, *names: str) -> bool:
    """Whether a class implements all of these methods itself; a lazy proxy (LocalProxy, a mock) only forwards."""
    for name in names:
        found = _stored(kind, name)
        if not isinstance(found, _STEPS) and type(found).__name__ != "cython_function_or_method":
            return False
    return kind is not weakref.ProxyType and kind is not weakref.CallableProxyType


def _stored(kind: type, name: str) -> Any:
    for base in anatomy.mro(kind):
        found = anatomy.namespace(base).get(name)
        if found is not None:
            return found
    return None


def adopt(span: Span, result: Any) -> Any:
    """`result` with its stream watched (the span then ends with it), or None if it is not a stream."""
    kind = type(result)
    if kind is types.GeneratorType:
        return _named(_driven(span, result), result)
    if kind is types.AsyncGeneratorType:
        return _named(_driven_async(span, result), result)
    for names, proxy in _PROXIES:
        if _steps(kind, *names):
            return None if any(_stored(kind, name) for name in _FILE_LIKE) else proxy(result, Reel(span))
    if kind is types.CoroutineType:
        return _awaited(span, result)
    for module, attribute, exchange in RESPONSES:
        loaded = sys.modules.get(module)
        if loaded is not None:
            response = getattr(loaded, attribute, None)
            if any(base is response for base in anatomy.mro(kind)):
                return exchange(span, result)
    return None


async def _awaited(span: Span, inner: Any) -> Any:
    """A plain function gave a coroutine: the span ends with it, and is current while it runs."""
    reel = Reel(span)
    token = reel.enter()
    try:
        result = await inner
    except BaseException as error:
        contexts.detach(token)
        reel.fail(error)
        raise
    contexts.detach(token)
    with guard("stream.awaited"):
        if span._status == b"unset":
            span._status = b"ok"
        span.close(span._recorder.capture(result) if span._recorder.full else b"")
    return result


def _starlette(span: Span, response: Any) -> Any:
    response.body_iterator = _watched(span, response.body_iterator)
    return response


def _werkzeug(span: Span, response: Any) -> Any:
    if not response.is_streamed:
        return None
    response.response = _watched(span, iter(response.response))
    return response


def _django(span: Span, response: Any) -> Any:
    response.streaming_content = _watched(span, response.streaming_content)
    return response


def _watched(span: Span, stream: Any) -> AsyncIterator[Any] | Iterator[Any]:
    if hasattr(stream, "__aiter__"):
        return _driven_async(span, _as_async_generator(stream))
    return _driven(span, _as_generator(stream))


def _driven(span: Span, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    reel = Reel(span)
    return drive(lambda: reel, inner)


def _driven_async(span: Span, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    reel = Reel(span)
    return drive_async(lambda: reel, inner)


def _named(stream: Any, inner: Any) -> Any:
    stream.__name__, stream.__qualname__ = inner.__name__, inner.__qualname__
    return stream


async def _as_async_generator(stream: Any) -> AsyncGenerator[Any, Any]:
    try:
        async for item in stream:
            yield item
    finally:
        closing = getattr(stream, "aclose", None)
        if closing is not None:
            await closing()


def _as_generator(stream: Any) -> Generator[Any, Any, Any]:
    try:
        yield from stream
    finally:
        closing = getattr(stream, "close", None)
        if closing is not None:
            closing()


_PROXIES: tuple[tuple[tuple[str, str], type[_Watched]], ...] = (
    (("__next__", "__iter__"), TracedIterator),
    (("__anext__", "__aiter__"), TracedAsyncIterator),
)

RESPONSES: tuple[tuple[str, str, Callable[[Span, Any], Any]], ...] = (
    ("starlette.responses", "StreamingResponse", _starlette),
    ("werkzeug.wrappers.response", "Response", _werkzeug),
    ("django.http.response", "StreamingHttpResponse", _django),
)

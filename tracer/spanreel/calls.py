"""What happens on each call of a traced callable: one handler per kind of function.

Loaded at the first call, so that decorating costs little. The user's call stands outside of every guard:
what we do before and after it may fail and is counted, what it returns or raises passes through untouched.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel import streams
from spanreel.guard import guard
from spanreel.options import Options
from spanreel.recorder import Recorder
from spanreel.spans import NOOP, Span

Handler = Callable[[Any, Any, Any, Any], Any]
_holder = recorders._holder  # read on every call


class Calls:
    """One decorated callable: what its spans have in common, made once."""

    __slots__ = (
        "_attributes", "_bound", "_free", "_ignore", "_label", "_method", "_recorder", "_silent", "_text",
        "kind", "name",
    )  # fmt: skip

    def __init__(self, function: Any, options: Options) -> None:
        self.kind = options.kind
        self.name = options.name or _name_of(function)
        self._ignore = frozenset(options.ignore)
        self._attributes = dict(options.attributes)
        self._silent = not options.capture
        self._free: tuple[str, ...] = _parameters(function)
        self._bound = self._free[1:]
        self._method = _is_method(function)
        self._recorder: Recorder | None = None
        self._label = self._text = b""

    def open(self, recorder: Recorder, instance: Any, args: Any, kwargs: Any) -> Span:
        """Start a span for one call; `NOOP` where it is not recorded. Never raises."""
        try:
            if recorder.rate < 1.0 and not recorder.samples(contexts.current()):
                return NOOP
            if self._recorder is not recorder:
                self._prepare(recorder)
            if self._silent or not recorder.full:
                text = b""
            else:
                names = self._free
                if self._method:
                    names, args = self._bound, args[1:]
                elif instance is not None:
                    names = self._bound
                text = recorder.arguments(names, args, kwargs, self._ignore)
            span = recorders.begin(recorder, self._label, self.name, self.kind, text, self._text, True)
            if type(text) is not bytes:
                span.note_cut("input", text)
            return span
        except Exception as error:
            guard.caught("trace.open", error)
            return NOOP

    def _prepare(self, recorder: Recorder) -> None:
        self._label = recorder.label(self.kind, self.name)
        self._text = recorder.capture_attributes(self._attributes) if self._attributes else b""
        self._recorder = recorder

    def result(self, span: Span, result: Any, args: Any) -> Any:
        """Take the result of a call: end the span, or leave it open with a stream (`self` returned is none)."""
        try:
            if type(result) not in streams.PLAIN and not (args and result is args[0]):
                stream = streams.adopt(span, result)
                if stream is not None:
                    return stream
            recorder = span._recorder
            output = b""
            if recorder.full and not self._silent:
                if self.kind == "retrieval":
                    self._documents(span, result)
                output = recorder.capture(result)
                if type(output) is not bytes:
                    span.note_cut("output", output)
            if span._status == b"unset":
                span._status = b"ok"
            span.close(output)
        except BaseException as error:
            _end_unseen(span)
            if not isinstance(error, Exception):
                raise
            guard.caught("trace.result", error)
        return result

    @staticmethod
    def _documents(span: Span, result: Any) -> None:
        from spanreel.documents import adapt

        known = span._attributes
        if known is None or "spanreel.documents" not in known:
            found = adapt(result)
            if found:
                span.set_attribute("spanreel.documents", found)


def _end_unseen(span: Span) -> None:
    """End a span whose result could not be taken."""
    try:
        span.close(b"")
    except Exception:  # what went wrong is being told already
        pass


def _end_failed(span: Span, error: BaseException) -> None:
    try:
        span.fail_with(error)
        span.close(b"")
    except Exception as failed:
        guard.caught("trace.failed", failed)


def _sync(calls: Calls) -> Handler:
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = _holder.recorder or recorders.active()
        if recorder is None or recorder.rate <= 0.0:
            return wrapped(*args, **kwargs)
        span = calls.open(recorder, instance, args, kwargs)
        if not span.recording:
            return _unrecorded(wrapped, args, kwargs)
        token = contexts.attach(span, otel=recorder.shows_otel())
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            contexts.detach(token)
            _end_failed(span, error)
            raise
        contexts.detach(token)
        return calls.result(span, result, args)

    return call


def _unrecorded(wrapped: Any, args: Any, kwargs: Any) -> Any:
    """Call with a mark in the context, so that what is called below is not recorded either."""
    here = contexts.current()
    if here and contexts.SPAN_KEY in here:
        return wrapped(*args, **kwargs)
    token = contexts.variable.set(contexts.unrecorded(here, NOOP))
    try:
        return wrapped(*args, **kwargs)
    finally:
        contexts.detach(token)


def _async(calls: Calls) -> Handler:
    async def run(recorder: Recorder, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        span = calls.open(recorder, instance, args, kwargs)
        token = contexts.attach(span, otel=span.recording and recorder.shows_otel())
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            contexts.detach(token)
            _end_failed(span, error)
            raise
        contexts.detach(token)
        return calls.result(span, result, args) if span.recording else result

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = _holder.recorder or recorders.active()
        if recorder is None or recorder.rate <= 0.0:
            return wrapped(*args, **kwargs)
        coroutine: Any = run(recorder, wrapped, instance, args, kwargs)
        coroutine.__name__ = coroutine.__qualname__ = calls.name
        return coroutine

    return call


def _generator(calls: Calls, driver: Callable[..., Any]) -> Handler:
    """The span is the run of the body: it starts with the first step, under the span of the caller."""

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        recorder = _holder.recorder or recorders.active()
        if recorder is None or recorder.rate <= 0.0:
            return inner
        here = contexts.current()

        def begin() -> streams.Reel | None:
            token = contexts.variable.set(here)
            try:
                span = calls.open(recorder, instance, args, kwargs)
                return streams.Reel(span) if span.recording else None
            finally:
                contexts.detach(token)

        stream = driver(begin, inner)
        stream.__name__, stream.__qualname__ = inner.__name__, inner.__qualname__
        return stream

    return call


def handler(function: Any, options: Options) -> Handler:
    """The handler for `function`: called as wrapt calls its wrappers."""
    calls = Calls(function, options)
    plain = _unwrapped(function)
    if inspect.iscoroutinefunction(plain):
        return _async(calls)
    if inspect.isasyncgenfunction(plain):
        return _generator(calls, streams.drive_async)
    if inspect.isgeneratorfunction(plain):
        return _generator(calls, streams.drive)
    return _sync(calls)


def _unwrapped(function: Any) -> Any:
    """The function whose code runs: below static and class methods, partials and callable objects."""
    while True:
        if isinstance(function, staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, functools.partial):
            function = function.func
        elif not inspect.isroutine(function) and not inspect.isclass(function):
            return getattr(type(function), "__call__", function)  # noqa: B004 - its code is wanted
        else:
            return function


def _is_method(function: Any) -> bool:
    """Whether a function was written in a class and takes its instance or class first."""
    outer, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    in_class = bool(outer) and not outer.endswith("<locals>")
    return in_class and type(function) is not types.MethodType and _parameters(function)[:1] in _SELF


_SELF = {("self",), ("cls",)}


def _parameters(function: Any) -> tuple[str, ...]:
    """Names of the positional parameters in order; what goes beyond is captured as `args`."""
    target = function.__func__ if isinstance(function, staticmethod | classmethod) else function
    code = getattr(target, "__code__", None)
    if code is not None and not hasattr(target, "__wrapped__"):
        return tuple(code.co_varnames[: code.co_argcount])
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def _name_of(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        name = type(function).__qualname__
    return name.rpartition("<locals>.")[2]

"""`@trace`: record every call of a function, whatever kind of function it is, and change nothing about it.

The user's call stands outside of every guard: what we do before and after it may fail and is counted, what
it returns or raises passes through untouched. wrapt is the wrapping engine, so that signatures, methods and
introspection survive.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

import wrapt

from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel import streams
from spanreel.guard import guard
from spanreel.kinds import ALIASES, KINDS, resolve_kind
from spanreel.recorder import Recorder
from spanreel.spans import NOOP, Span

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = ("kind", "name", "ignore", "attributes", "capture")
_holder = recorders._holder


class Traced(wrapt.FunctionWrapper[..., Any]):
    """A traced callable; pickled by its qualified name, like the function it stands for."""

    def __reduce_ex__(self, _protocol: Any) -> str:
        return str(self.__wrapped__.__qualname__)


class Site:
    """One decorated callable: what its spans have in common, made once."""

    __slots__ = ("_attributes", "_bound", "_capture", "_free", "_ignore", "_label", "_text", "kind", "name")

    def __init__(
        self, function: Any, kind: str, name: str | None, ignore: Iterable[str], attributes: Any, capture: Any
    ) -> None:
        self.kind = kind
        self.name = name or _name_of(function)
        self._ignore = frozenset(ignore)
        self._attributes = dict(attributes or {})
        self._capture = capture
        self._free: tuple[str, ...] = _parameters(function)
        self._bound = self._free[1:]
        self._label: bytes | None = None
        self._text = b""

    def open(self, recorder: Recorder, instance: Any, args: Any, kwargs: Any) -> Span:
        """Start a span for one call; `NOOP` where it is not recorded. Never raises."""
        try:
            label = self._label
            if label is None:
                label = self._prepare(recorder)
            if recorder.full and self._capture is None:
                names = self._free if instance is None else self._bound
                text = recorder.arguments(names, args, kwargs, self._ignore)
            else:
                text = b""
            span = recorders.begin(recorder, label, self.name, self.kind, text, self._text)
            if type(text) is not bytes:
                span.note_cut("input", text)
            return span
        except Exception as error:
            guard.caught("trace.open", error)
            return NOOP

    def _prepare(self, recorder: Recorder) -> bytes:
        self._label = recorder.label(self.kind, self.name)
        if self._attributes:
            self._text = recorder.capture_attributes(self._attributes)
        return self._label

    def result(self, span: Span, result: Any) -> Any:
        """Take the result of a call: end the span, or leave it open with a stream. Never raises."""
        try:
            if type(result) not in streams.PLAIN:
                stream = streams.adopt(span, result)
                if stream is not None:
                    return stream
            recorder = span._recorder
            output = b""
            if recorder.full and self._capture is None:
                if self.kind == "retrieval":
                    self._documents(span, result)
                output = recorder.capture(result)
                if type(output) is not bytes:
                    span.note_cut("output", output)
            if span._status == b"unset":
                span._status = b"ok"
            span.close(output)
        except Exception as error:
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


def _end_failed(span: Span, error: BaseException) -> None:
    try:
        span.fail_with(error)
        span.close(b"")
    except Exception as failed:
        guard.caught("trace.failed", failed)


def _sync(site: Site) -> Callable[..., Any]:
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = _holder.recorder or recorders.active()
        if recorder is None or recorder.rate <= 0.0:
            return wrapped(*args, **kwargs)
        span = site.open(recorder, instance, args, kwargs)
        token = contexts.attach(span, otel=span.recording and recorder.shows_otel())
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            contexts.detach(token)
            _end_failed(span, error)
            raise
        contexts.detach(token)
        return site.result(span, result) if span.recording else result

    return call


def _async(site: Site) -> Callable[..., Any]:
    async def run(recorder: Recorder, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        span = site.open(recorder, instance, args, kwargs)
        token = contexts.attach(span, otel=span.recording and recorder.shows_otel())
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            contexts.detach(token)
            _end_failed(span, error)
            raise
        contexts.detach(token)
        return site.result(span, result) if span.recording else result

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = _holder.recorder or recorders.active()
        if recorder is None or recorder.rate <= 0.0:
            return wrapped(*args, **kwargs)
        coroutine: Any = run(recorder, wrapped, instance, args, kwargs)
        coroutine.__name__ = coroutine.__qualname__ = site.name
        return coroutine

    return call


def _generator(site: Site, driver: Callable[..., Any]) -> Callable[..., Any]:
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
                span = site.open(recorder, instance, args, kwargs)
                return streams.Reel(span) if span.recording else None
            finally:
                contexts.detach(token)

        stream = driver(begin, inner)
        stream.__name__, stream.__qualname__ = inner.__name__, inner.__qualname__
        return stream

    return call


def _wrapper(site: Site, function: Any) -> Callable[..., Any]:
    plain = _unwrapped(function)
    if inspect.iscoroutinefunction(plain):
        return _async(site)
    if inspect.isasyncgenfunction(plain):
        return _generator(site, streams.drive_async)
    if inspect.isgeneratorfunction(plain):
        return _generator(site, streams.drive)
    return _sync(site)


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


def _name_of(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        name = type(function).__qualname__
    return name.rpartition("<locals>.")[2]


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


class Trace:
    """`@trace`, `@trace(kind=..., name=..., ...)` and one attribute per kind (`@trace.tool`)."""

    def __init__(self, kind: str = "chain") -> None:
        self._kind = kind

    llm: Trace
    embedding: Trace
    retrieval: Trace
    rerank: Trace
    tool: Trace
    agent: Trace
    chain: Trace
    guardrail: Trace
    evaluator: Trace
    memory: Trace
    generation: Trace
    retriever: Trace
    reranker: Trace
    task: Trace
    workflow: Trace

    @overload
    def __call__(
        self,
        function: F,
        /,
        *,
        kind: str = ...,
        name: str | None = None,
        ignore: Iterable[str] = (),
        attributes: dict[str, Any] | None = None,
        capture: bool = True,
    ) -> F: ...

    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        kind: str = ...,
        name: str | None = None,
        ignore: Iterable[str] = (),
        attributes: dict[str, Any] | None = None,
        capture: bool = True,
    ) -> Callable[[F], F]: ...

    def __call__(self, function: Any = None, /, **options: Any) -> Any:
        """Trace a callable, or make a decorator with options.

        Options: `kind` (see `spanreel.kinds`), `name` of the span (default: the qualified name), `ignore`d
        argument names, fixed `attributes`, `capture=False` for neither arguments nor result. Raises
        TypeError at decoration time for an unknown option or kind, naming the nearest, and for what is
        not callable.
        """
        settled = _settle(self._kind, options)
        if function is None:
            return lambda found: _decorate(found, settled)
        return _decorate(function, settled)


def _settle(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"trace() has no option {name!r}{hint} (options: {', '.join(OPTIONS)})")
    ignore = options.get("ignore", ())
    return {
        "kind": resolve_kind(options.get("kind", kind)),
        "name": options.get("name"),
        "ignore": (ignore,) if isinstance(ignore, str) else tuple(ignore),
        "attributes": options.get("attributes"),
        "capture": None if options.get("capture", True) else False,
    }


def _decorate(function: Any, options: dict[str, Any]) -> Any:
    if inspect.isclass(function):
        raise TypeError(
            f"trace() takes functions and callable objects, not the class {function.__name__}; decorate its methods"
        )
    if not callable(function) and not isinstance(function, staticmethod | classmethod):
        raise TypeError(f"trace() takes a callable, not {type(function).__name__}")
    if _holder.settings.disabled:
        return function
    site = Site(function, **options)
    return Traced(function, _wrapper(site, function))


trace = Trace()
for _kind in (*KINDS, *ALIASES):
    setattr(trace, _kind, Trace(resolve_kind(_kind)))

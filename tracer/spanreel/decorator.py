"""`@trace`: record every call of a function, whatever kind of function it is, and change nothing about it.

wrapt is the wrapping engine, so that signatures, methods, types and introspection survive. What is needed
to record is loaded at the first call (`calls.py`): decorating alone costs little.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any, TypeVar, overload

import wrapt

from spanreel.guard import guard
from spanreel.kinds import ALIASES, KINDS, resolve_kind
from spanreel.options import OPTIONS, Options, switched_off

F = TypeVar("F", bound=Callable[..., Any])


class Traced(wrapt.FunctionWrapper[..., Any]):
    """A traced callable: bound, pickled, copied and compared like what it stands for."""

    def __init__(self, function: Any, options: Options) -> None:
        super().__init__(function, _first_call(function, options))
        self._self_options = options

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A bound method, and no wrapper of one: it is weakly referenced, pickled and compared as such."""
        wrapped = self.__wrapped__
        if type(wrapped) is not FunctionType:
            binder = getattr(type(wrapped), "__get__", None)
            bound: Any = wrapped if binder is None else binder(wrapped, instance, owner)
            if bound is wrapped:
                return self
            if type(bound) is not MethodType or bound.__func__ is not wrapped:
                return super().__get__(instance, owner)
        return self if instance is None else MethodType(self, instance)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        found: Any = sys.modules.get(getattr(self.__wrapped__, "__module__", None) or "")
        name = getattr(self.__wrapped__, "__qualname__", None)
        if isinstance(name, str):
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is self or type(self.__wrapped__) is FunctionType:
                return name
        return _decorate, (self.__wrapped__, self._self_options)

    def __copy__(self) -> Traced:
        return self._self_over(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: Any) -> Traced:
        return self._self_over(copy.deepcopy(self.__wrapped__, memo))

    def _self_over(self, copied: Any) -> Traced:
        """Decorate a copy alike; functions are never copied."""
        return self if copied is self.__wrapped__ else Traced(copied, self._self_options)


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
        TypeError at decoration time for an unknown option or kind, or an ignored argument that the
        callable does not have, naming the nearest, and for what is not callable.
        """
        settled = _settle(self._kind, options)
        if function is None:
            return lambda found: _decorate(found, settled)
        return _decorate(function, settled)


def _settle(kind: str, options: dict[str, Any]) -> Options:
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"trace() has no option {name!r}{hint} (options: {', '.join(OPTIONS)})")
    ignore = options.get("ignore", ())
    return Options(
        kind=resolve_kind(options.get("kind", kind)),
        name=options.get("name"),
        ignore=(ignore,) if isinstance(ignore, str) else tuple(ignore),
        attributes=options.get("attributes") or {},
        capture=bool(options.get("capture", True)),
    )


def _decorate(function: Any, options: Options) -> Any:
    if inspect.isclass(function):
        raise TypeError(
            f"trace() takes functions and callable objects, not the class {function.__name__}; decorate its methods"
        )
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_decorate(function.__func__, options))
    if not callable(function):
        below = "; put @trace below it" if hasattr(type(function), "__get__") else ""
        raise TypeError(f"trace() takes a callable, not {type(function).__name__}{below}")
    if options.ignore:
        _check_ignored(function, options.ignore)
    if switched_off():
        return function
    if _QUEUES:
        _watch_queues()
    return Traced(function, options)


_QUEUES = {"celery.signals": "celery", "rq.job": "rq", "mcp": "mcp"}


def _watch_queues() -> None:
    """Be there when a queue's library, or MCP, is imported: a task, or a request, comes before anything here is called."""
    while _QUEUES:
        module, library = _QUEUES.popitem()
        with guard("trace.queues"):
            wrapt.register_post_import_hook(f"spanreel.instruments.tasks:{library}_imported", module)


def _check_ignored(function: Any, ignored: tuple[str, ...]) -> None:
    """Raise TypeError for a name that `function` cannot be called with: a typo would record what was to be left out."""
    target = function.__func__ if isinstance(function, staticmethod | classmethod) else function
    try:
        parameters = inspect.signature(target, follow_wrapped=False).parameters
    except Exception:  # what has no signature is taken at its word
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in ignored:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            label = getattr(target, "__qualname__", type(target).__qualname__)
            raise TypeError(f"trace(ignore=) names no argument of {label}(): {name!r}{hint}")


def _first_call(function: Any, options: Options) -> Callable[..., Any]:
    """A wrapper that gets its handler at the first call, and the recorder with it."""
    handler: Callable[..., Any] | None = None

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        nonlocal handler
        if handler is None:
            handler = _load(function, options)
        return handler(wrapped, instance, args, kwargs)

    return call


def _load(function: Any, options: Options) -> Callable[..., Any]:
    try:
        from spanreel import calls

        return calls.handler(function, options)
    except Exception as error:
        guard.caught("trace.load", error)
        return lambda wrapped, _instance, args, kwargs: wrapped(*args, **kwargs)


trace = Trace()
for _kind in (*KINDS, *ALIASES):
    setattr(trace, _kind, Trace(resolve_kind(_kind)))

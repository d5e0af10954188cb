"""The current span goes along into threads, executors and child processes.

asyncio tasks and `to_thread` copy the context by themselves. Into a new thread only what is ours is carried,
so that spans of other OpenTelemetry users get no parent there that they would not have without us. Child
processes get a W3C traceparent: as an attribute of a `multiprocessing.Process`, with the call in a
`ProcessPoolExecutor`; a process started otherwise reads TRACEPARENT from its environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from spanreel import context as contexts
from spanreel.guard import guard

ATTRIBUTE = "_spanreel_traceparent"
_installed: list[tuple[Any, str]] = []


def traceparent() -> str | None:
    """The current span as a W3C traceparent; None outside of a recorded span."""
    span = contexts.current().get(contexts.SPAN_KEY)
    if span is None or not span.recording:
        return None
    return f"00-{span.trace_id}-{span.span_id}-01"


def inherited_traceparent() -> contexts.Remote | None:
    """The parent handed to this process at its start, from multiprocessing or TRACEPARENT."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None:
        carried = getattr(multiprocessing.current_process(), ATTRIBUTE, None)
        if carried:
            return contexts.parse_traceparent(carried, ours=True)
    text = os.environ.get("TRACEPARENT", "")
    return contexts.parse_traceparent(text, ours=False) if text else None


class Carried:
    """A call that runs under the span that was current where it was made; pickled by its parts."""

    __slots__ = ("_function", "_traceparent")

    def __init__(self, function: Callable[..., Any], parent: str) -> None:
        self._function = function
        self._traceparent = parent

    def __reduce__(self) -> tuple[type, tuple[Any, str]]:
        return Carried, (self._function, self._traceparent)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the call with the carried span current."""
        token = None
        with guard("propagation.carried"):
            token = _attach_remote(self._traceparent)
        try:
            return self._function(*args, **kwargs)
        finally:
            if token is not None:
                contexts.detach(token)


def _attach_remote(text: str) -> Any:
    from spanreel import recorder

    remote = contexts.parse_traceparent(text, ours=True)
    here = recorder.active()
    if remote is None or here is None:
        return None
    return contexts.attach(recorder.stand_in(here, remote), otel=False)


def _start_thread(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    with guard("propagation.thread"):
        carried = contexts.ours()
        if carried is not None:
            run = instance.run

            def run_in_context() -> None:
                instance.__dict__.pop("run", None)
                token = contexts.variable.set(contexts.merged(carried))
                try:
                    run()
                finally:
                    contexts.detach(token)

            instance.run = run_in_context
    return wrapped(*args, **kwargs)


def _submit_to_threads(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    carried = None
    with guard("propagation.submit"):
        carried = contexts.ours()
    if carried is None or not args:
        return wrapped(*args, **kwargs)
    function, *rest = args

    def in_context(*call_args: Any, **call_kwargs: Any) -> Any:
        token = contexts.variable.set(contexts.merged(carried))
        try:
            return function(*call_args, **call_kwargs)
        finally:
            contexts.detach(token)

    return wrapped(in_context, *rest, **kwargs)


def _submit_to_processes(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    parent = None
    with guard("propagation.submit"):
        parent = traceparent()
    if parent is None or not args:
        return wrapped(*args, **kwargs)
    return wrapped(Carried(args[0], parent), *args[1:], **kwargs)


def _start_process(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    with guard("propagation.process"):
        parent = traceparent()
        if parent is not None:
            setattr(instance, ATTRIBUTE, parent)
    return wrapped(*args, **kwargs)


_PATCHES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("threading", "Thread.start", _start_thread),
    ("concurrent.futures.thread", "ThreadPoolExecutor.submit", _submit_to_threads),
    ("concurrent.futures.process", "ProcessPoolExecutor.submit", _submit_to_processes),
    ("multiprocessing.process", "BaseProcess.start", _start_process),
)


def install() -> None:
    """Patch what starts threads and processes, now or when it is imported; once."""
    if _installed:
        return
    for module, target, wrapper in _PATCHES:
        _installed.append((module, target))
        wrapt.register_post_import_hook(_patch(target, wrapper), module)


def _patch(target: str, wrapper: Callable[..., Any]) -> Callable[[Any], None]:
    def patch(module: Any) -> None:
        with guard("propagation.patch"):
            wrapt.wrap_function_wrapper(module, target, wrapper)

    return patch

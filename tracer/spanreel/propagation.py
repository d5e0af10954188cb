"""The current span goes along into threads, executors and child processes.

asyncio tasks and `to_thread` copy the context by themselves. Into a new thread only what is ours is carried,
so that spans of other OpenTelemetry users get no parent there that they would not have without us. Child
processes get a W3C traceparent: as an attribute of a `multiprocessing.Process`, with the call in a
`ProcessPoolExecutor`; a process started otherwise reads TRACEPARENT from its environment.

What goes to another program is passed on by hand, in W3C's headers (or whatever carries text by name):

    spanreel.propagation.inject(headers)                    # where the request, the message, the job is made
    with spanreel.propagation.extract(headers): ...         # where it is worked on
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Self

import wrapt

from spanreel import clock
from spanreel import context as contexts
from spanreel.guard import guard

if TYPE_CHECKING:
    from types import TracebackType

    from spanreel.recorder import Recorder

ATTRIBUTE = "_spanreel_traceparent"
MEMBER = "spanreel="
"""Our member of W3C's tracestate: the span it was written by, and the store in which that span is."""
_installed: list[tuple[Any, str]] = []


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current span into `carrier`: `traceparent` and `tracestate`, as W3C has them. Never raises.

    `carrier` is whatever goes to the other side: the headers of a request, a message or a job. Nothing is
    written outside of a trace. Where the trace is sampled out, that decision is passed on. Members that other
    systems have put into `tracestate` stay.
    """
    with guard("propagation.inject"):
        found = outgoing()
        if found is None:
            return
        parent, member = found
        carrier["traceparent"] = parent
        others = [part for part in _members(carrier.get("tracestate", "")) if not part.startswith(MEMBER)]
        if member or others:
            carrier["tracestate"] = ",".join(([member] if member else []) + others[:31])


class extract:  # noqa: N801 - used like a function: `with extract(headers):`
    """Everything recorded inside of the block goes on with the trace that `carrier` tells of.

    `carrier` maps names (in any case) to text, as the headers of a request or a message do; one without a
    valid `traceparent` changes nothing. A span that was written into the same store is the parent; one of
    another system, or on another machine, is a foreign parent: same trace id, and the span below it is listed
    as a trace of its own. A context manager, sync and async, for one use at a time. Never raises.
    """

    def __init__(self, carrier: Mapping[str, Any]) -> None:
        self._carrier = carrier
        self._token: Any = None

    def __enter__(self) -> Self:
        with guard("propagation.extract"):
            found = incoming(self._carrier.items())
            if found is not None:
                self._token = attach_remote(found)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            contexts.detach(token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def outgoing() -> tuple[str, str] | None:
    """`traceparent` and our member of `tracestate` for the current span; None outside of a trace.

    Below a span that is sampled out: ids of no span and a flag that says so.
    """
    span = contexts.current().get(contexts.SPAN_KEY)
    if span is None:
        return None
    recorder = _active()
    if recorder is None:
        return None
    if not span.recording:
        trace, identity = f"{clock.bits(128) or 1:032x}", f"{clock.bits(64) or 1:016x}"
        return f"00-{trace}-{identity}-00", f"{MEMBER}{identity}-"
    store = "" if span.flags_below else store_mark(recorder)
    return f"00-{span.trace_id}-{span.span_id}-01", f"{MEMBER}{span.span_id}-{store}" if store else ""


def incoming(headers: Iterable[tuple[Any, Any]]) -> contexts.Remote | None:
    """The parent that headers tell of; None where there is no traceparent, or more than one, or a wrong one."""
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        known = _text(name).lower()
        if known == "traceparent":
            parents.append(_text(value))
        elif known == "tracestate":
            states.append(_text(value))
    if len(parents) != 1:
        return None
    found = contexts.parse_traceparent(parents[0], ours=False)
    recorder = _active()
    if found is None or recorder is None:
        return None
    mine = f"{MEMBER}{found.span.decode()}-{store_mark(recorder) if found.sampled else ''}"
    return found._replace(ours=mine in _members(",".join(states)))


def attach_remote(remote: contexts.Remote) -> Any:
    """Make a span of another process the parent of what comes; a token for `context.detach`, or None."""
    from spanreel import recorder as recorders

    recorder = recorders.active()
    if recorder is None:
        return None
    return contexts.attach(recorders.stand_in(recorder, remote), otel=False)


def store_mark(recorder: Recorder) -> str:
    """What tells the store of this process from every other; "" where there is none yet."""
    import hashlib

    from spanreel.process import boot_id

    try:
        found = os.stat(recorder.journal.store)  # noqa: PTH116 - one call per message sent
    except OSError:
        return ""
    identity = f"{boot_id()} {found.st_dev} {found.st_ino}"
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _active() -> Recorder | None:
    from spanreel import recorder as recorders

    return recorders.active()


def _members(state: str) -> list[str]:
    return [part.strip() for part in state.split(",") if part.strip()]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


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
            remote = contexts.parse_traceparent(self._traceparent, ours=True)
            token = attach_remote(remote) if remote is not None else None
        try:
            return self._function(*args, **kwargs)
        finally:
            if token is not None:
                contexts.detach(token)


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

"""The TracerProvider that instrumentors of frameworks get: what they tell lands in our store, as part of our traces.

A span of a framework is a child of our innermost span, and our own spans below it find it as their parent, under
our key in the OpenTelemetry Context. Instrumentors set OpenTelemetry's current span, too, and read it again; a
program's own provider is kept from taking such a span for a parent, so that the (span, parent) pairs of its
exporter are those that it would have without us. `install` and `uninstall` put that in and out.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import propagation

from spanreel import clock, processors
from spanreel import context as contexts
from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.recorder import Recorder
from spanreel.spans import NOOP, Span

BELOW = "_spanreel_below"
LATE = frozenset({"openinference.instrumentation.llama_index"})
"""Instrumentors that end a stream's span when it is over, but date that back to when the stream was handed out."""


class Below(NamedTuple):
    """What is below a framework's span: for us that span, for other OpenTelemetry users what was current around it."""

    span: Span
    foreign: Any


class FrameworkSpan(Span):
    """A framework's span as our own spans see it: their parent, and what `spanreel.current_span()` returns."""

    __slots__ = ("told",)
    told: sdk.Span

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        with guard("frameworks.set_attribute"):
            self.told.set_attribute(key, processors._plain(value))  # noqa: SLF001 - one family

    def set_attributes(self, attributes: Any) -> None:
        """Set several attributes."""
        for key, value in dict(attributes).items():
            self.set_attribute(key, value)

    def is_recording(self) -> bool:
        """Until the framework ends it."""
        return self.told.is_recording()


class _Unrecorded(otel.NonRecordingSpan):
    """What a framework gets where nothing is recorded."""

    def __init__(self, foreign: Any) -> None:
        super().__init__(otel.INVALID_SPAN_CONTEXT)
        setattr(self, BELOW, Below(NOOP, foreign))


class _Ids(IdGenerator):
    """Ids of our own source; the trace id of a root is decided before, since sampling goes by it."""

    def __init__(self) -> None:
        self.decided = threading.local()

    def generate_span_id(self) -> int:
        return clock.bits(64) or 1

    def generate_trace_id(self) -> int:
        return int(getattr(self.decided, "trace", 0) or clock.bits(128) or 1)


class _Ends(processors.JournalProcessor):
    """Writes the ends of the spans that this process has begun."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.open.clear)  # copies of the parent's: it ends them

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing: `Tracer` has written the start."""

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Write the end record; show the span to the processors of `configure(span_processors=)`."""
        identity = span.get_span_context()
        if identity is None or identity.span_id not in self.open:
            return
        self.open.discard(identity.span_id)
        super().on_end(span)
        for processor in recorders.settings().span_processors:
            with guard("span_processors.on_end"):
                processor.on_end(span)


class Tracer(otel.Tracer):
    """Opens spans for one instrumentor."""

    def __init__(self, told: otel.Tracer, ids: _Ids, ends: _Ends, scope: str) -> None:
        self.told, self.ids, self.ends = told, ids, ends
        self.late = scope in LATE

    def start_span(self, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Open a span below our innermost one, or below `context`'s; never raises."""
        foreign = None
        with guard("frameworks.start_span"):
            here = contexts.current() if context is None else context
            foreign = _foreign(here)
            recorder = recorders.active()
            place = None if recorder is None else _place(recorder, here)
            if recorder is not None and place is not None:
                return _open(self, recorder, here, place, Below(NOOP, foreign), name, args, kwargs)
        return _Unrecorded(foreign)

    @contextmanager
    def start_as_current_span(  # type: ignore[override] # the same call, another context manager
        self,
        name: str,
        context: Any = None,
        *args: Any,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Open a span and make it the current one."""
        span = self.start_span(name, context, *args, **kwargs)
        with otel.use_span(
            span,
            end_on_exit=end_on_exit,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        ):
            yield span


def _foreign(here: Any) -> Any:
    """The span of other OpenTelemetry users that is current here, whatever frameworks have put over it."""
    current = here.get(contexts.OTEL_SPAN_KEY)
    below = below_of(current)
    if below is not None:
        return below.foreign
    return None if isinstance(current, Span) else current


def _place(recorder: Recorder, here: Any) -> tuple[bytes, bytes, bytes] | None:
    """(trace, parent, flags) of a span opened here; None where nothing is recorded."""
    above = here.get(contexts.SPAN_KEY)
    below = below_of(here.get(contexts.OTEL_SPAN_KEY))
    if above is None and below is not None:
        above = below.span
    if above is None:
        return recorder.root(here)
    return (above.trace, above.span, above.flags_below) if above.recording else None


def _open(
    tracer: Tracer,
    recorder: Recorder,
    here: Any,
    place: tuple[bytes, bytes, bytes],
    below: Below,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> sdk.Span:
    trace, parent, flags = place
    inside = Context()
    if parent:
        identity = otel.SpanContext(
            int(trace, 16), int(parent, 16), is_remote=False, trace_flags=otel.TraceFlags(1)
        )
        inside = Context({contexts.OTEL_SPAN_KEY: otel.NonRecordingSpan(identity)})
    tracer.ids.decided.trace = int(trace, 16)
    span: Any = tracer.told.start_span(name, inside, *args, **kwargs)
    tracer.ids.decided.trace = 0
    stand_in = _stand_in(recorder, span, trace, parent)
    setattr(span, BELOW, below._replace(span=stand_in))
    inherited = here.get(contexts.INHERITED_KEY)
    attributes = recorder.capture_attributes(dict(span.attributes or {}))
    recorder.write(
        recorders.START
        % (
            trace,
            stand_in.span,
            parent,
            flags,
            stand_in.start_ns,
            recorder.label("span", name),
            b"",
            attributes if inherited is None else recorders._joined(inherited.json, attributes),  # noqa: SLF001
        )
    )
    if tracer.late:
        span.end = functools.partial(_end_now, span)
    tracer.ends.open.add(span.get_span_context().span_id)
    return span  # type: ignore[no-any-return]


def _end_now(span: sdk.Span, _end_time: int | None = None) -> None:
    sdk.Span.end(span)


def _stand_in(recorder: Recorder, told: Any, trace: bytes, parent: bytes) -> FrameworkSpan:
    span = FrameworkSpan.__new__(FrameworkSpan)
    span.told = told
    span._recorder = recorder  # noqa: SLF001 - made as the recorder makes spans
    span.trace, span.parent = trace, parent
    span.span = b"%016x" % told.get_span_context().span_id
    span.name, span.kind, span.start_ns = told.name, "span", told.start_time or clock.now()
    span._tick = clock.tick()  # noqa: SLF001
    for slot in ("_attributes", "_token", "_input", "_output", "_otel_context", "_sdk", "_prompts"):
        setattr(span, slot, None)
    span._error, span._status, span._first_ns, span._ended = b"", b"unset", 0, True  # noqa: SLF001
    return span


def below_of(span: Any) -> Below | None:
    """What is below `span`, if it is a framework's (or a proxy around one)."""
    found = getattr(span, BELOW, None) if span is not None else None
    return found if isinstance(found, Below) else None


class Provider(otel.TracerProvider):
    """Hands out tracers that write into our store; limits and samplers of the program's own SDK do not hold here."""

    def __init__(self) -> None:
        self._ids, self._ends = _Ids(), _Ends()
        unlimited = sdk.SpanLimits.UNSET
        self._told = sdk.TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.get_empty(),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=sdk.SpanLimits(
                max_attributes=unlimited,
                max_span_attributes=unlimited,
                max_events=unlimited,
                max_attribute_length=unlimited,
                max_span_attribute_length=unlimited,
            ),
        )
        self._told.add_span_processor(self._ends)

    def get_tracer(self, *args: Any, **kwargs: Any) -> otel.Tracer:
        """Make a tracer for an instrumentation scope."""
        scope = str(args[0] if args else kwargs.get("instrumenting_module_name", ""))
        return Tracer(self._told.get_tracer(*args, **kwargs), self._ids, self._ends, scope)


# -- what OpenTelemetry's current span is to whom -----------------------------------------


_undo: list[Callable[[], None]] = []
_users: set[str] = set()


@functools.cache
def provider() -> Provider:
    """The one provider of this process."""
    return Provider()


def install(user: str) -> None:
    """Let our key follow frameworks' spans, and keep programs' providers from seeing them; for `user`, once."""
    _users.add(user)
    if _undo:
        return
    _patch(otel_context, "set_value", _follow)  # where `use_span` looks it up
    _patch(propagation, "set_value", _follow)  # and `set_span_in_context`
    _patch(sdk.Tracer, "start_span", _look_past)


def uninstall(user: str) -> None:
    """Take that out again once nobody uses it any more."""
    _users.discard(user)
    while not _users and _undo:
        _undo.pop()()


def _patch(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = vars(owner)[name]
    ours = make(original)
    setattr(owner, name, ours)

    def undo() -> None:
        if vars(owner).get(name) is ours:
            setattr(owner, name, original)

    _undo.append(undo)


def _follow(original: Any) -> Any:
    @functools.wraps(original)
    def set_value(key: str, value: Any, context: Any = None) -> Any:
        found = original(key, value, context)
        if key == contexts.OTEL_SPAN_KEY:
            below = below_of(value)
            if below is not None:
                dict.__setitem__(found, contexts.SPAN_KEY, below.span)
        return found

    return set_value


def _look_past(original: Any) -> Any:
    @functools.wraps(original)
    def start_span(self: Any, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        with guard("frameworks.look_past"):
            context = _without_frameworks(context)
        return original(self, name, context, *args, **kwargs)

    return start_span


def _without_frameworks(context: Any) -> Any:
    """The context as other users of OpenTelemetry would have it; the same object where nothing is of ours."""
    here = contexts.current() if context is None else context
    below = below_of(here.get(contexts.OTEL_SPAN_KEY))
    if below is None or recorders.settings().join:
        return context
    found = Context(here)
    if below.foreign is None:
        dict.pop(found, contexts.OTEL_SPAN_KEY, None)
    else:
        dict.__setitem__(found, contexts.OTEL_SPAN_KEY, below.foreign)
    return found

"""The recorder of this process: settings, journal and capture behind one object, made on first use.

`begin` is the one door through which every span is opened, `start` its convenient form. A forked child gets
a recorder, a journal and ids of its own; the copies of the parent's open spans in it are never written.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson
from opentelemetry import trace as otel

from spanreel import clock, config, process
from spanreel import context as contexts
from spanreel import store as stores
from spanreel.capture import Capturer
from spanreel.config import Settings
from spanreel.guard import guard
from spanreel.journal import Journal
from spanreel.redaction import Redactor
from spanreel.spans import END, NOOP, ForeignSpan, Span

KEEPER_ROUNDS = 10
"""Rounds of the journal's thread (0.5 s each) between looks whether a keeper runs."""
__all__ = ["END", "START", "Recorder"]

START = b"start\t1\t%b\t%b\t%b\t%b\t%d\t%b\t%b\t%b\n"


class Recorder:
    """Everything that opening and closing a span needs; immutable but for the loss counters."""

    __slots__ = (
        "_losses",
        "_rounds",
        "_threshold",
        "arguments",
        "capture",
        "forked",
        "full",
        "journal",
        "rate",
        "redactor",
        "remote",
        "settings",
        "write",
    )

    def __init__(self, settings: Settings, journal: Journal | None = None) -> None:
        self.settings = settings
        self.forked = False
        self.rate = settings.sample_rate
        self._threshold = int(settings.sample_rate * (1 << 64))
        self.full = settings.capture == "full"
        self._losses: dict[str, list[int]] = {}
        self.redactor = Redactor.from_setting(settings.redact)
        capturer = Capturer(limit=settings.body_limit, redactor=self.redactor, losses=self.loss)
        self._rounds = 0
        self.capture: Callable[[object], bytes] = capturer.value
        self.arguments = capturer.arguments
        self.remote = _remote_parent()
        self.journal = journal or Journal(
            stores.resolve(settings.store),
            process.describe(settings),
            on_loss=lambda reason, count: self._heir().loss(reason, count),
            attend=lambda: self._heir().attend(),
        )
        self.write: Callable[[bytes], None] = self.journal.append
        guard.count_loss = self.loss

    # -- capture ------------------------------------------------------------------------------------------

    def capture_attributes(self, attributes: Mapping[str, Any]) -> bytes:
        """Attributes as JSON text; with `capture="none"` only names and numbers of the conventions stay."""
        if self.settings.capture == "none":
            attributes = {k: v for k, v in attributes.items() if isinstance(v, int | float) or k in _ALWAYS}
        return self.capture(attributes)

    def capture_error(self, described: dict[str, Any]) -> bytes:
        """The error cell; only the type where nothing may be captured."""
        if self.settings.capture == "none":
            described = {"type": described["type"], "message": ""}
        return self.capture(described)

    def label(self, kind: str, name: str) -> bytes:
        """The kind and name cells of a start record, redacted like everything else."""
        return kind.encode() + b"\t" + self.capture(name)

    # -- roots and sampling ---------------------------------------------------------------------------

    def shows_otel(self) -> bool:
        """Whether our span may be OpenTelemetry's current span too: only where no other provider is active."""
        return otel._TRACER_PROVIDER is None or self.settings.join

    def samples(self, here: Mapping[str, Any]) -> bool:
        """Whether a span opened here is recorded: its parent's decision, or one of its own for a root."""
        above = here.get(contexts.SPAN_KEY) if here else None
        if above is not None:
            return bool(above.recording)
        if not here and self.remote is None:
            return clock.bits(64) < self._threshold
        return self.root(here) is not None

    def root(self, here: Mapping[str, Any], *, decided: bool = False) -> tuple[bytes, bytes, bytes] | None:
        """(trace, parent, flags) of a span without a parent of ours; None when it is sampled out.

        A span of another OpenTelemetry provider that is current becomes the foreign parent: same trace, and
        the same decision for all of our spans in it, since it is taken from the trace id.
        """
        trace, parent, flags = b"", b"", b""
        if here:
            foreign = here.get(contexts.OTEL_SPAN_KEY)
            if foreign is not None:
                identity = foreign.get_span_context()
                if identity.is_valid:
                    trace, parent, flags = b"%032x" % identity.trace_id, b"%016x" % identity.span_id, b"f"
        if not trace:
            if self.remote is None:
                trace = b"%032x" % (clock.bits(128) or 1)
            elif not self.remote.sampled:
                return None
            else:
                trace, parent, flags = self.remote.trace, self.remote.span, b"" if self.remote.ours else b"f"
        if self.rate < 1.0 and not decided and int(trace[16:], 16) >= self._threshold:
            return None
        return trace, parent, flags

    # -- losses ---------------------------------------------------------------------------------------

    def loss(self, reason: str, count: int = 1) -> None:
        """Count something dropped, cut or failed.

        The first of a reason is written at once, the rest by the journal's thread and at exit.
        """
        known = self._losses.get(reason)
        at = clock.now()
        if known is None:
            self._losses[reason] = [0, at, at]
            if reason != "journal_unwritable":
                self._write_loss(reason, count, at, at)
                return
            known = self._losses[reason]
        if not known[0]:
            known[1] = at
        known[0] += count
        known[2] = at

    def _write_loss(self, reason: str, count: int, first: int, last: int) -> None:
        info = {"reason": reason, "count": count, "first_ns": first, "last_ns": last, "pid": os.getpid()}
        info["service"] = self.settings.service_name
        self.write(b"loss\t1\t" + orjson.dumps(info) + b"\n")

    def _heir(self) -> Recorder:
        """The recorder that `configure()` has given this one's journal to, or this one."""
        latest = _holder.recorder
        return self if latest is None or latest.journal is not self.journal else latest

    def write_losses(self) -> None:
        """Write the counters that have grown since they were last written."""
        for reason, known in list(self._losses.items()):
            count, first, last = known
            if count and not self.journal.trouble:
                known[0] -= count
                self._write_loss(reason, count, first, last)

    def attend(self) -> None:
        """The recorder's share of the journal thread's round."""
        self.write_losses()
        self._rounds += 1
        if self._rounds % KEEPER_ROUNDS == 1:
            self.start_keeper()
            self.end_idle()
            self.note_unseen()

    def start_keeper(self) -> None:
        """See to it that someone brings the journal into DuckDB, where the rules allow a process of ours."""
        if self.settings.keeper != "off":
            from spanreel import keeper_start

            keeper_start.start(self.journal.store, mode=self.settings.keeper)

    def end_idle(self) -> None:
        """End the responses on the wire that nobody reads any more."""
        recording = sys.modules.get("spanreel.wire.recording")
        if recording is not None:
            recording.end_idle(clock.tick())

    def note_unseen(self) -> None:
        """Name what this process uses and is not recorded: libraries past the wire, steps of frameworks."""
        if self.settings.instrument != "off" and "spanreel.wire" in sys.modules:
            from spanreel.instruments import frameworks
            from spanreel.wire import unseen

            unseen.note(self.journal.procid, self.loss)
            frameworks.note(self.journal.procid, self.loss)

    def on_end(self, span: Span, output: bytes, end_ns: int) -> None:
        """Hand an ended span to the SpanProcessors of `configure(span_processors=)`."""
        from spanreel import processors

        with guard("span_processors.on_end"):
            processors.on_end(self.settings, span, output, end_ns)


_ALWAYS = frozenset({"gen_ai.request.model", "gen_ai.response.model", "gen_ai.provider.name",
                     "gen_ai.operation.name", "gen_ai.response.finish_reasons", "spanreel.protocol", "spanreel.state", "spanreel.name",
                     "spanreel.kind"})  # fmt: skip


def _remote_parent() -> contexts.Remote | None:
    """The parent that the process which started us handed over (W3C traceparent), if any."""
    from spanreel.propagation import inherited_traceparent

    return inherited_traceparent()


class _Holder:
    """The recorder of this process; None until first use, after a fork, and while disabled."""

    __slots__ = ("lock", "recorder", "settings")

    def __init__(self) -> None:
        self.settings = config.from_environment()
        self.recorder: Recorder | None = None
        self.lock = threading.RLock()


_holder = _Holder()


def active() -> Recorder | None:
    """The recorder, made now if need be; None while recording is switched off."""
    recorder = _holder.recorder
    if recorder is None and not _holder.settings.disabled:
        with guard("recorder.activate"):
            recorder = _activate()
    return recorder


def _activate() -> Recorder | None:
    with _holder.lock:
        if _holder.recorder is None:
            recorder = Recorder(_holder.settings)
            _holder.recorder = recorder
            _install()
        return _holder.recorder


def _install() -> None:
    """What the first entry brings with it: threads carry the context, wire and libraries are watched."""
    from spanreel import propagation

    with guard("propagation.install"):
        propagation.install()
    if _holder.settings.instrument != "off":
        with guard("wire.install"):
            from spanreel import instruments, wire

            wire.install()
            instruments.install()


def begin(
    recorder: Recorder,
    label: bytes,
    name: str,
    kind: str,
    input_json: bytes,
    attributes_json: bytes,
    decided: bool = False,
) -> Span:
    """Open a span under the current one and write its start record; `NOOP` when it is sampled out.

    `decided`: the caller has asked `recorder.samples()` already.
    """
    here = contexts.current()
    above = here.get(contexts.SPAN_KEY) if here else None
    if above is None:
        place = recorder.root(here, decided=decided)
        if place is None:
            return NOOP
        trace, parent, flags = place
    elif above.recording:
        trace, parent, flags = above.trace, above.span, above.flags_below
    else:
        return NOOP
    if here:
        inherited = here.get(contexts.INHERITED_KEY)
        if inherited is not None:
            attributes_json = _joined(inherited.json, attributes_json)
    span: Span = Span.__new__(Span)
    span._recorder = recorder
    span.trace = trace
    span.span = identity = b"%016x" % (clock.bits(64) or 1)
    span.parent = parent
    span.name = name
    span.kind = kind
    span.start_ns = start = clock.now()
    span._tick = clock.tick()
    span._attributes = span._token = span._input = span._output = span._otel_context = span._sdk = None
    span._prompts = here.get(contexts.PROMPTS_KEY) if kind == "llm" and here else None
    span._error = b""
    span._status = b"unset"
    span._first_ns = 0
    span._ended = False
    recorder.write(START % (trace, identity, parent, flags, start, label, input_json, attributes_json))
    if recorder.settings.span_processors:
        from spanreel import processors

        with guard("span_processors.on_start"):
            processors.on_start(recorder.settings, span, input_json, attributes_json)
    return span


def _joined(first: bytes, second: bytes) -> bytes:
    """Two JSON objects in one; keys of the second win, since readers keep the last of a name."""
    if len(second) <= 2:
        return first
    if len(first) <= 2:
        return second
    return first[:-1] + b"," + second[1:]


def start(
    name: str,
    kind: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    input_json: bytes = b"",
    attach: bool = False,
) -> Span:
    """Open a span; `attach` makes it current until it is left as a context manager. Never raises."""
    try:
        recorder = active()
        if recorder is None or recorder.rate <= 0.0:
            return NOOP
        text = recorder.capture_attributes(attributes) if attributes else b""
        span = begin(recorder, recorder.label(kind, name), name, kind, input_json, text)
        if attach:
            span.__enter__()
        return span
    except Exception as error:
        guard.caught("recorder.start", error)
        return NOOP


def stand_in(recorder: Recorder, remote: contexts.Remote) -> Span:
    """A span of another process, standing in the context as a parent here; it is never written.

    What a trace of ours decided about sampling holds for all of it. Another system's decision is about its own
    recording: below its spans our `sample_rate` decides, by the trace id, so that all of our spans agree.
    """
    if not remote.sampled if remote.ours else int(remote.trace[16:], 16) >= recorder._threshold:
        return NOOP
    kind = Span if remote.ours else ForeignSpan
    span: Span = kind.__new__(kind)
    span._recorder = recorder
    span.trace, span.span, span.parent = remote.trace, remote.span, b""
    span.name, span.kind, span.start_ns = "", "span", clock.now()
    span._tick = clock.tick()
    span._attributes = span._token = span._input = span._output = span._otel_context = span._sdk = None
    span._prompts = None
    span._error, span._status, span._first_ns = b"", b"unset", 0
    span._ended = True
    return span


def scope() -> Literal["trace", "all", "off"]:
    """Which calls the wire hooks record: those inside a trace, all of the process, or none."""
    return "off" if _holder.settings.disabled else _holder.settings.instrument


def inside_trace() -> bool:
    """Whether a recorded span of ours is current here."""
    above = contexts.current().get(contexts.SPAN_KEY)
    return above is not None and above.recording


def settings() -> Settings:
    """The settings in force."""
    return _holder.settings


def loss(reason: str, count: int = 1) -> None:
    """Count a loss, if a recorder is there to write it down."""
    recorder = active()
    if recorder is not None:
        recorder.loss(reason, count)


def configure(**options: Any) -> None:
    """Apply `spanreel.configure()`: a new recorder for new settings, the same journal for the same store."""
    with _holder.lock:
        new = _holder.settings.merged(**options)
        old = _holder.recorder
        if new == _holder.settings and old is not None:
            return
        _holder.settings = new
        if old is None:
            return
        old.write_losses()
        same = (
            stores.resolve(new.store) == old.journal.store and new.service_name == old.settings.service_name
        )
        _holder.recorder = Recorder(new, old.journal if same else None)
        if not same:
            old.journal.close()


def widen(instrument: Literal["trace", "all", "off"]) -> None:
    """Set which calls the wire hooks record, from now on."""
    from dataclasses import replace

    _holder.settings = replace(_holder.settings, instrument=instrument)


def _before_exit() -> None:
    recorder = _holder.recorder
    if recorder is None:
        return
    with guard("recorder.exit"):
        recorder.note_unseen()
        recorder.write_losses()
        recorder.start_keeper()


def _nowhere(_record: bytes) -> None:
    """What a forked child does with records of its parent."""


def _in_child() -> None:
    clock.reseed()  # also where the parent has recorded nothing: its children would draw the same ids
    recorder = _holder.recorder
    _holder.lock = threading.RLock()
    if recorder is None:
        return
    _holder.recorder = None
    recorder.forked = True
    recorder.write = (
        _nowhere  # spans of the parent's; the journal's lock may be held by a thread that is not here
    )
    with guard("recorder.fork"):
        recorder.journal.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

atexit.register(_before_exit)

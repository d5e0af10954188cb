"""Work that is queued here and done elsewhere: a ticket goes with it, and the worker's span is below its enqueuer.

The ticket is a small mapping under the key `spanreel` in the message: W3C's traceparent and our tracestate, and
the session, user and tags that hold where the work was queued.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanreel import context as contexts
from spanreel import propagation
from spanreel import recorder as recorders
from spanreel.guard import guard
from spanreel.spans import NOOP, Span

KEY = "spanreel"
_INHERITED = ("session.id", "user.id", "spanreel.tags")
_early: set[str] = set()


def ticket() -> dict[str, Any] | None:
    """What is to go with work that is queued here; None outside of a trace. Raises nothing."""
    with guard("tasks.ticket"):
        if recorders.scope() == "off":
            return None
        found: dict[str, Any] = {}
        propagation.inject(found)
        if not found:
            return None
        inherited = contexts.current().get(contexts.INHERITED_KEY)
        if inherited is not None:
            found |= {key: inherited.attributes[key] for key in _INHERITED if key in inherited.attributes}
        return found
    return None


class Running:
    """One task that is being done: its span, current from `begin` to `end`."""

    __slots__ = ("_outer", "span")

    def __init__(self, span: Span, outer: Any) -> None:
        self.span = span
        self._outer = outer

    def end(
        self,
        *,
        result: object = None,
        returned: bool = False,
        error: BaseException | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """End the span, with what the task returned or raised, and leave its context."""
        contexts.detach(self._outer)
        span = self.span
        if not span.recording:
            return
        with guard("tasks.end"):
            output = b""
            if returned and span._recorder.full:  # noqa: SLF001 - one family with the span
                output = span._recorder.capture(result)  # noqa: SLF001
                span.note_cut("output", output)
            status = "ok" if returned else None
            span.finish(status=status, error=error, attributes=attributes, output_json=output)


def begin(
    carried: object,
    name: str,
    *,
    names: tuple[str, ...] = (),
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Running | None:
    """Open the span of a task, below the span its ticket tells of, or below the current one without a ticket.

    None where nothing is to be recorded: recording is off, or the task comes from outside of every trace and
    only traces are recorded.
    """
    recorder = recorders.active()
    scope = recorders.scope()
    if recorder is None or recorder.rate <= 0.0 or scope == "off":
        return None
    remote = propagation.incoming(carried.items()) if isinstance(carried, Mapping) else None
    if remote is None and scope != "all" and contexts.SPAN_KEY not in contexts.current():
        return None
    outer = contexts.variable.set(contexts.current())
    try:
        if remote is not None:
            contexts.attach(recorders.stand_in(recorder, remote), otel=False)
            _inherit(carried)
        text = recorder.arguments(names, args, dict(kwargs or {})) if recorder.full else b""
        label = recorder.label("chain", name)
        about = recorder.capture_attributes({k: v for k, v in (attributes or {}).items() if v is not None})
        span = recorders.begin(recorder, label, name, "chain", text, about)
        if span.recording:
            span.note_cut("input", text)
        contexts.attach(span, otel=span.recording and recorder.shows_otel())
    except BaseException:
        contexts.detach(outer)
        raise
    return Running(span, outer)


def passing(carried: object) -> Running | None:
    """Make the span that a ticket tells of current for work that has no span of its own."""
    recorder = recorders.active()
    remote = propagation.incoming(carried.items()) if isinstance(carried, Mapping) else None
    if recorder is None or remote is None:
        return None
    outer = contexts.variable.set(contexts.current())
    contexts.attach(recorders.stand_in(recorder, remote), otel=False)
    return Running(NOOP, outer)


def _inherit(carried: Any) -> None:
    found = {key: carried[key] for key in _INHERITED if key in carried}
    if found:
        from spanreel.annotate import Scope

        Scope(found)._attach()  # noqa: SLF001 - undone with the context of the task


def install_early(library: str) -> None:
    """Put in the hook of a queue's library before the first traced entry.

    A worker imports the program's tasks long before, and in RQ's case in another process than, it does one.
    """
    with guard("tasks.early"):
        if library not in _early and recorders.scope() != "off":
            _early.add(library)
            from spanreel import instruments

            instruments.install({library})


def celery_imported(_module: Any) -> None:
    """Celery was imported by a program that decorates functions."""
    install_early("celery")


def rq_imported(_module: Any) -> None:
    """RQ was imported by a program that decorates functions."""
    install_early("rq")


def mcp_imported(_module: Any) -> None:
    """MCP was imported by a program that decorates functions: a server's tools are called from outside."""
    install_early("mcp")

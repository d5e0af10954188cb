"""Our place in the OpenTelemetry Context: the current span, what is inherited, and carrying both along.

The current span lives under a key of our own, so that spans of other OpenTelemetry users keep exactly the
parents they would have without us; their key is set too only where nobody else's provider is active.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

if TYPE_CHECKING:
    from spanreel.spans import Span

OTEL_SPAN_KEY = _SPAN_KEY
SPAN_KEY = "spanreel-span"
INHERITED_KEY = "spanreel-inherited"
PROMPTS_KEY = "spanreel-prompts"


class Inherited(NamedTuple):
    """Attributes that reach every span below: of `session()`, `attributes()` and `prompt()`."""

    attributes: dict[str, Any]
    json: bytes


class Remote(NamedTuple):
    """A parent in another process, as W3C traceparent told it."""

    trace: bytes
    span: bytes
    sampled: bool
    ours: bool
    """Whether the parent is a span of spanreel's (a process we carried it to) or of another system."""


class _ContextVariable:
    """The public attach/detach of OpenTelemetry, for a runtime context that is not contextvars'."""

    def get(self) -> Context:
        return otel_context.get_current()

    def set(self, value: Context) -> Any:
        return otel_context.attach(value)

    def reset(self, token: Any) -> None:
        otel_context.detach(token)


def _variable() -> Any:
    """The context variable itself: `detach` would log into the program where a token is foreign."""
    found = getattr(otel_context._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001
    return found if isinstance(found, ContextVar) else _ContextVariable()


variable: ContextVar[Context] = _variable()
current: Callable[[], Any] = variable.get
"""The context that is here: a mapping."""


def attach(span: Span, *, otel: bool) -> Token[Context]:
    """Make `span` current; with `otel`, for other users of OpenTelemetry as well."""
    context = Context(current())
    dict.__setitem__(context, SPAN_KEY, span)
    if otel:
        dict.__setitem__(context, OTEL_SPAN_KEY, span)
    return variable.set(context)


def unrecorded(here: Any, mark: Span) -> Context:
    """`here`, marked so that nothing below is recorded; the same object for every empty context."""
    global _nothing  # noqa: PLW0603 - made once
    if not here:
        if _nothing is None:
            _nothing = Context({SPAN_KEY: mark})
        return _nothing
    context = Context(here)
    dict.__setitem__(context, SPAN_KEY, mark)
    return context


_nothing: Context | None = None


def attach_inherited(inherited: Inherited) -> Token[Context]:
    """Make `inherited` what every span started below carries."""
    context = Context(current())
    dict.__setitem__(context, INHERITED_KEY, inherited)
    return variable.set(context)


def attach_prompts(prompts: tuple[tuple[tuple[bytes, ...], dict[str, Any]], ...]) -> None:
    """Remember rendered prompts for the calls that follow; undone where the span around them is left."""
    context = Context(current())
    dict.__setitem__(context, PROMPTS_KEY, prompts)
    variable.set(context)


def detach(token: Token[Context]) -> None:
    """Undo an attach.

    Where the token belongs to another context (a generator closed by the garbage collector, a task driven
    from elsewhere), that context has gone with it and nothing is left to undo.
    """
    try:
        variable.reset(token)
    except (ValueError, RuntimeError):
        pass


def ours() -> Context | None:
    """A context holding only what is ours, for another thread; None when there is nothing to carry."""
    here = current()
    span = here.get(SPAN_KEY)
    inherited = here.get(INHERITED_KEY)
    if span is None and inherited is None:
        return None
    carried = Context()
    if span is not None:
        dict.__setitem__(carried, SPAN_KEY, span)
        if here.get(OTEL_SPAN_KEY) is span:
            dict.__setitem__(carried, OTEL_SPAN_KEY, span)
    if inherited is not None:
        dict.__setitem__(carried, INHERITED_KEY, inherited)
    return carried


def below(span: Span, *, otel: bool) -> Context:
    """What is ours in the context below `span`, opened here."""
    here = current()
    carried = Context()
    dict.__setitem__(carried, SPAN_KEY, span)
    if otel:
        dict.__setitem__(carried, OTEL_SPAN_KEY, span)
    inherited = here.get(INHERITED_KEY)
    if inherited is not None:
        dict.__setitem__(carried, INHERITED_KEY, inherited)
    return carried


def merged(carried: Context) -> Context:
    """What is carried, laid over the context that is here already."""
    here = Context(current())
    dict.update(here, carried)
    return here


def parse_traceparent(text: str, *, ours: bool) -> Remote | None:
    """W3C trace context, version 00 and later versions' common prefix; None when it is not valid."""
    parts = text.strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        trace, span, flags = int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)
    except ValueError:
        return None
    if not trace or not span:
        return None
    return Remote(parts[1].lower().encode(), parts[2].lower().encode(), bool(flags & 1), ours)

"""spanreel: the flight recorder for LLM applications.

>>> import spanreel
>>> @spanreel.trace
... def answer(question): ...

Everything public is here; it is loaded on first use, so that importing spanreel costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.version import __version__

if TYPE_CHECKING:
    from spanreel import propagation
    from spanreel.annotate import (
        attributes,
        current_span,
        current_trace_id,
        prompt,
        score,
        session,
        span,
    )
    from spanreel.control import configure, flush, instrument, sql, uninstrument
    from spanreel.decorator import trace
    from spanreel.errors import SpanreelError
    from spanreel.middleware import SpanreelMiddleware
    from spanreel.processors import JournalProcessor
    from spanreel.spans import Span

__all__ = [
    "JournalProcessor",
    "Span",
    "SpanreelError",
    "SpanreelMiddleware",
    "__version__",
    "attributes",
    "configure",
    "current_span",
    "current_trace_id",
    "flush",
    "instrument",
    "prompt",
    "propagation",
    "score",
    "session",
    "span",
    "sql",
    "trace",
    "uninstrument",
]

_HOMES = {
    "JournalProcessor": "processors",
    "Span": "spans",
    "SpanreelError": "errors",
    "SpanreelMiddleware": "middleware",
    "attributes": "annotate",
    "configure": "control",
    "current_span": "annotate",
    "current_trace_id": "annotate",
    "flush": "control",
    "instrument": "control",
    "prompt": "annotate",
    "propagation": "",
    "score": "annotate",
    "session": "annotate",
    "span": "annotate",
    "sql": "control",
    "trace": "decorator",
    "uninstrument": "control",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'spanreel' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"spanreel.{home}"), name) if home else import_module(f"spanreel.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""The two that are compared: raw OpenTelemetry doing the least that records the same, and spanreel.

The baseline is opentelemetry-sdk with a BatchSpanProcessor and an exporter that drops everything; arguments
and result become two attributes through `json.dumps`. Ours records with its defaults into a journal on disk.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import spanreel

Function = Callable[..., Any]


class _Null(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


class Baseline:
    """Raw OpenTelemetry; the provider is not made global, so that ours behaves as it does alone."""

    def __init__(self) -> None:
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(_Null()))
        self._tracer = self._provider.get_tracer("bench")

    def decorate(self, function: Function) -> Function:
        """Record arguments and result as JSON attributes."""
        name, dumps, span = function.__name__, json.dumps, self._tracer.start_as_current_span
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with span(name) as current:
                if current.is_recording():
                    current.set_attribute("input.value", dumps(signature.bind(*args, **kwargs).arguments))
                result = function(*args, **kwargs)
                if current.is_recording():
                    current.set_attribute("output.value", dumps(result))
                return result

        return wrapper

    def settle(self) -> None:
        """Let the background work of a round be done, so that the other side does not pay for it."""
        self._provider.force_flush(60_000)


class Ours:
    """spanreel with its defaults."""

    def __init__(self, store: Path) -> None:
        spanreel.configure(store=store, keeper="off")

    def decorate(self, function: Function) -> Function:
        """Trace it."""
        return spanreel.trace(function)

    def settle(self) -> None:
        """Nothing waits: a span is in the journal before its function returns."""

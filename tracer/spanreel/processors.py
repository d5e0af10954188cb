"""The bridge to the OpenTelemetry SDK, both ways; the only module that imports the SDK.

`on_start`/`on_end` feed the SpanProcessors of `configure(span_processors=)`: a read-only facade at start, a
`ReadableSpan` built at the end. `JournalProcessor` records what passes through a user's own TracerProvider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

from spanreel import recorder as recorders
from spanreel.config import Settings
from spanreel.guard import guard
from spanreel.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.spans import Span

SCOPE = InstrumentationScope("spanreel", __version__)
OPERATIONS = {
    "llm": "chat",
    "embedding": "embeddings",
    "retrieval": "retrieval",
    "tool": "execute_tool",
    "agent": "invoke_agent",
}
_resources: dict[int, Resource] = {}


def on_start(settings: Settings, span: Span, input_json: bytes, attributes_json: bytes) -> None:
    """Show a starting span to every processor; what they set on it is kept."""
    attributes: dict[str, Any] = {"spanreel.kind": span.kind}
    if attributes_json:
        attributes.update(orjson.loads(bytes(attributes_json)))
    if input_json:
        attributes["spanreel.input"] = input_json.decode()
    span._sdk = attributes
    for processor in settings.span_processors:
        with guard("span_processors.on_start"):
            processor.on_start(span, None)


def on_end(settings: Settings, span: Span, output: bytes, end_ns: int) -> None:
    """Hand an ended span to every processor."""
    readable = _readable(settings, span, output, end_ns)
    for processor in settings.span_processors:
        with guard("span_processors.on_end"):
            processor.on_end(readable)


def _readable(settings: Settings, span: Span, output: bytes, end_ns: int) -> ReadableSpan:
    attributes: dict[str, Any] = dict(span._sdk or {})
    own = span._attributes or {}
    attributes.update({key: _plain(value) for key, value in own.items()})
    if span.kind in OPERATIONS:
        attributes.setdefault("gen_ai.operation.name", OPERATIONS[span.kind])
    if output:
        attributes["spanreel.output"] = output.decode()
    status, events = Status(StatusCode.OK if span._status == b"ok" else StatusCode.UNSET), []
    if span._error:
        error = orjson.loads(bytes(span._error))
        attributes["error.type"] = error["type"]
        status = Status(StatusCode.ERROR, error.get("message"))
        events.append(
            Event(
                "exception",
                {
                    "exception.type": error["type"],
                    "exception.message": error.get("message", ""),
                    "exception.stacktrace": error.get("stacktrace", ""),
                },
                end_ns,
            )
        )
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=_parent(span),
        resource=_resource(settings),
        attributes=attributes,
        events=events,
        kind=otel.SpanKind.CLIENT if span.kind in {"llm", "embedding"} else otel.SpanKind.INTERNAL,
        status=status,
        start_time=span.start_ns,
        end_time=end_ns,
        instrumentation_scope=SCOPE,
    )


def _parent(span: Span) -> otel.SpanContext | None:
    if not span.parent:
        return None
    return otel.SpanContext(
        int(span.trace, 16), int(span.parent, 16), is_remote=False, trace_flags=otel.TraceFlags(1)
    )


def _resource(settings: Settings) -> Resource:
    found = _resources.get(id(settings))
    if found is None:
        _resources.clear()
        found = Resource.create(
            {**dict(settings.resource), "service.name": settings.service_name or "unknown_service"}
        )
        _resources[id(settings)] = found
    return found


def _plain(value: Any) -> Any:
    """An OpenTelemetry attribute value: scalars and flat lists stay, anything else becomes JSON text."""
    if isinstance(value, str | bool | int | float):
        return value
    flat = isinstance(value, list | tuple) and value and isinstance(value[0], str | bool | int | float)
    if flat and all(type(item) is type(value[0]) for item in value):
        return list(value)
    return orjson.dumps(value, default=str).decode()


class JournalProcessor(SpanProcessor):
    """Records every span of the TracerProvider it is added to, beside whatever else is exported.

    `provider.add_span_processor(spanreel.JournalProcessor())`: spans of other instrumentations land in the
    same store as our own, and calls seen on the wire below them find their parent there.
    """

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Write the start record."""
        del parent_context
        with guard("journal_processor.on_start"):
            recorder = recorders.active()
            if recorder is None or not span.is_recording():
                return
            identity, parent = span.get_span_context(), span.parent
            recorder.write(
                recorders.START
                % (
                    b"%032x" % identity.trace_id,
                    b"%016x" % identity.span_id,
                    b"%016x" % parent.span_id if parent else b"",
                    b"f" if parent and parent.is_remote else b"",
                    span.start_time or 0,
                    recorder.label("span", span.name),
                    b"",
                    recorder.capture_attributes(dict(span.attributes or {})),
                )
            )

    def on_end(self, span: ReadableSpan) -> None:
        """Write the end record, with everything the span came to hold."""
        with guard("journal_processor.on_end"):
            recorder = recorders.active()
            if recorder is None:
                return
            identity = span.get_span_context()
            if identity is None:
                return
            code = span.status.status_code
            recorder.write(
                recorders.END
                % (
                    b"%032x" % identity.trace_id,
                    b"%016x" % identity.span_id,
                    span.end_time or 0,
                    {StatusCode.OK: b"ok", StatusCode.ERROR: b"error"}.get(code, b"unset"),
                    b"",
                    b"",
                    recorder.capture_attributes(_everything(span)),
                    _error_of(recorder, span),
                )
            )

    def shutdown(self) -> None:
        """Nothing is held back."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        del timeout_millis
        return True


def _everything(span: ReadableSpan) -> dict[str, Any]:
    found: dict[str, Any] = dict(span.attributes or {})
    found["spanreel.name"] = span.name
    if span.events:
        found["spanreel.events"] = [
            {"name": event.name, "time_ns": event.timestamp, "attributes": dict(event.attributes or {})}
            for event in span.events
        ]
    scope = span.instrumentation_scope
    if scope is not None:
        found["spanreel.scope"] = {"name": scope.name, "version": scope.version}
    return found


def _error_of(recorder: recorders.Recorder, span: ReadableSpan) -> bytes:
    if span.status.status_code is not StatusCode.ERROR:
        return b""
    for event in span.events:
        if event.name == "exception":
            details = dict(event.attributes or {})
            return recorder.capture_error(
                {
                    "type": details.get("exception.type", "error"),
                    "message": details.get("exception.message") or span.status.description or "",
                    "stacktrace": details.get("exception.stacktrace", ""),
                }
            )
    kind = (span.attributes or {}).get("error.type", "error")
    return recorder.capture_error({"type": str(kind), "message": span.status.description or ""})

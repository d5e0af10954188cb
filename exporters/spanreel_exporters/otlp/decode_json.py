"""One OTLP-JSON message (traces or logs) -> spans and log records. Total on any JSON value.

Names come in camelCase or snake_case, 64-bit integers as text or numbers, ids as hex (OTLP) or base64 (plain
protobuf JSON), enumerations as numbers or names.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable
from typing import Any, Final

from spanreel_exporters.otlp.model import Decoded, OtlpLog, OtlpSpan

MAX_DEPTH: Final = 64
_MOST: Final = (1 << 63) - 1
_HEX: Final = frozenset("0123456789abcdef")
_STATUS: Final = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "OK": 1, "ERROR": 2}
_KINDS: Final = {
    "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5,
}  # fmt: skip
_SIGNS: Final = (
    "resourceSpans",
    "resource_spans",
    "resourceLogs",
    "resource_logs",
    "resourceMetrics",
    "resource_metrics",
)


def is_otlp(message: object) -> bool:
    """Whether a JSON value is an OTLP message of any signal; an empty one counts."""
    return isinstance(message, dict) and (not message or any(key in message for key in _SIGNS))


def decode(message: object) -> Decoded:
    """The spans and log records of one message."""
    out = Decoded()
    for group in _each(message, "resourceSpans", "resource_spans", "batches"):
        resource = _attributes(_get(_get(group, "resource"), "attributes"))
        for part in _each(group, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
            scope = _scope(part)
            for item in _each(part, "spans"):
                _take_span(out, item, scope, resource)
    for group in _each(message, "resourceLogs", "resource_logs"):
        resource = _attributes(_get(_get(group, "resource"), "attributes"))
        for part in _each(group, "scopeLogs", "scope_logs", "instrumentationLibraryLogs"):
            scope = _scope(part)
            for item in _each(part, "logRecords", "log_records", "logs"):
                out.logs.append(_log(item, scope, resource))
    out.ignored += sum(1 for _ in _each(message, "resourceMetrics", "resource_metrics"))
    return out


def _take_span(out: Decoded, item: dict[str, Any], scope: dict[str, Any], resource: dict[str, Any]) -> None:
    trace, span = (
        identity(_get(item, "traceId", "trace_id"), 16),
        identity(_get(item, "spanId", "span_id"), 8),
    )
    start = whole(_get(item, "startTimeUnixNano", "start_time_unix_nano"))
    if not trace or not span or start is None:
        out.ignored += 1
        return
    status = _get(item, "status") or {}
    code = _get(status, "code")
    kind = _get(item, "kind")
    out.spans.append(
        OtlpSpan(
            trace_id=trace,
            span_id=span,
            parent_id=identity(_get(item, "parentSpanId", "parent_span_id"), 8),
            name=_text(_get(item, "name")),
            kind=_KINDS.get(kind, 0) if isinstance(kind, str) else whole(kind) or 0,
            start_ns=start,
            end_ns=whole(_get(item, "endTimeUnixNano", "end_time_unix_nano")) or 0,
            attributes=_attributes(_get(item, "attributes")),
            events=[_event(event) for event in _each(item, "events")],
            links=[_link(link) for link in _each(item, "links")],
            status=_STATUS.get(code, 0) if isinstance(code, str) else whole(code) or 0,
            status_message=_text(_get(status, "message")),
            trace_state=_text(_get(item, "traceState", "trace_state")),
            flags=whole(_get(item, "flags")) or 0,
            dropped=_dropped(item),
            scope=scope,
            resource=resource,
        )
    )


def _dropped(item: dict[str, Any]) -> dict[str, int]:
    found = {}
    for name in ("attributes", "events", "links"):
        count = whole(_get(item, f"dropped{name.title()}Count", f"dropped_{name}_count"))
        if count:
            found[name] = count
    return found


def _log(item: dict[str, Any], scope: dict[str, Any], resource: dict[str, Any]) -> OtlpLog:
    at = whole(_get(item, "timeUnixNano", "time_unix_nano"))
    return OtlpLog(
        trace_id=identity(_get(item, "traceId", "trace_id"), 16),
        span_id=identity(_get(item, "spanId", "span_id"), 8),
        time_ns=at or whole(_get(item, "observedTimeUnixNano", "observed_time_unix_nano")) or 0,
        severity=whole(_get(item, "severityNumber", "severity_number")) or 0,
        body=value_of(_get(item, "body")),
        attributes=_attributes(_get(item, "attributes")),
        event_name=_text(_get(item, "eventName", "event_name")),
        scope=scope,
        resource=resource,
    )


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": _text(_get(event, "name")),
        "time_ns": whole(_get(event, "timeUnixNano", "time_unix_nano")) or 0,
        "attributes": _attributes(_get(event, "attributes")),
    }


def _link(link: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": identity(_get(link, "traceId", "trace_id"), 16),
        "span_id": identity(_get(link, "spanId", "span_id"), 8),
        "attributes": _attributes(_get(link, "attributes")),
    }


def _scope(part: dict[str, Any]) -> dict[str, Any]:
    scope = _get(part, "scope", "instrumentationLibrary") or {}
    found: dict[str, Any] = {"name": _text(_get(scope, "name")), "version": _text(_get(scope, "version"))}
    attributes = _attributes(_get(scope, "attributes"))
    return {**found, "attributes": attributes} if attributes else found


def _attributes(values: object) -> dict[str, Any]:
    if isinstance(values, dict):  # some exporters write an object instead of a list of pairs
        return {
            str(key): value_of(value) if isinstance(value, dict) else value for key, value in values.items()
        }
    found = {}
    for pair in values if isinstance(values, list) else ():
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            found[pair["key"]] = value_of(pair.get("value"))
    return found


def value_of(value: object, depth: int = 0) -> Any:
    """An AnyValue as a plain one: lists, dicts, text, numbers; bytes stay base64 text, NaN becomes None."""
    if not isinstance(value, dict):
        return value if isinstance(value, (str, int, float, bool)) else None
    if depth > MAX_DEPTH:
        return "(nested too deep)"
    for key, inner in value.items():
        reader = _VALUES.get(key)
        if reader is not None:
            return reader(inner, depth)
    return None


def _array(inner: Any, depth: int) -> Any:
    return [value_of(item, depth + 1) for item in _each(inner, "values", empty=True)]


def _pairs(inner: Any, depth: int) -> Any:
    return {
        pair["key"]: value_of(pair.get("value"), depth + 1)
        for pair in _each(inner, "values")
        if isinstance(pair.get("key"), str)
    }


def _integer(inner: Any, _depth: int) -> Any:
    if isinstance(inner, str):
        try:
            inner = int(inner) if len(inner) < 40 else inner
        except ValueError:
            return inner
    if isinstance(inner, int) and not -_MOST - 1 <= inner <= 2 * _MOST + 1:
        return str(inner)
    return inner


def _double(inner: Any, _depth: int) -> Any:
    if isinstance(inner, str):
        try:
            inner = float(inner)
        except ValueError:
            return inner
    return inner if isinstance(inner, (int, float)) and math.isfinite(inner) else None


def _as_it_is(inner: Any, _depth: int) -> Any:
    return inner if isinstance(inner, (str, bool)) else None if inner is None else str(inner)


_VALUES: Final = {
    "stringValue": _as_it_is, "string_value": _as_it_is, "intValue": _integer, "int_value": _integer,
    "doubleValue": _double, "double_value": _double, "boolValue": _as_it_is, "bool_value": _as_it_is,
    "arrayValue": _array, "array_value": _array, "kvlistValue": _pairs, "kvlist_value": _pairs,
    "bytesValue": _as_it_is, "bytes_value": _as_it_is,
}  # fmt: skip


def identity(value: object, size: int) -> str:
    """An id of `size` bytes as lower-case hex; empty where it is none, or all zeros."""
    if not isinstance(value, str):
        return ""
    plain = value.strip().lower().removeprefix("0x").replace("-", "")
    if len(plain) != 2 * size or not _HEX.issuperset(plain):
        try:
            raw = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            return ""
        if len(raw) != size:
            return ""
        plain = raw.hex()
    return plain if plain.strip("0") else ""


def whole(value: object) -> int | None:
    """A non-negative 64-bit integer, also written as text; None where it is none."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 20:
            return None
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST else None


def _get(item: object, *names: str) -> Any:
    if isinstance(item, dict):
        for name in names:
            if name in item:
                return item[name]
    return None


def _each(item: object, *names: str, empty: bool = False) -> Iterable[dict[str, Any]]:
    """The objects of a list under the first of `names`; `empty` keeps what is no object as an empty one."""
    found = _get(item, *names)
    if not isinstance(found, list):
        return ()
    return [one if isinstance(one, dict) else {} for one in found if empty or isinstance(one, dict)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)

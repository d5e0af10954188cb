"""One OTLP protobuf message (traces or logs) -> spans and log records, without a protobuf library.

The wire format is small: a key of field number and type, then a varint, 4 or 8 bytes, or a length and that many
bytes. Field numbers after opentelemetry-proto 1.x; unknown fields are stepped over. A message that is cut off is
read up to the cut.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, Final

from spanreel_exporters.otlp.decode_json import MAX_DEPTH
from spanreel_exporters.otlp.model import Decoded, OtlpError, OtlpLog, OtlpSpan, Problem

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
Field = tuple[int, int, Any, int]
"""(number, wire type, value, offset of the value); the value of a LENGTH field is a memoryview."""
_MOST: Final = (1 << 63) - 1


def decode(data: bytes | memoryview, problem: Problem, *, base: int = 0) -> Decoded:
    """The spans and log records of `data`; `problem` is told of a cut or of bytes that are no protobuf.

    `base` is where `data` stands in its file.
    """
    out = Decoded()
    try:
        for number, kind, group, at in _fields(memoryview(data), base, cut=problem):
            if number != 1 or kind != LENGTH:
                raise OtlpError(at, f"field {number} does not belong to an OTLP message")
            _group(out, group, at, problem)
    except OtlpError as error:
        problem(error.offset, error.reason)
    return out


def _group(out: Decoded, data: memoryview, base: int, problem: Problem) -> None:
    """ResourceSpans, ResourceLogs or ResourceMetrics: 1 resource, 2 groups by scope."""
    resource: dict[str, Any] = {}
    parts = []
    for number, kind, value, at in _fields(data, base, cut=problem):
        if number == 1 and kind == LENGTH:
            resource = _resource(value, at)
        elif number == 2 and kind == LENGTH:
            parts.append((value, at))
    for value, at in parts:
        _part(out, value, at, resource, problem)


def _resource(data: memoryview, base: int) -> dict[str, Any]:
    return _key_values(
        [value for number, kind, value, _ in _fields(data, base) if number == 1 and kind == LENGTH]
    )


def _part(out: Decoded, data: memoryview, base: int, resource: dict[str, Any], problem: Problem) -> None:
    """ScopeSpans, ScopeLogs or ScopeMetrics: 1 scope, 2 leaves."""
    scope: dict[str, Any] = {"name": "", "version": ""}
    leaves = []
    try:
        for number, kind, value, at in _fields(data, base):
            if number == 1 and kind == LENGTH:
                scope = _scope(value, at)
            elif number == 2 and kind == LENGTH:
                leaves.append((value, at))
    except OtlpError as error:  # a leaf that is cut off is none
        problem(error.offset, error.reason)
    for value, at in leaves:
        try:
            _leaf(out, value, at, scope, resource)
        except OtlpError as error:
            problem(error.offset, error.reason)


def _scope(data: memoryview, base: int) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "", "version": ""}
    pairs = []
    for number, kind, value, _ in _fields(data, base):
        if kind == LENGTH and number == 1:
            found["name"] = _text(value)
        elif kind == LENGTH and number == 2:
            found["version"] = _text(value)
        elif kind == LENGTH and number == 3:
            pairs.append(value)
    attributes = _key_values(pairs)
    return {**found, "attributes": attributes} if attributes else found


def _leaf(out: Decoded, data: memoryview, base: int, scope: dict[str, Any], resource: dict[str, Any]) -> None:
    """A span, a log record or a metric: told by the types of the fields that only one of them has."""
    fields = list(_fields(data, base))
    types = {(number, kind) for number, kind, _, _ in fields}
    if (7, FIXED64) in types or (8, FIXED64) in types:
        _span(out, fields, scope, resource)
    elif (1, FIXED64) in types or (11, FIXED64) in types or (2, VARINT) in types:
        out.logs.append(_log(fields, scope, resource))
    else:
        out.ignored += 1


def _span(out: Decoded, fields: list[Field], scope: dict[str, Any], resource: dict[str, Any]) -> None:
    span = OtlpSpan("", "", scope=scope, resource=resource)
    pairs = []
    for number, kind, value, at in fields:
        if kind == LENGTH and number == 9:
            pairs.append(value)
        elif kind == LENGTH:
            _span_bytes(span, number, value, at)
        elif kind == FIXED64 and number == 7:
            span.start_ns = min(value, _MOST)
        elif kind == FIXED64 and number == 8:
            span.end_ns = min(value, _MOST)
        elif kind == VARINT and number == 6:
            span.kind = value
        elif kind == VARINT and number in _DROPPED:
            span.dropped[_DROPPED[number]] = value
        elif kind == FIXED32 and number == 16:
            span.flags = value
    span.attributes = _key_values(pairs)
    if span.trace_id and span.span_id:
        out.spans.append(span)
    else:
        out.ignored += 1


_DROPPED: Final = {10: "attributes", 12: "events", 14: "links"}


def _span_bytes(span: OtlpSpan, number: int, value: memoryview, at: int) -> None:
    if number == 1:
        span.trace_id = _identity(value, 16)
    elif number == 2:
        span.span_id = _identity(value, 8)
    elif number == 3:
        span.trace_state = _text(value)
    elif number == 4:
        span.parent_id = _identity(value, 8)
    elif number == 5:
        span.name = _text(value)
    elif number == 11:
        span.events.append(_event(value, at))
    elif number == 13:
        span.links.append(_link(value, at))
    elif number == 15:
        for inner, kind, told, _ in _fields(value, at):
            if inner == 2 and kind == LENGTH:
                span.status_message = _text(told)
            elif inner == 3 and kind == VARINT:
                span.status = told


def _event(data: memoryview, base: int) -> dict[str, Any]:
    event: dict[str, Any] = {"name": "", "time_ns": 0}
    pairs = []
    for number, kind, value, _ in _fields(data, base):
        if number == 1 and kind == FIXED64:
            event["time_ns"] = min(value, _MOST)
        elif number == 2 and kind == LENGTH:
            event["name"] = _text(value)
        elif number == 3 and kind == LENGTH:
            pairs.append(value)
    event["attributes"] = _key_values(pairs)
    return event


def _link(data: memoryview, base: int) -> dict[str, Any]:
    link: dict[str, Any] = {"trace_id": "", "span_id": ""}
    pairs = []
    for number, kind, value, _ in _fields(data, base):
        if kind != LENGTH:
            continue
        if number == 1:
            link["trace_id"] = _identity(value, 16)
        elif number == 2:
            link["span_id"] = _identity(value, 8)
        elif number == 4:
            pairs.append(value)
    link["attributes"] = _key_values(pairs)
    return link


def _log(fields: list[Field], scope: dict[str, Any], resource: dict[str, Any]) -> OtlpLog:
    log = OtlpLog(scope=scope, resource=resource)
    pairs = []
    observed = 0
    for number, kind, value, at in fields:
        if kind == FIXED64 and number == 1:
            log.time_ns = min(value, _MOST)
        elif kind == FIXED64 and number == 11:
            observed = min(value, _MOST)
        elif kind == VARINT and number == 2:
            log.severity = value
        elif kind != LENGTH:
            continue
        elif number == 5:
            log.body = _any(value, at, 0)
        elif number == 6:
            pairs.append(value)
        elif number == 9:
            log.trace_id = _identity(value, 16)
        elif number == 10:
            log.span_id = _identity(value, 8)
        elif number == 12:
            log.event_name = _text(value)
    log.time_ns = log.time_ns or observed
    log.attributes = _key_values(pairs)
    return log


# -- values -----------------------------------------------------------------------


def _key_values(pairs: list[memoryview], depth: int = 0) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        key, inner = "", None
        for number, kind, value, at in _fields(pair, 0):
            if number == 1 and kind == LENGTH:
                key = _text(value)
            elif number == 2 and kind == LENGTH:
                inner = _any(value, at, depth)
        found[key] = inner
    return found


def _any(data: memoryview, base: int, depth: int) -> Any:
    """An AnyValue as a plain value; bytes become base64 text, NaN None, as in OTLP-JSON."""
    if depth > MAX_DEPTH:
        return "(nested too deep)"
    result: Any = None
    for number, kind, value, at in _fields(data, base):
        if number == 1 and kind == LENGTH:
            result = _text(value)
        elif number == 2 and kind == VARINT:
            result = bool(value)
        elif number == 3 and kind == VARINT:
            result = value - (1 << 64) if value > _MOST else value
        elif number == 4 and kind == FIXED64:
            double = struct.unpack("<d", struct.pack("<Q", value))[0]
            result = double if math.isfinite(double) else None
        elif kind == LENGTH and number in {5, 6}:
            inner = [(item, where) for n, k, item, where in _fields(value, at) if n == 1 and k == LENGTH]
            if number == 5:
                result = [_any(item, where, depth + 1) for item, where in inner]
            else:
                result = _key_values([item for item, _ in inner], depth + 1)
        elif number == 7 and kind == LENGTH:
            import base64

            result = base64.b64encode(value).decode()
    return result


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _identity(value: memoryview, size: int) -> str:
    return value.hex() if len(value) == size and any(value) else ""


# -- the wire format ----------------------------------------------------------------


def _fields(data: memoryview, base: int, *, cut: Problem | None = None) -> Iterator[Field]:
    """The fields of a message. Raises OtlpError where it is none.

    With `cut` a last field that is longer than its message is told there and yielded as far as it goes.
    """
    position, size = 0, len(data)
    while position < size:
        key, position = _varint(data, position, base)
        number, kind = key >> 3, key & 7
        at = position
        if number == 0:
            raise OtlpError(base + at, "no protobuf: field number 0")
        if kind == VARINT:
            value, position = _varint(data, position, base)
            yield number, kind, value, base + at
            continue
        if kind == LENGTH:
            length, position = _varint(data, position, base)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise OtlpError(base + at, f"no protobuf: wire type {kind}")
        end = position + length
        if end > size:
            reason = f"cut off: {length:,} bytes announced, {size - position:,} there"
            if cut is None or kind != LENGTH:
                raise OtlpError(base + position, reason)
            cut(base + size, reason)
            end = size
        part = data[position:end]
        yield number, kind, part if kind == LENGTH else int.from_bytes(part, "little"), base + position
        position = end


def _varint(data: memoryview, position: int, base: int) -> tuple[int, int]:
    result = shift = 0
    start = position
    while True:
        if position >= len(data):
            raise OtlpError(base + start, "cut off in the middle of a number")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise OtlpError(base + start, "no protobuf: a number of more than ten bytes")


def is_message(data: bytes) -> bool:
    """Whether `data` is nothing but the repeated field 1 of an OTLP message."""
    try:
        return all(number == 1 and kind == LENGTH for number, kind, _, _ in _fields(memoryview(data), 0))
    except OtlpError:
        return False


def delimited(data: bytes) -> list[tuple[int, memoryview]]:
    """(offset, message) of messages that stand behind each other with their lengths as varints; else empty.

    The last may be cut off.
    """
    found: list[tuple[int, memoryview]] = []
    whole = memoryview(data)
    position = 0
    while position < len(data):
        try:
            length, start = _varint(whole, position, 0)
        except OtlpError:
            break
        part = whole[start : start + length]
        if length and (len(part) == 0 or part[0] != 0x0A):
            return []
        if part:
            found.append((start, part))
        position = start + length
    return found if len(found) > 1 or (found and is_message(bytes(found[0][1]))) else []

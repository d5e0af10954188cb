"""OTLP messages made by hand, in every form that files have."""

from __future__ import annotations

import json
from typing import Any

T0 = 1_700_000_000_000_000_000


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def any_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": value}


def span(number: int, values: dict[str, Any] | None = None, *, trace: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "traceId": f"{trace:032x}", "spanId": f"{number:016x}", "name": f"span {number}", "kind": 3,
        "startTimeUnixNano": str(T0 + number * 1_000), "endTimeUnixNano": str(T0 + number * 1_000 + 5_000_000),
        "attributes": attributes(values or {}), "status": {"code": 1}, **more,
    }  # fmt: skip


def traces(*spans: dict[str, Any], scope: str = "test.scope", service: str = "shop") -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes({"service.name": service, "deployment.environment.name": "prod"})},
                "scopeSpans": [{"scope": {"name": scope, "version": "1.2"}, "spans": list(spans)}],
            }
        ]
    }  # fmt: skip


def log(
    number: int, name: str, *, body: Any = None, values: dict[str, Any] | None = None, trace: int = 1
) -> dict[str, Any]:
    return {
        "traceId": f"{trace:032x}", "spanId": f"{number:016x}", "eventName": name, "timeUnixNano": str(T0 + number),
        "body": any_value(body), "attributes": attributes(values or {}),
    }  # fmt: skip


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceLogs": [
            {"resource": {}, "scopeLogs": [{"scope": {"name": "test.scope"}, "logRecords": list(records)}]}
        ]
    }


def protobuf(message: dict[str, Any]) -> bytes:
    """The same message in protobuf, made by Google's library from the official definitions."""
    from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped, unused-ignore]
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    def ids_as_base64(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: _base64(item) if key in {"traceId", "spanId", "parentSpanId"} else ids_as_base64(item)
                for key, item in value.items()
            }
        return [ids_as_base64(item) for item in value] if isinstance(value, list) else value

    target: Any = TracesData() if "resourceSpans" in message else LogsData()
    data: bytes = ParseDict(ids_as_base64(message), target).SerializeToString()
    return data


def _base64(value: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(value)).decode()


def text(message: object) -> bytes:
    return json.dumps(message).encode()


def framed(*messages: bytes) -> bytes:
    """As the Collector's file exporter writes them."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def delimited(*messages: bytes) -> bytes:
    """As protobuf's `writeDelimitedTo` writes them."""
    return b"".join(_varint(len(message)) + message for message in messages)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])

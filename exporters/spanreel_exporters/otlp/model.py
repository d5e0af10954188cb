"""What is taken from an OTLP message: spans and log records, each with its scope and resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Problem = Callable[[int, str], None]
"""Told (offset in bytes, reason) of whatever could not be read."""


class OtlpError(ValueError):
    """Bytes that are no OTLP, with where that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset:,}: {reason}")
        self.offset = offset
        self.reason = reason


@dataclass(slots=True)
class OtlpSpan:
    """One span; ids are lower-case hex, times ns since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    """`{"name", "time_ns", "attributes"}`"""
    links: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0
    """0 unset, 1 ok, 2 error."""
    status_message: str = ""
    trace_state: str = ""
    flags: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """What the exporter says it dropped: attributes, events, links."""
    scope: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OtlpLog:
    """One log record."""

    trace_id: str = ""
    span_id: str = ""
    time_ns: int = 0
    severity: int = 0
    body: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    event_name: str = ""
    scope: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Decoded:
    """What one message held."""

    spans: list[OtlpSpan] = field(default_factory=list)
    logs: list[OtlpLog] = field(default_factory=list)
    ignored: int = 0
    """Spans and log records without usable ids, metric points."""

    def __bool__(self) -> bool:
        return bool(self.spans or self.logs)

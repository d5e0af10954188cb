"""Records -> spans: joins start, end, attempts and patches of a span, whichever batch they came in.

`Assembler` knows nothing of DuckDB. The caller feeds it the records of a batch, then those that earlier
batches kept back for the same spans, and takes out the spans that have ended; what is left stays open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from spanreel.analysis.dialects.foreign import OTLP
from spanreel.analysis.record import KINDS, Attempt, RawSpan
from spanreel_exporters.duckdb.parse import Record
from spanreel_exporters.duckdb.resources import adopt

Key = tuple[bytes, bytes]
"""(trace id, span id) as hex bytes."""
WAITING: Final = "waiting"
"""In the place of a procid: records that wait for their span whatever became of the process that wrote them."""
_KINDS: Final = {kind.encode(): kind for kind in KINDS}
_STATUS: Final = {b"ok": "ok", b"error": "error", b"unset": "unset"}
_MAX_NS: Final = (1 << 63) - 1
_MAX_SEQ: Final = (1 << 31) - 1
_HEX: Final = frozenset(b"0123456789abcdef")


@dataclass(slots=True)
class Pending:
    """What is known of one span so far."""

    start: Record | None = None
    end: Record | None = None
    extra: list[Record] = field(default_factory=list)
    """attempt and patch records, in journal order."""
    procid: str = ""
    fresh: list[tuple[str, Record]] = field(default_factory=list)
    """(procid, record) of this batch: what has to be kept if the span stays open."""
    stored: bool = False
    """Whether earlier records of the span stand in `open_span`."""


class Assembler:
    """Joins the records of a batch. `losses` counts what could not be used, by reason."""

    def __init__(self) -> None:
        self.spans: dict[Key, Pending] = {}
        self.losses: dict[str, int] = {}

    def lose(self, reason: str, count: int = 1) -> None:
        """Count something given up."""
        self.losses[reason] = self.losses.get(reason, 0) + count

    def feed(self, procid: str, record: Record, *, stored: bool = False) -> None:
        """Take one start, end, attempt or patch record. Never raises on its content."""
        key = (record[2], record[3])
        pending = self.spans.get(key)
        if pending is None:
            if not _are_ids(*key):
                self.lose("garbage_record")
                return
            pending = self.spans[key] = Pending(procid=procid)
        kind = record[0]
        if kind == b"start":
            self._start(pending, procid, record)
        elif kind == b"end":
            if pending.end is not None:
                self.lose("duplicate_end")
                return
            pending.end = record
        elif stored:  # what was kept back comes after the batch but is older
            pending.extra.insert(_stored_count(pending), record)
        else:
            pending.extra.append(record)
        if stored:
            pending.stored = True
        else:
            pending.fresh.append((procid, record))

    def _start(self, pending: Pending, procid: str, record: Record) -> None:
        if pending.start is not None:
            self.lose("duplicate_start")
            return
        pending.start = record
        pending.procid = procid

    def take(self, *, dead: frozenset[str] = frozenset()) -> Iterable[tuple[Key, Pending]]:
        """Remove and yield the spans that have ended, and started ones whose process (one of `dead`) is gone."""
        done = [
            key
            for key, pending in self.spans.items()
            if pending.start is not None and (pending.end is not None or pending.procid in dead)
        ]
        for key in done:
            yield key, self.spans.pop(key)

    def take_startless(self, *, dead: frozenset[str]) -> Iterable[tuple[Key, Pending]]:
        """Remove and yield ended spans without a start whose process (one of `dead`) is gone."""
        done = [
            key
            for key, pending in self.spans.items()
            if pending.start is None and pending.end is not None and pending.procid in dead
        ]
        for key in done:
            yield key, self.spans.pop(key)


def _stored_count(pending: Pending) -> int:
    return len(pending.extra) - sum(1 for _, record in pending.fresh if record[0] in {b"attempt", b"patch"})


def _are_ids(trace: bytes, span: bytes) -> bool:
    return len(trace) == 32 and len(span) == 16 and _HEX.issuperset(trace) and _HEX.issuperset(span)


def build(key: Key, pending: Pending, process: dict[str, Any], *, lose: Any) -> RawSpan:
    """Make the span of its records; total. `lose(reason)` is told what was unreadable or missing."""
    start, end = pending.start, pending.end
    if start is None:
        lose("start_missing")
        raw = RawSpan(key[0].decode(), key[1].decode(), None, False, "span", "(start lost)", 0)
        parts = []
    else:
        raw = RawSpan(
            trace_id=key[0].decode(),
            span_id=key[1].decode(),
            parent_id=text(start[4]) or None,
            foreign_parent=b"f" in start[5],
            kind=_KINDS.get(start[7], "span"),
            name=_name(start[8]),
            start_ns=whole(start[6]) or 0,
        )
        raw.input = text(start[9]) or None
        parts = [start[10]]
    raw.process = process
    for record in pending.extra:
        if record[0] == b"patch":
            parts.append(record[5])
        else:
            _attempt(raw, record, lose)
    if end is not None:
        _end(raw, end)
        parts.append(end[8])
    raw.attributes, raw.attributes_json = merge(parts, lose)
    if raw.attributes:
        _overrides(raw)
        if OTLP in raw.attributes:
            adopt(raw)
    if end is not None and end[9]:
        _error(raw, end[9], lose)
    return raw


def _end(raw: RawSpan, end: Record) -> None:
    raw.end_ns = whole(end[4])
    raw.status = _STATUS.get(end[5], "unset")
    raw.first_ns = whole(end[6])
    raw.output = text(end[7]) or None
    raw.state = "ended"
    if raw.start_ns == 0 and raw.end_ns is not None:
        raw.start_ns = raw.first_ns or raw.end_ns
    if raw.end_ns is not None and raw.end_ns < raw.start_ns:
        raw.end_ns = raw.start_ns


def _attempt(raw: RawSpan, record: Record, lose: Any) -> None:
    try:
        meta = orjson.loads(record[5])
        request, response = orjson.loads(record[6] or b'""'), orjson.loads(record[7] or b'""')
        raw.attempts.append(
            Attempt(
                min(whole(record[4]) or 0, _MAX_SEQ), dict(meta), _body(request, meta), _body(response, meta)
            )
        )
    except (ValueError, TypeError, AttributeError):
        lose("garbage_attempt")


def _body(value: str, meta: dict[str, Any]) -> bytes:
    if meta.get("encoding") == "base64":
        import base64

        return base64.b64decode(value)
    return value.encode("utf-8", "surrogatepass")


def merge(parts: list[bytes], lose: Any) -> tuple[dict[str, Any], str]:
    """Attributes of several records as one dict and one JSON text; later parts win.

    Where no key is set twice the text is put together from the originals, so that numbers and key order stay
    as they came.
    """
    merged: dict[str, Any] = {}
    texts: list[bytes] = []
    overlap = False
    for part in parts:
        if not part or part == b"{}":
            continue
        try:
            values = orjson.loads(part)
        except ValueError:
            lose("garbage_attributes")
            continue
        if not isinstance(values, dict):
            lose("garbage_attributes")
            continue
        overlap = overlap or not merged.keys().isdisjoint(values)
        merged.update(values)
        texts.append(part)
    if not texts:
        return merged, "{}"
    if overlap:
        return merged, orjson.dumps(merged).decode()
    if len(texts) == 1:
        return merged, text(texts[0])
    return merged, "{" + ",".join(text(part).strip()[1:-1] for part in texts) + "}"


def _overrides(raw: RawSpan) -> None:
    """What the end record says better than the start record did."""
    attributes = raw.attributes
    name = attributes.get("spanreel.name")
    if isinstance(name, str):
        raw.name = name
    kind = attributes.get("spanreel.kind")
    if isinstance(kind, str) and kind in KINDS:
        raw.kind = kind
    if "spanreel.input" in attributes:
        raw.input = orjson.dumps(attributes["spanreel.input"]).decode()
    if attributes.get("spanreel.state") == "abandoned":
        raw.state = "abandoned"
    gone = ["spanreel.name", "spanreel.kind", "spanreel.input", "spanreel.state"]
    if attributes.get("spanreel.protocol") == "":  # taken back: the answer was no model's
        gone += [key for key, value in attributes.items() if value == ""]
    for key in gone:
        if key in attributes:
            del attributes[key]
            raw.attributes_json = ""


def _error(raw: RawSpan, cell: bytes, lose: Any) -> None:
    try:
        error = orjson.loads(cell)
        raw.error_type = _optional_text(error.get("type"))
        raw.error_message = _optional_text(error.get("message"))
        stack = error.get("stacktrace")
    except (ValueError, AttributeError):
        lose("garbage_error")
        return
    if stack:
        raw.attributes["exception.stacktrace"] = stack
        raw.attributes_json = ""


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def text(cell: bytes) -> str:
    """A cell as text; bytes that are no UTF-8 become U+FFFD."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.decode("utf-8", "replace")


def whole(cell: bytes) -> int | None:
    """A cell as a non-negative 64-bit integer, or None."""
    if not cell.isdigit() or len(cell) > 19:
        return None
    value = int(cell)
    return value if value <= _MAX_NS else None


def _name(cell: bytes) -> str:
    if len(cell) >= 2 and b"\\" not in cell and cell[:1] == b'"' and cell[-1:] == b'"':
        return text(cell[1:-1])
    try:
        return str(orjson.loads(cell))
    except ValueError:
        return text(cell)

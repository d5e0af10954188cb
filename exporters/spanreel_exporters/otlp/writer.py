"""Appends OTLP data to a store's journal, and knows what the store has already.

A receiver appends and then replies; the importer appends and then has it taken in. Both write through
`JournalWriter`, which is the ordinary journal with its troubles made errors.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from spanreel import journal as journals
from spanreel.analysis.dialects.foreign import LOG
from spanreel.errors import StoreError
from spanreel_exporters.duckdb.known import known_logs, known_spans
from spanreel_exporters.otlp.model import Decoded, OtlpLog, OtlpSpan
from spanreel_exporters.otlp.records import Recorder, log_mark

if TYPE_CHECKING:
    from spanreel.config import Settings

REMEMBERED: Final = 200_000
"""Ids that are remembered before the store is asked again."""


class JournalWriter:
    """The journal of this process as a place to put records; what cannot be written is a StoreError."""

    def __init__(self, store: Path, settings: Settings, *, service: str) -> None:
        from spanreel.process import describe

        self.store = store
        process = {**describe(settings), "service": service}
        self._journal = journals.Journal(store, process)
        self._pid = process["pid"]
        self._service = service
        self.losses: dict[str, int] = {}
        self.bytes = 0

    def append(self, record: bytes) -> None:
        """Write a record; it survives the death of this process once this returns. Raises StoreError."""
        self._journal.append(record)
        self.bytes += len(record)
        if self._journal.trouble is not None:
            raise StoreError(f"the store {self.store} cannot be written: {self._journal.trouble}")

    def lose(self, reason: str) -> None:
        """Count something that was cut on the way."""
        self.losses[reason] = self.losses.get(reason, 0) + 1

    def close(self) -> None:
        """Write the losses and let the journal go."""
        now = time.time_ns()
        for reason, count in self.losses.items():
            told = {
                "reason": reason, "count": count, "first_ns": now, "last_ns": now, "pid": self._pid, "service": self._service,
            }  # fmt: skip
            self.append(b"loss\t1\t" + orjson.dumps(told) + b"\n")
        self.losses = {}
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Intake:
    """Puts decoded messages into the journal, each span and log record once. Counts what it does."""

    def __init__(self, writer: JournalWriter, recorder: Recorder) -> None:
        self._writer = writer
        self._recorder = recorder
        self._spans: set[tuple[str, str]] = set()
        self._logs: set[str] = set()
        self.new_spans = self.old_spans = self.new_logs = self.old_logs = self.new_scores = self.ignored = 0

    def take(self, decoded: Decoded) -> None:
        """Write what is new. Raises StoreError when the store cannot be read or written."""
        self.ignored += decoded.ignored
        if len(self._spans) > REMEMBERED or len(self._logs) > REMEMBERED:
            self._spans, self._logs = set(), set()
        self._take_spans(decoded.spans)
        self._take_logs(decoded.logs)

    def _take_spans(self, spans: list[OtlpSpan]) -> None:
        fresh = {(span.trace_id, span.span_id) for span in spans} - self._spans
        there = known_spans(self._writer.store, fresh) if fresh else set()
        for span in spans:
            key = (span.trace_id, span.span_id)
            if key in there or key in self._spans:
                self.old_spans += 1
                continue
            records = self._recorder.span(span)
            if not records:
                self.ignored += 1
                continue
            if span.end_ns:  # one that still runs may come again, ended
                self._spans.add(key)
            self.new_spans += 1
            self._write(records)

    def _take_logs(self, logs: Iterable[OtlpLog]) -> None:
        made: list[tuple[str, tuple[str, str], bytes]] = []
        for log in logs:
            record = self._recorder.log(log)
            if not record:
                self.ignored += 1
            elif record.startswith(b"score"):
                self.new_scores += 1
                self._writer.append(record)
            else:
                name = log.event_name or str(log.attributes.get("event.name") or "")
                made.append(
                    (
                        f"{log.trace_id}{log.span_id}{LOG}{log_mark(log, name)}",
                        (log.trace_id, log.span_id),
                        record,
                    )
                )
        if not made:
            return
        there = known_logs(self._writer.store, {key for _, key, _ in made})
        for mark, _, record in made:
            if mark in there or mark in self._logs:
                self.old_logs += 1
                continue
            self._logs.add(mark)
            self.new_logs += 1
            self._writer.append(record)

    def _write(self, records: list[bytes]) -> None:
        for record in records:
            self._writer.append(record)

    def counts(self) -> dict[str, Any]:
        """What was done, for people and programs."""
        return {
            "spans_new": self.new_spans, "spans_known": self.old_spans, "logs_new": self.new_logs,
            "logs_known": self.old_logs, "scores": self.new_scores, "ignored": self.ignored,
        }  # fmt: skip

"""Journal -> database: one elected process takes the new bytes of every segment in, exactly once.

Rows and segment offsets are committed in one transaction, a segment is deleted after that, so a kill at any
moment loses nothing and doubles nothing. A hold of the store's lock is bounded by bytes and time.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.errors import StoreError
from spanreel.segment import HEADER_BYTES
from spanreel.store import JOURNAL
from spanreel_exporters.duckdb import connection, locks, pipeline, schema, tails
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.idle import Idle
from spanreel_exporters.duckdb.parse import parse
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.write import append, write

if TYPE_CHECKING:
    import duckdb

__all__ = ["IngestReport", "append", "catch_up", "ingest_once", "migrate", "nothing_new"]

STEP_BYTES: Final = 6 << 20
"""Bytes of one transaction: about 0.2 s at 1 kB bodies, 0.1 s at 10 kB, and 40 MB of memory."""
BUDGET_BYTES: Final = 12 << 20
"""Bytes of one hold of the lock."""
DEADLINE_S: Final = 0.2


_idle = Idle()


@dataclass(slots=True)
class IngestReport:
    """What one call of `ingest_once` did."""

    elected: bool = True
    """False: somebody else holds the store; nothing was done."""
    bytes_read: int = 0
    spans: int = 0
    segments_deleted: int = 0
    caught_up: bool = False
    """No new bytes were left when it returned."""
    held_s: float = 0.0
    """How long the exclusive lock was held."""
    held_by: int | None = None
    """Process id of a foreign client that holds the database file."""
    trouble: str | None = None
    """Why nothing could be taken in, in words for a person."""
    losses: dict[str, int] = field(default_factory=dict)
    """What this ingest itself had to give up, by reason."""


def ingest_once(
    store: Path,
    *,
    budget_bytes: int = BUDGET_BYTES,
    step_bytes: int = STEP_BYTES,
    deadline_s: float = DEADLINE_S,
    blocking: bool = False,
) -> IngestReport:
    """Take new journal bytes into the database: at most `budget_bytes`, starting no step that would end after `deadline_s`.

    A step is one transaction of at most `step_bytes`.

    With `blocking` it waits (up to 10 s) behind the gate for readers to finish, else it gives way at once. A
    foreign client on the file is reported, not raised. Raises StoreError: newer schema, damaged file, no
    permission, network file system.
    """
    report = IngestReport()
    if _idle.still(store):
        report.caught_up = True
        return report
    with locks.exclusive(store, timeout_s=10.0 if blocking else 0.0) as elected:
        report.elected = elected
        if not elected:
            return report
        began = time.monotonic()
        try:
            _ingest(store, report, budget_bytes, step_bytes, began + deadline_s)
        except connection.StoreHeldError as error:
            report.held_by, report.trouble = error.pid, str(error)
        report.held_s = time.monotonic() - began
    return report


def migrate(store: Path) -> None:
    """Bring the schema of a store up to this spanreel's, whether or not there is anything to take in. Raises StoreError."""
    with locks.exclusive(store, timeout_s=10.0) as elected:
        if elected:
            with connection.writer(store) as con, connection.explained(store):
                schema.prepare(con, store)


def catch_up(store: Path, timeout: float = 30.0) -> IngestReport:
    """Ingest until no new bytes are left, or `timeout` seconds are over; returns the sums of all rounds."""
    total = IngestReport()
    deadline = time.monotonic() + timeout
    while True:
        report = ingest_once(store, step_bytes=BUDGET_BYTES, blocking=True)
        total.elected = report.elected
        total.bytes_read += report.bytes_read
        total.spans += report.spans
        total.segments_deleted += report.segments_deleted
        total.held_s = max(total.held_s, report.held_s)
        total.held_by, total.trouble = report.held_by, report.trouble
        total.caught_up = report.caught_up
        for reason, count in report.losses.items():
            total.losses[reason] = total.losses.get(reason, 0) + count
        if report.caught_up or report.trouble or time.monotonic() >= deadline:
            return total


def nothing_new(store: Path) -> bool:
    """Whether the journal holds no file at all, so that there is no reason to open the database."""
    try:
        with os.scandir(store / JOURNAL) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(f"{store / JOURNAL} cannot be read: {error.strerror or error}") from error


def _ingest(store: Path, report: IngestReport, budget: int, step: int, deadline: float) -> None:
    if nothing_new(store):
        report.caught_up = True
        return
    with connection.writer(store) as con, connection.explained(store), _without_collector():
        schema.prepare(con, store)
        schema.prepare_session(con)
        positions = {(row[0], row[1]): row[2] for row in con.execute(sql("read_offsets")).fetchall()}
        processes = tails.scan(store, positions)
        while True:
            began = time.monotonic()
            # what live writers add meanwhile is for the next round: chasing it keeps readers out
            if not _step(store, con, processes, positions, report, min(step, budget - report.bytes_read)):
                report.caught_up = True
                break
            ended = time.monotonic()
            if report.bytes_read >= budget or ended + (ended - began) > deadline:
                break
    _delete_taken(store, processes, report)
    if report.caught_up:
        filled = {
            segment.path.name: segment.position for process in processes for segment in process.segments
        }
        _idle.note(store, filled, frozenset(process.procid for process in processes if process.alive))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cyclic garbage collector for as long as a batch is in memory.

    It would walk the batch's 100,000 objects, none of them in a cycle, again and again: a tenth of the time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _step(
    store: Path,
    con: duckdb.DuckDBPyConnection,
    processes: list[tails.Process],
    positions: dict[tuple[str, int], int],
    report: IngestReport,
    budget: int,
) -> bool:
    """One transaction. Returns whether more was there to read when it began."""
    losses: dict[str, int] = {}
    moved: dict[tuple[str, int], int] = {}
    records = []
    size, drained = 0, True
    for chunk in tails.chunks(processes, budget):
        drained = drained and chunk.reached_end
        segment = chunk.segment
        parsed = parse(chunk.data, final=segment.final, at_end=chunk.reached_end)
        _advance(chunk, parsed.consumed, losses)
        if parsed.consumed or segment.ended:
            moved[segment.procid, segment.number] = segment.position
        size += parsed.consumed
        for reason, count in parsed.losses.items():
            losses[reason] = losses.get(reason, 0) + count
        if parsed.records:
            records.append((segment.procid, parsed.records))
    drained = drained and size < budget
    dead = _newly_dead(con, processes)
    stale = positions.keys() - {(s.procid, s.number) for p in processes for s in p.segments}
    if not (records or moved or dead or stale or losses):
        return False
    meta = one(con, sql("read_meta"))
    next_seq = int(meta[1]) if meta else 1
    batch = pipeline.Batch(con, records, dead=dead, drained=drained, next_seq=next_seq, store=store)
    for reason, count in losses.items():
        batch.lose(reason, count)
    pipeline.run(batch)
    connection.expect(con, size)
    write(con, batch, moved, stale)
    for key in stale:
        del positions[key]
    positions.update(moved)
    report.bytes_read += size
    report.spans += len(batch.rows.spans)
    for (reason, _, _), (count, _, _) in batch.losses.counts.items():
        report.losses[reason] = report.losses.get(reason, 0) + count
    return not drained and bool(records or moved)  # a stretch of NULs moves on without a record


def _advance(chunk: tails.Chunk, consumed: int, losses: dict[str, int]) -> None:
    """Move the segment's position; step over a stretch so long that it cannot be a record."""
    segment = chunk.segment
    if not consumed and len(chunk.data) >= tails.MAX_RECORD:
        consumed = len(chunk.data)
        losses["garbage_record"] = losses.get("garbage_record", 0) + 1
    segment.position += consumed
    if segment.final and chunk.reached_end:
        segment.ended = True
        segment.position = max(segment.position, segment.size)


def _newly_dead(con: duckdb.DuckDBPyConnection, processes: list[tails.Process]) -> frozenset[str]:
    """Dead processes, fully read, that may still have spans open (in the file, or in this very batch)."""
    there = {process.procid: process for process in processes}
    finished = {process.procid for process in processes if process.finished}
    stored = {row[0] for row in con.execute(sql("open_span_processes")).fetchall()}
    gone = {procid for procid in stored if procid not in there}
    return frozenset(gone | finished)


def _delete_taken(store: Path, processes: list[tails.Process], report: IngestReport) -> None:
    """Delete segments that are in the database to their last byte, and owner files of dead processes."""
    for process in processes:
        for segment in process.segments:
            if segment.ended and segment.position >= max(segment.size, HEADER_BYTES):
                with suppress(OSError):
                    segment.path.unlink()
                    report.segments_deleted += 1
        if process.finished:
            with suppress(OSError):
                (store / JOURNAL / f"{process.procid}.owner").unlink()

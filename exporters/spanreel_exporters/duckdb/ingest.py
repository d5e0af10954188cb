"""Journal -> database: one elected process takes the new bytes of every segment in, exactly once.

Rows and segment offsets are committed in one transaction, a segment is deleted after that, so a kill at any
moment loses nothing and doubles nothing. A hold of the store's lock is bounded by bytes and time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.segment import HEADER_BYTES
from spanreel.store import JOURNAL
from spanreel_exporters.duckdb import connection, locks, pipeline, schema, tails
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.losses import Losses
from spanreel_exporters.duckdb.parse import parse
from spanreel_exporters.duckdb.queries import schema_sql, sql

if TYPE_CHECKING:
    import duckdb

    from spanreel_exporters.duckdb.pipeline import Batch

BUDGET_BYTES: Final = 6 << 20
"""Bytes of one hold of the lock, in one transaction: about 0.2 s, and 40 MB of memory."""
DEADLINE_S: Final = 0.2

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
    store: Path, *, budget_bytes: int = BUDGET_BYTES, deadline_s: float = DEADLINE_S, blocking: bool = False
) -> IngestReport:
    """Take new journal bytes into the database: at most `budget_bytes`, starting no step after `deadline_s`.

    With `blocking` it waits (up to 10 s) behind the gate for readers to finish, else it gives way at once. A
    foreign client on the file is reported, not raised. Raises StoreError: newer schema, damaged file, no
    permission, network file system.
    """
    report = IngestReport()
    with locks.exclusive(store, timeout_s=10.0 if blocking else 0.0) as elected:
        report.elected = elected
        if not elected:
            return report
        began = time.monotonic()
        try:
            _ingest(store, report, budget_bytes, began + deadline_s)
        except connection.StoreHeldError as error:
            report.held_by, report.trouble = error.pid, str(error)
        report.held_s = time.monotonic() - began
    return report


def catch_up(store: Path, timeout: float = 30.0) -> IngestReport:
    """Ingest until no new bytes are left, or `timeout` seconds are over; returns the sums of all rounds."""
    total = IngestReport()
    deadline = time.monotonic() + timeout
    while True:
        report = ingest_once(store, blocking=True)
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
        return next(os.scandir(store / JOURNAL), None) is None
    except OSError:
        return True


def _ingest(store: Path, report: IngestReport, budget: int, deadline: float) -> None:
    if nothing_new(store):
        report.caught_up = True
        return
    with connection.writer(store) as con:
        schema.prepare(con, store)
        schema.prepare_session(con)
        positions = {(row[0], row[1]): row[2] for row in con.execute(sql("read_offsets")).fetchall()}
        processes = tails.scan(store, positions)
        while True:
            more = _step(con, processes, positions, report, min(BUDGET_BYTES, budget - report.bytes_read))
            if not more:
                report.caught_up = True
                break
            if report.bytes_read >= budget or time.monotonic() >= deadline:
                break
    _delete_taken(store, processes, report)


def _step(
    con: duckdb.DuckDBPyConnection,
    processes: list[tails.Process],
    positions: dict[tuple[str, int], int],
    report: IngestReport,
    budget: int,
) -> bool:
    """One transaction. Returns whether there may be more to read."""
    losses: dict[str, int] = {}
    moved: dict[tuple[str, int], int] = {}
    records = []
    size = 0
    for chunk in tails.chunks(processes, budget):
        segment = chunk.segment
        parsed = parse(chunk.data, final=segment.final and chunk.reached_end)
        _advance(chunk, parsed.consumed, losses)
        if parsed.consumed or segment.ended:
            moved[segment.procid, segment.number] = segment.position
        size += parsed.consumed
        for reason, count in parsed.losses.items():
            losses[reason] = losses.get(reason, 0) + count
        if parsed.records:
            records.append((segment.procid, parsed.records))
    dead = _newly_dead(con, processes)
    stale = positions.keys() - {(s.procid, s.number) for p in processes for s in p.segments}
    if not (records or moved or dead or stale or losses):
        return False
    meta = one(con, sql("read_meta"))
    batch = pipeline.Batch(con, records, dead=dead, next_seq=int(meta[1]) if meta else 1)
    for reason, count in losses.items():
        batch.lose(reason, count)
    pipeline.run(batch)
    _write(con, batch, moved, stale)
    for key in stale:
        del positions[key]
    positions.update(moved)
    report.bytes_read += size
    report.spans += len(batch.rows.spans)
    for (reason, _, _), (count, _, _) in batch.losses.counts.items():
        report.losses[reason] = report.losses.get(reason, 0) + count
    return bool(records)


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


def _write(
    con: duckdb.DuckDBPyConnection,
    batch: Batch,
    moved: dict[tuple[str, int], int],
    stale: Iterable[tuple[str, int]],
) -> None:
    """Everything of one step, in one transaction."""
    first_new = batch.next_seq - len(batch.rows.spans)
    con.execute("BEGIN")
    try:
        _write_replaced(con, batch)
        _write_open(con, batch)
        append(con, "store.span_row", batch.rows.spans)
        append(con, "store.span_body", batch.rows.bodies)
        append(con, "store.span_wire", batch.rows.wire)
        append(con, "store.document", batch.rows.documents)
        _write_traces(con, batch, first_new)
        _write_scores(con, batch)
        _write_losses(con, batch.losses)
        append(con, "store.process", [_process_row(info) for info in batch.new_processes.values()])
        _write_offsets(con, moved, stale)
        con.execute(sql("write_meta"), {"next_seq": batch.next_seq})
        con.execute("COMMIT")
    except BaseException:
        with suppress(Exception):
            con.execute("ROLLBACK")
        raise


def append(con: duckdb.DuckDBPyConnection, table: str, rows: list[Any]) -> None:
    """Append tuples in column order."""
    if rows:
        with con.appender(table) as appender:
            appender.append_rows(rows)


def _write_replaced(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    if batch.replaced:
        seqs = {"seqs": batch.replaced}
        con.execute(sql("delete_span_rows"), seqs)
        con.execute(sql("delete_span_bodies"), seqs)
        con.execute(sql("delete_span_wire"), seqs)
        con.execute(sql("delete_documents"), seqs)


def _write_open(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Keep back the records of spans that stay open; drop those of spans that have ended."""
    if batch.closed:
        con.execute(
            sql("delete_open_span"),
            {"trace_ids": [k[0].decode() for k in batch.closed], "span_ids": [k[1].decode() for k in batch.closed]},
        )
    rows = list(_open_rows(con, batch))
    append(con, "store.open_span", rows)


def _open_rows(con: duckdb.DuckDBPyConnection, batch: Batch) -> Iterator[tuple[Any, ...]]:
    if not batch.assembler.spans:
        return
    row = one(con, sql("next_ordinal"))
    ordinal = int(row[0]) if row else 1
    for key, pending in batch.assembler.spans.items():
        for procid, record in pending.fresh:
            line = b"\t".join(record).decode("utf-8", "replace")
            yield (key[0].decode(), key[1].decode(), procid, ordinal, line)
            ordinal += 1


def _write_traces(con: duckdb.DuckDBPyConnection, batch: Batch, first_new: int) -> None:
    touched = {row[1] for row in batch.rows.spans}
    if not touched:
        return
    fill_touched(con, touched)
    known = [batch.replaced_traces[trace] for trace in touched if trace in batch.replaced_traces]
    if known:
        con.execute(sql("delete_touched_traces"))
    con.execute(sql("insert_touched_traces"), {"from_seq": min([first_new, *known])})


def fill_touched(con: duckdb.DuckDBPyConnection, traces: Iterable[str]) -> None:
    """Name the traces that the next `trace_summary` is about."""
    con.execute(sql("clear_touched"))
    append(con, "temp.main.touched", [(trace,) for trace in sorted(traces)])


def _write_scores(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    if batch.rows.scores:
        latest = {row[0]: row for row in batch.rows.scores}
        con.execute(sql("delete_scores"), {"score_ids": list(latest)})
        append(con, "store.score_row", list(latest.values()))


def _write_losses(con: duckdb.DuckDBPyConnection, losses: Losses) -> None:
    if losses.counts:
        total = Losses()
        for reason, pid, service, count, first_ns, last_ns in con.execute(sql("read_losses")).fetchall():
            total.add((reason, pid, service), count, first_ns, last_ns)
        for key, (count, first_ns, last_ns) in losses.counts.items():
            total.add(key, count, first_ns, last_ns)
        con.execute(sql("delete_losses"))
        append(con, "store.loss_row", total.rows())


def _write_offsets(
    con: duckdb.DuckDBPyConnection, moved: dict[tuple[str, int], int], stale: Iterable[tuple[str, int]]
) -> None:
    gone = [*moved, *stale]
    if gone:
        con.execute(sql("delete_offsets"), {"procids": [k[0] for k in gone], "segments": [k[1] for k in gone]})
    append(con, "store.segment_offset", [(*key, position) for key, position in moved.items()])


def _process_row(info: dict[str, Any]) -> tuple[Any, ...]:
    get = info.get
    return (
        get("procid"), _whole(get("pid")), _text(get("host")), _text(get("boot_id")), _whole(get("start_ns")),
        _text(get("service")), _text(get("environment")), _text(get("release")), _text(get("python")),
        _text(get("spanreel")), orjson.dumps(info).decode(),
    )  # fmt: skip


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < 1 << 63 else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


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


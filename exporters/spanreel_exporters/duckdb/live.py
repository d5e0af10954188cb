"""The file and the journal's tail as one: what a reader opens for the length of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.store import DATABASE
from spanreel_exporters.duckdb import connection, pipeline, schema, tails
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.parse import parse
from spanreel_exporters.duckdb.queries import schema_sql, sql
from spanreel_exporters.duckdb.write import append, fill_touched

if TYPE_CHECKING:
    import duckdb

TAIL_BYTES: Final = 32 << 20
"""Journal bytes that are read for one request at most; what is beyond is reported as missing."""


@dataclass(slots=True)
class Live:
    """An open view of the store."""

    session: connection.Session
    schema_version: int = 0
    missing_bytes: int = 0
    writers: int = 0
    open_spans: int = 0
    notices: list[str] = field(default_factory=list)

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection."""
        return self.session.con

    def close(self, *, keep: bool = True) -> None:
        """Let go of the file; `keep=False` ends the connection instead of keeping it for the next reader."""
        if keep:
            _readers.give(self.session)
        else:
            self.con.close()


def open_live(store: Path, *, tail_bytes: int = TAIL_BYTES) -> Live:
    """Open the store for reading; the caller holds the shared lock. Raises StoreError."""
    live = Live(_readers.take(store))
    try:
        _attach(live, store)
        if not live.session.prepared:
            schema.prepare_reader(live.con)
            live.session.prepared = _PLAIN
        _load_tail(live, store, tail_bytes)
    except BaseException:
        live.con.close()
        raise
    return live


def _new_reader(store: Path) -> duckdb.DuckDBPyConnection:
    con = connection.connect(store, threads=2, memory=connection.READER_MEMORY)
    con.execute(f"SET max_execution_time = {connection.READER_MS}")
    return con


_readers = connection.Spare(_new_reader)
_PLAIN: Final = "views over the file"
_TAILED: Final = "views over file and tail"


def _views(live: Live, wanted: str) -> None:
    """Point the views at the file alone, or at file and tail."""
    if live.session.prepared != wanted:
        live.con.execute(schema_sql("live_reader" if wanted == _PLAIN else "live_tail"))
        live.session.prepared = wanted


def _attach(live: Live, store: Path) -> None:
    """The file if there is one and it can be had; else an empty store in memory, so that tails still serve."""
    con = live.con
    if (store / DATABASE).exists():
        try:
            connection.attach(con, store, read_only=True)
        except connection.StoreHeldError as error:
            live.notices.append(f"{error}; only the journal is shown")
        else:
            live.schema_version = schema.version(con)
            schema.check(live.schema_version, store, read_only=True)
            if live.schema_version:
                return
            con.execute("DETACH store")
    schema.create_in_memory(con)
    live.schema_version = schema.VERSION


def _load_tail(live: Live, store: Path, tail_bytes: int) -> None:
    con = live.con
    positions = {(row[0], row[1]): row[2] for row in con.execute(sql("read_offsets")).fetchall()}
    processes = tails.scan(store, positions)
    if any(process.newer for process in processes):
        live.notices.append(
            "a newer spanreel writes into this journal; upgrade with `pip install -U spanreel` to see it"
        )
    alive = {process.procid: process.alive for process in processes}
    live.writers = sum(alive.values())
    batch = _read_tail(live, processes, tail_bytes, alive)
    batch.store = store
    has_open = one(con, sql("open_span_count"))
    if not batch.records and not batch.losses.counts and not (has_open and has_open[0]):
        _views(live, _PLAIN)
        return
    pipeline.run(batch)
    live.open_spans = sum(1 for raw in batch.spans if raw.state == "running")
    con.execute(schema_sql("tail_clear"))
    _views(live, _TAILED)
    _fill(con, batch)
    _summarise(con, batch)


def _read_tail(
    live: Live, processes: list[tails.Process], tail_bytes: int, alive: dict[str, bool]
) -> pipeline.Batch:
    meta = one(live.con, sql("read_meta"))
    batch = pipeline.Batch(
        live.con, [], show_open=lambda procid: alive.get(procid, False), next_seq=int(meta[1]) if meta else 1
    )
    for chunk in tails.chunks(processes, tail_bytes):
        parsed = parse(chunk.data, final=chunk.segment.final, at_end=chunk.reached_end)
        chunk.segment.position += parsed.consumed
        chunk.segment.ended = chunk.segment.final and chunk.reached_end
        if parsed.records:
            batch.records.append((chunk.segment.procid, parsed.records))
        for reason, count in parsed.losses.items():
            batch.lose(reason, count)
    live.missing_bytes = tails.pending_bytes(processes, cap=1 << 30)
    if live.missing_bytes:
        live.notices.append(
            f"{live.missing_bytes / 1e6:.1f} MB of the journal are not taken in yet and not shown"
        )
    return batch


def _fill(con: duckdb.DuckDBPyConnection, batch: pipeline.Batch) -> None:
    rows = batch.rows
    append(con, "memory.main.tail_span", rows.spans)
    append(con, "memory.main.tail_preview", rows.previews)
    append(con, "memory.main.tail_body", rows.bodies)
    append(con, "memory.main.tail_wire", rows.wire)
    append(con, "memory.main.tail_document", rows.documents)
    append(con, "memory.main.tail_score", list({row[0]: row for row in rows.scores}.values()))
    append(con, "memory.main.tail_loss", batch.losses.rows())
    if batch.replaced:
        con.execute(sql("tail_gone"), {"seqs": batch.replaced})


def _summarise(con: duckdb.DuckDBPyConnection, batch: pipeline.Batch) -> None:
    """Rows of the trace list for the traces that the tail touches."""
    touched = {row[1] for row in batch.rows.spans}
    if not touched:
        return
    fill_touched(con, touched)
    first_new = batch.rows.spans[0][0]
    known = [batch.replaced_traces[trace] for trace in touched if trace in batch.replaced_traces]
    con.execute(sql("insert_tail_traces"), {"from_seq": min([first_new, *known])})

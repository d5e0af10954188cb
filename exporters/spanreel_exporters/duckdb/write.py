"""The transaction of an ingest: rows, kept-back records, trace summaries, losses and segment offsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from spanreel_exporters.duckdb.body_text import text_rows
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.losses import Losses
from spanreel_exporters.duckdb.queries import sql

if TYPE_CHECKING:
    import duckdb
    from spanreel_exporters.duckdb.pipeline import Batch


def write(
    con: duckdb.DuckDBPyConnection,
    batch: Batch,
    moved: dict[tuple[str, int], int],
    stale: Iterable[tuple[str, int]],
) -> None:
    """Put everything of a batch into the file, in one transaction. `moved` and `stale` are segment offsets."""
    first_new = batch.next_seq - len(batch.rows.spans)
    con.execute("BEGIN")
    try:
        _write_replaced(con, batch)
        _write_repeated(con, batch)
        _write_open(con, batch)
        append(con, "store.span_row", batch.rows.spans)
        append(con, "store.preview", batch.rows.previews)
        texts, documents = text_rows(batch.rows.bodies, batch.rows.documents)
        append(con, "store.body_text", texts)
        append(con, "store.document_row", documents)
        append(con, "store.span_wire", batch.rows.wire)
        _write_traces(con, batch, first_new)
        _write_scores(con, batch)
        _write_losses(con, batch.losses)
        append(con, "store.process", _process_rows(con, batch.new_processes))
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
        con.execute(sql("delete_previews"), seqs)
        con.execute(sql("delete_span_bodies"), seqs)
        con.execute(sql("delete_span_wire"), seqs)
        con.execute(sql("delete_documents"), seqs)


def _write_repeated(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    for trace, span, by in batch.repeated:
        from_seq = batch.replaced_traces.get(trace)
        if from_seq is not None:
            con.execute(sql("mark_repeated"), {"trace": trace, "span": span, "by": by, "from_seq": from_seq})


def _write_open(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Keep back the records of spans that stay open; drop those of spans that have ended."""
    if batch.closed:
        con.execute(
            sql("delete_open_span"),
            {
                "trace_ids": [k[0].decode() for k in batch.closed],
                "span_ids": [k[1].decode() for k in batch.closed],
            },
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
        con.execute(
            sql("delete_offsets"), {"procids": [k[0] for k in gone], "segments": [k[1] for k in gone]}
        )
    append(con, "store.segment_offset", [(*key, position) for key, position in moved.items()])


def _process_rows(con: duckdb.DuckDBPyConnection, told: dict[str, dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of processes that the file does not have yet: every segment begins with the record of its process."""
    if not told:
        return []
    known = {row[0] for row in con.execute(sql("read_processes"), {"procids": list(told)}).fetchall()}
    return [_process_row(info) for procid, info in told.items() if procid not in known]


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

"""The road from journal records to table rows, as one visible list of steps.

Ingest and reader walk the same road: ingest puts the rows into the file, the reader into tables of its own
memory. A step reads and fills a `Batch`; what the file already knows is looked up through its connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.analysis.dialects.foreign import LOG, is_foreign
from spanreel.analysis.duplicates import forget_usage
from spanreel.analysis.record import Canonical, RawSpan
from spanreel_exporters.duckdb import lookup
from spanreel_exporters.duckdb.assemble import WAITING, Assembler, Key, Pending, build
from spanreel_exporters.duckdb.losses import Losses
from spanreel_exporters.duckdb.one_call import settle_calls
from spanreel_exporters.duckdb.parse import Record
from spanreel_exporters.duckdb.rows import Rows, add_span, score_row
from spanreel_exporters.duckdb.tombstones import mark

if TYPE_CHECKING:
    import duckdb

LOG_CELL: Final = f'"{LOG}'.encode()
"""What a patch holds that is a log record of another instrumentation: it waits for its span however long."""


@dataclass(slots=True)
class Batch:
    """Records on their way to rows."""

    con: duckdb.DuckDBPyConnection
    records: list[tuple[str, list[Record]]]
    """(procid, records) of one stretch of a segment each, in journal order."""
    dead: frozenset[str] = frozenset()
    """Processes that are gone and of which every byte is in `records` or in the file."""
    drained: bool = True
    """No segment holds bytes that are neither in `records` nor in the file."""
    show_open: Callable[[str], bool] | None = None
    """Reader only: make rows of spans that have not ended; told a procid, says whether it lives."""
    next_seq: int = 1
    store: Path | None = None
    """Where price files are looked for first."""
    now_ns: int = field(default_factory=time.time_ns)
    processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    new_processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    assembler: Assembler = field(default_factory=Assembler)
    spans: list[RawSpan] = field(default_factory=list)
    canonical: list[Canonical] = field(default_factory=list)
    duplicates: dict[int, str] = field(default_factory=dict)
    """Index into `spans` -> id of the span that it repeats."""
    repeated: list[tuple[str, str, str]] = field(default_factory=list)
    """(trace, span, the span that retried it), for spans whose row is in the file already."""
    replaced: list[int] = field(default_factory=list)
    """seq of rows in the file that rows of this batch take the place of."""
    replaced_traces: dict[str, int] = field(default_factory=dict)
    """Trace -> lowest seq of its rows in the file, for traces the file knows."""
    closed: list[Key] = field(default_factory=list)
    """Spans whose kept-back records leave `open_span`."""
    losses: Losses = field(default_factory=Losses)
    rows: Rows = field(default_factory=Rows)

    def lose(self, reason: str, count: int = 1) -> None:
        """Count something that ingest had to give up."""
        if count:
            self.losses.add((reason, 0, "spanreel"), count, self.now_ns, self.now_ns)


def sort_records(batch: Batch) -> None:
    """Hand every record to where it belongs: processes, scores, losses, or the assembler."""
    feed = batch.assembler.feed
    erased = lookup.tombstones(batch.con)
    for procid, records in batch.records:
        for record in records:
            kind = record[0]
            if kind == b"process":
                _process(batch, procid, record)
            elif kind == b"score":
                row = score_row(record[2])
                if row is None:
                    batch.lose("garbage_record")
                elif not erased or mark(str(row[1])) not in erased:
                    batch.rows.scores.append(row)
            elif kind == b"loss":
                if not batch.losses.add_record(record[2]):
                    batch.lose("garbage_record")
            elif not erased or mark(record[2].decode("ascii", "replace")) not in erased:
                feed(WAITING if kind == b"patch" and LOG_CELL in record[5] else procid, record)
    batch.records = []


def _process(batch: Batch, procid: str, record: Record) -> None:
    try:
        info = dict(orjson.loads(record[2]))
    except (ValueError, TypeError):
        batch.lose("garbage_record")
        return
    info["procid"] = procid
    if procid not in batch.processes:
        batch.new_processes[procid] = info
    batch.processes[procid] = info


def recall_open(batch: Batch) -> None:
    """Fetch what earlier batches kept back: for spans that this one completes, and of processes that died."""
    assembler = batch.assembler
    if batch.show_open is not None:
        stored = lookup.open_lines(batch.con) + lookup.waiting_lines_of(batch.con, list(assembler.spans))
    else:
        stored = lookup.open_lines_of(batch.con, list(assembler.spans), batch.dead)
    for procid, line in stored:
        assembler.feed(procid, line, stored=True)


def take_ended(batch: Batch) -> None:
    """Build the spans that have ended, or whose process died before they could."""
    assembler = batch.assembler
    lookup.processes(batch.con, batch.processes, {p.procid for p in assembler.spans.values()})
    for key, pending in assembler.take(dead=batch.dead):
        raw = _build(batch, key, pending)
        if pending.end is None:
            raw.state = "interrupted"
        if pending.stored:
            batch.closed.append(key)
        batch.spans.append(raw)


def _build(batch: Batch, key: Key, pending: Pending) -> RawSpan:
    process = batch.processes.get(pending.procid)
    if process is None:
        process = batch.processes[pending.procid] = {"procid": pending.procid}
    return build(key, pending, process, lose=batch.lose)


def drop_known(batch: Batch) -> None:
    """Exactly once: leave out spans that the file has, complete interrupted ones, merge late attributes."""
    late = batch.assembler.spans
    asked = {(raw.trace_id, raw.span_id) for raw in batch.spans}
    asked.update((key[0].decode(), key[1].decode()) for key in late)
    batch.replaced_traces, known = lookup.known_spans(batch.con, asked)
    if not known:
        return
    kept = []
    for raw in batch.spans:
        found = known.get((raw.trace_id, raw.span_id))
        if found is None:
            kept.append(raw)
        elif found[1] == "interrupted" and raw.state != "interrupted":
            batch.replaced.append(found[0])
            kept.append(raw)
        elif not is_foreign(raw):  # OTLP is sent again whenever a reply is lost
            batch.lose("duplicate_span")
    batch.spans = kept
    for key in [key for key in late if (key[0].decode(), key[1].decode()) in known]:
        _late(batch, key, late.pop(key), *known[key[0].decode(), key[1].decode()])


def settle_startless(batch: Batch) -> None:
    """Spans whose start is lost, once their process is gone: with an end they become rows, without they go.

    Not before every journal is read: a process may fill its segments in another order than it made them,
    and a forked child may end a span of its parent's.
    """
    if not batch.drained:
        return
    open_spans, dead = batch.assembler.spans, batch.dead
    for key, pending in batch.assembler.take_startless(dead=dead):
        batch.spans.append(_build(batch, key, pending))
        if pending.stored:
            batch.closed.append(key)
    for key in [
        key for key, pending in open_spans.items() if pending.start is None and pending.procid in dead
    ]:
        pending = open_spans.pop(key)
        batch.lose("orphan_record", len(pending.extra))
        if pending.stored:
            batch.closed.append(key)


def _late(batch: Batch, key: Key, pending: Pending, seq: int, state: str) -> None:
    """Records that came after the row of their span was made: merged into a new row in its place."""
    if pending.stored:
        batch.closed.append(key)
    end = pending.end if state == "interrupted" else None
    if pending.end is not None and end is None:
        batch.lose("duplicate_span")
    if pending.extra or end is not None:
        batch.replaced.append(seq)
        batch.spans.append(lookup.stored_span(batch.con, seq, pending.extra, end, batch.lose))


def show_open(batch: Batch) -> None:
    """Reader only: spans that have not ended become rows as well."""
    alive = batch.show_open
    if alive is None:
        return
    for key, pending in batch.assembler.spans.items():
        if pending.start is None and pending.end is None:
            continue
        raw = build(
            key, pending, batch.processes.get(pending.procid) or {"procid": pending.procid}, lose=_not_yet
        )
        if pending.end is None:
            raw.state = "running" if alive(pending.procid) else "interrupted"
        batch.spans.append(raw)


def _not_yet(_reason: str) -> None:
    """What is missing from an open span may still come."""


def normalise_spans(batch: Batch) -> None:
    """Attributes of any dialect -> canonical records."""
    from spanreel.analysis.dialects import normalise

    for raw in batch.spans:
        try:
            batch.canonical.append(normalise(raw, lose=batch.lose))
        except Exception:  # a dialect must not cost the span
            batch.lose("normalise_failed")
            batch.canonical.append(
                Canonical(kind=raw.kind, name=raw.name, input=raw.input, output=raw.output)
            )


def settle_repeats(batch: Batch) -> None:
    """Take tokens and cost off spans that only repeat a call recorded below them, so that sums are true."""
    outer = [
        index
        for index, (raw, canonical) in enumerate(zip(batch.spans, batch.canonical, strict=True))
        if not raw.attempts and _reports(canonical) and not is_foreign(raw)
    ]
    if not outer:
        return
    billed = {
        (raw.trace_id, raw.parent_id)
        for raw, canonical in zip(batch.spans, batch.canonical, strict=True)
        if _reports(canonical)
    }
    billed |= lookup.billed_parents(
        batch.con, {batch.spans[index].trace_id for index in outer} & batch.replaced_traces.keys()
    )
    for index in outer:
        raw = batch.spans[index]
        if (raw.trace_id, raw.span_id) in billed:
            forget_usage(batch.canonical[index])


def settle_retries(batch: Batch) -> None:
    """Retries of one call are one logical call: each attempt repeats the one that came after it."""
    retried: dict[tuple[str, str], str] = {}
    for raw in batch.spans:
        before = raw.attributes.get("spanreel.retry_of")
        if isinstance(before, str):
            retried[raw.trace_id, before] = raw.span_id
    if not retried:
        return
    for index, raw in enumerate(batch.spans):
        by = retried.pop((raw.trace_id, raw.span_id), None)
        if by is not None:
            batch.duplicates[index] = by
    batch.repeated = [(trace, span, by) for (trace, span), by in retried.items()]


def wait_of_retries(batch: Batch) -> None:
    """How long a call waited between its attempts: from the end of each to the start of the one after it."""
    before = {
        (raw.trace_id, retried): index
        for index, raw in enumerate(batch.spans)
        if isinstance(retried := raw.attributes.get("spanreel.retry_of"), str)
    }
    if not before:
        return
    ended = {
        key: (raw.end_ns, batch.canonical[index])
        for index, raw in enumerate(batch.spans)
        if (key := (raw.trace_id, raw.span_id)) in before
    }
    for key in sorted(before, key=lambda key: batch.spans[before[key]].start_ns):
        raw, row = batch.spans[before[key]], batch.canonical[before[key]]
        if key in ended:
            end_ns, earlier = ended[key]
            waited: float | None = earlier.retry_wait_ms
        else:
            end_ns, waited = lookup.end_and_wait(batch.con, *key)
        if end_ns is not None:
            row.retry_wait_ms = max(raw.start_ns - end_ns, 0) / 1e6 + (waited or 0.0)


def _reports(canonical: Canonical) -> bool:
    return canonical.input_tokens is not None or canonical.cost_usd is not None


def price_spans(batch: Batch) -> None:
    """Check that the counts can be true, then usage x the prices of the day of the call: the user's, else the book's."""
    from spanreel.analysis.pricing import NO_FILES, load_or_explain, price
    from spanreel.analysis.usage_buckets import reconcile

    prices = NO_FILES if batch.store is None else load_or_explain(batch.store)
    if prices.trouble:
        batch.lose("price_file_unreadable")
    for raw, canonical in zip(batch.spans, batch.canonical, strict=True):
        if canonical.cost_source == "repeats":
            canonical.cost_source = None
            continue
        if canonical.input_tokens is not None or canonical.output_tokens is not None:
            reconcile(canonical)
        if raw.end_ns is not None:
            host = raw.attributes.get("server.address")
            canonical.cost_usd, canonical.cost_source = price(
                canonical, at_ns=raw.start_ns, host=host if isinstance(host, str) else None, prices=prices
            )


def make_rows(batch: Batch) -> None:
    """Number the spans and make their rows."""
    rows, seq = batch.rows, batch.next_seq
    for index, (raw, canonical) in enumerate(zip(batch.spans, batch.canonical, strict=True)):
        add_span(rows, seq, raw, canonical, batch.duplicates.get(index))
        seq += 1
    batch.next_seq = seq


STEPS: Final[tuple[Callable[[Batch], None], ...]] = (
    sort_records,
    recall_open,
    take_ended,
    drop_known,
    settle_startless,
    show_open,
    normalise_spans,
    settle_retries,
    wait_of_retries,
    settle_calls,
    settle_repeats,
    price_spans,
    make_rows,
)
"""The road of a span at ingest, in order."""


def run(batch: Batch) -> None:
    """Walk the steps, then add what the assembler had to give up to the losses."""
    for step in STEPS:
        step(batch)
    for reason, count in batch.assembler.losses.items():
        batch.lose(reason, count)

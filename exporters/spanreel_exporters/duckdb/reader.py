"""Reading a store: the interface, and its one implementation over DuckDB.

    with DuckReader(store) as reader:
        page = reader.traces(status="error")

Open one per request and close it soon: while it is open no ingest runs. What a program has recorded is
there at once, whether it was taken into the file yet or not.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import orjson

from spanreel.analysis.tool_calls import Step, ToolCall, link
from spanreel.errors import NewerStoreError, OlderStoreError, QueryError, StoreError
from spanreel.keeper_start import is_running
from spanreel.store import DATABASE, JOURNAL
from spanreel_exporters.duckdb import locks, search, told_by_calls
from spanreel_exporters.duckdb.bill import Bill, Filters
from spanreel_exporters.duckdb.connection import explained_reading
from spanreel_exporters.duckdb.ingest import ingest_once, migrate
from spanreel_exporters.duckdb.live import TAIL_BYTES, Live, open_live
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.results import (
    DocumentRow,
    Facet,
    Facets,
    FlagRow,
    Hit,
    Hits,
    LossRow,
    ScoreRow,
    SpanBodies,
    SpanDetail,
    SpanRow,
    Summary,
    Trace,
    TracePage,
    TraceRow,
    TraceTotals,
    WireExchange,
    WireSummary,
)
from spanreel_exporters.duckdb.wire_text import unpack
from spanreel_exporters.duckdb.write import append

if TYPE_CHECKING:
    from types import TracebackType

    import duckdb
    from spanreel_exporters.duckdb.repricing import Estimate

NO_FILTERS: Final = Filters()
CATCH_UP_BYTES: Final = 4 << 20
"""What a reader takes in before it answers, when nobody else is at it: bounds its wait to about 0.2 s."""
TEXT_TRACES: Final = 1_000
"""Traces found by their bodies that the list's text filter takes into account at most."""
_LAST: Final = re.compile(r"last(?::(?P<name>.+?))?(?:~(?P<back>\d+))?")


class Reader(Protocol):
    """What the viewer, the CLI and exporters read a store through."""

    notices: list[str]
    missing_bytes: int

    def traces(
        self,
        *,
        text: str | None = None,
        status: str | None = None,
        state: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        session: str | None = None,
        user: str | None = None,
        service: str | None = None,
        errors: bool | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> TracePage:
        """Traces that pass every given filter, newest first."""
        ...

    def facets(self) -> Facets:
        """Values to filter by."""
        ...

    def trace(self, trace_id: str) -> Trace:
        """One trace without bodies. Raises QueryError when there is none."""
        ...

    def span(self, trace_id: str, span_id: str) -> SpanDetail:
        """One span with its bodies. Raises QueryError when there is none."""
        ...

    def tool_calls(self, trace_id: str) -> list[ToolCall]:
        """What models asked for in a trace and what ran, paired. Raises QueryError when there is no such trace."""
        ...

    def wire(self, trace_id: str, span_id: str) -> list[WireExchange]:
        """The recorded HTTP exchanges of a span."""
        ...

    def resolve(self, name: str) -> str:
        """The trace id meant by a prefix, `last`, `last:NAME` or `last~1`. Raises QueryError."""
        ...

    def search(self, phrase: str, limit: int = 50) -> Hits:
        """The newest spans whose input or output holds a phrase (case counts)."""
        ...

    def summary(self) -> Summary:
        """The store at a glance."""
        ...

    def totals(
        self,
        *,
        status: str | None = None,
        state: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        session: str | None = None,
        user: str | None = None,
        service: str | None = None,
        errors: bool | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> TraceTotals:
        """Sums and percentiles over every trace that passes the filters of `traces`."""
        ...

    def bill(
        self, filters: Filters = NO_FILTERS, estimate: Estimate | None = None
    ) -> AbstractContextManager[Bill]:
        """What the calls that pass some filters cost, for as long as the context is open."""
        ...


class DuckReader:
    """`Reader` over a store's DuckDB file and the tail of its journal; a context manager.

    `catch_up=False` leaves the file alone. Raises StoreError on entry: newer or damaged file, store busy.
    """

    def __init__(
        self, store: Path, *, catch_up: bool = True, timeout_s: float = 10.0, tail_bytes: int = TAIL_BYTES
    ) -> None:
        self.store = store
        self.notices: list[str] = []
        self.missing_bytes = 0
        self._catch_up = catch_up
        self._timeout_s = timeout_s
        self._tail_bytes = tail_bytes
        self._live: Live | None = None
        self._stack = ExitStack()
        self._pid = 0

    def __enter__(self) -> Self:
        if not self.store.is_dir():
            raise StoreError(f"there is no store at {self.store}")
        if self._catch_up and not is_running(self.store):  # a keeper is at it; its tail is read all the same
            self._ingest()
        try:
            self._attach()
        except OlderStoreError as older:
            if not self._catch_up:
                raise
            try:
                migrate(self.store)
            except NewerStoreError:
                raise
            except StoreError as error:
                raise OlderStoreError(f"{older} ({error})") from error
            self._attach()
        return self

    def _attach(self) -> None:
        """Open file and tail under the shared lock, which is held until the reader is closed."""
        with ExitStack() as stack:
            stack.enter_context(locks.shared(self.store, timeout_s=self._timeout_s))
            with explained_reading(self.store):
                live = open_live(self.store, tail_bytes=self._tail_bytes)
            stack.callback(self._close, live)
            self._stack = stack.pop_all()
        self._live, self._pid = live, os.getpid()
        self.missing_bytes = live.missing_bytes
        self.notices += live.notices

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live = None
        self._stack.close()

    def _close(self, live: Live) -> None:
        live.close(keep=os.getpid() == self._pid)

    def _ingest(self) -> None:
        """Take in a bounded amount, giving way to whoever is at it; trouble becomes a notice."""
        try:
            report = ingest_once(self.store, budget_bytes=CATCH_UP_BYTES)
        except NewerStoreError:
            raise
        except StoreError as error:
            self.notices.append(str(error))
        else:
            if report.trouble:
                self.notices.append(report.trouble)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection; views `spans`, `traces`, ... are live on it."""
        return self._open.con

    @property
    def _open(self) -> Live:
        if self._live is None:
            raise StoreError("this reader is closed; open one per request")
        if os.getpid() != self._pid:
            raise StoreError("this reader was opened before a fork; open one in each process")
        return self._live

    def _rows(self, name: str, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        con = self._open.con
        with explained_reading(self.store):
            cursor = con.execute(_TEXTS[name]) if params is None else con.execute(_TEXTS[name], params)
            return cursor.fetchall()

    def traces(
        self,
        *,
        text: str | None = None,
        status: str | None = None,
        state: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        session: str | None = None,
        user: str | None = None,
        service: str | None = None,
        errors: bool | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> TracePage:
        """Traces that pass every given filter, newest first; see `Reader.traces`."""
        filters: dict[str, Any] = {
            "status": status, "state": state, "model": model, "kind": kind, "name": name,
            "session": session, "user": user, "service": service, "errors": errors,
            "since_ns": since_ns, "until_ns": until_ns,
        }  # fmt: skip
        found, exact = self._find_text(text) if text else ({}, True)
        page = {**filters, "limit": max(limit, 0), "offset": max(offset, 0)}
        rows = self._rows("list_found" if text else "list_traces", page)
        total = self._rows("count_found" if text else "count_traces", filters)
        return TracePage(
            rows=self._told(rows),
            total=int(total[0][0]),
            total_is_exact=exact and not self.missing_bytes,
            limit=limit,
            offset=offset,
            missing_bytes=self.missing_bytes,
            matches=self._matches(text or "", [found[row[0]] for row in rows if row[0] in found]),
        )

    def _matches(self, text: str, seqs: list[tuple[int, bool]]) -> dict[str, Hit]:
        with explained_reading(self.store):
            return {hit.trace_id: hit for hit in search.hits(self._open.con, seqs, search.needle(text))}

    def _told(self, rows: list[tuple[Any, ...]]) -> list[TraceRow]:
        """Lines of `list_traces`, those whose root says nothing told by their model calls."""
        with explained_reading(self.store):
            bounds = {row[0]: (row[1], row[2]) for row in rows}
            return told_by_calls.complete(self._open.con, [_trace_row(row) for row in rows], bounds)

    def _find_text(self, text: str) -> tuple[dict[str, tuple[int, bool]], bool]:
        """Fill the table of traces that hold `text`: those whose bodies do, and whether all bodies were looked at."""
        con = self._open.con
        with explained_reading(self.store):
            con.execute(sql("clear_found"))
            con.execute(sql("find_text"), {"text": text})
            found, complete = search.traces_with(con, text, limit=TEXT_TRACES, time_s=1.0)
            append(con, "temp.main.found", [(trace,) for trace in found])
        return found, complete

    def facets(self) -> Facets:
        """Values to filter by, most frequent first."""
        return Facets(
            statuses=self._facet("facet_status"),
            states=self._facet("facet_state"),
            models=self._facet("facet_model"),
            kinds=self._facet("facet_kind"),
            names=self._facet("facet_name"),
            services=self._facet("facet_service"),
            environments=self._facet("facet_environment"),
            sessions=self._facet("facet_session"),
        )

    def _facet(self, name: str) -> list[Facet]:
        return [Facet(str(row[0]), int(row[1])) for row in self._rows(name)]

    def _bounds(self, trace_id: str) -> dict[str, Any]:
        """The parameters that keep a look at a trace to a few row groups."""
        rows = self._rows("find_trace", {"trace_id": trace_id})
        if not rows:
            raise QueryError(f"there is no trace {trace_id!r} in {self.store}")
        return {"trace_id": trace_id, "first_seq": rows[0][0], "last_seq": rows[0][1]}

    def trace(self, trace_id: str) -> Trace:
        """One trace without bodies, its spans by start. Raises QueryError when there is none."""
        bounds = self._bounds(trace_id)
        line = self._rows("one_trace", bounds)[0]
        spans = [SpanRow(*row) for row in self._rows("trace_spans", bounds)]
        scores, flags = self._marks(trace_id)
        return Trace(self._told([line])[0], spans, scores, flags, self.missing_bytes)

    def bodies(self, trace_id: str) -> dict[str, SpanBodies]:
        """Span id -> bodies, attributes and documents of every span of a trace. Raises QueryError when there is none.

        Two questions for the whole trace: asked span by span, a trace of thousands would keep ingest out for minutes.
        """
        bounds = self._bounds(trace_id)
        found = {
            row[0]: SpanBodies(row[1], row[2], row[3] or "{}", row[4])
            for row in self._rows("trace_bodies", bounds)
        }
        for span_id, *cells in self._rows("trace_documents", bounds):
            found[span_id].documents.append(DocumentRow(*cells))
        return found

    def tool_calls(self, trace_id: str) -> list[ToolCall]:
        """What models asked for in a trace and what ran, paired (analysis/tool_calls.py). Raises QueryError when there is none.

        Reads the answers of models and the arguments of tools, no other bodies.
        """
        return link(Step(*row) for row in self._rows("tool_call_steps", self._bounds(trace_id)))

    def _marks(self, trace_id: str) -> tuple[list[ScoreRow], list[FlagRow]]:
        asked = {"trace_id": trace_id}
        scores = [ScoreRow(*row) for row in self._rows("trace_scores", asked)]
        return scores, [FlagRow(*row) for row in self._rows("trace_flags", asked)]

    def span(self, trace_id: str, span_id: str) -> SpanDetail:
        """One span with bodies, documents, attributes, wire summary. Raises QueryError when there is none."""
        row = self._one_span(trace_id, span_id)
        seq = {"seq": row["seq"]}
        body = self._rows("span_body", seq) or [(None, None)]
        scores, flags = self._marks(trace_id)
        return SpanDetail(
            row=SpanRow(*(row[column.name] for column in fields(SpanRow))),
            input=body[0][0],
            output=body[0][1],
            attributes=row["attributes"] or "{}",
            metadata=row["metadata"],
            dialect=row["dialect"],
            documents=[DocumentRow(*cells) for cells in self._rows("span_documents", seq)],
            wire=[
                WireSummary(cells[0], cells[1], orjson.loads(cells[2]), cells[3], cells[4])
                for cells in self._rows("span_wire_summary", seq)
            ],
            scores=[score for score in scores if score.span_id == span_id],
            flags=[flag for flag in flags if flag.span_id == span_id],
        )

    def _one_span(self, trace_id: str, span_id: str) -> dict[str, Any]:
        bounds = self._bounds(trace_id)
        con = self._open.con
        with explained_reading(self.store):
            cursor = con.execute(sql("one_span"), {**bounds, "span_id": span_id})
            names = [column[0] for column in cursor.description]
            found = cursor.fetchall()
        if not found:
            raise QueryError(f"there is no span {span_id!r} in trace {trace_id}")
        return dict(zip(names, found[0], strict=True))

    def wire(self, trace_id: str, span_id: str) -> list[WireExchange]:
        """The recorded HTTP exchanges of a span with their bytes."""
        seq = {"seq": self._one_span(trace_id, span_id)["seq"]}
        given, answered = (self._rows("span_body", seq) or [(None, None)])[0]
        return [
            WireExchange(
                attempt,
                orjson.loads(meta),
                _bytes(unpack(request, given), encoding),
                _bytes(unpack(response, answered), encoding),
            )
            for attempt, encoding, meta, request, response in self._rows("span_wire_bytes", seq)
        ]

    def resolve(self, name: str) -> str:
        """The trace id meant by a prefix, `last`, `last:NAME` or `last~1`. Raises QueryError."""
        last = _LAST.fullmatch(name)
        if last:
            asked = {"name": last["name"], "back": min(int(last["back"] or 0), 10**9)}
            rows = self._rows("resolve_last", asked)
            if not rows:
                raise QueryError(f"there is no trace {name!r} in {self.store}")
            return str(rows[0][0])
        prefix = name.strip().lower()
        if not prefix or not all(letter in "0123456789abcdef" for letter in prefix):
            raise QueryError(f"{name!r} names no trace: give an id, its beginning, last, last:NAME or last~1")
        rows = self._rows("resolve_prefix", {"prefix": prefix})
        if not rows:
            raise QueryError(f"there is no trace {name!r} in {self.store}")
        if len(rows) > 1:
            raise QueryError(
                f"{name!r} is the beginning of several traces: {', '.join(str(r[0]) for r in rows)}"
            )
        return str(rows[0][0])

    def search(self, phrase: str, limit: int = 50) -> Hits:
        """The newest spans whose input or output holds a phrase (case counts); looks for 5 s at most."""
        if not phrase:
            return Hits([], complete=True)
        con = self._open.con
        with explained_reading(self.store):
            return search.find(con, phrase, limit=max(limit, 1), time_s=5.0)

    def totals(
        self,
        *,
        status: str | None = None,
        state: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        session: str | None = None,
        user: str | None = None,
        service: str | None = None,
        errors: bool | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> TraceTotals:
        """Sums and percentiles over every trace that passes the filters of `traces`."""
        row = self._rows("trace_totals", {
            "status": status, "state": state, "model": model, "kind": kind, "name": name, "session": session,
            "user": user, "service": service, "errors": errors, "since_ns": since_ns, "until_ns": until_ns,
        })[0]  # fmt: skip
        (
            traces,
            with_errors,
            failed,
            running,
            calls,
            given,
            made,
            cost,
            unpriced,
            shares,
            longest,
            measured,
        ) = row
        p50, p95, p99, most = (value / 1e6 for value in (*shares, longest)) if shares else (None,) * 4
        return TraceTotals(
            traces, with_errors, failed, running, calls, given, made, cost, unpriced, p50, p95, p99, most, measured
        )  # fmt: skip

    @contextmanager
    def bill(self, filters: Filters = NO_FILTERS, estimate: Estimate | None = None) -> Iterator[Bill]:
        """What the calls that pass some filters cost; see bill.py. Raises StoreError."""
        con = self._open.con
        with explained_reading(self.store):
            bill = Bill(con, filters, estimate)
            try:
                yield bill
            finally:
                bill.close()

    def losses(self) -> list[LossRow]:
        """What was lost, cut or given up, by reason, most frequent first."""
        return [LossRow(*row) for row in self._rows("all_losses")]

    def summary(self) -> Summary:
        """Counts, sums, sizes and losses of the store."""
        live = self._open
        totals = self._rows("summary_totals")[0]
        return Summary(
            store=str(self.store),
            schema_version=live.schema_version,
            spans=int(totals[0]),
            traces=int(totals[1]),
            open_spans=live.open_spans,
            llm_calls=int(totals[2]),
            input_tokens=int(totals[3]),
            output_tokens=int(totals[4]),
            cost_usd=float(totals[5]),
            unpriced_calls=int(totals[6]),
            error_spans=int(totals[7]),
            oldest_ns=totals[8],
            newest_ns=totals[9],
            database_bytes=_size(self.store / DATABASE) + _size(self.store / f"{DATABASE}.wal"),
            journal_bytes=sum(_size(path) for path in _files(self.store / JOURNAL)),
            missing_bytes=self.missing_bytes,
            writers=live.writers,
            losses=self.losses(),
            notices=list(self.notices),
        )


_NAMES: Final = (
    "list_traces", "count_traces", "list_found", "count_found", "find_trace", "one_trace", "trace_spans", "trace_bodies", "trace_documents", "tool_call_steps", "trace_scores", "trace_flags",
    "span_body", "span_documents", "span_wire_summary", "span_wire_bytes", "facet_status", "facet_state",
    "facet_model", "facet_kind", "facet_name", "facet_service", "facet_environment", "facet_session",
    "resolve_last", "resolve_prefix", "summary_totals", "all_losses", "trace_totals",
)  # fmt: skip
_TEXTS: Final = {name: sql(name) for name in _NAMES}


def _trace_row(row: tuple[Any, ...]) -> TraceRow:
    """A line of `list_traces` or `one_trace`: the columns of trace_row, then flag_count."""
    trace_id, _first_seq, _last_seq, _root_seq, *cells = row
    cells[7] = (cells[7] or 0) / 1e6
    cells[20:23] = [values or [] for values in cells[20:23]]
    return TraceRow(trace_id, *cells)


def _bytes(text: str, encoding: str) -> bytes:
    return base64.b64decode(text) if encoding == "base64" else text.encode()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


@contextmanager
def user_connection(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A caught-up, live, locked-down connection for SQL of a user's. Raises StoreError."""
    with DuckReader(store) as reader:
        yield locked_down(reader)


def locked_down(reader: DuckReader) -> duckdb.DuckDBPyConnection:
    """The reader's connection with files, extensions and settings taken away from it, for good."""
    from spanreel_exporters.duckdb.user_sql import lock_down

    lock_down(reader.connection)
    return reader.connection

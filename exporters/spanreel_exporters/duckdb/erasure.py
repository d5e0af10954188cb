"""Erasing recordings from every file of a store: rows, bodies, provider bytes, documents, scores, journal.

The journal is brought in first, so that there is one place to look; then the traces are deleted, marked so
that late records of them are refused, blanked where they stand in segments, and the database file is
rewritten, since DuckDB keeps deleted rows in its blocks.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel.errors import StoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb import blanking, compaction, connection, ingest, locks, schema
from spanreel_exporters.duckdb.blanking import Line
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.tombstones import mark
from spanreel_exporters.duckdb.wire_text import unpack

if TYPE_CHECKING:
    import duckdb

LOG_NAME: Final = "keeper.log"
_NESTED: Final = 3
"""Levels of JSON inside JSON in which a text is looked for: a tool's answer in a message in provider bytes."""
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")
_ATTRIBUTE: Final = {"session": "session.id", "user": "user.id"}


@dataclass(frozen=True, slots=True)
class Selector:
    """What to erase: `kind` is trace (a full id), session, user, or text (case counts)."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased, where, when and by whom; holds none of what was erased.

    `selector` names sessions, users and texts by their SHA-256 only, so that the receipt may be kept.
    """

    receipt_id: str
    dry_run: bool
    store: str
    selector: dict[str, Any]
    traces: tuple[str, ...]
    erased: dict[str, int]
    by: str
    at_ns: int
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return the receipt as JSON-ready values."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at_ns / 1e9))
        return {
            "receipt_id": self.receipt_id,
            "dry_run": self.dry_run,
            "at": stamp,
            "by": self.by,
            "store": self.store,
            "selector": self.selector,
            "traces": list(self.traces),
            "erased": self.erased,
            "notes": list(self.notes),
        }


def forget(store: Path, selector: Selector, *, dry_run: bool = False) -> Receipt:
    """Erase the selected traces from every file of the store and return the receipt.

    Records that a living program still writes for them afterwards are dropped when they are brought in.
    Raises StoreError when the store is busy, held by another client, newer, or has no room for the rewrite;
    the call can be repeated, and the keeper makes up for a rewrite that was cut off.
    """
    report = ingest.catch_up(store)
    if report.trouble:
        raise StoreError(f"nothing was erased: {report.trouble}")
    with locks.exclusive(store, timeout_s=compaction.LOCK_TIMEOUT_S) as held:
        if not held:
            raise locks.StoreBusyError(f"the store {store} is busy; nothing was erased; try again")
        if not (store / DATABASE).exists():
            return _receipt(store, selector, (), {}, dry_run=dry_run)
        traces, erased = _in_database(store, selector, dry_run=dry_run)
        matches = _line_matcher(selector, frozenset(traces))
        if dry_run:
            erased["journal_records"] = _count_lines(store, matches)
            return _receipt(store, selector, traces, erased, dry_run=True)
        erased["journal_records"] = blanking.blank(store, matches)
        notes = []
        if (store / compaction.PENDING).exists():  # of this call, or of one that was cut off
            compaction.rewrite(store)
            _remove_traces_of_work(store)
            alive = _still_running(store, traces)
            if alive:
                notes.append(
                    f"still being recorded, what follows is dropped when it is brought in: {', '.join(alive)}"
                )
        return _receipt(store, selector, traces, erased, dry_run=False, notes=tuple(notes))


def _remove_traces_of_work(store: Path) -> None:
    """Delete the keeper's log, which may quote, and what a killed query left of its spilled rows."""
    for path in (store / LOG_NAME, *(store / "tmp").glob("*")):
        with suppress(OSError):
            path.unlink()


def _in_database(store: Path, selector: Selector, *, dry_run: bool) -> tuple[tuple[str, ...], dict[str, int]]:
    """Find the traces; delete and mark them unless it is a dry run. Returns them and the counts."""
    with connection.explained(store), connection.writer(store) as con:
        schema.prepare(con, store)
        con.execute(sql("ops_doomed"))
        _select(con, selector)
        con.execute(sql("ops_doom_seqs"))
        traces = tuple(row[0] for row in con.execute(sql("ops_doomed_traces")).fetchall())
        cursor = con.execute(sql("ops_count_erased"))
        names = [column[0] for column in cursor.description]
        erased = dict(zip(names, cursor.fetchall()[0], strict=True))
        if traces and not dry_run:
            (store / compaction.PENDING).touch(mode=0o600)
            con.execute("BEGIN")
            con.execute(sql("ops_delete_bodies"))
            con.execute(sql("ops_delete_traces"))
            now = time.time_ns()
            ingest.append(con, "store.tombstone", [("trace", mark(trace), now) for trace in traces])
            con.execute("COMMIT")
            con.execute("CHECKPOINT store")
    return traces, {"traces": len(traces), **erased}


def _select(con: duckdb.DuckDBPyConnection, selector: Selector) -> None:
    if selector.kind == "text":
        needles = _written(selector.value)
        hexadecimal = [needle.encode().hex().upper() for needle in needles]
        con.execute(sql("ops_doom_text"), {"needles": needles, "hex": hexadecimal})
        ingest.append(con, "memory.main.doomed", [(trace,) for trace in _in_packed_wire(con, selector.value)])
        return
    con.execute(sql(f"ops_doom_{selector.kind}"), {"value": selector.value})
    if selector.kind in _ATTRIBUTE:
        found = [
            (trace,)
            for trace, line in con.execute(sql("ops_open_lines")).fetchall()
            if _has_attribute(line, selector)
        ]
        ingest.append(con, "memory.main.doomed", found)


def _in_packed_wire(con: duckdb.DuckDBPyConnection, text: str) -> set[str]:
    """Traces whose provider bytes hold the text only once their references into the bodies are resolved."""
    needles = _written(text)
    found: set[str] = set()
    cursor = con.execute(sql("ops_packed_wire"))
    while rows := cursor.fetchmany(500):
        for trace, request, given, response, answered in rows:
            whole = (unpack(request or "", given), unpack(response or "", answered))
            if any(needle in part for needle in needles for part in whole):
                found.add(trace)
    return found


def _written(text: str) -> list[str]:
    """The ways in which a text may stand in a recording: as typed, in JSON, in JSON inside JSON.

    Each with letters beyond ASCII as they are or as escapes, whose hexadecimal digits may be of either case.
    """
    found = {text}
    for _level in range(_NESTED):
        found |= {
            json.dumps(one, ensure_ascii=ascii_only)[1:-1] for one in found for ascii_only in (False, True)
        }
    found |= {_ESCAPE.sub(lambda escape: "\\u" + escape[1].upper(), one) for one in found}
    return sorted(found)


def _has_attribute(line: str, selector: Selector) -> bool:
    """Whether a kept-back record (its attributes are one of its last cells) carries the session or user."""
    for cell in line.split("\t")[4:]:
        if cell.startswith("{"):
            with suppress(ValueError):
                if orjson.loads(cell).get(_ATTRIBUTE[selector.kind]) == selector.value:
                    return True
    return False


def _line_matcher(selector: Selector, traces: frozenset[str]) -> Callable[[Line], bool]:
    needles = []
    if selector.kind == "text":
        needles = [needle.encode() for needle in _written(selector.value)]

    def matches(line: Line) -> bool:
        trace = line.trace_id()
        if trace is not None and trace in traces:
            return True
        return line.kind() != b"process" and any(needle in line.content for needle in needles)

    return matches


def _count_lines(store: Path, matches: Callable[[Line], bool]) -> int:
    return sum(matches(line) for segment in blanking.segments(store) for line in blanking.lines(segment))


def _still_running(store: Path, traces: tuple[str, ...]) -> list[str]:
    """Traces of which new records have come into the journal since they were blanked."""
    wanted = frozenset(traces)
    found = {
        trace
        for segment in blanking.segments(store)
        for line in blanking.lines(segment)
        if (trace := line.trace_id()) in wanted
    }
    return sorted(trace for trace in found if trace)


def _receipt(
    store: Path,
    selector: Selector,
    traces: tuple[str, ...],
    erased: dict[str, int],
    *,
    dry_run: bool,
    notes: tuple[str, ...] = (),
) -> Receipt:
    named: dict[str, Any] = {"kind": selector.kind}
    if selector.kind == "trace":
        named["trace_id"] = selector.value
    else:
        named["sha256"] = hashlib.sha256(selector.value.encode("utf-8", "surrogatepass")).hexdigest()
        named["characters"] = len(selector.value)
    return Receipt(
        receipt_id=secrets.token_hex(8),
        dry_run=dry_run,
        store=str(store),
        selector=named,
        traces=traces,
        erased=erased or {"traces": 0},
        by=f"{_user()}@{platform.node()}",
        at_ns=time.time_ns(),
        notes=notes,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"

"""Keeping the store within bounds: by age, by size (oldest bodies first, then oldest traces), by free disk.

DuckDB frees a block only when nothing in it lives, so a deletion shows in the file after a rewrite; where
the rewrite has no room, the deletion stands and its room is reused by later inserts.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.errors import StoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb import compaction, connection, ingest, locks, schema
from spanreel_exporters.duckdb.occupancy import occupancy
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.stores import database_bytes

if TYPE_CHECKING:
    import duckdb

DEFAULT_LIMIT: Final = 5 * 10**9
"""Bytes of the database file above which the keeper prunes; SPANREEL_MAX_SIZE (bytes) sets another."""
DEFAULT_FLOOR: Final = 512 * 10**6
"""Bytes of free disk below which the store gives room back; SPANREEL_MIN_FREE (bytes) sets another."""
SPARED: Final = 256 * 10**6
"""A scarce disk never takes the store below this: what fills the disk is then something else."""
HEADROOM: Final = 0.8
"""Pruning by the keeper goes down to this share of the limit, so that it is rare."""
SMALLEST: Final = 10**6
"""The least size that can be asked for."""
_FIXED: Final = 400_000
"""Bytes that a database of few rows takes: each column of each table has blocks of its own."""
_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning dropped (or would drop): whole traces with their spans, bodies of spans that stay."""

    dry_run: bool
    traces: int = 0
    spans: int = 0
    bodies: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    note: str = ""


def prune(
    store: Path,
    *,
    older_than_s: float | None = None,
    max_bytes: int | None = None,
    dry_run: bool = False,
    timeout_s: float = compaction.LOCK_TIMEOUT_S,
) -> Pruned:
    """Drop traces that ended more than `older_than_s` ago, then the oldest until `max_bytes` are enough.

    Running traces stay. Raises StoreError: busy, held by another client, newer, or a size below 1 MB.
    """
    if max_bytes is not None and max_bytes < SMALLEST:
        raise StoreError(f"a database cannot be kept under {SMALLEST / 1e6:.0f} MB; nothing was dropped")
    report = ingest.catch_up(store)
    if report.trouble:
        raise StoreError(f"nothing was dropped: {report.trouble}")
    with locks.exclusive(store, timeout_s=timeout_s) as held:
        if not held:
            raise locks.StoreBusyError(f"the store {store} is busy; try again when its readers are done")
        path = store / DATABASE
        if not path.exists():
            return Pruned(dry_run)
        outcome = Pruned(dry_run, bytes_before=database_bytes(store))
        with connection.explained(store):
            if older_than_s is not None:
                outcome = _by_age(store, outcome, time.time_ns() - round(older_than_s * 1e9))
            if max_bytes is not None:
                outcome = _by_size(store, outcome, max_bytes)
        return replace(outcome, bytes_after=database_bytes(store))


def enforce(store: Path, environ: Mapping[str, str] = os.environ) -> Pruned | None:
    """Prune when the file is over its limit or the disk under its floor; cheap (two stats) when neither is."""
    limit = effective_limit(store, environ)
    if database_bytes(store) <= limit:
        return None
    return prune(store, max_bytes=max(round(limit * HEADROOM), SMALLEST), timeout_s=2.0)


def effective_limit(store: Path, environ: Mapping[str, str] = os.environ) -> int:
    """Return the most bytes that the database may take now: the limit, less what the disk lacks."""
    limit = _setting(environ, "SPANREEL_MAX_SIZE", DEFAULT_LIMIT)
    disk = shutil.disk_usage(store)
    missing = free_floor(disk.total, environ) - disk.free
    if missing <= 0:
        return limit
    return min(limit, max(database_bytes(store) - missing, SPARED))


def free_floor(total: int, environ: Mapping[str, str] = os.environ) -> int:
    """Return the bytes that should stay free on a disk of `total` bytes; a small disk has a smaller floor."""
    return _setting(environ, "SPANREEL_MIN_FREE", min(DEFAULT_FLOOR, total // 20))


def _setting(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    return int(text) if text.isdecimal() else default


def _by_age(store: Path, outcome: Pruned, before_ns: int) -> Pruned:
    with _opened(store) as con:
        con.execute(sql("ops_doom_old"), {"before_ns": before_ns})
        outcome = _drop_traces(con, outcome)
        if not outcome.dry_run:
            con.execute(sql("ops_delete_old_losses"), {"before_ns": before_ns})
            con.execute(sql("ops_delete_old_processes"), {"before_ns": before_ns})
            con.execute("CHECKPOINT store")
    return _rewritten(store, outcome) if outcome.traces and not outcome.dry_run else outcome


def _by_size(store: Path, outcome: Pruned, target: int) -> Pruned:
    """Estimate what has to go from the shares of the blocks, drop it, rewrite, look again."""
    for _round in range(_ROUNDS):
        with _opened(store) as con:
            con.execute("CHECKPOINT store")
            room = occupancy(con)
            if room.used <= target:
                break
            before = outcome
            outcome = _drop_share(con, outcome, target, room.used, room.bodies)
            con.execute("CHECKPOINT store")
        if outcome == before or outcome.dry_run:
            return outcome
        outcome = _rewritten(store, outcome)
        if outcome.note:
            return outcome
    if not outcome.dry_run and database_bytes(store) > target:
        outcome = _rewritten(store, outcome)
    if not outcome.dry_run and database_bytes(store) > target:
        return replace(outcome, note=outcome.note or "what is left did not fit; see `spanreel doctor`")
    return outcome


def _drop_share(
    con: duckdb.DuckDBPyConnection, outcome: Pruned, target: int, used: int, bodies: int
) -> Pruned:
    """Drop the oldest bodies if that is enough, else every body and the oldest traces."""
    rest = used - bodies
    if bodies:
        con.execute(sql("ops_doom_bodies"), {"keep_share": max(0.97 * (target - rest) / bodies, 0.0)})
        before, outcome = outcome, _drop_bodies(con, outcome)
        if rest < target and outcome != before:
            return outcome
        con.execute(sql("ops_doomed"))
    size = used if rest < target else rest
    con.execute(sql("ops_doom_oldest"), {"keep_share": 0.97 * (target - _FIXED) / max(size - _FIXED, 1)})
    return _drop_traces(con, outcome)


def _drop_bodies(con: duckdb.DuckDBPyConnection, outcome: Pruned) -> Pruned:
    _, count = connection.one(con, sql("ops_count_doomed")) or (0, 0)
    if not outcome.dry_run:
        con.execute(sql("ops_delete_bodies"))
    return replace(outcome, bodies=outcome.bodies + count)


def _drop_traces(con: duckdb.DuckDBPyConnection, outcome: Pruned) -> Pruned:
    con.execute(sql("ops_doom_seqs"))
    traces, spans = connection.one(con, sql("ops_count_doomed")) or (0, 0)
    if traces and not outcome.dry_run:
        con.execute("BEGIN")
        con.execute(sql("ops_delete_bodies"))
        con.execute(sql("ops_delete_traces"))
        con.execute("COMMIT")
    return replace(outcome, traces=outcome.traces + traces, spans=outcome.spans + spans)


def _rewritten(store: Path, outcome: Pruned) -> Pruned:
    try:
        compaction.rewrite(store)
    except StoreError as error:
        return replace(outcome, note=f"dropped, but the file keeps its size for now: {error}")
    return outcome


class _opened:  # noqa: N801 - used like the functions of contextlib
    """A write connection with the doomed tables ready; the caller holds the exclusive lock."""

    def __init__(self, store: Path) -> None:
        self._writer = connection.writer(store)
        self._store = store

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        con = self._writer.__enter__()
        schema.check(schema.version(con), self._store)
        con.execute(sql("ops_doomed"))
        return con

    def __exit__(self, *error: object) -> bool | None:
        return self._writer.__exit__(*error)  # type: ignore[arg-type]

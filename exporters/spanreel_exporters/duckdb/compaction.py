"""Rewriting the database file: the only way in which DuckDB gives room back and lets go of deleted rows.

Copied into a new file beside the old one, counted table by table, and put in its place by one rename, all
under the store's exclusive lock; a crash at any moment leaves the old or the new file, whole.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.errors import StoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb import connection, locks, schema
from spanreel_exporters.duckdb.occupancy import occupancy
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.stores import database_bytes

if TYPE_CHECKING:
    import duckdb

FRESH: Final = DATABASE + ".new"
PENDING: Final = "rewrite.pending"
"""A file that is there while erased rows may still lie in the database's blocks; the next rewrite removes it."""
LOCK_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a rewrite did: the file's size before and after in bytes, the rows counted on both sides."""

    bytes_before: int
    bytes_after: int
    rows: int
    seconds: float


def compact(store: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Compacted:
    """Rewrite the store's database. Raises StoreError: busy, held by another client, newer, or no room."""
    with locks.exclusive(store, timeout_s=timeout_s) as held:
        if not held:
            raise locks.StoreBusyError(f"the store {store} is busy; try again when its readers are done")
        return rewrite(store)


def sweep(store: Path) -> None:
    """Delete the copy that a rewrite left when it was killed, unless one is at work."""
    if not (store / FRESH).exists():
        return
    with locks.exclusive(store) as held:
        if held:
            _remove(store / FRESH)


def rewrite(store: Path) -> Compacted:
    """Rewrite the database; the caller holds the exclusive lock. Raises StoreError."""
    with connection.explained(store):
        return _rewrite(store)


def _rewrite(store: Path) -> Compacted:
    path, fresh = store / DATABASE, store / FRESH
    if not path.exists():
        return Compacted(0, 0, 0, 0.0)
    started, before = time.monotonic(), database_bytes(store)
    _remove(fresh)
    con = connection.connect(store, threads=1, memory=connection.INGEST_MEMORY)
    try:
        connection.attach(con, store, read_only=False)
        schema.check(schema.version(con), store)
        con.execute("CHECKPOINT store")
        _check_room(store, occupancy(con).used)
        rows = _copy(con, fresh)
        # DuckDB's lock on the old file is held until after the rename: no other client can slip in and write to it
        fresh.replace(path)
        with suppress(FileNotFoundError):
            (store / PENDING).unlink()
        _sync(store)
    except OSError as error:
        raise StoreError(
            f"{path} could not be rewritten: {error.strerror or error}; it is unchanged"
        ) from error
    finally:
        con.close()
        _remove(fresh)
    return Compacted(before, database_bytes(store), rows, time.monotonic() - started)


def _copy(con: duckdb.DuckDBPyConnection, fresh: Path) -> int:
    """Copy `store` into a new file, compare the row counts, close it; return the rows. Raises StoreError."""
    quoted = str(fresh).replace("'", "''")
    con.execute(f"ATTACH '{quoted}' AS fresh ({connection.NEW_OPTIONS})")
    fresh.chmod(0o600)
    con.execute("COPY FROM DATABASE store TO fresh")
    counts, copied = _counts(con, "store"), _counts(con, "fresh")
    if counts != copied:
        differing = sorted(name for name in counts if counts.get(name) != copied.get(name))
        raise StoreError(
            f"the copy does not hold the same rows in {', '.join(differing)}; the database is unchanged"
        )
    con.execute("CHECKPOINT fresh; DETACH fresh")
    descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return sum(counts.values())


def _counts(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, int]:
    counts = {}
    for (name,) in con.execute(sql("ops_tables"), {"database": database}).fetchall():
        row = connection.one(con, sql("ops_count_rows"), {"table": f"{database}.main.{name}"})
        counts[name] = int(row[0]) if row else 0
    return counts


def _check_room(store: Path, needed: int) -> None:
    free = shutil.disk_usage(store).free
    if free < needed:
        raise StoreError(
            f"rewriting needs {needed / 1e6:.0f} MB on the disk of {store} and {free / 1e6:.0f} MB are free; the database is unchanged"
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(fresh: Path) -> None:
    for path in (fresh, fresh.with_name(fresh.name + ".wal")):
        with suppress(OSError):
            path.unlink()

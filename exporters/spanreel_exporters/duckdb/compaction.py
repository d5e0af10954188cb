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
VECTOR: Final = 2_048
"""Values that DuckDB compresses as one."""
MOST_ROWS: Final = 122_880
"""DuckDB's own row group."""
ROW_GROUP_CHARS: Final = 64 << 20


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
            remove(store / FRESH)


def rewrite(store: Path) -> Compacted:
    """Rewrite the database; the caller holds the exclusive lock. Raises StoreError."""
    with connection.explained(store):
        return _rewrite(store)


def _rewrite(store: Path) -> Compacted:
    path, fresh = store / DATABASE, store / FRESH
    if not path.exists():
        return Compacted(0, 0, 0, 0.0)
    started, before = time.monotonic(), database_bytes(store)
    remove(fresh)
    con = connection.connect(store, threads=1, memory=connection.INGEST_MEMORY)
    try:
        connection.attach(con, store, read_only=False)
        schema.check(schema.version(con), store)
        con.execute("CHECKPOINT store")
        check_room(store, occupancy(con).used)
        rows = copy(con, fresh)
        put_in_place(store, fresh)
    except OSError as error:
        raise StoreError(
            f"{path} could not be rewritten: {error.strerror or error}; it is unchanged"
        ) from error
    finally:
        con.close()
        remove(fresh)
    return Compacted(before, database_bytes(store), rows, time.monotonic() - started)


def put_in_place(store: Path, fresh: Path) -> None:
    """Make the copy the database. Raises OSError.

    The caller holds the store alone, and the old file open for writing until after the rename: so no other
    client can slip in and write to it.
    """
    fresh.replace(store / DATABASE)
    with suppress(FileNotFoundError):
        (store / PENDING).unlink()
    _sync(store)


def row_group(con: duckdb.DuckDBPyConnection) -> int:
    """Rows of a row group of a copy: as many as have ROW_GROUP_CHARS in their bodies, within DuckDB's bounds.

    A row group is put together in memory, and a body is read by unpacking 2,048 of its neighbours.
    """
    found = con.execute(sql("text_row_groups")).fetchall()
    chars = float(found[0][1]) if found else 0.0
    rows = int(ROW_GROUP_CHARS / max(chars, 1.0)) // VECTOR * VECTOR
    return min(max(rows, VECTOR), MOST_ROWS)


def copy(con: duckdb.DuckDBPyConnection, fresh: Path) -> int:
    """Copy `store` into a new file, compare the row counts, close it; return the rows. Raises StoreError."""
    quoted = str(fresh).replace("'", "''")
    options = f"{connection.NEW_OPTIONS}, ROW_GROUP_SIZE {row_group(con)}"
    con.execute(f"ATTACH '{quoted}' AS fresh ({options})")
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


def check_room(store: Path, needed: int) -> None:
    """Raise StoreError when the disk has less than `needed` bytes."""
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


def remove(fresh: Path) -> None:
    """Delete a copy that is not to be used."""
    for path in (fresh, fresh.with_name(fresh.name + ".wal")):
        with suppress(OSError):
            path.unlink()

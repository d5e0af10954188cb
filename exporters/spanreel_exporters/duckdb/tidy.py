"""Packing the database closer while nobody records: what many small ingests left in pieces becomes one.

An ingest appends row groups of a few thousand rows, a fifth larger than large ones. The copy is made beside
readers, under their shared lock; only for the rename the store is held alone, and only if nothing was
written meanwhile. Run by the keeper in a process of its own, whose memory goes back when it is done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.errors import StoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb import compaction, connection, locks, schema
from spanreel_exporters.duckdb.compaction import FRESH, PENDING, Compacted
from spanreel_exporters.duckdb.queries import sql
from spanreel_exporters.duckdb.stores import database_bytes

if TYPE_CHECKING:
    import duckdb

MOST_BYTES: Final = 512 << 20
"""A larger database is left as it is: its copy would take more than some ten seconds."""
PIECES: Final = 3
"""Small row groups below which there is nothing to win."""
SHARE: Final = 0.25
"""Rows in small row groups, as a share of all, from which a copy pays: in all each row is copied four times."""
MEMORY: Final = "128MB"
SWAP_S: Final = 2.0
"""How long the rename may wait for the store."""


def tidy(store: Path) -> Compacted | None:
    """Pack the database if it pays and nobody is in the way; None when nothing was done. Raises StoreError."""
    path = store / DATABASE
    if not path.exists() or database_bytes(store) > MOST_BYTES or (store / PENDING).exists():
        return None
    began = time.monotonic()
    fresh = store / FRESH
    try:
        with locks.shared(store, timeout_s=SWAP_S):
            seen = _stamp(store)
            rows = _copied(store, fresh) if seen is not None else None
        if rows is None or seen is None or not _swapped(store, fresh, seen):
            return None
    except OSError as error:
        raise StoreError(f"{path} could not be packed: {error.strerror or error}; it is unchanged") from error
    finally:
        compaction.remove(fresh)
    return Compacted(seen[1], database_bytes(store), rows, time.monotonic() - began)


def _stamp(store: Path) -> tuple[int, int, int] | None:
    """What changes with every write: (inode, bytes, modified ns); None while there is a write-ahead log."""
    if (store / f"{DATABASE}.wal").exists():
        return None
    info = (store / DATABASE).stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


def _copied(store: Path, fresh: Path) -> int | None:
    """Make the copy if it pays; the rows in it."""
    con = connection.connect(store, threads=1, memory=MEMORY)
    try:
        with connection.explained(store):
            connection.attach(con, store, read_only=True)
            if schema.version(con) != schema.VERSION or not _pays(con):
                return None
            compaction.check_room(store, database_bytes(store))
            compaction.remove(fresh)
            return compaction.copy(con, fresh)
    finally:
        con.close()


def _pays(con: duckdb.DuckDBPyConnection) -> bool:
    best = compaction.row_group(con)
    groups = [int(row[0]) for row in con.execute(sql("text_row_groups")).fetchall()]
    small = [rows for rows in groups if rows < best // 2]
    return len(small) >= PIECES and sum(small) >= SHARE * sum(groups)


def _swapped(store: Path, fresh: Path, seen: tuple[int, int, int]) -> bool:
    """Put the copy in the database's place, unless somebody has written since it was made."""
    with locks.exclusive(store, timeout_s=SWAP_S) as held:
        if not held or _stamp(store) != seen:
            return False
        con = connection.connect(store, threads=1, memory=MEMORY)
        try:
            connection.attach(con, store, read_only=False)  # DuckDB's own lock keeps other clients out
            if (store / f"{DATABASE}.wal").exists():
                return False
            compaction.put_in_place(store, fresh)
        finally:
            con.close()
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Tidy the store named; 0 also when there was nothing to do."""
    (store,) = sys.argv[1:] if argv is None else argv
    try:
        done = tidy(Path(store))
    except StoreError as error:
        print(error)  # noqa: T201 - the keeper reads it
        return 1
    if done is not None:
        print(f"packed {done.bytes_before:,} bytes into {done.bytes_after:,}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

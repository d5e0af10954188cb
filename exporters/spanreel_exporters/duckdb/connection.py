"""DuckDB connections to a store: an in-memory database with the store's file attached as `store`.

DuckDB allows one read-write process or many readers on a file. Its own lock is dropped when the owning
process opens and closes the file by other means: never read, hash or copy `traces.duckdb` while a
connection of this module is open; `os.stat` is safe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb

from spanreel.errors import StoreError
from spanreel.store import DATABASE

STORAGE_VERSION: Final = "v1.5.0"
"""DuckDB 1.5 clients can still open what is created with it."""
INGEST_MEMORY: Final = "256MB"
READER_MEMORY: Final = "1GB"
_PID: Final = re.compile(r"PID (\d+)")
_HELD: Final = ("Could not set lock on file", "Unique file handle conflict")


class StoreHeldError(StoreError):
    """Another DuckDB client holds the file; `pid` says which process, where DuckDB tells."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another DuckDB client"
        super().__init__(f"{path} is held open by {who}; new spans wait in the journal and are taken in after it closes")
        self.path = path
        self.pid = pid


def connect(store: Path, *, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    """A private in-memory database that loads no extension, installs nothing, and spills inside the store."""
    con = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": memory,
            "temp_directory": str(store / "tmp"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    return con


def attach(con: duckdb.DuckDBPyConnection, store: Path, *, read_only: bool) -> None:
    """Attach the store's file as `store`. Raises StoreHeldError or StoreError (damaged, unreadable)."""
    path = store / DATABASE
    quoted = str(path).replace("'", "''")
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    try:
        con.execute(f"ATTACH '{quoted}' AS store ({options})")
    except duckdb.Error as error:
        message = str(error)
        if any(word in message for word in _HELD):
            raise StoreHeldError(path, _pid(message)) from error
        raise StoreError(f"{path} cannot be opened: {message.splitlines()[0]}") from error


def _pid(message: str) -> int | None:
    found = _PID.search(message)
    if found:
        return int(found.group(1))
    return os.getpid() if _HELD[1] in message else None


def one(con: duckdb.DuckDBPyConnection, text: str, params: dict[str, Any] | None = None) -> tuple[Any, ...] | None:
    """The first row of a query, or None; leaves no unfinished result behind (the Appender refuses those)."""
    rows = (con.execute(text) if params is None else con.execute(text, params)).fetchall()
    return rows[0] if rows else None


@contextmanager
def writer(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The ingester's connection; the caller holds the exclusive lock. Raises StoreError.

    Row groups are not merged at a checkpoint (`max_vacuum_tasks`): merging rewrites bodies again and again
    (three times the work at 10 kB bodies) and holds the lock for seconds. Compaction does it in one go.
    """
    con = connect(store, threads=1, memory=INGEST_MEMORY)
    try:
        con.execute("SET max_vacuum_tasks = 0; SET checkpoint_on_detach = 'DISABLED'; SET wal_autocheckpoint = '1TB'")
        con.execute("SET preserve_insertion_order = true; SET auto_checkpoint_skip_wal_threshold = 1000000000000")
        attach(con, store, read_only=False)
        with suppress(OSError):
            (store / DATABASE).chmod(0o600)
        yield con
        con.execute("USE memory; DETACH store")
    finally:
        con.close()

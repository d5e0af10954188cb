"""DuckDB connections to a store: an in-memory database with the store's file attached as `store`.

DuckDB allows one read-write process or many readers on a file. Its own lock is dropped when the owning
process opens and closes the file by other means: never read, hash or copy `traces.duckdb` while a
connection of this module is open; `os.stat` is safe.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
from spanreel.errors import QueryError, StoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb.queries import sql

STORAGE_VERSION: Final = "v1.5.0"
"""DuckDB 1.5 clients can still open what is created with it."""
BLOCK_SIZE: Final = 65_536
"""Bytes. Below this DuckDB packs no 64-bit integers (8 bytes each instead of 2 to 3); with its default of 256 KiB
the rounding of many small row groups is a third of the file."""
OPTIONS: Final = f"STORAGE_VERSION '{STORAGE_VERSION}'"
"""How a database of ours is attached for writing."""
NEW_OPTIONS: Final = f"{OPTIONS}, BLOCK_SIZE {BLOCK_SIZE}"
"""How it is created; an older file keeps the block size it was made with until it is rewritten."""
INGEST_MEMORY: Final = "256MB"
WAL_BYTES: Final = 4_000_000
"""A longer write-ahead log is folded into the file; one of this size costs a reader 5 ms to replay."""
_AT_ONCE: Final = 64_000
READER_MS: Final = 10_000
"""Milliseconds of one question of a reader: while it runs nobody ingests."""
READER_MEMORY: Final = "1GB"
_PID: Final = re.compile(r"PID (\d+)")
_HELD: Final = ("Could not set lock on file", "Unique file handle conflict")


class StoreHeldError(StoreError):
    """Another DuckDB client holds the file; `pid` says which process, where DuckDB tells."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another DuckDB client"
        super().__init__(
            f"{path} is held open by {who}; new spans wait in the journal and are taken in after it closes"
        )
        self.path = path
        self.pid = pid


def connect(store: Path, *, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    """A private in-memory database that loads no extension, installs nothing, and spills inside the store."""
    con = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": memory,
            "temp_directory": _openable(store / "tmp"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    return con


def attach(con: duckdb.DuckDBPyConnection, store: Path, *, read_only: bool) -> None:
    """Attach the store's file as `store`. Raises StoreHeldError or StoreError (damaged, unreadable)."""
    path = store / DATABASE
    options = "READ_ONLY" if read_only else OPTIONS if path.exists() else NEW_OPTIONS
    try:
        con.execute(f"ATTACH '{_quoted(path)}' AS store ({options})")
    except duckdb.Error as error:
        message = str(error)
        if any(word in message for word in _HELD):
            raise StoreHeldError(path, _pid(message)) from error
        raise StoreError(f"{path} cannot be opened: {message.splitlines()[0]}") from error


def _openable(path: Path) -> str:
    """A path as DuckDB opens it. Raises StoreError for one that it would take for another."""
    text = str(path)
    if "\\" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise StoreError(
            f"DuckDB cannot open {text!r}: a path with a backslash, or with bytes that are no UTF-8; "
            "rename the directory, nothing in it is lost"
        )
    return text


def _quoted(path: Path) -> str:
    """A path inside an SQL string: ATTACH and SET take no parameters."""
    return _openable(path).replace("'", "''")


def _pid(message: str) -> int | None:
    found = _PID.search(message)
    if found:
        return int(found.group(1))
    return os.getpid() if _HELD[1] in message else None


def one(
    con: duckdb.DuckDBPyConnection, text: str, params: dict[str, Any] | None = None
) -> tuple[Any, ...] | None:
    """The first row of a query, or None; leaves no unfinished result behind (the Appender refuses those)."""
    rows = (con.execute(text) if params is None else con.execute(text, params)).fetchall()
    return rows[0] if rows else None


@contextmanager
def explained(store: Path) -> Iterator[None]:
    """Turn what DuckDB raises (disk full, file gone, damage) into a StoreError that names the file."""
    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"{store / DATABASE} cannot be written: {str(error).splitlines()[0]}") from error


@contextmanager
def explained_reading(store: Path) -> Iterator[None]:
    """Turn what DuckDB raises at a question into QueryError (took too long) or StoreError (names the file)."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError(
            f"the question took longer than {READER_MS / 1000:g} s and was stopped; narrow it"
        ) from error
    except duckdb.Error as error:
        raise StoreError(f"{store / DATABASE} cannot be read: {str(error).splitlines()[0]}") from error


@contextmanager
def writer(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The ingester's connection; the caller holds the exclusive lock. Raises StoreError.

    Row groups are not merged at a checkpoint (`max_vacuum_tasks`): merging rewrites bodies again and again
    (three times the work at 10 kB bodies) and holds the lock for seconds. Compaction does it in one go.
    A commit that would take the write-ahead log over WAL_BYTES goes straight into the file.
    """
    session = _writers.take(store)
    try:
        attach(session.con, store, read_only=False)
        _close_to_others(store)
        yield session.con
        if _wal_bytes(store) > WAL_BYTES:  # DuckDB's own estimate leaves out what strings weigh
            session.con.execute("CHECKPOINT store")
        _close_to_others(store)
    except BaseException:
        session.con.close()
        raise
    _writers.give(session)


def probe(store: Path) -> None:
    """Open the file for writing and write nothing. Raises StoreHeldError where a foreign client keeps it."""
    con = _new_writer(store)
    try:
        attach(con, store, read_only=False)
        con.execute("DETACH store")  # closing alone would fold the write-ahead log into the file
    finally:
        con.close()


def expect(con: duckdb.DuckDBPyConnection, size: int) -> None:
    """Tell the ingester's connection that the next commit holds `size` bytes of journal.

    A large one then goes straight into the file: DuckDB's own estimate of what it would add to the
    write-ahead log leaves out what strings weigh.
    """
    con.execute(f"SET wal_autocheckpoint = '{_AT_ONCE if size > WAL_BYTES else WAL_BYTES} bytes'")


def _wal_bytes(store: Path) -> int:
    try:
        return (store / f"{DATABASE}.wal").stat().st_size
    except OSError:
        return 0


def _close_to_others(store: Path) -> None:
    """DuckDB makes its files by the umask; the write-ahead log comes with the first commit."""
    for name in (DATABASE, f"{DATABASE}.wal"):
        with suppress(OSError):
            (store / name).chmod(0o600)


def _new_writer(store: Path) -> duckdb.DuckDBPyConnection:
    con = connect(store, threads=1, memory=INGEST_MEMORY)
    con.execute(
        f"SET max_vacuum_tasks = 0; SET checkpoint_on_detach = 'DISABLED'; SET wal_autocheckpoint = '{WAL_BYTES} bytes'"
    )
    return con


class Session:
    """A connection with nothing attached, to be used again by the next request of this process.

    Starting and ending an in-memory database costs 18 ms, as much as a question does.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.prepared = ""
        """What was set up on it; the owner's business."""


class Spare:
    """At most one idle session; several threads, and forked children, get sessions of their own."""

    def __init__(self, make: Callable[[Path], duckdb.DuckDBPyConnection]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: tuple[int, Session] | None = None

    def take(self, store: Path) -> Session:
        """The idle session, or a new one."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is None or idle[0] != os.getpid():
            return Session(self._make(store))
        idle[1].con.execute(f"SET temp_directory = '{_quoted(store / 'tmp')}'")
        return idle[1]

    def give(self, session: Session) -> None:
        """Detach the store and keep the session for the next; close it when it is broken or locked down."""
        try:
            session.con.execute("USE memory; DETACH store")
            locked = one(session.con, sql("is_locked_down"))
        except duckdb.Error:
            locked = (True,)
        if locked != (False,):
            session.con.close()
            return
        with self._lock:
            if self._idle is None or self._idle[0] != os.getpid():
                self._idle = (os.getpid(), session)
                return
        session.con.close()


_writers = Spare(_new_writer)

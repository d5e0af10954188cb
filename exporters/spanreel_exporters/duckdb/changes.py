"""A token that changes when the store does: lets a viewer ask often and read seldom."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from spanreel.store import DATABASE
from spanreel_exporters.duckdb.watch import JournalWatch

_FILES: Final = (DATABASE, f"{DATABASE}.wal")


class _Watched:
    """What was last seen of one store."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.watch = JournalWatch(store)
        self.files: tuple[tuple[int, int], ...] = ()
        self.count = 0

    def look(self) -> int:
        files = tuple(_stamp(self.store / name) for name in _FILES)
        if files != self.files or self.watch.changed():
            self.watch.note()
            self.files = files
            self.count += 1
        return self.count


_lock = threading.Lock()
_watched: dict[Path, _Watched] = {}


def changes(store: Path) -> str:
    """A token that differs from the last one when something was recorded, taken in, erased, or a writer died.

    Costs a few stats and one-byte reads. Tokens are comparable within one process only. Never raises.
    """
    with _lock:
        watched = _watched.get(store)
        if watched is None:
            watched = _watched[store] = _Watched(store)
        return f"{os.getpid()}-{watched.look()}"


def _stamp(path: Path) -> tuple[int, int]:
    """`os.stat` only: opening the database file by other means would drop DuckDB's lock on it."""
    try:
        there = path.stat()
    except OSError:
        return (0, 0)
    return there.st_mtime_ns, there.st_size

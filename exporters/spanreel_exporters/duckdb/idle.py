"""Knowing without opening the database that there is nothing to take in: for those who ask every moment."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from spanreel.store import DATABASE, JOURNAL
from spanreel_exporters.duckdb.folder import SEGMENT, plain_files
from spanreel_exporters.duckdb.watch import living_writers


@dataclass(frozen=True, slots=True)
class Seen:
    """The journal as it was when an ingest began: which files, how far each was filled, who lived."""

    filled: dict[str, int]
    living: frozenset[str]
    database: tuple[int, int]


class Idle:
    """Remembers, per store, the journal behind which nothing was left; this process only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Path, Seen] = {}

    def note(self, store: Path, filled: dict[str, int], living: frozenset[str]) -> None:
        """An ingest read each segment up to the given offset, found nothing behind, and these writers alive."""
        there = _segments(store)
        kept = {name: end for name, end in filled.items() if name in there}
        with self._lock:
            self._seen[store] = Seen(kept, living, _stamp(store))

    def still(self, store: Path) -> bool:
        """Whether nothing was written, nobody came or died, and the file is as it was. Never raises."""
        with self._lock:
            seen = self._seen.get(store)
        if seen is None or _segments(store) != seen.filled.keys() or _stamp(store) != seen.database:
            return False
        if living_writers(store) != seen.living:
            return False
        return not any(_has_byte(store / JOURNAL / name, end) for name, end in seen.filled.items())


def _segments(store: Path) -> set[str]:
    try:
        return {entry.name for entry in plain_files(store, SEGMENT)}
    except OSError:
        return set()


def _stamp(store: Path) -> tuple[int, int]:
    try:
        there = (store / DATABASE).stat()
    except OSError:
        return (0, 0)
    return there.st_ino, there.st_mtime_ns


def _has_byte(path: Path, at: int) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return os.pread(handle, 1, at) not in {b"", b"\0"}
    finally:
        os.close(handle)

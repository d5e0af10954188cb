"""Seeing from outside that a journal has something new, for the price of a few one-byte reads."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path

from spanreel.segment import HEADER_BYTES
from spanreel.store import JOURNAL
from spanreel_exporters.duckdb.folder import OWNER, SEGMENT, plain_files
from spanreel_exporters.duckdb.locks import owner_alive


def living_writers(store: Path) -> frozenset[str]:
    """Return the process ids (procid) whose owner file is locked by a living writer."""
    try:
        owners = plain_files(store, OWNER)
    except OSError:
        return frozenset()
    return frozenset(entry.name.removesuffix(OWNER) for entry in owners if owner_alive(Path(entry.path)))


@dataclass(slots=True)
class JournalWatch:
    """Remembers how far each segment was filled; `changed` tells whether that is no longer so."""

    store: Path
    _marks: dict[str, int] = field(default_factory=dict)
    _writers: frozenset[str] = frozenset()

    def changed(self) -> bool:
        """Return whether a segment grew, appeared or went, or a writer came or died, since `note`."""
        names = self._segments()
        if names != self._marks.keys():
            return True
        if any(self._has_byte_at(name, mark) for name, mark in self._marks.items()):
            return True
        return living_writers(self.store) != self._writers

    def note(self) -> None:
        """Take the present state as seen; called before an ingest, so that nothing is missed between."""
        marks = {name: self._end(name, self._marks.get(name, HEADER_BYTES)) for name in self._segments()}
        self._marks = marks
        self._writers = living_writers(self.store)

    def writers(self) -> frozenset[str]:
        """Return the writers alive when last noted."""
        return self._writers

    def _segments(self) -> set[str]:
        try:
            return {entry.name for entry in plain_files(self.store, SEGMENT)}
        except OSError:
            return set()

    def _has_byte_at(self, name: str, mark: int) -> bool:
        try:
            descriptor = os.open(self.store / JOURNAL / name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            return os.pread(descriptor, 1, mark) not in (b"", b"\0")
        finally:
            os.close(descriptor)

    def _end(self, name: str, start: int) -> int:
        """Return the offset of the first NUL at or after `start` (the file's size when there is none)."""
        try:
            with (self.store / JOURNAL / name).open("rb") as file:
                if os.fstat(file.fileno()).st_size <= start:
                    return start
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                    found = view.find(b"\0", start)
                    return found if found >= 0 else len(view)
        except (OSError, ValueError):
            return start

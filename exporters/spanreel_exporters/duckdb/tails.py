"""The journal as files: which segments there are, which are final, and what lies behind an offset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spanreel.errors import StoreError
from spanreel.segment import HEADER_BYTES
from spanreel.store import JOURNAL
from spanreel_exporters.duckdb.folder import OWNER, SEGMENT, plain_files
from spanreel_exporters.duckdb.locks import owner_alive

_STATE_AT: Final = 19
_SEALED: Final = b"sealed"
_FAMILY: Final = b"spanreel-journal "
_MAGIC: Final = b"spanreel-journal 1 "
_READ: Final = 256 << 10
MAX_RECORD: Final = 64 << 20
"""Bytes; a stretch this long without a line end is no record of ours."""


@dataclass(slots=True)
class SegmentFile:
    """One `.seg` file."""

    path: Path
    procid: str
    number: int
    size: int
    position: int = HEADER_BYTES
    """Where the next read starts."""
    final: bool = False
    """Nobody writes to it any more."""
    ended: bool = False
    """Final, and every byte of it has been taken."""
    newer: bool = False
    """Of a journal version that is not known here."""


@dataclass(slots=True)
class Process:
    """The segments of one writer process, in order."""

    procid: str
    alive: bool
    segments: list[SegmentFile] = field(default_factory=list)
    newer: bool = False
    """It writes a journal version that is not known here: left alone for a newer spanreel."""

    @property
    def finished(self) -> bool:
        """Dead, and every byte of it has been taken."""
        return not (self.alive or self.newer) and all(segment.ended for segment in self.segments)


@dataclass(slots=True)
class Chunk:
    """Bytes of a segment from its position on."""

    segment: SegmentFile
    data: bytes
    reached_end: bool
    """Whether `data` reaches the end of what is written."""


def scan(store: Path, positions: dict[tuple[str, int], int]) -> list[Process]:
    """Every process that has a segment or an owner file in the journal, its segments in order.

    Raises StoreError when the journal is there but cannot be listed.
    """
    found: dict[str, Process] = {}
    folder = store / JOURNAL
    try:
        entries = plain_files(store)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror or error}") from error
    for entry in entries:
        procid, _, rest = entry.name.partition(".")
        # asked of the file, not of the listing: a large directory is listed in pieces, and a writer may begin between two
        if procid not in found:
            found[procid] = Process(procid, alive=owner_alive(folder / f"{procid}{OWNER}"))
        if rest.endswith(SEGMENT):
            process = found[procid]
            segment = _segment(Path(entry.path), procid, int(rest[: -len(SEGMENT)]))
            if segment is None:
                continue
            if segment.newer:
                process.newer = True
            else:
                segment.position = positions.get((procid, segment.number), HEADER_BYTES)
                process.segments.append(segment)
    for process in found.values():
        for segment in process.segments:
            segment.final = segment.final or not process.alive
            segment.ended = segment.final and segment.position >= segment.size
    return list(found.values())


def _segment(path: Path, procid: str, number: int) -> SegmentFile | None:
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEADER_BYTES)
    except OSError:
        return None  # deleted meanwhile
    sealed = head[:_STATE_AT] == _MAGIC and head[_STATE_AT : _STATE_AT + len(_SEALED)] == _SEALED
    newer = head.startswith(_FAMILY) and not head.startswith(_MAGIC)
    return SegmentFile(path, procid, number, size, final=sealed, newer=newer)


def read(segment: SegmentFile, limit: int) -> Chunk | None:
    """Read from the segment's position: to the first NUL of a living segment, to the end of a final one.

    At most `limit` bytes, but never less than one whole record. None when there is nothing new.
    """
    try:
        handle = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data, reached = _read(handle, segment, limit)
    except OSError:
        return None
    finally:
        os.close(handle)
    return Chunk(segment, data, reached) if data else None


def _read(handle: int, segment: SegmentFile, limit: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    position, length, reached = segment.position, 0, False
    whole = False
    while not reached and (length < limit or (not whole and length < MAX_RECORD)):
        piece = os.pread(handle, min(_READ, max(limit - length, 4096)), position)
        if not piece:
            reached = True
            break
        if not segment.final:
            hole = piece.find(b"\0")
            if hole >= 0:
                piece, reached = piece[:hole], True
        whole = whole or b"\n" in piece
        pieces.append(piece)
        position += len(piece)
        length += len(piece)
    return b"".join(pieces), reached


def chunks(processes: list[Process], budget: int) -> Iterator[Chunk]:
    """Chunks of new bytes, at most about `budget` bytes in all, each process in the order it wrote."""
    left = budget
    for process in processes:
        for segment in process.segments:
            if left <= 0:
                return
            if segment.ended:
                continue
            chunk = read(segment, left)
            if chunk is None:
                segment.ended = segment.final
                continue
            left -= len(chunk.data)
            yield chunk
            if not chunk.reached_end:
                return


def pending_bytes(processes: list[Process], *, cap: int) -> int:
    """Bytes written and not taken, counted up to about `cap`."""
    total = 0
    for process in processes:
        for segment in process.segments:
            if segment.ended:
                continue
            if segment.final:
                total += _trim(segment)
            else:
                chunk = read(segment, cap)
                total += len(chunk.data) if chunk else 0
            if total >= cap:
                return total
    return total


def _trim(segment: SegmentFile) -> int:
    """Bytes of a final segment behind its position, without the NULs of room never used (if it is one of ours)."""
    room = segment.size - segment.position
    if room > MAX_RECORD:
        return room
    chunk = read(segment, segment.size)
    return len(chunk.data.rstrip(b"\0")) if chunk else 0

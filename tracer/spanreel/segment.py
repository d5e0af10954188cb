"""One preallocated, memory-mapped journal file: made, filled, sealed.

A record is placed by a single `mmap.write`: one C call that neither releases the GIL nor can be
interleaved, so a record costs a memory copy, whatever the disk or the other threads do, and is safe from
`kill -9` the moment it returns. Room is taken with `posix_fallocate`, so a full disk is met here and not
as SIGBUS later. Pages are touched ahead by `populate` on the journal's own thread.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from spanreel.guard import guard

HEADER_BYTES: Final = 64
VERSION: Final = 1
_STATE_AT: Final = 19


def header(procid: str) -> bytes:
    """The 64-byte first line of a segment."""
    return f"spanreel-journal {VERSION} open   {procid}".ljust(HEADER_BYTES - 1).encode() + b"\n"


class Segment:
    """A journal file of fixed room; `write(record)` raises ValueError when the record does not fit."""

    __slots__ = ("_fd", "_map", "_used", "path", "size", "write")

    def __init__(self, path: Path, procid: str, size: int, *, keep_gil: bool = False) -> None:
        """Create and map `path`. Raises OSError (disk full, directory gone, no permission).

        `keep_gil`: on a thread of the program's, where a released GIL may not come back for 5 ms.
        """
        self.path = path
        self.size = size
        self._used = size
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        if keep_gil:
            from spanreel import quiet

            self._fd = quiet.open_new(str(path), flags, 0o600)
        else:
            self._fd = os.open(path, flags, 0o600)
        try:
            _allocate(self._fd, size, keep_gil=keep_gil)
            self._map = mmap.mmap(self._fd, size)
        except BaseException:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise
        self._map.write(header(procid))
        self.write: Callable[[bytes], int] = self._map.write

    def grow(self, size: int) -> None:
        """Make room in place, without releasing the GIL, and hand the written pages back to the kernel.

        A new mapping would release it (`mmap.mmap` looks at the file and duplicates the descriptor); growing
        one does not. Raises OSError when the disk is full, ValueError or BufferError where it cannot be done.
        """
        from spanreel import quiet

        quiet.allocate(self._fd, size)
        self._map.resize(size)
        self.size = self._used = size
        if hasattr(mmap, "MADV_DONTNEED"):
            written = self._map.tell() & -mmap.PAGESIZE
            if written:
                self._map.madvise(mmap.MADV_DONTNEED, 0, written)

    def populate(self) -> None:
        """Touch every page ahead of use, so that no record meets a page fault (4 us each here)."""
        with guard("segment.populate"):
            from spanreel import quiet

            quiet.populate(self._map, self.size)

    def vanished(self) -> bool:
        """Whether the file no longer stands where it was made (the store was deleted or moved)."""
        try:
            there = self.path.stat()
            mine = os.fstat(self._fd)
        except OSError:
            return True
        return (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev)

    @property
    def room(self) -> int:
        """Bytes left."""
        return self.size - self._map.tell()

    def content(self) -> bytes:
        """The records of a sealed segment (without the header)."""
        return self._map[HEADER_BYTES : self._used]

    def seal(self) -> None:
        """Refuse further records and say so to readers; the file is kept."""
        self._used = self._map.tell()
        self._map.seek(0, os.SEEK_END)
        self._map[_STATE_AT : _STATE_AT + 6] = b"sealed"

    def release(self) -> None:
        """Give the pages of a sealed segment back to the kernel at once; the file keeps them."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Unmap, and give the unused tail of a sealed file back to the disk."""
        try:
            self._map.close()
        except BufferError:
            return
        if self._used < self.size:
            os.ftruncate(self._fd, self._used)
        os.close(self._fd)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's segment without touching it."""
        self.write = _refuse
        self._used = self.size
        self.close()


def _refuse(_record: bytes) -> int:
    raise ValueError("this segment is closed")


def _allocate(fd: int, size: int, *, keep_gil: bool) -> None:
    if hasattr(os, "posix_fallocate"):
        if keep_gil:
            from spanreel import quiet

            quiet.allocate(fd, size)
        else:
            os.posix_fallocate(fd, 0, size)
        return
    written = 0
    block = bytes(1 << 16)
    while written < size:
        written += os.write(fd, block[: size - written])

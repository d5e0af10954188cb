"""One preallocated, memory-mapped journal file: made, filled, sealed.

A record is placed by a single `mmap.write`: one C call that neither releases the GIL nor can be
interleaved, so a record costs a memory copy, whatever the disk or the other threads do, and is safe from
`kill -9` the moment it returns. Room is taken with `posix_fallocate`, so a full disk is met here and not
as SIGBUS later. Pages are touched ahead by `populate` on the journal's own thread.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

HEADER_BYTES: Final = 64
VERSION: Final = 1
_STATE_AT: Final = 19


def header(procid: str) -> bytes:
    """The 64-byte first line of a segment."""
    return f"spanreel-journal {VERSION} open   {procid}".ljust(HEADER_BYTES - 1).encode() + b"\n"


_strayed: list[mmap.mmap] = []
"""Mappings whose descriptors the program has closed; kept, since unmapping would close the number again."""


class Descriptor:
    """An open file of ours, known by what it is and not by its number alone.

    A program that turns into a daemon closes every descriptor, and the number may be a file of its own by now:
    what is not `ours()` any more is neither written, truncated nor closed.
    """

    __slots__ = ("identity", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.identity = _identity(os.fstat(number))

    def ours(self) -> bool:
        """Whether the number still stands for the file that was opened."""
        try:
            return _identity(os.fstat(self.number)) == self.identity
        except OSError:
            return False

    def close(self) -> None:
        """Close it, if it is still ours."""
        if self.ours():
            os.close(self.number)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_dev


class Segment:
    """A journal file of fixed room; `write(record)` raises ValueError when the record does not fit."""

    __slots__ = ("_file", "_link", "_map", "_used", "path", "size", "write")

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

            descriptor = quiet.open_new(str(path), flags, 0o600)
        else:
            descriptor = os.open(path, flags, 0o600)
        try:
            _make_room(descriptor, size, keep_gil=keep_gil)
            self._map = mmap.mmap(descriptor, size)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._file = Descriptor(descriptor)
        self._link = b""
        self._map.write(header(procid))
        self.write: Callable[[bytes], int] = self._map.write

    def grow(self, size: int) -> None:
        """Make room in place, without releasing the GIL, and hand the written pages back to the kernel.

        A new mapping would release it (`mmap.mmap` looks at the file and duplicates the descriptor); growing
        one does not. Raises OSError when the disk is full or the file no longer ours, ValueError or
        BufferError where it cannot be done.
        """
        from spanreel import quiet

        link = quiet.link(self._file.number)
        if (not link or link != self._link) and not self._file.ours():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self.path))
        self._link = link
        quiet.make_room(self._file.number, self.size, size)
        self._map.resize(size)
        self.size = self._used = size
        if hasattr(mmap, "MADV_DONTNEED"):
            written = self._map.tell() & -mmap.PAGESIZE
            if written:
                self._map.madvise(mmap.MADV_DONTNEED, 0, written)

    def vanished(self) -> bool:
        """Whether the file no longer stands where it was made (the store was deleted or moved)."""
        try:
            return _identity(self.path.stat()) != self._file.identity
        except OSError:
            return True

    def ours(self) -> bool:
        """Whether the descriptor is still the one that was opened; see `Descriptor`."""
        return self._file.ours()

    def content(self) -> bytes:
        """The records of a sealed segment (without the header)."""
        return self._map[HEADER_BYTES : self._used]

    def seal(self) -> None:
        """Refuse further records and say so to readers; the file is kept.

        Reading what is left takes the room in one C call: no record of another thread can slip in between.
        """
        self._used = self.size - len(self._map.read())
        self._map[_STATE_AT : _STATE_AT + 6] = b"sealed"

    def release(self) -> None:
        """Give the pages of a sealed segment back to the kernel at once; the file keeps them."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Unmap, and give the unused tail of a sealed file back to the disk."""
        if not self._file.ours():
            _strayed.append(self._map)
            return
        try:
            self._map.close()
        except BufferError:
            return
        if self._used < self.size:
            os.ftruncate(self._file.number, self._used)
        self._file.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's segment without touching it."""
        self.write = _refuse
        self._used = self.size
        self.close()


def _refuse(_record: bytes) -> int:
    raise ValueError("this segment is closed")


def _make_room(descriptor: int, size: int, *, keep_gil: bool) -> None:
    if keep_gil:
        from spanreel import quiet

        quiet.make_room(descriptor, 0, size)
        return
    written = 0
    block = bytes(min(size, 1 << 18))
    while written < size:
        written += os.pwrite(descriptor, block[: size - written], written)

"""The few system calls of a segment change, made without releasing the GIL.

Giving the GIL away costs nothing where it is free, but beside one CPU-bound thread every release costs the
caller a wait of up to the switch interval (5 ms): a change of segments by `os.open` and `os.posix_fallocate`
took 10-25 ms there, by these 0.2 ms. Only where the C library's symbols are as on Linux; elsewhere the `os`
functions serve.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_library = ctypes.PyDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_ZEROS = bytes(256 << 10)

if _library is not None:
    _library.open.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_uint)
    _library.pwrite.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64)
    _library.pwrite.restype = ctypes.c_ssize_t
    _library.readlink.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    _library.readlink.restype = ctypes.c_ssize_t


def open_new(path: str, flags: int, mode: int) -> int:
    """`os.open`. Raises OSError."""
    if _library is None:
        return os.open(path, flags, mode)
    descriptor: int = _library.open(os.fsencode(path), flags, mode)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return descriptor


def make_room(descriptor: int, start: int, end: int) -> None:
    """Write zeros from `start` to `end`. Raises OSError where the disk has no room for them.

    Why not `posix_fallocate`: the first touch of a mapped page then costs 2 us and more. Pages that were
    written are in memory in large folios and mapped many at a time: 12 kB cost 4 us in all instead of 10
    (Linux 6.18, ext4).
    """
    for place in range(start, end, len(_ZEROS)):
        size = min(len(_ZEROS), end - place)
        if _library is None:
            written = os.pwrite(descriptor, _ZEROS[:size], place)
        else:
            written = _library.pwrite(descriptor, _ZEROS, size, place)
        if written != size:
            number = ctypes.get_errno() if written < 0 else errno.ENOSPC
            raise OSError(number, os.strerror(number))


def link(descriptor: int) -> bytes:
    """The path that a descriptor stands for, as far as 4,096 bytes go; nothing where that cannot be told."""
    if _library is None:
        return b""
    buffer = ctypes.create_string_buffer(4_096)
    length: int = _library.readlink(b"/proc/self/fd/%d" % descriptor, buffer, 4_096)
    return buffer.raw[:length] if length > 0 else b""

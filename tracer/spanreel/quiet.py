"""The few system calls of a segment change, made without releasing the GIL.

Giving the GIL away costs nothing where it is free, but beside one CPU-bound thread every release costs the
caller a wait of up to the switch interval (5 ms): a change of segments by `os.open` and `os.posix_fallocate`
took 10-25 ms there, by these 0.2 ms. Only where the C library's symbols are as on Linux; elsewhere the `os`
functions serve.
"""

from __future__ import annotations

import ctypes
import os
import sys

_library = ctypes.PyDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_free_library = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
MADV_POPULATE_WRITE = 23
"""Linux >= 5.14 (include/uapi/asm-generic/mman-common.h); older kernels refuse it, to no harm."""

if _library is not None:
    _library.open.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_uint)
    _library.posix_fallocate.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
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


def allocate(descriptor: int, size: int) -> None:
    """`os.posix_fallocate` from the start of the file. Raises OSError."""
    if _library is None:
        os.posix_fallocate(descriptor, 0, size)
        return
    number: int = _library.posix_fallocate(descriptor, 0, size)
    if number:
        raise OSError(number, os.strerror(number))


def link(descriptor: int) -> bytes:
    """The path that a descriptor stands for, as far as 4,096 bytes go; nothing where that cannot be told."""
    if _library is None:
        return b""
    buffer = ctypes.create_string_buffer(4_096)
    length: int = _library.readlink(b"/proc/self/fd/%d" % descriptor, buffer, 4_096)
    return buffer.raw[:length] if length > 0 else b""


def populate(mapping: object, size: int) -> None:
    """Touch every page of a mapping ahead of use; this one does release the GIL, on a thread of its own."""
    if _free_library is not None:
        start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))  # type: ignore[arg-type]
        _free_library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_WRITE)

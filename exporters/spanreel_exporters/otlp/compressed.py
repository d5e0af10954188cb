"""A stream that may be compressed, read as what it holds, within bounds.

gzip (also several members) and zstd (also several frames), told by their first bytes, also one in the other. A
stream that ends too early gives what it has and then raises `OtlpError`; so does one that blows up.
"""

from __future__ import annotations

import zlib
from typing import IO, Any, Final, Protocol

from spanreel_exporters.otlp.model import OtlpError

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
CHUNK: Final = 256 << 10
MAX_RATIO: Final = 1_000
"""Times its compressed size that a stream may grow; spans as JSON compress 20 to 100 times."""
FREE_BYTES: Final = 128 << 20
"""Bytes from which on the ratio counts."""
MAX_BYTES: Final = 64 << 30
"""Bytes that one file may amount to."""
_ZSTD_BITE: Final = 2 << 10
"""Compressed bytes given to zstd at a time: its blocks may grow 30,000 times."""


class Bytes(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        ...


class Pushed:
    """A stream with some bytes put back in front of it."""

    def __init__(self, stream: Bytes, front: bytes) -> None:
        self._stream = stream
        self._front = front

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        if self._front:
            piece, self._front = self._front[:size], self._front[size:]
            return piece
        return self._stream.read(size)


def opened(stream: IO[bytes] | Bytes) -> Bytes:
    """The stream without its compression. Raises OtlpError where zstd is asked for and cannot be had."""
    found: Bytes = stream
    for _ in range(2):
        head = b""
        while len(head) < 4 and (piece := found.read(4 - len(head))):
            head += piece
        found = Pushed(found, head)
        if head.startswith(GZIP):
            found = _Gzip(found)
        elif head == ZSTD:
            found = _Zstd(found)
        else:
            break
    return found


class _Inflating:
    """Shared by both: counts what goes in and comes out."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._taken = self._given = 0
        self._ready = b""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        while not self._ready:
            self._bounded()
            piece = self._more()
            if piece is None:
                return b""
            self._ready = piece
            self._given += len(piece)
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _more(self) -> bytes | None:
        raise NotImplementedError

    def _bounded(self) -> None:
        if self._given > MAX_BYTES:
            raise OtlpError(self._given, f"unpacks to more than {MAX_BYTES >> 30} GB")
        if self._given > FREE_BYTES and self._given > MAX_RATIO * max(self._taken, 1):
            raise OtlpError(self._given, f"unpacks to more than {MAX_RATIO:,} times its size")

    def _cut(self, what: str) -> OtlpError:
        return OtlpError(self._given, f"the {what} stream is cut off")


class _Gzip(_Inflating):
    def __init__(self, stream: Bytes) -> None:
        super().__init__(stream)
        self._inflate: Any = zlib.decompressobj(31)
        self._rest = b""

    def _more(self) -> bytes | None:
        if self._inflate.eof:
            self._rest = self._inflate.unused_data or self._stream.read(CHUNK)
            if not self._rest.strip(b"\0"):  # padding behind the last member
                return None
            self._inflate = zlib.decompressobj(31)
        data = self._rest or self._inflate.unconsumed_tail or self._stream.read(CHUNK)
        self._rest = b""
        if not data:
            raise self._cut("gzip")
        try:
            piece: bytes = self._inflate.decompress(data, 1 << 20)
        except zlib.error as error:
            raise OtlpError(self._given, f"no gzip: {error}") from error
        self._taken += len(data) - len(self._inflate.unconsumed_tail)
        return piece


class _Zstd(_Inflating):
    def __init__(self, stream: Bytes) -> None:
        super().__init__(stream)
        self._inflate: Any = _zstd()
        self._rest = b""

    def _more(self) -> bytes | None:
        data = self._rest[:_ZSTD_BITE]
        self._rest = self._rest[_ZSTD_BITE:]
        if not data:
            self._rest = self._stream.read(CHUNK)
            data, self._rest = self._rest[:_ZSTD_BITE], self._rest[_ZSTD_BITE:]
        if self._inflate.eof:
            if not data:
                return None
            self._inflate = _zstd()
        if not data:
            raise self._cut("zstd")
        try:
            piece: bytes = self._inflate.decompress(data)
        except Exception as error:
            raise OtlpError(self._given, f"no zstd: {error}") from error
        self._taken += len(data)
        if self._inflate.eof:
            self._rest = self._inflate.unused_data + self._rest
        return piece


def _zstd() -> Any:
    """A decompressor of the standard library (from Python 3.14 on) or of `zstandard`."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        pass
    else:
        return zstd.ZstdDecompressor()
    try:
        import zstandard
    except ImportError as error:
        raise OtlpError(0, "compressed with zstd, which needs `pip install zstandard`") from error
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

"""Content-Encoding undone for libraries that hand out the bytes as they came; gzip, deflate, br and zstd.

A body is decoded chunk by chunk, so that what a chunk decodes to keeps that chunk's time. The decoders for br
and zstd are those of the packages that HTTP libraries use themselves.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Decoder(Protocol):
    def decompress(self, data: bytes, /) -> bytes:
        """What the next bytes decode to. Raises on bytes that are not of this encoding."""
        ...


MOST = 32 << 20
"""Decoded bytes of one body; a few bytes of zeros may stand for gigabytes that nobody asked for."""


def decode(encoding: str, chunks: Sequence[bytes]) -> list[bytes]:
    """Return what each chunk decodes to; from where it cannot be decoded on, or after `MOST` bytes, nothing. Total.

    An encoding that is not known here leaves the chunks as they are.
    """
    decoded = list(chunks)
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if name in {"", "identity"}:
            continue
        decoder = _decoder(name)
        if decoder is None:
            return decoded
        decoded = _decoded(decoder, decoded)
    return decoded


def _decoded(decoder: _Decoder, chunks: Sequence[bytes]) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            found.append(decoder.decompress(chunk))
            size += len(found[-1])
            if size > MOST:
                break
    except Exception:
        pass
    return found + [b""] * (len(chunks) - len(found))


def _decoder(name: str) -> _Decoder | None:
    make = _DECODERS.get(name)
    return make() if make is not None else None


class _Gzip:
    """Gzip of one or several members."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def decompress(self, data: bytes, /) -> bytes:
        decoded = self._inner.decompress(data, MOST)
        while self._inner.eof and self._inner.unused_data.lstrip(b"\0") and len(decoded) < MOST:
            rest = self._inner.unused_data
            self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            decoded += self._inner.decompress(rest, MOST)
        return decoded


class _Deflate:
    """Deflate with its zlib header, or without, as some servers send it."""

    __slots__ = ("_inner", "_tried")

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._tried: bytes | None = b""

    def decompress(self, data: bytes, /) -> bytes:
        try:
            decoded = self._inner.decompress(data, MOST)
        except zlib.error:
            if self._tried is None:
                raise
            self._inner, data, self._tried = zlib.decompressobj(-zlib.MAX_WBITS), self._tried + data, None
            return self._inner.decompress(data, MOST)
        if self._tried is not None:
            self._tried = None if decoded else self._tried + data
        return decoded


class _Brotli:
    __slots__ = ("_inner",)

    def __init__(self, package: Any) -> None:
        self._inner = package.Decompressor()

    def decompress(self, data: bytes, /) -> bytes:
        step = getattr(self._inner, "decompress", None) or self._inner.process
        return bytes(step(data))


def _brotli() -> _Decoder | None:
    package = _first("brotlicffi", "brotli")
    return None if package is None else _Brotli(package)


def _zstd() -> _Decoder | None:
    package = _first("compression.zstd", "backports.zstd")
    if package is not None:
        found: _Decoder = package.ZstdDecompressor()
        return found
    package = _first("zstandard")
    return None if package is None else package.ZstdDecompressor().decompressobj()


def _first(*packages: str) -> Any:
    for package in packages:
        try:
            return import_module(package)
        except ImportError:
            continue
    return None


_DECODERS: dict[str, Callable[[], _Decoder | None]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _brotli,
    "zstd": _zstd,
}

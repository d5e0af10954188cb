"""The messages in a file: one document, a JSON array, JSON lines, or length-delimited messages.

Length-delimited is what the Collector's file exporter writes (4 bytes, big-endian; with compression each message
is compressed by itself), and also the varint of protobuf's own `writeDelimitedTo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from spanreel_exporters.otlp import decode_json, decode_protobuf
from spanreel_exporters.otlp.compressed import CHUNK, GZIP, ZSTD, Bytes, opened
from spanreel_exporters.otlp.model import Decoded, OtlpError, Problem

MAX_MESSAGE: Final = 512 << 20
"""Bytes of one message, line or document."""
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_FOREIGN: Final = "neither OTLP-JSON nor OTLP-protobuf"
_ARCHIVES: Final = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PAR1": "Parquet",
}
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


class _Pieces:
    """A stream with a look ahead and the offset of what comes next."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self.data = b""
        self.offset = 0
        self.fault: OtlpError | None = None
        """Why the stream ended before its end."""

    def fill(self, size: int) -> bool:
        """Have at least `size` bytes ready; False where the stream ends before."""
        pieces, there = [self.data], len(self.data)
        while there < size and self.fault is None:
            try:
                piece = self._stream.read(CHUNK)
            except OtlpError as error:
                self.fault = error
                break
            except OSError as error:
                self.fault = OtlpError(self.offset + there, error.strerror or str(error))
                break
            if not piece:
                break
            pieces.append(piece)
            there += len(piece)
        self.data = b"".join(pieces)
        return there >= size

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or what is left."""
        self.fill(size)
        taken, self.data = self.data[:size], self.data[size:]
        self.offset += len(taken)
        return taken

    def line(self) -> bytes:
        """The next line with its LF; the rest where there is none."""
        looked = 0
        while True:
            end = self.data.find(b"\n", looked)
            if end >= 0:
                return self.take(end + 1)
            looked = len(self.data)
            if looked > MAX_MESSAGE:
                raise OtlpError(self.offset, f"a line of more than {MAX_MESSAGE >> 20} MB")
            if not self.fill(looked + 1):
                return self.take(looked)

    def rest(self) -> bytes:
        """All that is left."""
        if self.fill(MAX_MESSAGE + 1):
            raise OtlpError(self.offset, f"a document of more than {MAX_MESSAGE >> 20} MB")
        return self.take(len(self.data))


def messages(stream: Bytes, problem: Problem) -> Iterator[Decoded]:
    """What the messages of a stream hold; `problem` is told of everything that could not be read. Total."""
    try:
        pieces = _Pieces(opened(stream))
        yield from _sniffed(pieces, problem)
        if pieces.fault is not None:
            problem(pieces.fault.offset, pieces.fault.reason)
    except OtlpError as error:
        problem(error.offset, error.reason)
    except OSError as error:
        problem(0, error.strerror or str(error))


def _sniffed(pieces: _Pieces, problem: Problem) -> Iterator[Decoded]:
    pieces.fill(300)
    if pieces.data.startswith(_BOM):
        pieces.take(3)
    head = pieces.data
    start = head.lstrip(_SPACE)[:1]
    if not start:
        if pieces.fault is None and not head:
            return
        yield from _json_lines(pieces, problem)
    elif start in b"{[":
        yield from _json_lines(pieces, problem)
    elif head[:4] in _ARCHIVES:
        raise OtlpError(0, f"{_ARCHIVES[head[:4]]}, not OTLP; unpack or convert it first")
    elif head[257:262] == b"ustar":
        raise OtlpError(0, "a tar archive, not OTLP; unpack it first")
    elif _is_framed(head) and (
        pieces.fill(4 + int.from_bytes(head[:4], "big")) or not _is_plain(pieces.data)
    ):
        yield from _framed(pieces, problem)
    else:
        yield from _protobuf(pieces, problem)


# -- JSON -----------------------------------------------------------------------------


def _json_lines(pieces: _Pieces, problem: Problem) -> Iterator[Decoded]:
    """One document on each line; where the first line is none, the whole is one document."""
    at = pieces.offset
    line = pieces.line()
    while not line.strip() and (pieces.data or pieces.fill(1)):
        at, line = pieces.offset, pieces.line()
    message = _parsed(line)
    if message is None:
        yield from _document(line, pieces, at, problem)
        return
    while line or pieces.fill(1):
        if line.strip():
            yield from _line(line, message, at, problem)
        at, line = pieces.offset, pieces.line()
        message = _parsed(line)


def _line(line: bytes, message: Any, at: int, problem: Problem) -> Iterator[Decoded]:
    if message is not None:
        yield from _values(message, at, problem)
    else:
        yield from _salvaged(line, at, problem)


def _document(first: bytes, pieces: _Pieces, at: int, problem: Problem) -> Iterator[Decoded]:
    """One JSON document over many lines, several behind each other, or lines of which the first is broken."""
    data = first + pieces.rest()
    message = _parsed(data)
    if message is not None:
        yield from _values(message, at, problem)
        return
    lines = data.split(b"\n")
    if any(decode_json.is_otlp(_parsed(line)) for line in lines[1:8] if line.strip()):
        for line in lines:
            if line.strip():
                yield from _line(line, _parsed(line), at, problem)
            at += len(line) + 1
        return
    yield from _salvaged(data, at, problem)


def _parsed(data: bytes) -> Any:
    """A JSON object or array, or None."""
    try:
        found = orjson.loads(data)
    except ValueError:
        from spanreel.protocols.shapes import parse

        found = parse(data) if data.rstrip()[-1:] in {b"}", b"]"} and len(data) < (64 << 20) else None
    return found if isinstance(found, (dict, list)) else None


def _values(message: Any, at: int, problem: Problem) -> Iterator[Decoded]:
    """The messages that a JSON value is: itself, or the items of an array."""
    items = message if isinstance(message, list) else [message]
    for item in items:
        if decode_json.is_otlp(item):
            yield decode_json.decode(item)
        elif isinstance(item, dict) and ("scopeSpans" in item or "scope_spans" in item):
            yield decode_json.decode({"resourceSpans": [item]})
        elif isinstance(item, dict) and ("scopeLogs" in item or "scope_logs" in item):
            yield decode_json.decode({"resourceLogs": [item]})
        else:
            problem(at, "JSON, but no OTLP: neither resourceSpans nor resourceLogs")
            return


def _salvaged(data: bytes, at: int, problem: Problem) -> Iterator[Decoded]:
    """Documents behind each other, and of a broken one whatever was closed before the break."""
    position = 0
    while position < len(data):
        end, closed, stack = _extent(data, position)
        message = _parsed(data[position:end]) if end else None
        if message is None:
            problem(at + _fault(data[position:]) + position, "no JSON any more, or cut off")
            message = _parsed(data[position:closed] + stack) if closed else None
            if message is not None:
                yield from _values(message, at, problem)
            return
        yield from _values(message, at + position, problem)
        position = end + len(data[end:]) - len(data[end:].lstrip(_SPACE))


def _extent(data: bytes, start: int) -> tuple[int, int, bytes]:
    """(end of the JSON value at `start` or 0, end of the last object closed in it, what would close the rest)."""
    stack: list[bytes] = []
    closed, pending = 0, b""
    for token in _TOKEN.finditer(data, start):
        what = token.group()[:1]
        if what in {b"{", b"["}:
            stack.append(b"}" if what == b"{" else b"]")
        elif what in {b"}", b"]"}:
            if not stack or stack.pop() != what:
                break
            if not stack:
                return token.end(), token.end(), b""
            if what == b"}" and stack[-1] == b"]" and len(stack) <= _LEAF_DEPTH:
                closed, pending = token.end(), b"".join(reversed(stack))
    return 0, closed, pending


_LEAF_DEPTH: Final = 7
"""Brackets that are open around a span of a TracesData (`{[{[{[`), and one more for an array around all."""


def _fault(data: bytes) -> int:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return len(data.decode("utf-8", "replace")[: error.pos].encode())  # it counts characters
    return 0


# -- protobuf -------------------------------------------------------------------------


MAX_FRAME: Final = b"\n"[0] << 24
"""Bytes; a length that is no less cannot be told from the first byte of a message without a length."""


def _is_plain(data: bytes) -> bool:
    """Whether it is protobuf without 4-byte lengths."""
    return decode_protobuf.is_message(data) or bool(decode_protobuf.delimited(data))


def _is_framed(head: bytes) -> bool:
    """Whether a 4-byte length stands first, and behind it what a message or its compression begins with."""
    if len(head) < 5:
        return False
    size = int.from_bytes(head[:4], "big")
    body = head[4:8]
    return 0 < size < MAX_FRAME and (body[:1] in {b"\n", b"{", b"["} or body[:2] == GZIP or body[:4] == ZSTD)


def _framed(pieces: _Pieces, problem: Problem) -> Iterator[Decoded]:
    while pieces.fill(1):
        at = pieces.offset
        size = int.from_bytes(pieces.take(4), "big")
        if not 0 <= size <= MAX_MESSAGE:
            raise OtlpError(at, f"a message of {size:,} bytes is announced")
        body = pieces.take(size)
        if len(body) < size:
            problem(pieces.offset, f"cut off: {size:,} bytes announced, {len(body):,} there")
        yield from _body(body, at + 4, problem)


def _body(body: bytes, at: int, problem: Problem) -> Iterator[Decoded]:
    """One message out of a frame: protobuf or JSON, compressed by itself or not."""

    def there(offset: int, reason: str) -> None:
        problem(at + offset, reason)

    if body[:2] == GZIP or body[:4] == ZSTD:
        inner = _Pieces(opened(_Memory(body)))
        body = inner.rest()
        if inner.fault is not None:
            there(0, inner.fault.reason)
    if body.lstrip(_SPACE)[:1] in {b"{", b"["}:
        message = _parsed(body)
        yield from _salvaged(body, at, problem) if message is None else _values(message, at, problem)
    elif body:
        yield decode_protobuf.decode(body, problem, base=at)


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def _protobuf(pieces: _Pieces, problem: Problem) -> Iterator[Decoded]:
    """One message, or several behind each other with their lengths as varints."""
    at = pieces.offset
    data = pieces.rest()
    if decode_protobuf.is_message(data):
        yield decode_protobuf.decode(data, problem, base=at)
        return
    parts = decode_protobuf.delimited(data)
    if parts:
        for offset, part in parts:
            yield decode_protobuf.decode(part, problem, base=at + offset)
        return
    if data[:1] != b"\n":
        raise OtlpError(at, _FOREIGN)
    yield decode_protobuf.decode(data, problem, base=at)

"""application/vnd.amazon.eventstream: binary frames with headers, a payload and two checksums.

A frame is its length, the length of its headers, the CRC of these eight bytes, headers, payload, and the CRC of all
that (big endian; smithy.io, "Amazon Event Stream Specification"). Where a frame is broken, reading goes on at the
next one that can be told; a frame that was cut off is none.
"""

from __future__ import annotations

import base64
import struct
from binascii import crc32
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import orjson

from spanreel.protocols.shapes import mapping, parse, text
from spanreel.protocols.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_OVERHEAD = 16
"""Bytes of a frame beside its headers and payload."""
_MOST = 24 << 20
"""The specification's limits: 16 MiB of payload, 128 kB of headers."""
_SEARCHED = 1 << 20
"""Bytes that are searched for the next frame where one is broken."""
_FIXED = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Header type -> bytes of its value; 0 and 1 are true and false, 6 and 7 bytes and text with their length."""
_BYTES, _TEXT = 6, 7


class Frame(NamedTuple):
    """One frame, where it stands in the body, and its headers as bytes and as far as they are text."""

    start: int
    end: int
    raw_headers: bytes
    headers: Mapping[str, str]
    payload: bytes


def looks_like(data: bytes) -> bool:
    """Tell whether a body begins with a frame: by the checksum of its first eight bytes."""
    return _length(data, 0) is not None


def frames(data: bytes, start: int = 0) -> Iterator[Frame]:
    """Yield the whole frames of `data` from offset `start` on, those passed over whose checksum is wrong."""
    for begin, end in _places(data, start):
        frame = _frame(data, begin, end)
        if frame is not None:
            yield frame


def events(data: bytes, start: int = 0) -> Iterator[Event]:
    """Yield the events of a body; one of a model's own stream (InvokeModel) is unpacked from its chunk."""
    for frame in frames(data, start):
        yield _event(frame)


def last(data: bytes, count: int) -> list[Event]:
    """Return the last `count` events, oldest first."""
    places = deque(_places(data, 0), maxlen=count)
    found = [_frame(data, begin, end) for begin, end in places]
    return [_event(frame) for frame in found if frame is not None]


def inner(frame: Frame) -> bytes | None:
    """Return the bytes that a chunk of a model's own stream carries; None for all other frames."""
    if frame.headers.get(":event-type") != "chunk":
        return None
    packed = text(mapping(parse(frame.payload)).get("bytes"))
    if packed is None:
        return None
    try:
        return base64.b64decode(packed)
    except ValueError:
        return None


def encode(raw_headers: bytes, payload: bytes) -> bytes:
    """Make a frame."""
    prelude = struct.pack(">II", _OVERHEAD + len(raw_headers) + len(payload), len(raw_headers))
    frame = prelude + _CRC.pack(crc32(prelude)) + raw_headers + payload
    return frame + _CRC.pack(crc32(frame))


def _event(frame: Frame) -> Event:
    headers, payload = frame.headers, frame.payload
    kind = headers.get(":message-type")
    if kind == "exception":
        told = mapping(parse(payload))
        return _failure(frame, headers.get(":exception-type"), told.get("message") or told.get("Message"))
    if kind == "error":
        return _failure(frame, headers.get(":error-code"), headers.get(":error-message"))
    unpacked = inner(frame)
    if unpacked is not None:
        return Event("", unpacked, frame.end)
    return Event(headers.get(":event-type", ""), payload, frame.end)


def _failure(frame: Frame, kind: str | None, message: object) -> Event:
    """An exception inside a stream, in the form that others send theirs in."""
    error = {"type": kind or "exception", "message": text(message) or ""}
    return Event("error", orjson.dumps({"type": "error", "error": error}), frame.end)


def _places(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where each frame begins and ends, by the lengths they tell."""
    position = start
    while position + _OVERHEAD <= len(data):
        length = _length(data, position)
        if length is None:
            found = _next(data, position + 1)
            if found is None:
                return
            position = found
            continue
        if position + length > len(data):
            return
        yield position, position + length
        position += length


def _next(data: bytes, start: int) -> int | None:
    """Where the next beginning of a frame is that can be told."""
    stop = min(len(data) - _OVERHEAD, start + _SEARCHED)
    return next((place for place in range(start, stop + 1) if _length(data, place) is not None), None)


def _length(data: bytes, position: int) -> int | None:
    """Return the length of the frame at `position`; None where no frame begins there."""
    if position + _PRELUDE.size > len(data):
        return None
    total, headers, checksum = _PRELUDE.unpack_from(data, position)
    if not headers + _OVERHEAD <= total <= _MOST or crc32(data[position : position + 8]) != checksum:
        return None
    return int(total)


def _frame(data: bytes, begin: int, end: int) -> Frame | None:
    if crc32(data[begin : end - 4]) != _CRC.unpack_from(data, end - 4)[0]:
        return None
    split = begin + _PRELUDE.size + int(_CRC.unpack_from(data, begin + 4)[0])
    raw_headers = data[begin + _PRELUDE.size : split]
    return Frame(begin, end, raw_headers, _headers(raw_headers), data[split : end - 4])


def _headers(data: bytes) -> dict[str, str]:
    """Return the headers whose values are text; from a broken one on, none."""
    found: dict[str, str] = {}
    position = 0
    while position < len(data):
        named = position + 1 + data[position]
        if named >= len(data):
            return found
        name, kind, position = data[position + 1 : named].decode("utf-8", "replace"), data[named], named + 1
        if kind in {_BYTES, _TEXT}:
            if position + 2 > len(data):
                return found
            size = int.from_bytes(data[position : position + 2], "big")
            position += 2
            if kind == _TEXT and position + size <= len(data):
                found[name] = data[position : position + size].decode("utf-8", "replace")
        elif kind in _FIXED:
            size = _FIXED[kind]
        elif kind in {0, 1}:
            size = 0
        else:
            return found
        position += size
    return found

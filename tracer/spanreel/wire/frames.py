"""Secrets taken out of Amazon's event streams: what the frames carry is cleaned as lines, and framed again.

A frame without a secret stays byte for byte, the others get new lengths and checksums: what is recorded can be
played back to the SDK.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from typing import TYPE_CHECKING

import orjson

from spanreel.protocols import event_stream
from spanreel.protocols.shapes import mapping, parse
from spanreel.wire import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.protocols.event_stream import Frame
    from spanreel.redaction import Redactor

_PREFIX, _END = b"data: ", b"\n\n"
_WHITE_SPACE = bytes.maketrans(b"\r\n", b"  ")


def clean(data: bytes, offsets: Sequence[int], redactor: Redactor) -> tuple[bytes, list[int]]:
    """Return the frames without secrets, and where the chunk `offsets` lie in them.

    What stands between the frames, or was cut off at the end, cannot be looked into and is left out.
    """
    found = list(event_stream.frames(data))
    carried = [event_stream.inner(frame) for frame in found]
    payloads = [
        frame.payload if inner is None else inner for frame, inner in zip(found, carried, strict=True)
    ]
    lines = _END.join(_PREFIX + payload.translate(_WHITE_SPACE) for payload in payloads)
    cleaned, _ = redactor.sse_bytes(lines, ())
    cleaned, _ = split.without_secrets(cleaned, (), redactor)
    if cleaned == lines and sum(frame.end - frame.start for frame in found) == len(data):
        return data, list(offsets)
    pieces = [line.removeprefix(_PREFIX) for line in cleaned.split(_END)] if found else []
    if len(pieces) != len(found):  # a redaction that breaks lines: nothing of it can be trusted
        pieces = [b"{}"] * len(found)
    before = [payload.translate(_WHITE_SPACE) for payload in payloads]
    new = [
        data[frame.start : frame.end] if piece == old else _framed(frame, piece, packed=inner is not None)
        for frame, inner, piece, old in zip(found, carried, pieces, before, strict=True)
    ]
    return b"".join(new), _moved(offsets, found, new)


def _framed(frame: Frame, payload: bytes, *, packed: bool) -> bytes:
    if packed:
        outer = {**mapping(parse(frame.payload)), "bytes": base64.b64encode(payload).decode()}
        payload = orjson.dumps(outer)
    return event_stream.encode(frame.raw_headers, payload)


def _moved(offsets: Sequence[int], old: Sequence[Frame], new: Sequence[bytes]) -> list[int]:
    """Where each offset lies after its frame became another: as deep in it, at most at its end."""
    starts = [frame.start for frame in old]
    begins, total = [], 0
    for frame in new:
        begins.append(total)
        total += len(frame)
    moved: list[int] = []
    for offset in offsets:
        place = bisect_right(starts, offset) - 1
        moved.append(begins[place] + min(offset - starts[place], len(new[place])) if place >= 0 else 0)
    return moved

"""Provider bytes without what the bodies already hold: long strings become references, exactly reversible.

A call seen on the wire has its messages twice: in the request and response as they went over it, and in the
span's input and output. Strings of the bodies that stand in the wire text verbatim (JSON-escaped alike) are
replaced by `SOH start:length SOH`, offsets in characters of the body. That halves what a call takes on disk.
"""

from __future__ import annotations

import re
from typing import Final

MARK: Final = "\x01"
"""SOH: JSON escapes it inside strings, so that it hardly ever stands raw in a text; where it does it is doubled."""
_STRING: Final = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_LONG: Final = 64
"""Characters from which a string is worth a reference."""
_REFERENCE: Final = re.compile(f"{MARK}(?:{MARK}|(\\d+):(\\d+){MARK})")
_MOST: Final = 256
"""Strings of one body that are looked for at most: bounds the time for a body of very many strings."""


def pack(text: str, body: str | None) -> str:
    """Replace the long strings of `body` inside `text` by references; `unpack` gives `text` back."""
    text = text.replace(MARK, MARK + MARK)
    if not body or MARK in body:
        return text
    sought = 0
    for found in _STRING.finditer(body):
        length = found.end(1) - found.start(1)
        if length < _LONG:
            continue
        text = text.replace(found[1], f"{MARK}{found.start(1)}:{length}{MARK}")
        sought += 1
        if sought >= _MOST:
            break
    return text


def unpack(text: str, body: str | None) -> str:
    """The text that `pack` was given. A reference whose body is gone stays a reference."""
    if MARK not in text:
        return text

    def fetch(reference: re.Match[str]) -> str:
        if reference[1] is None:
            return MARK
        start, length = int(reference[1]), int(reference[2])
        whole = body is not None and start + length <= len(body)
        return body[start : start + length] if body and whole else reference[0]

    return _REFERENCE.sub(fetch, text)

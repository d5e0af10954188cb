"""Provider bytes without what the bodies already hold: long strings become references, exactly reversible.

A call seen on the wire has its messages twice: in the request and response as they went over it, and in the
span's input and output. Strings of the bodies that stand in the wire text verbatim (JSON-escaped alike) are
replaced by `SOH start:length SOH`, offsets in characters of the body. That halves what a call takes on disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MARK: Final = "\x01"
"""SOH: JSON escapes it inside strings, so that it hardly ever stands raw in a text; where it does it is doubled."""
_LONG: Final = 64
"""Characters from which a string is worth a reference."""
_TRIES: Final = 16
"""Places that begin like a string and are looked at one by one."""
_STRETCH: Final = re.compile(f'[^"]{{{_LONG},}}')
_REFERENCE: Final = re.compile(f"{MARK}(?:{MARK}|(\\d+):(\\d+){MARK})")
_MOST: Final = 256
"""Strings of one body that are looked for at most: bounds the time for a body of very many strings."""


def pack(text: str, body: str | None) -> str:
    """Replace the long strings of `body` inside `text` by references; `unpack` gives `text` back."""
    if MARK in text:
        text = text.replace(MARK, MARK + MARK)
    if not body or MARK in body:
        return text
    for sought, (begin, end) in enumerate(_whole(body) if '\\"' in body else _between(body)):
        if sought >= _MOST:
            break
        text = _replaced(text, body[begin:end], f"{MARK}{begin}:{end - begin}{MARK}")
    return text


def _replaced(text: str, sought: str, reference: str) -> str:
    """As `str.replace`, without its preparations for a long needle, which take longer than all the rest."""
    head = sought[:_LONG]
    at = text.find(head)
    pieces: list[str] = []
    done = 0
    for _ in range(_TRIES):
        if at < 0:
            break
        if text.startswith(sought, at):
            pieces += (text[done:at], reference)
            done = at + len(sought)
            at = text.find(head, done)
        else:
            at = text.find(head, at + 1)
    else:
        return "".join(pieces) + text[done:].replace(sought, reference)
    return "".join(pieces) + text[done:] if pieces else text


def _between(body: str) -> Iterator[tuple[int, int]]:
    """Where the long strings of a JSON text without escaped quotes begin and end."""
    return (found.span() for found in _STRETCH.finditer(body))


def _whole(body: str) -> Iterator[tuple[int, int]]:
    """Where the long strings of any JSON text begin and end; slower."""
    begin = end = 0
    for piece in body.split('"'):
        end += len(piece)
        if piece[-1:] == "\\" and (len(piece) - len(piece.rstrip("\\"))) % 2:
            end += 1  # the quote was escaped: the string goes on
            continue
        if end - begin >= _LONG:
            yield begin, end
        begin = end = end + 1


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

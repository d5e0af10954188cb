"""Cleaning the raw bytes of HTTP bodies: JSON, server-sent events, JSON lines, and bodies that were cut.

What can be parsed is rebuilt, and only if something was found in it; the rest is edited in place. So a body
without secrets stays byte for byte, valid JSON stays valid, and an event of a stream stays one line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
from ahocorasick_rs import BytesAhoCorasick, MatchKind

from spanreel import credentials
from spanreel.field_names import REDACTED, TRUTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.redaction import Redactor

_FIELD = re.compile(rb'"([^"\\]{2,80})"\s*:\s*(?:"((?:[^"\\]|\\.)*)(?:"|\\?$)|([^\s,}\]"{\[]+))', re.DOTALL)
_NAME = re.compile(rb'"([^"\\]{2,80}+)\\*+"\s*+:')
_find_stems = BytesAhoCorasick(
    [b"keyid", b"key", b"secret", b"token", b"authorization", b"string", b"credential", b"phrase", b"word", b"wd",
     b"auth", b"cookie", b"jwt", b"code"],
    matchkind=MatchKind.LeftmostFirst,
).find_matches_as_indexes  # fmt: skip
"""What every secret name of ours ends with (tested), lower case: 50 kB are searched in 30 us, by `_NAME` in 230."""
_NAME_ENDS = re.compile(rb's?[^A-Za-z0-9"\\]*+(?=\\*+"\s*+:)', re.IGNORECASE)
_INNER = re.compile(rb'(\\+")([^"\\]{2,80})\1\s*:\s*\1((?:(?!\1)[^"])*)', re.DOTALL)
"""A field of JSON that is a string itself."""
_ESCAPED = re.compile(rb"\\(?:/|u00)")
_SSE_FIELDS = (b"event:", b"id:", b"retry:", b":")

Change = tuple[int, int, bytes]
"""(start, end, what to put there)."""


def clean(redactor: Redactor, data: bytes) -> bytes:
    """Clean a whole body; see `Redactor.json_bytes`."""
    if redactor.idle:
        return data
    try:
        tree = orjson.loads(data)
        new = redactor.tree(tree, "", 0)
        if new is not tree:
            data = orjson.dumps(new)
        elif redactor.defaults and _ESCAPED.search(data):
            plain = orjson.dumps(tree)  # a secret may be written in escapes: see it without them
            if credentials.suspicious(plain):
                data = plain
    except (ValueError, TypeError, RecursionError):
        return clean_lines(redactor, data, ())[0]
    return redactor.shapes(data)


def clean_lines(redactor: Redactor, data: bytes, offsets: Sequence[int]) -> tuple[bytes, list[int]]:
    """Clean a body line by line and move the offsets; see `Redactor.sse_bytes`."""
    changes: list[Change] = []
    if redactor.defaults and credentials.suspicious(data):
        changes += credentials.edits(data)
    if redactor.per_string or _has_secret_name(redactor, data):
        changes += _lines(redactor, data)
    if not changes:
        return data, list(offsets)
    new, moves = credentials.apply(data, changes)
    return new, credentials.moved(offsets, moves)


def _has_secret_name(redactor: Redactor, data: bytes) -> bool:
    """Whether some field, also of JSON that is a string itself, has a name whose value is to be hidden."""
    if redactor.names:
        return any(redactor.hides(_decoded(name)) for name in set(_NAME.findall(data)))
    for _, start, end in _find_stems(data.lower()):
        rest = _NAME_ENDS.match(data, end)
        if rest is not None and redactor.hides(_decoded(data[data.rfind(b'"', 0, start) + 1 : rest.end()])):
            return True
    return False


def _lines(redactor: Redactor, data: bytes) -> list[Change]:
    changes: list[Change] = []
    start = 0
    for line in data.splitlines(keepends=True):
        payload = line.rstrip(b"\r\n")
        at = 5 if payload.startswith(b"data:") else 0
        at += len(payload[at:]) - len(payload[at:].lstrip())
        if payload[at:]:
            changes += _line(redactor, payload[at:], start + at)
        start += len(line)
    return changes


def _line(redactor: Redactor, payload: bytes, start: int) -> list[Change]:
    try:
        tree = orjson.loads(payload)
        new = redactor.tree(tree, "", 0)
        if new is tree:
            return []
        return [(start, start + len(payload), redactor.shapes(orjson.dumps(new)))]
    except (ValueError, TypeError, RecursionError):
        pass
    if redactor.withhold or redactor.callback is not None:
        if payload == b"[DONE]" or payload.startswith(_SSE_FIELDS):
            return []
        return [(start, start + len(payload), orjson.dumps(redactor.string(_decoded(payload))))]
    return _in_place(redactor, payload, start)


def _in_place(redactor: Redactor, payload: bytes, start: int) -> list[Change]:
    """Find secret fields and the user's patterns in text that does not parse."""
    changes: list[Change] = []
    for found in _FIELD.finditer(payload):
        quoted, bare = found.group(2), found.group(3)
        if redactor.hides(_decoded(found.group(1))) and (quoted or (bare and _decoded(bare) not in TRUTHS)):
            group = 2 if quoted else 3
            text = REDACTED.encode() if quoted else orjson.dumps(REDACTED)
            changes.append((start + found.start(group), start + found.end(group), text))
    changes += [
        (start + found.start(3), start + found.end(3), REDACTED.encode())
        for found in _INNER.finditer(payload)
        if found.group(3) and redactor.hides(_decoded(found.group(2)))
    ]
    text_now = _decoded(payload)
    for expression, replacement in redactor.patterns:
        for hit in expression.finditer(text_now):
            first = len(text_now[: hit.start()].encode())
            last = first + len(hit.group().encode())
            changes.append((start + first, start + last, replacement.encode()))
    return changes


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")

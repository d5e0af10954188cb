"""Secrets that a stream brings in pieces, so that no single event shows them: found in the text they add up to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from ahocorasick_rs import BytesAhoCorasick, MatchKind

from spanreel import credentials
from spanreel.protocols import shapes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from spanreel.redaction import Redactor

_KEYS = (
    "content", "arguments", "delta", "text", "thinking", "partial_json", "reasoning", "reasoning_content",
    "refusal", "transcript", "input", "code", "response", "generation", "outputText", "completion", "tool_plan",
)  # fmt: skip
"""Fields whose texts are pieces of a longer one, over all protocols."""

_find_keys = BytesAhoCorasick(
    [b'"%s":' % key.encode() for key in _KEYS], matchkind=MatchKind.LeftmostFirst
).find_matches_as_indexes
_PIECE = re.compile(rb'\s*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_MARKS = ("index", "output_index", "content_index", "summary_index", "item_id", "contentBlockIndex")
"""Fields that tell pieces of different texts apart."""
_DEPTH = 60
_DATA = re.compile(rb"^(?:data: ?)?(\{.*\})\s*?$", re.MULTILINE)
"""An event of one line: of server-sent events, or of JSON lines."""


def without_secrets(data: bytes, offsets: Sequence[int], redactor: Redactor) -> tuple[bytes, list[int]]:
    """Return a stream (server-sent events, JSON lines) without the secrets that only its joined texts show, and its chunk offsets.

    The first piece of such a text takes the whole redacted text, the others become empty. `data` is redacted
    event by event already.
    """
    if not _suspicious(data, redactor):
        return data, list(offsets)
    lines: list[tuple[int, int, Any]] = []
    texts: dict[Hashable, list[tuple[int, dict[str, Any], str]]] = {}
    for found in _DATA.finditer(data):
        try:
            event = orjson.loads(found[1])
        except ValueError:
            continue
        for path, holder, key in _leaves(event, ()):
            texts.setdefault((shapes.text(event.get("type")), path), []).append((len(lines), holder, key))
        lines.append((*found.span(1), event))
    changed: set[int] = set()
    for pieces in texts.values():
        joined = "".join(holder[key] for _, holder, key in pieces)
        clean = redactor.text(joined)
        if len(pieces) < 2 or clean == joined:
            continue
        for line, holder, key in pieces:
            holder[key], clean = clean, ""
            changed.add(line)
    changes = [(lines[line][0], lines[line][1], orjson.dumps(lines[line][2])) for line in sorted(changed)]
    new, moves = credentials.apply(data, changes)
    return new, credentials.moved(offsets, moves)


def _suspicious(data: bytes, redactor: Redactor) -> bool:
    """Look at the joined pieces of each field; exact unless the texts of several choices are interleaved."""
    joined: dict[int, list[bytes]] = {}
    text_at = _PIECE.match
    for key, _, end in _find_keys(data):
        piece = text_at(data, end)
        if piece is not None:
            joined.setdefault(key, []).append(piece[1])
    for pieces in joined.values():
        try:
            if redactor.split_secret(orjson.loads(b'"' + b"".join(pieces) + b'"')):
                return True
        except ValueError:
            return True
    return b'"index":1' in data or b'"index": 1' in data


def _leaves(value: Any, path: tuple[Hashable, ...]) -> Iterator[tuple[Hashable, dict[str, Any], str]]:
    if len(path) > _DEPTH:
        return
    if isinstance(value, dict):
        marks = tuple(value[mark] for mark in _MARKS if isinstance(value.get(mark), str | int))
        for key, item in value.items():
            if isinstance(item, str):
                if key in _KEYS:
                    yield (*path, marks, key), value, key
            elif isinstance(item, dict | list):
                yield from _leaves(item, (*path, marks, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            told_apart = isinstance(item, dict) and "index" in item
            yield from _leaves(item, path if told_apart else (*path, place))

"""Finding credentials in JSON text, in a few microseconds, and taking them out.

Two searches that find the same (the families are in `credential_families.py`):

* What each family begins with (`sk-`, `ghp_`, `AKIA`, ...) is searched for by one Aho-Corasick automaton, a
  vector search of 3 us per 12 kB. It gives the GIL away while it searches. Where another thread is
  CPU-bound, taking it back can cost 5 ms: seldom for so short a search (1 of 1,000 times on the machine where
  this was measured), but nobody knows on which machine and beside which threads it runs.
* So what these waits cost is set against what the automaton saves, and while it is more, the families' rarest
  bytes (pivots) are looked up by `bytes.find` of one byte, a `memchr` of 0.1 us per 12 kB, and tried one by
  one: 9 us per 12 kB of prose, 20 us of technical text, and the GIL is kept.
"""

from __future__ import annotations

import bisect
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from spanreel import clock
from spanreel.credential_families import BEGIN, FAMILIES, GROUPS, SHORTEST, Try

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SHORTEST", "apply", "edits", "moved", "suspicious"]

_WAITED_NS: Final = 1_000_000
"""A search that took so long has waited for the GIL (or found 4 MB of text)."""
_SAVED: Final = 2
"""ns per byte that the automaton saves: 15 us per 12 kB alone, twice that beside a busy thread."""
_DEBT_NS: Final = 20_000_000
_PAUSE_NS: Final = 10_000_000_000
_DENSE: Final = 12
"""So many places of a pivot are tried one by one; after them one search over the rest is cheaper."""
_USERINFO: Final = 800
_URL = re.compile(rb":(?:\\?/){2}([^\s\"\\/@:]{0,256}):([^\s\"\\/@]{1,512})@")

_LEADS = [(text, at, group.match) for group in GROUPS for text, at in group.leads]
_TRIES = [(at, match) for _, at, match in _LEADS]
_search = BytesAhoCorasick(
    [text for text, _, _ in _LEADS], matchkind=MatchKind.LeftmostFirst
).find_matches_as_indexes
"""The search steps over what lies inside of a beginning: none that counts can start there (tested)."""
_IN_URLS = [(group.pivot, group.match) for group in GROUPS if not group.leads]
_BY_PIVOT = [(group.pivot, group.before, group.match, group.search) for group in GROUPS]
_GOOGLE = re.compile(rb"z(?:" + FAMILIES[-1].at_pivot + rb")")


class _Waits:
    """What waiting for the GIL has cost more than the automaton saved, in ns, and until when it pauses."""

    __slots__ = ("debt", "until")

    def __init__(self) -> None:
        self.debt = 0
        self.until = 0

    def note(self, waited: int, now: int) -> None:
        """Take one more wait on the account; too much of it pauses the automaton."""
        self.debt += waited
        if self.debt > _DEBT_NS:
            self.debt = 0
            self.until = now + _PAUSE_NS


_waits = _Waits()


def suspicious(data: bytes) -> bool:
    """Whether some family occurs in JSON text `data`."""
    began = clock.tick()
    if began < _waits.until:
        return _by_pivots(data) or _in_userinfo(data)
    found = _search(data)
    took = clock.tick() - began
    if took > _WAITED_NS:
        _waits.note(took, began)
    elif _waits.debt:
        _waits.debt = max(0, _waits.debt - _SAVED * len(data))
    for index, start, _ in found:
        at, match = _TRIES[index]
        if match(data, start + at):
            return True
    find = data.find
    for pivot, match in _IN_URLS:
        at = find(pivot)
        while at >= 0:
            if match(data, at):
                return True
            at = find(pivot, at + 1)
    return _in_userinfo(data)


def _by_pivots(data: bytes) -> bool:
    find = data.find
    for pivot, before, match, search in _BY_PIVOT:
        at = find(pivot)
        tried = 0
        while at >= 0:
            if data[at - 1] in before and match(data, at):
                return True
            tried += 1
            if tried > _DENSE:
                if _google_key(data, at - 1, search) if pivot == b"z" else search(data, at + 1):
                    return True
                break
            at = find(pivot, at + 1)
    return False


def _google_key(data: bytes, start: int, search: Try) -> bool:
    """The family of the pivot z by its second rarest byte: lazy, fuzzy, organize fill a text with z."""
    at = data.find(b"I", start)
    for _ in range(_DENSE):
        if at < 0:
            return False
        if data.startswith(b"za", at + 1) and _GOOGLE.match(data, at + 1):
            return True
        at = data.find(b"I", at + 1)
    return at >= 0 and bool(search(data, at + 1))


def _in_userinfo(data: bytes) -> bool:
    find = data.find
    at = find(b"@")
    while at >= 0:
        start = max(data.rfind(b" ", max(at - _USERINFO, 0), at) + 1, at - _USERINFO, 0)
        if find(b":", start, at) >= 0 and _URL.search(data, start, at + 1):
            return True
        at = find(b"@", at + 1)
    return False


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    """An expression that is needed only where a credential was found."""
    return re.compile(pattern)


def edits(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where to put what: (start, end, replacement) for every credential in `data`, in no order."""
    for group in GROUPS:
        at = data.find(group.pivot)
        while at >= 0:
            if data[at - 1] in group.before and group.match(data, at):
                for pattern, replacement, lead in group.replacements:
                    expression = _compiled(pattern)
                    start = at - lead if lead >= 0 else data.rfind(BEGIN, max(at - 60, 0), at)
                    found = expression.match(data, start) if start >= 0 else None
                    if found is not None:
                        yield found.start(expression.groups), found.end(expression.groups), replacement
            at = data.find(group.pivot, at + 1)
    if b"@" in data:
        for found in _URL.finditer(data):
            yield found.start(2), found.end(2), b"[REDACTED]"


def apply(data: bytes, changes: list[tuple[int, int, bytes]]) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Make the changes; of two that overlap the earlier, longer one wins and takes the rest of the other.

    Returns the new bytes and, for `moved`, the places (start, end, growth so far after it).
    """
    pieces: list[bytes] = []
    moves: list[tuple[int, int, int]] = []
    done = 0
    growth = 0
    for start, end, replacement in sorted(changes, key=lambda change: (change[0], -change[1])):
        if end <= done:
            continue
        if start < done:
            start, replacement = done, b""  # noqa: PLW2901 - what is left of it goes too
        pieces += (data[done:start], replacement)
        growth += len(replacement) - (end - start)
        moves.append((start, end, growth))
        done = end
    pieces.append(data[done:])
    return b"".join(pieces), moves


def moved(offsets: Sequence[int], moves: list[tuple[int, int, int]]) -> list[int]:
    """Where offsets of the old bytes lie in the new ones; an offset inside a change goes to its end."""
    starts = [start for start, _, _ in moves]
    result = []
    for offset in offsets:
        index = bisect.bisect_left(starts, offset) - 1
        if index < 0:
            result.append(offset)
        else:
            _, end, growth = moves[index]
            result.append(max(offset, end) + growth)
    return result

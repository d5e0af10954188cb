"""Any value -> bounded JSON text: what a function was called with, and what it returned.

Two ways. Plain values (str, int, float, bool, None and dict, list, tuple of them) within the limits are
looked through once and then serialised by ONE `orjson.dumps`, 1 to 6 microseconds. Everything else is
written piece by piece (`cautious.py`) within budgets of bytes, nodes, depth and time.

Nothing of the user's code runs on either way: no property, no `__repr__`, no iterator is consumed; the
exceptions are the `__hash__` of a dictionary's keys and the callable of `configure(redact=)`. Both ways redact,
and neither raises, unless a signal handler of the program does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanreel import anatomy
from spanreel.cautious import Writer
from spanreel.credentials import SHORTEST
from spanreel.field_names import LOOK, PLAIN, SENSITIVE
from spanreel.guard import is_handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from spanreel.redaction import Redactor

CELL_BYTES: Final = 1 << 20
IGNORED: Final = "[ignored]"

_dumps = orjson.dumps
_ODD: Final = -1
_LONG: Final = 200
_KEPT_STRINGS: Final = 512
_KEPT_BYTES: Final = 2 << 20
"""Strings from `_LONG` characters on are remembered, by identity, once they were found clean."""
_FLAT: Final = 24
"""From so many items on, a list is first tried as one of numbers only, at C speed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a captured cell may cost."""

    size: int = CELL_BYTES
    """Bytes of JSON text; a small constant may come on top for the marks that say what was cut."""
    nodes: int = 20_000
    """Values, however nested."""
    items: int = 4_096
    """Items of one container that needs the cautious way (an embedding of 3,072 numbers stays whole)."""
    depth: int = 12
    seconds: float = 0.02
    """Time of the cautious way, looked at between values."""


class CutBytes(bytes):
    """Captured JSON text of which something was cut; `cut` says what, for `spanreel.truncated`."""

    cut: dict[str, Any]
    """reasons: list of size, nodes, items, depth, time; for the longest cut text: length (bytes) and sha256."""


class Capturer:
    """Captures values by fixed limits and one redactor; counts what it cuts by reason in `losses`.

    Reasons: `capture_truncated` (size, items, nodes or depth), `capture_budget` (time), `capture_failed`.
    """

    __slots__ = (
        "_classify",
        "_clean",
        "_depth",
        "_hides_inside",
        "_kept",
        "_known",
        "_limits",
        "_losses",
        "_nodes",
        "_plain_allowed",
        "_redactor",
        "_shapes",
        "_size",
    )

    def __init__(
        self,
        *,
        redactor: Redactor,
        losses: Callable[[str], None],
        limit: int = CELL_BYTES,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits(size=limit)
        self._size = self._limits.size
        self._nodes = self._limits.nodes
        self._depth = self._limits.depth
        self._redactor = redactor
        self._losses = losses
        self._known = redactor.known
        self._classify = redactor.classify
        self._hides_inside = redactor.hides_inside
        self._shapes = redactor.shapes
        self._plain_allowed = not redactor.per_string
        self._clean: dict[int, str] = {}
        self._kept = 0

    def value(self, value: object) -> bytes:
        """JSON text of any value; a `CutBytes` if something was cut."""
        try:
            if self._plain_allowed:
                kind = type(value)
                nested = kind is dict or kind is list or kind is tuple
                fresh: list[str] = []
                found = self._look_through(value if nested else (value,), fresh)
                if found != _ODD:
                    data = _dumps(value)
                    if len(data) <= self._size:
                        return self._searched(data, fresh) if found else data
        except Exception as error:  # a lone surrogate, a number over 64 bit, a dict that changes meanwhile
            if is_handlers(error):
                raise
        return self._cautious(value)

    def arguments(
        self,
        names: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        ignore: Collection[str] = (),
    ) -> bytes:
        """JSON object of a call's arguments: name -> value.

        `names` are those of the positional parameters, without self or cls; what is left of `args` comes
        under "args" ("*args" if a parameter has that name). Ignored names show as "[ignored]".
        """
        call = dict(zip(names, args))  # noqa: B905 - the lengths differ where defaults or *args are in use
        try:
            if len(args) > len(names):
                call["*args" if "args" in call or "args" in kwargs else "args"] = args[len(names) :]
            if kwargs:
                call.update(kwargs)
            if ignore:
                for name in call.keys() & ignore:
                    call[name] = IGNORED
            if self._plain_allowed:  # as in `value`, without the call
                fresh: list[str] = []
                found = self._look_through(call, fresh)
                if found != _ODD:
                    data = _dumps(call)
                    if len(data) <= self._size:
                        return self._searched(data, fresh) if found else data
        except Exception as error:  # see `value`
            if is_handlers(error):
                raise
        return self._cautious(call)

    def _look_through(self, root: object, fresh: list[str]) -> int:
        """Return the length of some string of at least SHORTEST characters, or 0, or -1 for not plain.

        Long strings that are not known to be clean are put into `fresh`; those that are do not count.
        Goes level by level, so that depth needs no counting and no recursion.
        """
        known = self._known.get
        clean = self._clean.get
        room = self._size
        nodes = self._nodes
        depth = self._depth
        found = 0
        level: Any = (root,)
        while depth:
            depth -= 1
            below: list[Any] = []
            for node in level:
                if type(node) is dict:
                    nodes -= len(node)
                    if nodes < 0:
                        return _ODD
                    for key, item in node.items():
                        if known(key, SENSITIVE) and self._is_odd(key, node):
                            return _ODD
                        kind = type(item)
                        if kind is str:
                            length = len(item)
                            if length >= SHORTEST:
                                room -= length
                                if length >= _LONG:
                                    if clean(id(item)) is item:
                                        continue
                                    fresh.append(item)
                                found = length
                                if item[0] in "{[" and (room < 0 or self._hides_inside(item)):
                                    return _ODD
                        elif kind is int or kind is bool or item is None:
                            pass
                        elif kind is dict or kind is list or kind is tuple:
                            below.append(item)
                        elif kind is not float or item - item != 0.0:
                            return _ODD
                else:
                    length = len(node)
                    nodes -= length
                    if nodes < 0:
                        return _ODD
                    if length >= _FLAT and anatomy.all_numbers(node):
                        continue
                    if (
                        length == 2
                        and type(node[0]) is str
                        and known(node[0], SENSITIVE)
                        and self._is_odd(node[0], node)
                    ):
                        return _ODD
                    for item in node:
                        kind = type(item)
                        if kind is str:
                            length = len(item)
                            if length >= SHORTEST:
                                room -= length
                                if length >= _LONG:
                                    if clean(id(item)) is item:
                                        continue
                                    fresh.append(item)
                                found = length
                                if item[0] in "{[" and (room < 0 or self._hides_inside(item)):
                                    return _ODD
                        elif kind is int or kind is bool or item is None:
                            pass
                        elif kind is dict or kind is list or kind is tuple:
                            below.append(item)
                        elif kind is not float or item - item != 0.0:
                            return _ODD
                if room < 0:
                    return _ODD
            if not below:
                return found
            level = below
        return _ODD

    def _searched(self, data: bytes, fresh: list[str]) -> bytes:
        """Search `data` for credentials; where there are none, its long strings need no search again.

        An agent sends its whole history with every call, the same strings each time.
        """
        found = self._shapes(data)
        if fresh and found is data:
            clean = self._clean
            self._kept += len(data)
            if self._kept > _KEPT_BYTES or len(clean) > _KEPT_STRINGS:
                clean.clear()
                self._kept = len(data)
            for text in fresh:
                clean[id(text)] = text
        return found

    def _is_odd(self, key: object, node: Any) -> bool:
        """Whether a name that is not known as plain needs the cautious way."""
        flag = self._classify(key)
        if flag == PLAIN:
            return False
        if flag == LOOK and type(node) is dict and key in {"value", "Value"}:
            return self._redactor.hides_pair(node)
        return flag == SENSITIVE or type(node) is dict

    def _cautious(self, value: object) -> bytes:
        writer = Writer(self._limits, self._redactor)
        try:
            data = self._shapes(writer.write(value))
        except BaseException as error:
            if is_handlers(error):
                raise
            return self._failed()
        if writer.failed:
            self._count("capture_failed")
        if not writer.reasons:
            return data
        self._count("capture_budget" if "time" in writer.reasons else "capture_truncated")
        result = CutBytes(data)
        result.cut = {"reasons": list(writer.reasons), **writer.cut}
        return result

    def _failed(self) -> bytes:
        self._count("capture_failed")
        return b'"[capture failed]"'

    def _count(self, reason: str) -> None:
        try:
            self._losses(reason)
        except Exception:  # the value is worth more than the count
            pass

"""Writing any value as JSON text within budgets: the slow way of `capture.py`.

Goes through a value once, depth first, and appends pieces of JSON text, so that what it costs is known at
every step. When a budget is spent, containers are closed with a mark that says how much is missing; texts
too long keep their head and tail. What was cut is told in `CutBytes.cut`.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from spanreel import anatomy
from spanreel.describe import HASH_BYTES, Fields, Items, describe, digest
from spanreel.field_names import LOOK, REDACTED, SENSITIVE, hideable, is_schema, without_values
from spanreel.guard import is_handlers

if TYPE_CHECKING:
    from spanreel.capture import Limits
    from spanreel.redaction import Redactor

_CLOCK_EVERY = 32
_KEY_CHARS = 256
_RESERVE = 32 << 10
"""Bytes kept back from a long text, so that what follows it is seen too."""
_SMALL = 1 << 10
"""Of every text so much is kept even when only the reserve is left."""
_MARGIN = 16 << 10
"""Characters beyond the kept part that are searched for secrets, so that the cut leaves no half of one."""
_EXACT_BITS = 996
"""Integers up to 300 digits are written as numbers (beyond 308 JSON parsers overflow), others as text."""
_OPAQUE_ITEMS = 20
_DIGITS_BITS = 13_000
"""Below the 4,300 digits to which CPython limits int -> str."""


class Writer:
    """One value being written; made anew for each."""

    __slots__ = (
        "_deadline",
        "_items",
        "_left",
        "_limits",
        "_nodes",
        "_opaque",
        "_open",
        "_out",
        "_redactor",
        "cut",
        "failed",
        "reasons",
    )

    def __init__(self, limits: Limits, redactor: Redactor) -> None:
        self._limits = limits
        self._redactor = redactor
        self._out: list[bytes] = []
        self._left = limits.size
        self._nodes = limits.nodes
        self._items = limits.items
        self._deadline = perf_counter() + limits.seconds
        self._open: set[int] = set()
        self._opaque = 0
        self.reasons: dict[str, None] = {}
        self.cut: dict[str, Any] = {}
        self.failed = 0

    def write(self, value: object) -> bytes:
        """The JSON text of a value."""
        self._value(value, "", 0)
        return b"".join(self._out)

    def _put(self, piece: bytes) -> None:
        self._out.append(piece)
        self._left -= len(piece)

    def _spent(self) -> bool:
        """Whether some budget is used up; counts one node."""
        self._nodes -= 1
        if self._nodes <= 0:
            self.reasons["time" if perf_counter() > self._deadline else "nodes"] = None
        elif self._left <= 0:
            self.reasons["size"] = None
        elif self._nodes % _CLOCK_EVERY == 0 and perf_counter() > self._deadline:
            self.reasons["time"] = None
            self._nodes = 0
        else:
            return False
        return True

    # -- values ---------------------------------------------------------------------------------------

    def _value(self, value: Any, path: str, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self._text(value, path)
        elif value is None or kind is bool:
            self._put(orjson.dumps(value))
        elif kind is int:
            self._integer(value)
        elif kind is float:
            self._put(_float(value))
        elif kind is dict:
            count = self._items if not self._opaque else _OPAQUE_ITEMS
            self._container(value, Fields(list(islice(value.items(), count)), len(value)), path, depth)
        elif (kind is list or kind is tuple) and not self._opaque:
            if not self._numbers(value):
                self._container(value, Items(list(islice(value, self._items)), len(value)), path, depth)
        else:
            self._other(value, path, depth)

    def _other(self, value: Any, path: str, depth: int) -> None:
        try:
            plainer = describe(value, self._items if not self._opaque else _OPAQUE_ITEMS)
        except BaseException as error:
            if is_handlers(error):
                raise
            self.failed += 1
            plainer = f"<{anatomy.full_name(type(value))} object: capture failed>"
        if type(plainer) is Fields or type(plainer) is Items:
            if self._opaque and type(plainer) is Fields and not issubclass(type(value), dict):
                self._put(orjson.dumps(anatomy.label(value)))
            else:
                self._container(value, plainer, path, depth)
        else:
            self._value(plainer, path, depth)

    def _container(self, value: object, plainer: Items | Fields, path: str, depth: int) -> None:
        identity = id(value)
        if identity in self._open:
            self._put(b'"[cycle]"')
            return
        if depth >= self._limits.depth and plainer.total:
            self.reasons["depth"] = None
            self._put(
                orjson.dumps(f"[{anatomy.full_name(type(value))} of {plainer.total}: nested too deeply]")
            )
            return
        self._open.add(identity)
        try:
            if type(plainer) is Fields:
                self._opaque += plainer.opaque
                self._fields(plainer, path, depth)
                self._opaque -= plainer.opaque
            else:
                self._list(plainer.values, plainer.total, path, depth)
        finally:
            self._open.discard(identity)

    def _list(self, values: list[Any], total: int, path: str, depth: int) -> None:
        self._put(b"[")
        done = 0
        for item in values:
            if self._spent():
                break
            if done:
                self._put(b",")
            if self._redactor.is_secret_pair(item):
                self._put(b"[" + self._encoded(_name(item[0])) + b"," + _QUOTED_REDACTED + b"]")
            else:
                self._value(item, f"{path}.{done}" if path else str(done), depth + 1)
            done += 1
        if done < total:
            self.reasons.setdefault("items", None)
            self._put(b"," if done else b"")
            self._put(orjson.dumps(f"[... {total - done} more items]"))
        self._put(b"]")

    def _fields(self, fields: Fields, path: str, depth: int) -> None:
        if self._leaf(fields):
            return
        self._put(b"{")
        done = 0
        known = self._redactor.known.get
        for key, item in fields.values:
            if self._spent():
                break
            name = key if type(key) is str else self._key(key)
            shown = name if len(name) <= _KEY_CHARS else name[:_KEY_CHARS] + "..."
            self._put(b"%b%b:" % (b"," if done else b"", self._encoded(shown)))
            done += 1
            if known(name, LOOK) and self._hidden(name, item, fields):
                safe = without_values(item) if is_schema(item) else REDACTED
                self._value(safe, path, depth + 1) if safe is not REDACTED else self._put(_QUOTED_REDACTED)
            else:
                self._value(item, f"{path}.{name}" if path else name, depth + 1)
        if done < fields.total:
            self.reasons.setdefault("items", None)
            self._put(b"," if done else b"")
            self._put(orjson.dumps("[...]") + b":" + orjson.dumps(f"{fields.total - done} more fields"))
        self._put(b"}")

    def _hidden(self, name: str, item: object, fields: Fields) -> bool:
        """Whether the value of a field is secret, by its name or by that of its neighbour."""
        flag = self._redactor.classify(name)
        if flag == LOOK and name in {"value", "Value"}:
            return hideable(item) and self._redactor.hides_pair(
                {k: v for k, v in fields.values if type(k) is str}
            )
        return flag == SENSITIVE and hideable(item)

    def _leaf(self, fields: Fields) -> bool:
        """Write a record of short plain values in one go; False if it is none."""
        if self._redactor.per_string or len(fields.values) != fields.total or fields.total >= self._nodes:
            return False
        known = self._redactor.known.get
        for key, item in fields.values:
            kind = type(item)
            if type(key) is not str or known(key, LOOK):
                return False
            if kind is str:
                if len(item) > _SMALL or item[:1] in {"{", "["}:
                    return False
            elif id(kind) not in anatomy.NUMBERS and (kind is not float or item - item != 0.0):
                return False
        try:
            data = orjson.dumps(dict(fields.values))
        except TypeError:  # a lone surrogate, a number of more than 64 bits
            return False
        if len(data) > self._left:
            return False
        self._nodes -= fields.total
        if perf_counter() > self._deadline:
            self._nodes = min(self._nodes, 0)
        self._put(data)
        return True

    def _key(self, key: object) -> str:
        """The name of a field: a text as it is, None, booleans and numbers as in JSON, else its JSON text."""
        if type(key) is str:
            return key
        if type(key) is bytes:
            return _name(key)
        inner = Writer(self._limits, self._redactor)
        inner._left = 4 * _KEY_CHARS
        inner._nodes = 64
        text = inner.write(key).decode()
        return str(orjson.loads(text)) if text[:1] == '"' else text

    # -- numbers and texts ----------------------------------------------------------------------------

    def _numbers(self, values: Any) -> bool:
        """Write a list of numbers in one go; False if it is none, or too long."""
        if not 0 < len(values) <= min(self._items, self._nodes) or not anatomy.all_numbers(values):
            return False
        try:
            data = orjson.dumps(values)
        except TypeError:  # a number of more than 64 bits
            return False
        if len(data) > self._left:
            return False
        self._nodes -= len(values)
        self._put(data)
        return True

    def _integer(self, value: int) -> None:
        bits = value.bit_length()
        if bits <= _EXACT_BITS:
            self._put(b"%d" % value)
        elif bits <= _DIGITS_BITS:
            self._text(str(value), "")
        else:
            self._put(orjson.dumps(f"[integer of {bits} bits]"))

    def _text(self, text: str, path: str) -> None:
        redactor = self._redactor
        if len(text) > max(4 * self._limits.size, HASH_BYTES):  # too long to be searched: by its ends only
            self._cut_text(text, path, self._room())
            return
        if redactor.per_string or text[:1] in {"{", "["}:
            text = redactor.string(text, path)
        data = self._encoded(text) if len(text) < self._left else b""
        if data and len(data) <= max(self._left - _RESERVE, min(self._left, _SMALL)):
            self._put(data)
        else:
            self._cut_text(text, path, self._room())

    def _room(self) -> int:
        """Bytes that the next text may take."""
        reserve = min(_RESERVE, self._limits.size // 8)
        return max(self._left - reserve, min(_SMALL, self._limits.size // 8))

    def _cut_text(self, text: str, path: str, room: int) -> None:
        told = _told(text)
        self.reasons["size"] = None
        if told["length"] > self.cut.get("length", -1):
            self.cut = told
        keep = room
        while True:
            head = self._clean(text[: keep * 3 // 4 + _MARGIN], path)[: keep * 3 // 4]
            rest = text[-(keep // 4 + _MARGIN) :] if keep >= 4 else ""
            tail = self._clean(rest, path)[-(keep // 4) :] if rest else ""
            data = self._encoded(f"{head}{_mark(told, len(text) - len(head) - len(tail))}{tail}")
            if len(data) <= room + 200 or keep < 8:
                self._put(data)
                return
            keep = max(keep * room // len(data) - 16, 0)

    def _clean(self, part: str, path: str) -> str:
        return (
            self._redactor.text(part) if not self._redactor.per_string else self._redactor.text_at(part, path)
        )

    @staticmethod
    def _encoded(text: str) -> bytes:
        try:
            return orjson.dumps(text)
        except TypeError:  # lone surrogates
            return orjson.dumps(text.encode("utf-8", "backslashreplace").decode())


_QUOTED_REDACTED = orjson.dumps(REDACTED)


def _float(value: float) -> bytes:
    if value - value == 0.0:
        return orjson.dumps(value)
    return b'"NaN"' if value != value else b'"Infinity"' if value > 0 else b'"-Infinity"'  # noqa: PLR0124


def _name(key: str | bytes) -> str:
    return key if isinstance(key, str) else key[: 2 * _KEY_CHARS].decode("latin-1")


def _told(text: str) -> dict[str, Any]:
    """Length in bytes and hash of a text; of a huge one the length in characters and the hash of its ends."""
    if len(text) <= 2 * HASH_BYTES:
        return digest(text.encode("utf-8", "backslashreplace"))
    ends = text[:HASH_BYTES] + text[-HASH_BYTES:]
    return {
        "length": len(text),
        "sha256_ends": digest(ends.encode("utf-8", "backslashreplace")[: 2 * HASH_BYTES])["sha256"],
    }


def _mark(told: dict[str, Any], characters: int) -> str:
    digest_name = "sha256" if "sha256" in told else "sha256_ends"
    return f" [... {characters} characters of {told['length']} bytes cut, {digest_name} {told[digest_name]} ...] "

"""Taking secrets out of what is recorded: by the name of the field, by the shape of the text, by the user.

Every text goes through a `Redactor` before it reaches the journal. Three devices, cheapest first:

* field names (`api_key`, `Authorization`, ...), whatever their case and separators, at any depth, also
  in JSON that is itself a string (tool arguments are);
* credentials recognised by their shape (`credentials.py`), in place, with the JSON left valid;
* the user's own patterns and callable, on every string value.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanreel import bodies, credentials
from spanreel.errors import ConfigurationError
from spanreel.field_names import (
    LOOK,
    PLAIN,
    REDACTED,
    SENSITIVE,
    TRUTHS,
    hideable,
    is_schema,
    is_secret,
    normal,
    without_values,
)
from spanreel.guard import guard, is_handlers

FAILED = "[REDACTED: redactor failed]"
WITHHELD = "[REDACTED: redact setting not usable]"

EMAIL = re.compile(r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+")

_CACHE = 4096
_LONG_KEY = 120
_SHORTEST_TEXT = 10
_DEPTH = 100
_QUOTED_NAME = re.compile(r"""["']([^"'\\]{2,80})\\*["']\s*:""")
_QUOTED_FIELD = re.compile(
    r"""(?P<quote>\\*["'])(?P<name>[^"'\\]{2,80})(?P=quote)(?P<colon>\s*:\s*)(?:"""
    r"""(?P<open>["'])(?P<text>(?:(?!(?P=open))[^\\]|\\.)*)(?P<close>(?P=open)|\\?$)"""
    r"""|(?P<open2>\\+["'])(?P<text2>(?:(?!(?P=open2)).)*)(?P<close2>(?P=open2)|$)"""
    r"""|(?P<bare>[^\s,}\]"'{\[\\]+))""",
    re.DOTALL,
)
"""A field in a printed dict, in JSON that does not parse, or in JSON inside of it (escaped quotes)."""
_SETTING = re.compile(r"\s*(/(?:[^/\\]|\\.)*/|[^,]*)\s*(?:,|$)")

_inside = threading.local()


@dataclass(frozen=True, slots=True)
class Redactor:
    """What is taken out, decided once from `configure(redact=)` or SPANREEL_REDACT. Its methods never raise."""

    defaults: bool = True
    """Whether our own field names and credential families are used."""
    names: frozenset[str] = frozenset()
    """The user's field names, lower case without separators; they match exactly."""
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    """(expression, replacement) for every string value."""
    callback: Callable[[str, str], object] | None = None
    """The user's callable (value, key path like `messages.0.content`) -> the value to record."""
    withhold: bool = False
    """Record no string at all: the user asked for a redaction that cannot be understood."""
    known: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Field name -> PLAIN, SENSITIVE or LOOK; bounded."""

    @classmethod
    def from_setting(cls, setting: object) -> Redactor:
        """The redactor for a setting; one that is not usable withholds every string rather than leak."""
        try:
            return cls.checked(setting)
        except Exception as error:
            guard.count_loss("redact_unusable", 1)
            _log(error)
            return cls(withhold=True)

    @classmethod
    def checked(cls, setting: object) -> Redactor:
        """The redactor for a setting. Raises ConfigurationError if it cannot be used.

        None or True: the defaults. False: nothing is redacted. A callable: the defaults and `(value, path)
        -> value` (or `(value) -> value`). A sequence: regular expressions, `"email"`, `"field:NAME"`. A
        string, as in the environment: a comma list of `off`, `email`, `field:NAME`, `/expression/`.
        """
        if setting is None or setting is True:
            return cls()
        if setting is False:
            return cls(defaults=False)
        if callable(setting):
            return cls(callback=_two_arguments(setting))
        if isinstance(setting, str):
            return cls._from_items([item for item in _SETTING.findall(setting) if item.strip()], strict=True)
        if isinstance(setting, Sequence) and all(isinstance(item, str) for item in setting):
            return cls._from_items(list(setting), strict=False)
        raise ConfigurationError(f"redact takes a callable, patterns, field names or False, not {setting!r}")

    @classmethod
    def _from_items(cls, items: list[str], *, strict: bool) -> Redactor:
        defaults, names, patterns = True, set[str](), list[tuple[re.Pattern[str], str]]()
        for item in (item.strip() for item in items):
            if item == "off":
                defaults = False
            elif item == "email":
                patterns.append((EMAIL, "[REDACTED:email]"))
            elif item.startswith("field:") and normal(item[6:]):
                names.add(normal(item[6:]))
            elif len(item) > 2 and item[0] == item[-1] == "/":
                patterns.append((_compiled(item[1:-1]), REDACTED))
            elif item in {"on", "default"}:
                continue
            elif strict:
                raise ConfigurationError(
                    f"redact: {item!r} is none of off, email, field:NAME and /regular expression/"
                )
            else:
                patterns.append((_compiled(item), REDACTED))
        return cls(defaults=defaults, names=frozenset(names), patterns=tuple(patterns))

    @property
    def per_string(self) -> bool:
        """Whether every string value must be looked at one by one (the user's patterns or callable)."""
        return bool(self.patterns) or self.callback is not None or self.withhold

    # -- field names ----------------------------------------------------------------------------------

    def classify(self, key: object) -> int:
        """PLAIN, SENSITIVE or LOOK for a field name (the first time; then `known` has it)."""
        if not isinstance(key, str):
            return LOOK
        if len(key) > _LONG_KEY:
            return SENSITIVE if self._is_secret_name(key[-_LONG_KEY:]) else LOOK
        flag = PLAIN
        if self._is_secret_name(key):
            flag = SENSITIVE
        elif key in {"value", "Value"} or (len(key) >= credentials.SHORTEST and self._unshaped(key) != key):
            flag = LOOK
        if type(key) is str:
            if len(self.known) >= _CACHE:
                self.known.clear()
            self.known[key] = flag
        return flag

    def _is_secret_name(self, key: str) -> bool:
        name = normal(key)
        if name in self.names or (self.names and normal(key.rpartition(".")[2]) in self.names):
            return True
        return self.defaults and is_secret(key)

    def hides(self, key: object) -> bool:
        """Whether the value under this field name is secret."""
        flag = self.known.get(key) if type(key) is str else None
        return (self.classify(key) if flag is None else flag) == SENSITIVE

    def hides_pair(self, item: Mapping[Any, Any]) -> bool:
        """Whether `{"name": ..., "value": ...}` says that its value is secret."""
        for label in ("name", "key", "Name", "Key"):
            name = item.get(label)
            if type(name) is str and self.hides(name):
                return True
        return False

    def is_secret_pair(self, item: object) -> bool:
        """Whether an item of a list is `[name, value]` with a secret value, as headers are listed."""
        if (type(item) is not list and type(item) is not tuple) or len(item) != 2:
            return False
        name = item[0].decode("latin-1") if type(item[0]) is bytes else item[0]
        return type(name) is str and self.hides(name) and hideable(item[1])

    def hides_inside(self, text: str) -> bool:
        """Whether a string that looks like JSON (or a printed dict) has a secret field."""
        return any(self.hides(name) for name in set(_QUOTED_NAME.findall(text)))

    # -- texts ----------------------------------------------------------------------------------------

    def string(self, text: str, path: str = "") -> str:
        """One string value by the devices that look at strings one by one; not by credential shape."""
        if self.withhold:
            return WITHHELD if text else text
        if text[:1] in {"{", "["} and self.hides_inside(text):
            text = self._inside(text)
        for expression, replacement in self.patterns:
            if expression is not EMAIL or "@" in text:
                text = expression.sub(lambda _, by=replacement: by, text)  # type: ignore[misc]
        return text if self.callback is None else self._called(text, path)

    def _inside(self, text: str) -> str:
        try:
            tree = orjson.loads(text)
            if (new := self.tree(tree, "", 0)) is not tree:
                return orjson.dumps(new).decode()
        except (ValueError, TypeError, RecursionError):
            pass
        return _QUOTED_FIELD.sub(self._without_value, text)

    def _without_value(self, found: re.Match[str]) -> str:
        parts = found.groupdict()
        text = parts["text"] or parts["text2"]
        if not self.hides(parts["name"]) or not (text or parts["bare"]) or parts["bare"] in TRUTHS:
            return found.group()
        before = found.string[found.start() : found.end("colon")]
        if parts["bare"]:
            return f"{before}{parts['quote']}{REDACTED}{parts['quote']}"
        end = parts["close"] if parts["open"] else parts["close2"]
        return f"{before}{parts['open'] or parts['open2']}{REDACTED}{end}"

    def _called(self, text: str, path: str) -> str:
        if getattr(_inside, "busy", False):
            return FAILED  # the callable calls something that is traced itself
        _inside.busy = True
        try:
            result = self.callback(text, path)  # type: ignore[misc]
        except BaseException as error:
            if is_handlers(error):
                raise
            guard.count_loss("redact_failed", 1)
            _log(error)
            return FAILED
        finally:
            _inside.busy = False
        if result is None:
            return REDACTED
        if isinstance(result, str):
            return str.__str__(result)
        guard.count_loss("redact_failed", 1)
        return FAILED

    def text(self, text: str) -> str:
        """A free text (a span name, the message of an exception) without its secrets."""
        if self.per_string:
            text = self.string(text)
        elif text[:1] in {"{", "["} and self.hides_inside(text):
            text = self._inside(text)
        return self._unshaped(text)

    def text_at(self, text: str, path: str) -> str:
        """A string value at a key path by every device; for parts of a text too long to keep."""
        return self._unshaped(self.string(text, path))

    def _unshaped(self, text: str) -> str:
        """A text without the credentials recognised by shape."""
        if not self.defaults or len(text) < _SHORTEST_TEXT:
            return text
        try:
            data = orjson.dumps(text)
        except TypeError:  # a lone surrogate: cannot be written anyway
            data = orjson.dumps(text.encode("utf-8", "backslashreplace").decode())
        clean = self.shapes(data)
        return text if clean is data else str(orjson.loads(clean))

    def split_secret(self, text: str) -> bool:
        """Whether a text put together from stream chunks has a secret that no single chunk shows."""
        return self.text(text) != text

    # -- trees ----------------------------------------------------------------------------------------

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of attributes (plain values, lists and dicts of them) without their secrets."""
        try:
            return {
                self.text(key): REDACTED if self._covers(key, value) else self._whole(value, key)
                for key, value in attributes.items()
            }
        except RecursionError:
            return {}

    def _whole(self, value: Any, path: str) -> Any:
        value = self.tree(value, path, 0)
        if isinstance(value, str):
            return self._unshaped(value)
        if isinstance(value, dict | list | tuple):
            try:
                data = orjson.dumps(value)
            except TypeError:
                return value
            clean = self.shapes(data)
            return value if clean is data else orjson.loads(clean)
        return value

    def _covers(self, key: object, value: object) -> bool:
        """Whether the value under a key is to go: a secret name, and something to hide under it."""
        return self.hides(key) and hideable(value)

    def tree(self, value: Any, path: str, depth: int) -> Any:
        """A tree of plain values; the SAME object when nothing had to go."""
        if isinstance(value, str):
            new = self.string(value, path) if self.per_string or value[:1] in {"{", "["} else value
            return value if new == value else new
        if depth > _DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            return self._dict(value, path, depth)
        if isinstance(value, list | tuple):
            items = [
                [item[0], REDACTED]
                if self.is_secret_pair(item)
                else self.tree(item, f"{path}.{index}" if path else str(index), depth + 1)
                for index, item in enumerate(value)
            ]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        return value

    def _dict(self, value: dict[Any, Any], path: str, depth: int) -> dict[Any, Any]:
        changed: dict[Any, Any] = {}
        for key, item in value.items():
            below = f"{path}.{key}" if path else str(key)
            flag = self.known.get(key) if type(key) is str else LOOK
            if flag is None:
                flag = self.classify(key)
            if flag == SENSITIVE and hideable(item):
                safe = without_values(item) if is_schema(item) else REDACTED
                if safe is not item:
                    changed[key] = safe
            elif flag == LOOK and key in {"value", "Value"} and hideable(item) and self.hides_pair(value):
                changed[key] = REDACTED
            elif (new := self.tree(item, below, depth + 1)) is not item:
                changed[key] = new
        return {**value, **changed} if changed else value

    # -- bytes ----------------------------------------------------------------------------------------

    def shapes(self, data: bytes) -> bytes:
        """JSON text without the credentials recognised by shape; the SAME object when there are none."""
        if not self.defaults or not credentials.suspicious(data):
            return data
        changes = list(credentials.edits(data))
        return credentials.apply(data, changes)[0] if changes else data

    def json_bytes(self, data: bytes) -> bytes:
        """Clean the raw bytes of a request or response: JSON, or anything else (SSE, a cut body, a form).

        The same object when nothing is found; valid JSON stays valid.
        """
        return bodies.clean(self, data)

    def sse_bytes(self, data: bytes, offsets: Sequence[int] = ()) -> tuple[bytes, list[int]]:
        """Clean server-sent events, JSON lines or a cut body, line by line.

        Returns the bytes and where the chunk `offsets` (bytes into the old ones) lie in the new ones.
        """
        return bodies.clean_lines(self, data, offsets)

    @property
    def idle(self) -> bool:
        """Whether nothing is ever taken out."""
        return not self.defaults and not self.names and not self.per_string


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise ConfigurationError(f"redact: /{expression}/ is no regular expression: {error}") from None


def _two_arguments(function: Callable[..., object]) -> Callable[[str, str], object]:
    """The user's callable as one of (value, path), whether or not it takes the path."""
    import inspect

    try:
        inspect.signature(function).bind("", "")
    except TypeError:
        return lambda value, _path: function(value)
    except ValueError:  # a builtin without signature
        return lambda value, _path: function(value)
    return function


def _log(error: BaseException) -> None:
    import logging

    logging.getLogger("spanreel").debug("redaction failed; the value was withheld", exc_info=error)

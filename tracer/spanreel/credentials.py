"""Finding credentials in JSON text: a table of families, and a search that costs a few microseconds.

The text is what `orjson.dumps` makes, as bytes: a newline stands there as backslash-n, a quote as
backslash-quote. Every match leaves such escapes whole, so replacing one keeps JSON valid.

Speed: CPython's `bytes.find` of ONE byte is a `memchr` (0.1 us per 12 kB); a regular expression, and
`find` of two bytes, walk byte by byte (3 to 7 us each). So each family is led by its rarest byte (its
pivot): the places of the pivot are found by `find`, and the expression is tried there only.

Left out on purpose, since no rare byte leads them: AWS temporary key ids (`ASIA...`, an identifier; the
secret and the session token beside it are recognised) and a lower-case `bearer` in prose.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHORTEST = 16
"""No family matches a text of fewer characters (a password in a URL apart, and that needs ten)."""

_DENSE = 12
"""So many places of a pivot are tried one by one; after them one search over the rest is cheaper."""

_START = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
"""A credential begins where no word goes on; in JSON text the n of a newline's escape is no word."""

_START_ESCAPABLE = rb"(?:(?<![A-Za-z0-9\\])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
"""The same for families that begin with n, r, t, b, f or u, which could be an escape's second half."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of credential."""

    name: str
    head: bytes
    """What stands before the pivot: an expression of fixed width (a lookbehind is made of it)."""
    pivot: bytes
    tail: bytes

    @property
    def at_pivot(self) -> bytes:
        """The expression that matches from the pivot on."""
        led = self.head + re.escape(self.pivot)
        escapable = self.head[:1] in b"nrtbfu"
        word = rb"A-Za-z0-9\\" if escapable else rb"A-Za-z0-9"
        start = rb"(?:(?<![%s]%s)|(?<=\\[nrtbf]%s)|(?<=\\u[0-9a-fA-F]{4}%s))" % (word, led, led, led)
        return rb"(?<=%s)%s%s" % (led, start, self.tail)

    @property
    def width(self) -> int:
        """Bytes of the head."""
        return len(re.sub(rb"\[[^\]]*\]", b".", self.head))

    @property
    def whole(self) -> bytes:
        """The expression that matches the credential from its first byte."""
        start = _START_ESCAPABLE if self.head[:1] in b"nrtbfu" else _START
        return start + self.head + re.escape(self.pivot) + self.tail


FAMILIES = (
    Family("api_key", rb"sk", b"-", rb"[A-Za-z0-9][A-Za-z0-9_\-]{15,}"),  # OpenAI, Anthropic, many others
    Family("slack_token", rb"xox[abeoprs]", b"-", rb"[A-Za-z0-9][A-Za-z0-9\-]{15,}"),
    Family("slack_token", rb"xapp", b"-", rb"[A-Za-z0-9][A-Za-z0-9\-]{15,}"),
    Family("gitlab_token", rb"glpat", b"-", rb"[A-Za-z0-9][A-Za-z0-9_\-.]{15,}"),
    Family("google_secret", rb"GOCSPX", b"-", rb"[A-Za-z0-9][A-Za-z0-9_\-]{20,}"),
    Family("api_key", rb"pplx", b"-", rb"[A-Za-z0-9]{24,}"),
    Family("api_key", rb"xai", b"-", rb"[A-Za-z0-9]{24,}"),
    Family("github_token", rb"gh[opsur]", b"_", rb"[A-Za-z0-9]{20,}"),
    Family("github_token", rb"github_pat", b"_", rb"[A-Za-z0-9_]{22,}"),
    Family("hf_token", rb"hf", b"_", rb"[A-Za-z0-9]{20,}"),
    Family("api_key", rb"gsk", b"_", rb"[A-Za-z0-9]{20,}"),
    Family("stripe_key", rb"[rs]k_live", b"_", rb"[A-Za-z0-9]{10,}"),
    Family("stripe_key", rb"[rs]k_test", b"_", rb"[A-Za-z0-9]{10,}"),
    Family("api_key", rb"lsv2_[ps][tk]", b"_", rb"[A-Za-z0-9_]{24,}"),
    Family("jwt", rb"ey", b"J", rb"[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)*"),
    Family("aws_token", rb"IQo", b"J", rb"b3JpZ2lu[A-Za-z0-9+/=]{40,}"),
    Family("aws_key", rb"A", b"K", rb"IA[0-9A-Z]{16}(?![0-9A-Za-z])"),
    Family("google_key", rb"AI", b"z", rb"a[0-9A-Za-z_\-]{30,}"),
)

_MIXED = rb"(?=[A-Za-z._~+/\-]*(?:[0-9]|[a-z][A-Z])|[^\s\"\\]{40})"
"""A token rather than words joined by hyphens: a digit, a capital inside, or forty characters."""

_BEARER = (
    rb"(?:earer|EARER) +" + _MIXED + rb"[A-Za-z0-9._~+/\-]{16,}=*"
    rb"|asic +(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{16,}={0,2}"
)

_PEM = (
    rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----(?:"
    rb"(?:[A-Za-z0-9+/=:,.()\s]|-(?!----)|\\+[nrt])*+-----END [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
    rb"|(?:[A-Za-z0-9+/=]|\\+[nrt])*+)"
)
"""A private key, to its end line or, where the text was cut, as far as its lines go."""

_BEGIN = b"-----BEGIN "

_ASSIGNED = (
    rb"(?:API_KEY|ACCESS_KEY_ID|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|SECRET|TOKEN|PASSWORD|PASSWD)=(?:\\\"|')?"
)
"""A line of `env` or of a .env file, as tools print them."""

_VALUE = rb"[^\s\"'\\,;&<>$(){}\[\]|`]{8,}"

_QUERY_NAMES = (
    rb"api[-_]key", b"apikey", b"key", b"token", b"access_token", b"client_secret", b"sig", b"subscription-key",
    b"x-amz-signature",
)  # fmt: skip
"""Parameters of a URL that carry a credential, as the exceptions of HTTP libraries print it."""
_QUERY = (
    rb"(?:" + b"|".join(rb"(?<=[?&]%s=)" % name for name in _QUERY_NAMES) + rb")([A-Za-z0-9._~%+/\-]{16,}=*)"
)


_USERINFO = 800
_URL = re.compile(rb":(?:\\?/){2}([^\s\"\\/@:]{0,256}):([^\s\"\\/@]{1,512})@")


Try = Callable[[bytes, int], object]
Row = tuple[bytes, frozenset[int], Try, Try, tuple[tuple[bytes, bytes, int], ...]]
"""(pivot, bytes that can stand before it, match at a place of it, search, (expression, replacement, bytes
between the start of the expression and the pivot; -1 where only `_BEGIN` tells) each).

The families that share a pivot are one expression to try. What a replacement replaces is the last group of
its expression, or the whole match. A plain tuple: its fields are read some 10 times per recorded value."""


_AHEAD = {
    b"-": rb"(?=[A-Za-z0-9][A-Za-z0-9_\-]{9})",
    b"_": rb"(?=[A-Za-z0-9]{10}|[A-Z][A-Z_]{4})",
    b"=": rb"(?=[A-Za-z0-9._~%+/\-]{16})",
}


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    """An expression that is needed only where a credential was found."""
    return re.compile(pattern)


def _row(pivot: bytes, before: bytes, *extra: tuple[bytes, bytes, bytes, int]) -> Row:
    """Collect the families of `pivot`; `extra` are (at pivot, whole, name, lead) that no table row can say."""
    members = [family for family in FAMILIES if family.pivot == pivot]
    tries = [family.at_pivot for family in members] + [at_pivot for at_pivot, _, _, _ in extra]
    # one cheap look ahead first: most places of a pivot in prose are no long run of token characters
    ahead = _AHEAD.get(pivot, b"")
    finder = re.compile(re.escape(pivot) + ahead + rb"(?:" + b"|".join(tries) + rb")")
    whole = [(family.whole, b"[REDACTED:%s]" % family.name.encode(), family.width) for family in members]
    whole += [(expression, b"[REDACTED:%s]" % name, lead) for _, expression, name, lead in extra]
    return pivot, frozenset(before), finder.match, finder.search, tuple(whole)


_ASSIGNMENT = _ASSIGNED + rb"(" + _VALUE + rb")"
ROWS: tuple[Row, ...] = (
    _row(b"-", b"kabeoprstPXxi"),
    _row(
        b"_",
        b"posurtfkeABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        (rb"(?<=[A-Z0-9]_)" + _ASSIGNMENT, rb"(?<=[A-Z0-9])_" + _ASSIGNMENT, b"env", 0),
    ),
    _row(b"J", b"yo"),
    _row(b"B", bytes(range(256)), (_BEARER, rb"B(?:" + _BEARER + rb")", b"authorization", 0)),
    _row(b"K", b"A ", (rb"(?<=PRIVATE K)EY", _PEM, b"private_key", -1)),
    _row(b"=", b"yntgeYNTGE", (rb"(?i:" + _QUERY + rb")", rb"=(?i:" + _QUERY + rb")", b"query", 0)),
    _row(b"z", b"I"),
)

_GOOGLE = re.compile(rb"z(?:" + FAMILIES[-1].at_pivot + rb")")


def suspicious(data: bytes) -> bool:
    """Whether some family occurs in JSON text `data` (3 to 5 us for 12 kB of English prose)."""
    find = data.find
    for pivot, before, match, search, _ in ROWS:
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
    at = find(b"@")
    while at >= 0:
        start = max(data.rfind(b" ", max(at - _USERINFO, 0), at) + 1, at - _USERINFO, 0)
        if find(b":", start, at) >= 0 and _URL.search(data, start, at + 1):
            return True
        at = find(b"@", at + 1)
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


def edits(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where to put what: (start, end, replacement) for every credential in `data`, in no order."""
    for pivot, before, match, _, replacements in ROWS:
        at = data.find(pivot)
        while at >= 0:
            if data[at - 1] in before and match(data, at):
                for pattern, replacement, lead in replacements:
                    expression = _compiled(pattern)
                    start = at - lead if lead >= 0 else data.rfind(_BEGIN, max(at - 60, 0), at)
                    found = expression.match(data, start) if start >= 0 else None
                    if found is not None:
                        yield found.start(expression.groups), found.end(expression.groups), replacement
            at = data.find(pivot, at + 1)
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

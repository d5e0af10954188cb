"""The families of credentials, in JSON text: a table, and what is made of it for the search (`credentials.py`).

The text is what `orjson.dumps` makes, as bytes: a newline stands there as backslash-n, a quote as
backslash-quote. Every match leaves such escapes whole, so replacing one keeps JSON valid.

Each family has a rarest byte, its pivot, at which its expression is tried.

Left out on purpose, since no rare byte leads them: AWS temporary key ids (`ASIA...`, an identifier; the
secret and the session token beside it are recognised) and a lower-case `bearer` in prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST = 16
"""No family matches a text of fewer characters (a password in a URL apart, and that needs ten)."""

_START = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
"""A credential begins where no word goes on; in JSON text the n of a newline's escape is no word."""

_START_ESCAPABLE = rb"(?:(?<![A-Za-z0-9\\])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
"""The same for families that begin with n, r, t, b, f or u, which could be an escape's second half."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of credential."""

    name: str
    head: bytes
    """What stands before the pivot: text and sets of characters (a lookbehind is made of it)."""
    pivot: bytes
    """The last byte of the beginning."""
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
    def beginnings(self) -> list[tuple[bytes, int]]:
        """Every text that a credential of the family can begin with, and where in it the pivot stands."""
        sets = re.findall(rb"\[([^\]]*)\]|(.)", self.head)
        choices = [[bytes((byte,)) for byte in several] if several else [one] for several, one in sets]
        fixed = re.match(rb"[A-Za-z0-9]*", self.tail)
        rest = self.pivot + (fixed[0] if fixed else b"")
        return [(b"".join(parts) + rest, len(parts)) for parts in product(*choices)]

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

BEGIN = b"-----BEGIN "

_ASSIGNED_NAMES = (
    b"API_KEY", b"ACCESS_KEY_ID", b"ACCESS_KEY", b"SECRET_KEY", b"PRIVATE_KEY", b"SECRET", b"TOKEN", b"PASSWORD",
    b"PASSWD",
)  # fmt: skip
_ASSIGNED = rb"(?:" + b"|".join(_ASSIGNED_NAMES) + rb")=(?:\\\"|')?"
"""A line of `env` or of a .env file, as tools print them."""

_VALUE = rb"[^\s\"'\\,;&<>$(){}\[\]|`]{8,}"

_QUERY_NAMES = (
    rb"api[-_]key", b"apikey", b"key", b"token", b"access_token", b"client_secret", b"sig", b"subscription-key",
    b"x-amz-signature",
)  # fmt: skip
"""Parameters of a URL that carry a credential, as the exceptions of HTTP libraries print it."""
_QUERY = rb"(?i:" + b"|".join(_QUERY_NAMES) + rb")=([A-Za-z0-9._~%+/\-]{16,}=*)"


Try = Callable[[bytes, int], object]


@dataclass(frozen=True, slots=True)
class Group:
    """The families that share a pivot: one expression to try at a place of it, and what each replaces.

    What a replacement replaces is the last group of its expression, or the whole match.
    """

    pivot: bytes
    before: frozenset[int]
    """Bytes that can stand before the pivot."""
    match: Try
    """Try at a place of the pivot."""
    search: Try
    replacements: tuple[tuple[bytes, bytes, int], ...]
    """(expression, replacement, bytes between the start of the expression and the pivot; -1 where only
    `BEGIN` tells) each."""
    leads: tuple[tuple[bytes, int], ...] = ()
    """(text to search for, where in it the pivot stands) each; none where the pivot itself is searched for."""


Extra = tuple[bytes, bytes, bytes, int]
"""(expression from the pivot on, whole expression, name, lead) of a family that the table cannot say."""


_AHEAD = {
    b"-": rb"(?=[A-Za-z0-9][A-Za-z0-9_\-]{9})",
    b"_": rb"(?=[A-Za-z0-9]{10}|[A-Z][A-Z_]{4})",
}
"""One cheap look ahead first: most places of a pivot in prose are no long run of token characters."""


def _group(pivot: bytes, before: bytes, *extra: Extra, leads: Sequence[tuple[bytes, int]] = ()) -> Group:
    """Collect the families of `pivot` and the `extra` ones, which `leads` begin."""
    members = [family for family in FAMILIES if family.pivot == pivot]
    tries = [family.at_pivot for family in members] + [at_pivot for at_pivot, _, _, _ in extra]
    finder = re.compile(re.escape(pivot) + _AHEAD.get(pivot, b"") + rb"(?:" + b"|".join(tries) + rb")")
    whole = [(family.whole, b"[REDACTED:%s]" % family.name.encode(), family.width) for family in members]
    whole += [(expression, b"[REDACTED:%s]" % name, lead) for _, expression, name, lead in extra]
    own = [lead for family in members for lead in family.beginnings]
    return Group(pivot, frozenset(before), finder.match, finder.search, tuple(whole), (*own, *leads))


_ASSIGNMENT = _ASSIGNED + rb"(" + _VALUE + rb")"
_ANY = bytes(range(256))
GROUPS: tuple[Group, ...] = (
    _group(b"-", b"kabeoprstPXxi"),
    _group(
        b"_",
        b"posurtfkeABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        (rb"(?<=[A-Z0-9]_)" + _ASSIGNMENT, rb"(?<=[A-Z0-9])_" + _ASSIGNMENT, b"env", 0),
        leads=[(b"_%s=" % name, 0) for name in _ASSIGNED_NAMES],
    ),
    _group(b"J", b"yo"),
    _group(
        b"B",
        _ANY,
        (_BEARER, rb"B(?:" + _BEARER + rb")", b"authorization", 0),
        leads=[(text, 0) for text in (b"Bearer ", b"BEARER ", b"Basic ")],
    ),
    _group(b"K", b"A ", (rb"(?<=PRIVATE K)EY", _PEM, b"private_key", -1), leads=[(b"PRIVATE KEY", 8)]),
    _group(b"z", b"I"),
    _group(b"?", _ANY, (_QUERY, rb"\?" + _QUERY, b"query", 0)),
    _group(b"&", _ANY, (_QUERY, b"&" + _QUERY, b"query", 0)),
)

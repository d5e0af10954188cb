"""Laws: valid and bounded for whatever is captured; exactly orjson's text for plain values; no secret survives."""

from __future__ import annotations

import dataclasses
import json
import string
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.capture import Capturer, Limits
from spanreel.redaction import Redactor

SMALL = Limits(size=2_000, nodes=200, items=50, depth=6)
ROOM = 1_500
"""What the marks of cuts may add: one for each of the open containers."""


@dataclasses.dataclass
class Holder:
    value: Any


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        raise AssertionError


text = st.text(max_size=30)
json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
clean_keys = st.text(string.ascii_lowercase[:10], max_size=8)
plain_json = st.recursive(
    json_scalars.filter(
        lambda value: not (isinstance(value, str) and (value[:1] in {"{", "["} or Redactor().hides(value)))
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(clean_keys, inner, max_size=5),
    max_leaves=20,
)
wild_scalars = (
    json_scalars | st.integers() | st.floats() | st.binary(max_size=50) | st.decimals() | st.dates() | st.datetimes()
    | st.uuids() | st.complex_numbers() | st.text(st.characters(), max_size=5000) | st.just(object()) | st.just(len)
    | st.text('\x00\t\n\u2028\ud800"\\', max_size=300)
)  # fmt: skip
wild = st.recursive(
    wild_scalars,
    lambda inner: (
        st.lists(inner, max_size=60)
        | st.dictionaries(
            st.text(st.characters(), max_size=20) | st.integers() | st.none() | st.binary(max_size=4),
            inner,
            max_size=8,
        )
        | st.tuples(inner, inner)
        | inner.map(Holder)
        | inner.map(Plain)
        | st.frozensets(st.integers() | text, max_size=5)
    ),
    max_leaves=60,
)


def capture(value: object, limits: Limits | None = None, redact: object = None) -> bytes:
    return bytes(
        Capturer(redactor=Redactor.checked(redact), losses=lambda _: None, limits=limits).value(value)
    )


@given(plain_json)
def test_plain_values_are_what_orjson_makes_of_them(value: Any) -> None:
    assert capture(value) == orjson.dumps(value)


@given(plain_json)
def test_both_ways_agree(value: Any) -> None:
    assert orjson.loads(capture([value, {1}])) == [value, [1]]


@settings(max_examples=300, deadline=None)
@given(wild)
def test_valid_bounded_and_without_control_bytes(value: Any) -> None:
    data = capture(value, SMALL)
    orjson.loads(data)
    assert not set(data) & set(range(32))
    assert len(data) <= SMALL.size + ROOM
    orjson.loads(capture(value))


secrets = st.sampled_from([
    "sk-proj-QQ3456789QQ3456789", "ghp_QQ3456789QQ3456789QQ3456789QQ34567", "AKIAQQ3456789QQ34567",
    "eyJhbGciOiJI.eyJQQ3456789QQ.QQ3456789QQ", "Bearer QQ3456789QQ3456789QQ",
])  # fmt: skip
edge = st.text(st.characters(categories=["P", "Z", "S", "Cc", "Cf"], exclude_characters="-_/+="), max_size=8)


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """A tree with a secret somewhere, in a text, a key, or under a secret name."""
    value: Any = draw(edge) + draw(secrets) + draw(edge)
    if draw(st.booleans()):
        value = {
            draw(st.sampled_from(["password", "x-api-key", "OPENAI_API_KEY"])): draw(
                st.just("QQ3456789") | st.just([{"a": "QQ3456789"}])
            )
        }
    for _ in range(draw(st.integers(0, 5))):
        shape = draw(st.sampled_from(["list", "dict", "tuple", "json", "object"]))
        value = {
            "list": lambda inner: [1, inner],
            "dict": lambda inner: {"a": inner, "b": 2},
            "tuple": lambda inner: (inner, "x"),
            "json": lambda inner: json.dumps({"q": inner}, default=vars),
            "object": Holder,
        }[shape](value)
    return value


@settings(deadline=None)
@given(planted())
def test_no_planted_secret_survives(value: Any) -> None:
    data = capture(value)
    orjson.loads(data)
    assert b"QQ3456789" not in data


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text | st.builds("{}{}{}".format, edge, secrets, edge),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | st.just("password"), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None)
@given(json_trees, st.booleans(), st.integers(0, 2**32))
def test_bodies_stay_valid_and_lose_their_secrets(tree: Any, ascii_only: bool, cut: int) -> None:
    body = json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "replace")
    clean = Redactor().json_bytes(body)
    json.loads(clean)
    assert b"QQ3456789QQ3" not in clean
    assert Redactor().json_bytes(clean) == clean
    stream = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    events, offsets = Redactor().sse_bytes(stream, [0, len(body) + 8])
    assert events[: offsets[1]].startswith(b"data: ")
    assert events[offsets[1] :] == b"data: [DONE]\n\n"
    json.loads(events[6 : offsets[1]])
    Redactor().json_bytes(body[: cut % (len(body) + 1)])


@given(st.text(st.characters(categories=["L", "N", "P", "Z"], codec="utf-8"), max_size=200))
def test_text_without_secrets_is_the_same_object(words: str) -> None:
    if not any(mark in words for mark in ("://", "{", "[", "-", "_")):
        assert Redactor().text(words) is words

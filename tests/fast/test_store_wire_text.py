"""Provider bytes without what the bodies hold come back exactly."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from spanreel_exporters.duckdb.wire_text import MARK, pack, unpack

LONG = 'What a long question this is, with "quotes", ünïcode\nand several lines. ' * 2
strings = st.lists(
    st.one_of(st.text(max_size=5), st.sampled_from([LONG, LONG + "!", LONG * 2, "x" * 70])), max_size=4
)


@given(strings, strings, st.text(max_size=8))
def test_every_text_comes_back(wire: list[str], body: list[str], raw: str) -> None:
    source = orjson.dumps([{"content": text} for text in body]).decode()
    for text in (
        orjson.dumps({"messages": wire}).decode(),
        raw,
        MARK + raw,
        f"{MARK}0:5{MARK}",
        raw + source,
    ):
        assert unpack(pack(text, source), source) == text


def test_what_a_body_holds_is_not_kept_twice() -> None:
    source = orjson.dumps([{"role": "user", "parts": [{"type": "text", "content": LONG}]}]).decode()
    text = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": LONG}]}).decode()
    assert len(pack(text, source)) < 80
    assert pack(text, None) == text

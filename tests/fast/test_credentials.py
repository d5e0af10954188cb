from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanreel import clock, credentials
from spanreel.credential_families import FAMILIES, GROUPS

BEGINNINGS = [text.decode() for group in GROUPS for text, _ in group.leads]
PIECES = st.sampled_from([
    *BEGINNINGS, *(text[:-1] for text in BEGINNINGS), *(text[1:] for text in BEGINNINGS),
    "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "?api_key=", "&sig=", "https://u:pw@h/",
    " ", "\\n", "\\u00e9", "-", "_", ".", "=", "A", "z", "K", "OPENAI", "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z",
    "ABCDEFGH12345678", "b3JpZ2luX2VjEPf", "task-force", "a_b", "organize",
])  # fmt: skip


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    yield
    credentials._waits.debt = credentials._waits.until = 0
    clock.use()


def test_every_family_has_beginnings() -> None:
    assert all(family.beginnings for family in FAMILIES)
    assert all(family.pivot == text[at : at + 1] for family in FAMILIES for text, at in family.beginnings)


@given(st.lists(PIECES, max_size=14).map("".join))
@example("x" * 40 + "gsk_live_aB3dE5fG7hI9jK1lM3nO5")
@example("lsv2_sk_aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3")
def test_both_searches_find_the_same_and_all_that_is_replaced(text: str) -> None:
    data = b'"%s"' % text.encode()
    found = credentials.suspicious(data)
    assert (credentials._by_pivots(data) or credentials._in_userinfo(data)) is found
    assert found or not any(True for _ in credentials.edits(data))


def test_waits_for_the_gil_pause_the_automaton(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [0]
    cost = [5_000_000]
    automaton = credentials._search
    searched = []

    def search(data: bytes) -> list[tuple[int, int, int]]:
        searched.append(ticks[0])
        ticks[0] += cost[0]
        return automaton(data)

    monkeypatch.setattr(credentials, "_search", search)
    clock.use(tick_ns=lambda: ticks[0])
    key = b'"sk-aB3dE5fG7hI9jK1lM3nO5"'
    for _ in range(20):
        assert credentials.suspicious(key)
        assert not credentials.suspicious(b'"nothing"')
    assert len(searched) == 5  # 25 ms of waits are more than the account allows
    ticks[0] += 11_000_000_000
    cost[0] = 3_000
    for _ in range(20):
        assert credentials.suspicious(key)
    assert len(searched) == 25


def test_seldom_waits_are_paid_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, calls = [0], [0]

    def search(_data: bytes) -> list[tuple[int, int, int]]:
        calls[0] += 1
        ticks[0] += 5_000_000 if calls[0] % 500 == 0 else 3_000
        return []

    monkeypatch.setattr(credentials, "_search", search)
    clock.use(tick_ns=lambda: ticks[0])
    for _ in range(5_000):
        credentials.suspicious(b"x" * 12_000)
    assert calls[0] == 5_000

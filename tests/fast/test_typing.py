"""What the type checkers see through the decorators; mypy and pyright read the assertions, pytest runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type, overload

from recording import Recording

import spanreel


@spanreel.trace
def plain(a: int, *, b: str = "") -> float:
    return a / 2


@spanreel.trace(kind="tool", name="async")
async def asynchronous(a: int) -> str:
    return str(a)


@spanreel.trace.retrieval
def generator(n: int) -> Iterator[int]:
    yield n


@spanreel.trace
async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


@overload
def overloaded(x: int) -> int: ...


@overload
def overloaded(x: str) -> str: ...


@spanreel.trace
def overloaded(x: int | str) -> int | str:
    return x


class Agent:
    @spanreel.trace.agent
    def run(self, x: int) -> list[int]:
        return [x]

    @classmethod
    @spanreel.trace
    def make(cls, x: int) -> Agent:
        return cls()

    @staticmethod
    @spanreel.trace
    def static(x: int) -> bytes:
        return bytes(x)


def test_types_are_kept(recording: Recording) -> None:
    assert_type(plain(1, b="x"), float)
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type(overloaded(1), int)
    assert_type(overloaded("a"), str)
    assert_type(Agent().run(1), list[int])
    assert_type(Agent.make(1), Agent)
    assert_type(Agent.static(1), bytes)
    assert_type(spanreel.prompt("a", "{b}", b=1), str)
    kept: Callable[[int], Coroutine[Any, Any, str]] = asynchronous
    assert kept is asynchronous
    with spanreel.span("x") as span:
        assert_type(span, spanreel.Span)

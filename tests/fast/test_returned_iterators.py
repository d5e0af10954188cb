"""Iterators that traced functions return: watched, and otherwise what they are; what is none is left alone."""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import pickle
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Self

import pytest
from recording import Recording

import spanreel

pytestmark = pytest.mark.usefixtures("recording")


def traced(value: Any) -> Any:
    """What a traced function that returns `value` gives its caller."""

    @spanreel.trace(name="returns")
    def returns() -> Any:
        return value

    return returns()


def test_an_iterator_has_what_it_had_and_no_more(recording: Recording) -> None:
    pairs = traced(zip([1, 2], [3, 4], strict=True))
    assert not hasattr(pairs, "close")
    assert not hasattr(pairs, "__copy__")
    first, second = itertools.tee(pairs)
    assert list(first) == list(second) == [(1, 3), (2, 4)]
    assert recording.one("returns").output == [[1, 3], [2, 4]]


def test_delegating_to_an_iterator_and_leaving_early(recording: Recording) -> None:
    def delegate() -> Iterator[int]:
        yield from traced(map(int, "123"))

    steps = delegate()
    assert next(steps) == 1
    steps.close()  # type: ignore[attr-defined]
    del steps
    gc.collect()
    assert recording.one("returns").output == [1]


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deep", "pickle"],
)
def test_an_iterator_that_can_be_copied_still_can(again: Callable[[Any], Any]) -> None:
    numbers = traced(iter([1, 2, 3]))
    assert next(numbers) == 1
    assert list(again(numbers)) == list(numbers) == [2, 3]


class Closable:
    """An iterator with an end of its own, synchronous or not."""

    def __init__(self, *, later: bool) -> None:
        self.closed = 0
        self._later = later

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        return 7

    def close(self) -> Any:
        self.closed += 1
        return asyncio.sleep(0, "later") if self._later else "now"

    @spanreel.trace
    def rewound(self) -> Self:
        return self


def test_closing_ends_the_span(recording: Recording) -> None:
    real = Closable(later=False)
    stream = traced(real)
    assert (next(stream), stream.close(), real.closed) == (7, "now", 1)
    assert recording.one("returns").output == [7]


def test_closing_later_ends_the_span(recording: Recording) -> None:
    async def use() -> Any:
        return await traced(Closable(later=True)).close()

    assert asyncio.run(use()) == "later"
    assert recording.one("returns").ended


def test_an_object_that_returns_itself_stays_itself(recording: Recording) -> None:
    stream = Closable(later=False)
    assert stream.rewound() is stream
    assert recording.one("Closable.rewound").ended


class Lookup:
    """A descriptor that forwards, as those of werkzeug's LocalProxy."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return getattr(instance.found(), self._name)

    def __call__(self, instance: Any) -> Any:
        return getattr(instance.found(), self._name)()


class Lazy:
    """Forwards everything to an object that it finds when asked: here it must not be asked."""

    __iter__ = Lookup("__iter__")
    __next__ = Lookup("__next__")
    __aiter__ = Lookup("__aiter__")
    __anext__ = Lookup("__anext__")
    asked = 0

    def found(self) -> Any:
        self.asked += 1
        return iter([1])

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.asked += 1
        return int


def test_lazy_objects_are_neither_streams_nor_woken(recording: Recording) -> None:
    lazy = Lazy()
    assert traced(lazy) is lazy
    target = Closable(later=False)
    assert type(traced(weakref.proxy(target))) is weakref.ProxyType
    spanreel.trace(lambda value: None)([lazy, {"lazy": lazy}])
    assert lazy.asked == 0
    assert all(span.ended for span in recording.spans())


def test_a_reader_is_read_not_iterated(recording: Recording) -> None:
    async def use() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(b"line\n")
        assert traced(reader) is reader
        line: bytes = await reader.readline()
        return line

    assert asyncio.run(use()) == b"line\n"
    assert recording.one("returns").ended


class Odd(type):
    def __hash__(cls) -> int:
        raise RuntimeError("no hash of a class")


class Unhashable(metaclass=Odd):
    pass


def test_a_result_that_cannot_be_looked_at_still_ends_its_span(recording: Recording) -> None:
    from spanreel.guard import guard

    guard.strict = False
    value = Unhashable()
    assert traced(value) is value
    assert recording.one("returns").ended


def test_an_async_generator_collected_after_its_loop_ends_its_span(
    recording: Recording, capfd: pytest.CaptureFixture[str]
) -> None:
    @spanreel.trace
    async def numbers() -> AsyncGenerator[int]:
        for number in range(3):
            yield number

    left: list[AsyncGenerator[int]] = []

    async def begin() -> None:
        left.append(numbers())
        assert await anext(left[0]) == 0

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    left.clear()
    gc.collect()
    seen = recording.one("numbers")
    assert (seen.ended, seen.output) == (True, [0])
    assert capfd.readouterr() == ("", "")

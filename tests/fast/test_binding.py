"""A traced callable is bound, copied, pickled, weakly referenced and compared like the one it stands for."""

from __future__ import annotations

import copy
import functools
import pickle
import weakref
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import pytest
from recording import Recording

import spanreel

pytestmark = pytest.mark.usefixtures("recording")


class Base:
    token = "held by the instance"

    def __init__(self) -> None:
        self.name = "an object"

    @spanreel.trace
    def method(self, value: int) -> int:
        return value

    @spanreel.trace
    @classmethod
    def outer_class(cls) -> type:
        return cls

    @classmethod
    @spanreel.trace
    def inner_class(cls) -> type:
        return cls

    @spanreel.trace
    @staticmethod
    def static(value: int) -> int:
        return value

    @property
    @spanreel.trace
    def shown(self) -> int:
        return 5

    @functools.cached_property
    @spanreel.trace
    def kept(self) -> int:
        return 6


class Derived(Base):
    def method(self, value: int) -> int:
        return super().method(value) + 1


@spanreel.trace
def function(value: int) -> int:
    return value


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, value: int) -> int:
        self.calls += 1
        return value


counter = spanreel.trace(Counter())
sevenfold = spanreel.trace(functools.partial(function, 7))


def test_methods_are_methods() -> None:
    base = Base()
    assert type(base.method) is MethodType
    assert isinstance(Base.method, FunctionType)
    assert Base.method is Base.method
    assert Derived.outer_class.__func__ is Base.outer_class.__func__  # type: ignore[attr-defined]
    assert base.method == base.method
    assert hash(base.method) == hash(base.method)
    assert base.method.__func__ is Base.method
    assert Base.method(base, 3) == base.method(3) == 3
    assert Derived().method(3) == 4
    assert Derived.outer_class() is Derived().inner_class() is Derived
    assert Base.static(3) == base.static(3) == 3


def test_the_instance_is_no_argument(recording: Recording) -> None:
    base = Base()
    base.method(1)
    Base.method(base, 2)
    assert (base.shown, base.kept) == (5, 6)
    Base.inner_class()
    assert [span.input for span in recording.spans()] == [{"value": 1}, {"value": 2}, {}, {}, {}]


@pytest.mark.parametrize(
    "call",
    [function, counter, sevenfold, Base().method, Base.outer_class, Base.inner_class, Base.static],
    ids=["function", "object", "partial", "method", "classmethod", "inner classmethod", "staticmethod"],
)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda call: pickle.loads(pickle.dumps(call))],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_does_the_same_and_is_traced(
    recording: Recording, call: Callable[..., Any], again: Callable[[Any], Any]
) -> None:
    arguments = () if call in (sevenfold, Base.outer_class, Base.inner_class) else (3,)
    assert again(call)(*arguments) == call(*arguments)
    assert len(recording.spans()) >= 2
    assert again({"inside": function})["inside"] is function


def test_weak_methods_find_their_way() -> None:
    base = Base()
    found = weakref.WeakMethod(base.method)()
    assert found is not None
    assert found(3) == 3
    assert weakref.ref(function)() is function


def test_what_cannot_be_called_is_told_where_to_go() -> None:
    with pytest.raises(TypeError, match="not property; put @trace below it"):
        spanreel.trace(property(lambda self: self))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"not int$"):
        spanreel.trace(3)  # type: ignore[call-overload]

"""Wrappers put on the methods of other libraries' classes, and taken off again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wrapt

Undo = Callable[[], None]
Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""(wrapped, instance, args, kwargs) -> what the call returns."""


class Switch:
    """Turns a wrapper off that cannot be taken out because somebody else has wrapped it since."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True


def patch(owner: type, name: str, wrapper: Wrapper) -> Undo:
    """Wrap a method of `owner`; the result puts the original back, unless it was wrapped again since."""
    original = owner.__dict__[name]
    if wrapt.is_wrapped_by(original, wrapper):  # the two names of one library (httpx2.alias_httpx)
        return lambda: None
    wrapped = wrapt.FunctionWrapper(original, wrapper)
    setattr(owner, name, wrapped)

    def undo() -> None:
        if owner.__dict__.get(name) is wrapped:
            setattr(owner, name, original)

    return undo


def together(switch: Switch, steps: list[Undo]) -> Undo:
    """One undo of several, which turns the wrappers off first."""

    def undo() -> None:
        switch.on = False
        for step in steps:
            step()

    return undo

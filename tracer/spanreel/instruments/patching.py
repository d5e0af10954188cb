"""Putting wrappers into a library's classes and modules, and taking them out again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import wrapt

from spanreel import recorder

Hook = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""`(wrapped, instance, args, kwargs) -> result`, as wrapt has it."""


def wanted() -> bool:
    """Tell whether a call made here and now is to be recorded."""
    scope = recorder.scope()
    return scope == "all" or (scope == "trace" and recorder.inside_trace())


class Patches:
    """The wrappers of one library: put in one by one, taken out together.

    One that cannot be taken out, because somebody else has wrapped it since, is passed through from then on.
    """

    __slots__ = ("_undo", "on")

    def __init__(self) -> None:
        self.on = True
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: Any, name: str, hook: Hook) -> None:
        """Wrap what is called `name` in the class or module `owner`; nothing where there is no such name.

        The hook is called where a call is wanted; elsewhere the library's own function is.
        """
        original = inspect.getattr_static(owner, name, None)
        if original is None:
            return

        def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            if self.on and wanted():
                return hook(wrapped, instance, args, kwargs)
            return wrapped(*args, **kwargs)

        self.replace(owner, name, wrapt.FunctionWrapper(original, call))

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Put `value` in the place of the attribute `name` of a class or module."""
        inherited = name not in vars(owner)
        original = inspect.getattr_static(owner, name)
        setattr(owner, name, value)

        def undo() -> None:
            if vars(owner).get(name) is not value:
                return
            if inherited:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

        self._undo.append(undo)

    def undo(self) -> None:
        """Take all of them out again."""
        self.on = False
        while self._undo:
            self._undo.pop()()


def parameters(function: Any, *, bound: bool = True) -> tuple[str, ...]:
    """The names of a function's positional parameters, without `self` if it is a method (`bound`)."""
    try:
        found = tuple(
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        )
    except (TypeError, ValueError):
        return ()
    return found[1:] if bound and found[:1] == ("self",) else found


def named(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name."""
    return {**dict(zip(names, args, strict=False)), **kwargs}

"""The mark of a send that is under way: what is sent below it, by another library, is part of it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TypeVar

T = TypeVar("T")

_current: ContextVar[Nested | None] = ContextVar("spanreel-wire-nested", default=None)


class Nested:
    """Marks the current context from its making until `leave()`.

    A task or thread that is started meanwhile inherits the mark and keeps it; there it stops to count with the send.
    """

    __slots__ = ("_on", "_token")

    def __init__(self) -> None:
        self._on = True
        self._token: Token[Nested | None] | None = _current.set(self)

    def counts(self) -> bool:
        """Tell whether the send is still under way."""
        return self._on

    def leave(self) -> None:
        """The send is over, or gave up."""
        self._on = False
        token, self._token = self._token, None
        if token is not None:
            leave(_current, token)


def inside() -> bool:
    """Tell whether a recorded send is under way here: hooks of the libraries below it leave it alone."""
    mark = _current.get()
    return mark is not None and mark.counts()


def leave(variable: ContextVar[T], token: Token[T]) -> None:
    """Put a variable back. Elsewhere than it was set (a coroutine that is thrown away unfinished), let it be."""
    try:
        variable.reset(token)
    except ValueError:
        return

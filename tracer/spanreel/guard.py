"""The one device that keeps spanreel's own failures away from the program under observation.

`with guard("wire.request"):` or `@guard("wire.request")` around *our* work, never around the user's
call. What fails is counted as the loss `internal:<where>`, logged once per place and kind of error,
and swallowed. Hot paths that cannot afford a `with` call `guard.caught(where)` in an `except Exception`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import FrameType, TracebackType

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("spanreel")
logger.addHandler(logging.NullHandler())


def is_handlers(error: BaseException) -> bool:
    """Whether a signal handler of the program raised `error` while code of ours happened to run.

    Time limits (Celery's, SIGALRM) and `sys.exit` on SIGTERM are such: they belong to the program, and to
    swallow them would make it run on. A handler is told by an argument of its own: the frame it interrupted.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    step = error.__traceback__
    while step is not None:
        if _interrupts(step.tb_frame):
            return True
        step = step.tb_next
    return False


def _interrupts(frame: FrameType) -> bool:
    """Whether a frame was called with the frame below it, by name or among `*args`."""
    code, below = frame.f_code, frame.f_back
    names = code.co_varnames[1 : code.co_argcount]
    if code.co_flags & inspect.CO_VARARGS:
        names += (code.co_varnames[code.co_argcount + code.co_kwonlyargcount],)
    if not names or below is None:
        return False
    given = [frame.f_locals.get(name) for name in names]
    return any(
        value is below or (type(value) is tuple and any(item is below for item in value)) for value in given
    )


class _Place:
    """One named place of the guard: a context manager and a decorator."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        guard.caught(self._where, error)
        return not guard.strict

    def __call__(self, function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                guard.caught(self._where, error)
                return None

        return guarded


class _Guard:
    """`guard(where)` makes a place; `guard.strict` re-raises and is set by spanreel's own tests only."""

    __slots__ = ("_said", "count_loss", "strict")

    def __init__(self) -> None:
        self.strict = False
        self.count_loss: Callable[[str, int], None] = lambda _reason, _count: None
        self._said: set[tuple[str, type[BaseException]]] = set()

    def __call__(self, where: str) -> _Place:
        return _Place(where)

    def caught(self, where: str, error: BaseException) -> None:
        """Count and log (once per place and kind) an exception of ours; re-raise it if strict, or not ours."""
        if self.strict or is_handlers(error):
            raise error
        try:
            self.count_loss(f"internal:{where}", 1)
            key = (where, type(error))
            if key not in self._said and len(self._said) < 200:
                self._said.add(key)
                logger.debug("spanreel failed in %s; your program is unaffected", where, exc_info=error)
        except Exception:
            pass


guard = _Guard()

"""An exception -> type, message and a short stack, without running much of the program's code."""

from __future__ import annotations

import linecache
import os
from typing import Any

from spanreel.guard import is_handlers

_HERE = os.path.dirname(__file__) + os.sep  # noqa: PTH120
FRAMES = 40
CHAIN = 3
MESSAGE_CHARS = 8_000


def type_name(kind: type) -> str:
    """`openai.RateLimitError`, `ValueError`: the qualified name, without `builtins`."""
    name = getattr(kind, "__qualname__", "") or str(kind)
    module = getattr(kind, "__module__", "")
    return name if module in {"builtins", ""} else f"{module}.{name}"


def message(error: BaseException) -> str:
    """`str(error)`, or a note that it could not be had."""
    try:
        text = str(error)
    except Exception as failed:
        if is_handlers(failed):
            raise
        return f"[no message: str() raised {type(failed).__name__}]"
    if len(text) > MESSAGE_CHARS:
        return f"{text[: MESSAGE_CHARS // 2]} [... {len(text)} characters ...] {text[-MESSAGE_CHARS // 2 :]}"
    return text


def is_cancellation(error: BaseException) -> bool:
    """Whether asyncio (or anyio, trio) has cancelled what raised this."""
    kind = type(error)
    return kind.__name__ in {"CancelledError", "Cancelled"} and not isinstance(error, Exception)


def is_success(stop: SystemExit) -> bool:
    """Whether a program that ends with `stop` tells its caller that all went well: no code, or 0."""
    return stop.code is None or (isinstance(stop.code, int) and int(stop.code) == 0)


def describe(error: BaseException) -> dict[str, Any]:
    """`{type, message, stacktrace}` of an exception and up to three causes."""
    return {"type": type_name(type(error)), "message": message(error), "stacktrace": _stack(error)}


def _stack(error: BaseException) -> str:
    parts = [_frames(error)]
    seen = {id(error)}
    for _ in range(CHAIN):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            break
        seen.add(id(cause))
        head = "caused by" if error.__cause__ is cause else "raised while handling"
        parts.append(f"{head} {type_name(type(cause))}: {message(cause)}\n{_frames(cause)}")
        error = cause
    return "\n".join(part for part in parts if part)


def _frames(error: BaseException) -> str:
    lines = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_HERE):
            lines.append(_line(code.co_filename, step.tb_lineno, code.co_name))
        step = step.tb_next
    if len(lines) > FRAMES:
        lines = [*lines[: FRAMES // 2], f"  ... {len(lines) - FRAMES} frames ...", *lines[-FRAMES // 2 :]]
    return "\n".join(lines)


def _line(path: str, number: int, function: str) -> str:
    source = linecache.getline(path, number).strip()
    place = f'  File "{path}", line {number}, in {function}'
    return f"{place}\n    {source}" if source else place

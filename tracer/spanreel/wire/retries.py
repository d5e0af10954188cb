"""Which send repeats a failed one: told by the SDK's own header, else inferred and marked as such.

Each attempt is a span of its own and durable by itself; `spanreel.retry_of` names the attempt before, which is
what the ingest groups them by into one logical call.
"""

from __future__ import annotations

from contextvars import ContextVar
from hashlib import sha256
from typing import Any, NamedTuple

RETRY_HEADER = "x-stainless-retry-count"
"""Sent by every SDK that Stainless generates (openai, anthropic, groq, ...): 0, 1, 2, ..."""
_PIECE = 2_040
"""hashlib lets go of the GIL from 2,048 bytes on; getting it back costs milliseconds beside a busy thread."""


class Failed(NamedTuple):
    """The last attempt that failed in this task or thread."""

    body_sha256: str
    parent: bytes
    span: bytes
    retry_count: int
    url: str


_failed: ContextVar[Failed | None] = ContextVar("spanreel-failed-attempt", default=None)


def digest(body: bytes) -> str:
    """SHA-256 of a request body, in hex."""
    found = sha256()
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        found.update(view[start : start + _PIECE])
    return found.hexdigest()


def remember(failed: Failed) -> None:
    """Note a failed attempt, for a retry in the same task or thread to be linked to it."""
    _failed.set(failed)


def link(*, body_sha256: str, header: str | None, parent: bytes, url: str) -> tuple[int, dict[str, Any]]:
    """Return the retry count of a send and the attributes that link it to the attempt before."""
    count = int(header) if header is not None and header.isdigit() and len(header) < 4 else None
    if count == 0:
        return 0, {}
    before = _failed.get()
    if before is None or before.url != url or before.body_sha256 != body_sha256 or before.parent != parent:
        return count or 0, {"spanreel.retry_count": count} if count else {}
    _failed.set(None)
    inferred = count is None
    count = before.retry_count + 1 if count is None else count
    attributes: dict[str, Any] = {"spanreel.retry_of": before.span.decode(), "spanreel.retry_count": count}
    if inferred:
        attributes["spanreel.retry_inferred"] = True
    return count, attributes

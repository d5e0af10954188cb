"""Which send repeats a failed one: told by the SDK's own header, else inferred and marked as such.

Each attempt is a span of its own and durable by itself; `spanreel.retry_of` names the attempt before, which is
what the ingest groups them by into one logical call. The last attempt also says how long was waited in between.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STAINLESS = "x-stainless-retry-count"
"""Sent by every SDK that Stainless generates (openai, anthropic, groq, ...): 0, 1, 2, ..."""
AMAZON, AMAZON_CALL = "amz-sdk-request", "amz-sdk-invocation-id"
"""`attempt=2; max=5`, and the id that all attempts of a call share; sent by every AWS SDK."""
PATIENCE_NS = 300 * 10**9
"""How long after a failure the same send is still taken for its retry where no header says so: SDKs wait a minute
at most by themselves, longer only where the server asked for it (that is added)."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ATTEMPT = re.compile(r"\battempt=(\d{1,3})\b")
_PIECE = 2_040
"""hashlib lets go of the GIL from 2,048 bytes on; getting it back costs milliseconds beside a busy thread."""
_MOST = 512


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that failed, for the one that repeats it to name."""

    body_sha256: str
    url: str
    parent: bytes
    trace: bytes
    span: bytes
    retry_count: int
    end_ns: int
    waited_ns: int
    """Between the attempts up to this one."""
    patience_ns: int
    call: str
    """The id that the SDK gave all attempts of the call, if any."""
    redirected: bool = False

    @property
    def key(self) -> tuple[bytes, str, str]:
        """What the send that repeats it has in common with it."""
        return self.parent, self.url, self.body_sha256

    def repeated_by(self, *, body_sha256: str, url: str, parent: bytes, at_ns: int) -> bool:
        """Tell whether a send looks like the same again."""
        return (
            self.body_sha256 == body_sha256
            and (self.url == url or self.redirected)
            and self.parent == parent
            and at_ns - self.end_ns <= self.patience_ns
        )


_failed: ContextVar[Failed | None] = ContextVar("spanreel-failed-attempt", default=None)
_kept: dict[object, Failed] = {}
"""The latest failures of the process, for SDKs that say which sends are retries but make each in a task of its own."""


def digest(body: bytes) -> str:
    """SHA-256 of a request body, in hex."""
    found = sha256()
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        found.update(view[start : start + _PIECE])
    return found.hexdigest()


def told(headers: Mapping[str, str]) -> int | None:
    """Return which retry a send is by its own account: 0 for the first attempt, None where it does not say."""
    count = headers.get(STAINLESS, "")
    if count.isdecimal() and len(count) < 4:
        return int(count)
    found = _ATTEMPT.search(headers.get(AMAZON, ""))
    return max(int(found[1]) - 1, 0) if found else None


def patience(headers: Mapping[str, str]) -> int:
    """Return how long to wait for a retry of a response with these headers, in ns."""
    for name, unit in (("retry-after-ms", 10**6), ("retry-after", 10**9)):
        asked = headers.get(name, "").strip()
        if asked.isdecimal() and len(asked) < 9:
            return PATIENCE_NS + int(asked) * unit
    return PATIENCE_NS


def remember(failed: Failed) -> None:
    """Note a failed attempt, for a retry to be linked to it."""
    _failed.set(failed)
    if len(_kept) >= _MOST:
        for old in list(_kept)[: _MOST // 2]:
            _kept.pop(old, None)
    _kept[failed.call or failed.key] = failed


def find(
    *, body_sha256: str, url: str, parent: bytes, headers: Mapping[str, str], at_ns: int
) -> Failed | None:
    """Return the attempt that a send repeats, if it repeats one. `headers` are those recorded of the request."""
    count = told(headers)
    if count == 0:
        return None
    before = _failed.get()
    call = headers.get(AMAZON_CALL, "")
    if before is not None and (
        before.call == call
        if call
        else before.repeated_by(body_sha256=body_sha256, url=url, parent=parent, at_ns=at_ns)
    ):
        _failed.set(None)
        if _kept.get(call or before.key) is before:
            _kept.pop(call or before.key, None)
        return before
    return None if count is None else _kept.pop(call or (parent, url, body_sha256), None)


def link(
    before: Failed | None, *, headers: Mapping[str, str], start_ns: int
) -> tuple[int, int, dict[str, Any]]:
    """Return the retry count of a send, the ns waited so far, and the attributes that link it to `before`."""
    count = told(headers)
    if before is None:
        return count or 0, 0, {"spanreel.retry_count": count} if count else {}
    attributes: dict[str, Any] = {"spanreel.retry_of": before.span.decode()}
    if before.redirected:
        return before.retry_count, before.waited_ns, {**attributes, "spanreel.redirected": True}
    if count is None:
        count = before.retry_count + 1
        attributes["spanreel.retry_inferred"] = True
    waited_ns = before.waited_ns + max(start_ns - before.end_ns, 0)
    attributes["spanreel.retry_count"] = count
    attributes["spanreel.retry_wait_ms"] = round(waited_ns / 1e6, 3)
    return count, waited_ns, attributes

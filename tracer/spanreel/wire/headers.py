"""Which headers are recorded: those named here and no others, so that no credential ever is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUEST = (
    "content-type",
    "user-agent",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "x-stainless-lang",
    "x-stainless-package-version",
    "x-stainless-retry-count",
)
RESPONSE = (
    "content-type",
    "content-encoding",
    "date",
    "x-request-id",
    "request-id",
    "apim-request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
REQUEST_ID = ("x-request-id", "request-id", "apim-request-id")


class Headers(Protocol):
    """What a client library's headers offer: pairs, in any case, of str or bytes."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Name and value of each header."""
        ...


def pick(headers: Headers, names: tuple[str, ...]) -> dict[str, str]:
    """Return the headers among `names`, names in lower case."""
    return {name: value for key, value in headers.items() if (name := key.lower()) in names}

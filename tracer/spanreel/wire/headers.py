"""Which headers are recorded: those named here and no others, so that no credential ever is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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
    "x-fern-sdk-name",
    "x-fern-sdk-version",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
)
RESPONSE = (
    "content-type",
    "content-encoding",
    "date",
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-ms-region",
    "x-ms-deployment-name",
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
    "x-groq-region",
    "mistral-correlation-id",
    "fireworks-prompt-tokens",
    "fireworks-cached-prompt-tokens",
    "fireworks-server-time-to-first-token",
    "fireworks-server-processing-time",
    "x-litellm-call-id",
    "x-litellm-response-cost",
    "x-compute-type",
    "x-inference-time",
    "x-queue-time",
    "x-prompt-tokens",
    "x-generated-tokens",
    "x-amzn-requestid",
    "x-amzn-errortype",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
    "x-amzn-bedrock-invocation-latency",
)
REQUEST_ID = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "mistral-correlation-id")


class Headers(Protocol):
    """What a client library's headers offer: pairs, in any case, of str or bytes."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Name and value of each header."""
        ...


def pick(headers: Headers, names: tuple[str, ...]) -> dict[str, str]:
    """Return the headers among `names`, names in lower case."""
    return {name: _text(value) for key, value in headers.items() if (name := _text(key).lower()) in names}


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)

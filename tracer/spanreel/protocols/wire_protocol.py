"""What a provider protocol has to offer to be in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Call
    from spanreel.protocols.exchange import Exchange


class WireProtocol(Protocol):
    """One API of one provider family, as it goes over HTTP. Every method is total."""

    @property
    def name(self) -> str:
        """Name in `spanreel.protocol` and in attempts, e.g. `openai.chat`."""
        ...

    @property
    def kind(self) -> str:
        """Span kind: llm or embedding."""
        ...

    @property
    def operation(self) -> str:
        """`gen_ai.operation.name`."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ends of the URL paths that belong to it; the cheap first test."""
        ...

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Tell whether a JSON request to a path with one of the suffixes is one of this API."""
        ...

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the model asked for."""
        ...

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Tell whether a stream event holds something the model said (the first one is the first token)."""
        ...

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Tell whether a stream event holds something a reader sees: not reasoning, not a call of a tool."""
        ...

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Tell whether a stream that has seen this event is whole."""
        ...

    def fold(self, exchange: Exchange) -> Call:
        """Turn one exchange into the canonical call."""
        ...

"""Anthropic's models on Google's Vertex AI: the Messages API's bodies, the model in the path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import anthropic_messages
from spanreel.protocols.gemini_request import model_of
from spanreel.protocols.providers import provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Call
    from spanreel.protocols.exchange import Exchange


class VertexAnthropic(anthropic_messages.AnthropicMessages):
    """`POST .../publishers/anthropic/models/MODEL:rawPredict` or `:streamRawPredict`."""

    name = "vertex.anthropic"
    suffixes = (":rawPredict", ":streamRawPredict")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for messages and a limit; other publishers' bodies and the counting of tokens are none of it."""
        named = "/publishers/anthropic/" in path or "anthropic_version" in request
        return named and anthropic_messages.is_message_request(request) and model_of(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the path's model."""
        return model_of(path) or super().model(path, request)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call as the Messages API's."""
        return anthropic_messages.fold_message(
            exchange,
            provider=provider(exchange.host, exchange.port, self.name),
            model=self.model(exchange.path, exchange.request),
        )

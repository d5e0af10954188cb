"""What Mistral's API has beside chat: filling in the middle, and agents kept at Mistral.

Chat itself (`/v1/chat/completions`, thinking as parts, `prefix`) and embeddings are read as OpenAI's are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanreel.protocols.openai_chat import OpenAIChat
from spanreel.protocols.shapes import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.call import Call
    from spanreel.protocols.exchange import Exchange


class MistralFim(OpenAIChat):
    """`POST .../fim/completions`: code before and after in, what belongs between out, in chat's response shape."""

    name = "mistral.fim"
    operation = "text_completion"
    suffixes = ("/fim/completions",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a prompt and a model."""
        return isinstance(request.get("prompt"), str) and self.model(path, request) is not None

    def fold(self, exchange: Exchange) -> Call:
        """Return the call with prompt and suffix as a user message."""
        request = exchange.request
        given = [
            {"type": kind, "content": said}
            for kind, said in (("text", text(request.get("prompt"))), ("suffix", text(request.get("suffix"))))
            if said
        ]
        messages = [{"role": "user", "parts": given}] if given else []
        return replace(super().fold(exchange), input_messages=messages)


class MistralAgents(OpenAIChat):
    """`POST .../agents/completions`: a chat whose model, instructions and tools an agent at Mistral holds."""

    name = "mistral.agents"
    suffixes = ("/agents/completions",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for messages and the agent's id."""
        return isinstance(request.get("messages"), list) and isinstance(request.get("agent_id"), str)

"""Ollama's embeddings: `/api/embed`, and `/api/embeddings` of older clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import ollama_request
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import Exchange, strings
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


class OllamaEmbeddings:
    """`POST /api/embed` with an input, or `/api/embeddings` with a prompt."""

    name = "ollama.embeddings"
    kind = "embedding"
    operation = "embeddings"
    suffixes = ("/api/embed", "/api/embeddings")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a model and texts; Open WebUI and others offer OpenAI's API at the longer path."""
        key = "input" if path.endswith("/api/embed") else "prompt"
        return isinstance(request.get(key), str | list) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - others look at the path
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Say no: embeddings are never streamed."""
        return bool(event) and False

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Say no: embeddings are never streamed."""
        return bool(event) and False

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Say yes: embeddings are never streamed."""
        return bool(event)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call: input texts, count and dimension of the vectors, tokens."""
        request, body = exchange.request, exchange.body
        texts = strings(request.get("input")) or strings(request.get("prompt"))
        vectors = sequence(body.get("embeddings")) or ([body["embedding"]] if body.get("embedding") else [])
        dimension = len(sequence(vectors[0])) or None if vectors else None
        parameters: dict[str, Any] = ollama_request.parameters(request)
        count = dimension or integer(request.get("dimensions"))
        if count is not None:
            parameters["gen_ai.embeddings.dimension.count"] = count
        output = [{"type": "embedding", "count": len(vectors), "dimension": dimension}] if vectors else []
        return Call(
            provider=provider(exchange.host, exchange.port, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(body.get("model")),
            parameters=parameters,
            input_messages=[{"role": "user", "parts": [{"type": "text", "content": item} for item in texts]}]
            if texts
            else (),
            output_messages=[{"role": "assistant", "parts": output}] if output else (),
            usage=ollama_request.usage(body),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )

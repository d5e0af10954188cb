"""OpenAI embeddings: texts in, the number and length of the vectors out (the vectors stay in the wire bytes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call
from spanreel.protocols.exchange import Exchange, strings
from spanreel.protocols.openai_usage import usage
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOAT_BYTES = 4
"""A base64 embedding is little-endian float32."""


class OpenAIEmbeddings:
    """`POST .../embeddings` with a model and an input."""

    name = "openai.embeddings"
    kind = "embedding"
    operation = "embeddings"
    suffixes = ("/embeddings",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a model and a string or a list to embed."""
        return isinstance(request.get("input"), str | list) and self.model(path, request) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the body's model, else the Azure deployment."""
        return openai_request.model(path, request)

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Say no: embeddings are never streamed."""
        return bool(event) and False

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Say no: embeddings are never streamed."""
        return bool(event) and False

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Say no: embeddings are never streamed."""
        return bool(event)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call: input texts, count and dimension of the vectors, usage."""
        request, body = exchange.request, exchange.body
        vectors = sequence(body.get("data"))
        dimension = _dimension(vectors)
        parameters = openai_request.parameters(request)
        formats = strings(request.get("encoding_format"))
        if formats:
            parameters["gen_ai.request.encoding_formats"] = formats
        asked = integer(request.get("dimensions"))
        if dimension or asked:
            parameters["gen_ai.embeddings.dimension.count"] = dimension or asked
        output = [{"type": "embedding", "count": len(vectors), "dimension": dimension}] if vectors else []
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(body.get("model")),
            response_id=text(body.get("id")),
            parameters=parameters,
            input_messages=_inputs(request.get("input")),
            output_messages=[{"role": "assistant", "parts": output}] if output else (),
            usage=usage(body.get("usage")),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )


def _inputs(value: object) -> list[dict[str, Any]]:
    """One user message; a part for each text, tokens only counted."""
    if isinstance(value, str):
        return [{"role": "user", "parts": [{"type": "text", "content": value}]}]
    items = sequence(value)
    if items and all(isinstance(item, int) for item in items):
        items = [items]
    parts: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, str):
            parts.append({"type": "text", "content": item})
        elif isinstance(item, list):
            parts.append({"type": "tokens", "count": len(item)})
        elif isinstance(item, dict):
            parts.append({**item, "type": text(item.get("type")) or "unknown"})
    return [{"role": "user", "parts": parts}] if parts else []


def _dimension(vectors: list[Any]) -> int | None:
    if not vectors:
        return None
    vector = mapping(vectors[0]).get("embedding")
    if isinstance(vector, list):
        return len(vector)
    if isinstance(vector, str):
        return len(vector.rstrip("=")) * 3 // 4 // FLOAT_BYTES
    return None

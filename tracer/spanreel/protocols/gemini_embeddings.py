"""Google's embeddings: embedContent and batchEmbedContents of the Gemini API, and Vertex AI's predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Call, Usage
from spanreel.protocols.gemini_parts import parts
from spanreel.protocols.gemini_request import get, model_of, on_vertex
from spanreel.protocols.gemini_usage import usage
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.protocols.exchange import Exchange


class GeminiEmbeddings:
    """`POST .../models/MODEL:embedContent` and `:batchEmbedContents`."""

    name = "gemini.embeddings"
    kind = "embedding"
    operation = "embeddings"
    suffixes: tuple[str, ...] = (":embedContent", ":batchEmbedContents")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a content, or for a list of requests."""
        asks = isinstance(request.get("content"), dict) or isinstance(request.get("requests"), list)
        return asks and model_of(path) is not None

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - others look at the body
        """Return the path's model."""
        return model_of(path)

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
        """Return the call: input texts, count and dimension of the vectors, usage."""
        request, body = exchange.request, exchange.body
        asked = [mapping(item) for item in sequence(request.get("requests"))] or [request]
        single = mapping(body.get("embedding"))
        vectors = sequence(body.get("embeddings")) or ([single] if single else [])
        return _call(
            self,
            exchange,
            said=[part for item in asked for part in parts(item.get("content"))],
            vectors=[mapping(vector).get("values") for vector in vectors],
            config={**mapping(get(asked[0], "embedContentConfig")), **asked[0]},
            used=usage(get(body, "usageMetadata")),
        )


class VertexEmbeddings(GeminiEmbeddings):
    """Vertex AI's `:predict` with texts, and its `:embedContent` of newer models."""

    name = "vertex.embeddings"
    suffixes = (":embedContent", ":batchEmbedContents", ":predict")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for a path of Vertex AI and for instances with a content; models of all kinds are asked to predict."""
        if not on_vertex(path):
            return False
        instances = sequence(request.get("instances"))
        texts = bool(instances) and all(text(mapping(item).get("content")) is not None for item in instances)
        return (texts and model_of(path) is not None) or super().accepts(path, request)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call; `predict` counts the tokens of each text."""
        if "instances" not in exchange.request:
            return super().fold(exchange)
        instances = [mapping(item) for item in sequence(exchange.request.get("instances"))]
        found = [
            mapping(mapping(item).get("embeddings")) for item in sequence(exchange.body.get("predictions"))
        ]
        counts = [integer(get(mapping(item.get("statistics")), "tokenCount")) for item in found]
        known = [count for count in counts if count is not None and count >= 0]
        raw = {"token_counts": counts, **mapping(exchange.body.get("metadata"))}
        return _call(
            self,
            exchange,
            said=[{"type": "text", "content": text(item.get("content")) or ""} for item in instances],
            vectors=[item.get("values") for item in found],
            config={**mapping(exchange.request.get("parameters")), **(instances[0] if instances else {})},
            used=Usage(input_tokens=sum(known), raw=raw) if known else None,
        )


def _call(
    protocol: GeminiEmbeddings,
    exchange: Exchange,
    *,
    said: list[dict[str, Any]],
    vectors: list[Any],
    config: Mapping[str, Any],
    used: Usage | None,
) -> Call:
    dimension = len(sequence(vectors[0])) if vectors else None
    asked = integer(get(config, "outputDimensionality"))
    output = [{"type": "embedding", "count": len(vectors), "dimension": dimension or None}] if vectors else []
    return Call(
        provider=provider(exchange.host, exchange.port, protocol.name),
        operation=protocol.operation,
        request_model=protocol.model(exchange.path, exchange.request),
        parameters=present(
            {
                "gen_ai.embeddings.dimension.count": dimension or asked,
                "spanreel.request.task_type": text(get(config, "taskType")),
            }
        ),
        input_messages=[{"role": "user", "parts": said}] if said else (),
        output_messages=[{"role": "assistant", "parts": output}] if output else (),
        usage=used,
        error_type=exchange.error_type,
        error_message=exchange.error_message,
    )

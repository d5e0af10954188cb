"""Embeddings through Bedrock's InvokeModel: Amazon's Titan and Cohere's, texts and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.bedrock_invoke import metered
from spanreel.protocols.bedrock_parts import model
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.exchange import Exchange, strings
from spanreel.protocols.openai_parts import media
from spanreel.protocols.providers import provider
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKED = ("binary", "ubinary")
"""Cohere's types whose numbers hold eight dimensions each."""


class BedrockEmbed:
    """`POST /model/MODEL/invoke` with texts or images, where the model is one for embeddings."""

    name = "bedrock.embed"
    kind = "embedding"
    operation = "embeddings"
    suffixes: tuple[str, ...] = ("/invoke",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:
        """Ask for inputs, and for a model whose name says what it is for or a body that can mean nothing else."""
        listed = any(isinstance(request.get(key), list) for key in ("texts", "images", "inputs"))
        single = any(isinstance(request.get(key), str) for key in ("inputText", "inputImage"))
        named = "embed" in (model(path) or "").lower()
        return model(path) is not None and (
            (named and single) or (listed and (named or "input_type" in request))
        )

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the path
        """Return the path's model."""
        return model(path)

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
        """Return the call: inputs, count and dimension of the vectors, tokens."""
        request, body = exchange.request, exchange.body
        count, dimension = _shape(body)
        output = [{"type": "embedding", "count": count, "dimension": dimension}] if count else []
        given = _inputs(request)
        tokens = integer(body.get("inputTextTokenCount"))
        counted = None if tokens is None else Usage(input_tokens=tokens, raw={"inputTextTokenCount": tokens})
        asked = integer(request.get("dimensions")) or integer(request.get("output_dimension"))
        parameters = present(
            {
                "gen_ai.request.encoding_formats": strings(request.get("embedding_types"))
                or strings(request.get("embeddingTypes"))
                or None,
                "gen_ai.embeddings.dimension.count": dimension or asked,
                "spanreel.request.input_type": text(request.get("input_type")),
            }
        )
        return Call(
            provider=provider(exchange.host, exchange.port, self.name),
            operation=self.operation,
            request_model=model(exchange.path),
            response_id=text(body.get("id")),
            parameters=parameters,
            input_messages=[{"role": "user", "parts": given}] if given else (),
            output_messages=[{"role": "assistant", "parts": output}] if output else (),
            usage=counted or metered(exchange),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )


def _inputs(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    texts = [*strings(request.get("inputText")), *strings(request.get("texts"))]
    found: list[dict[str, Any]] = [{"type": "text", "content": item} for item in texts]
    image = text(request.get("inputImage"))
    if image is not None:
        found.append({"type": "blob", "modality": "image", "content": image})
    found.extend(media(url, "image") for url in strings(request.get("images")))
    for item in sequence(request.get("inputs")):
        for part in sequence(mapping(item).get("content")):
            piece = mapping(part)
            if isinstance(piece.get("text"), str):
                found.append({"type": "text", "content": piece["text"]})
            else:
                found.append({**piece, "type": text(piece.get("type")) or "unknown"})
    return found


def _shape(body: Mapping[str, Any]) -> tuple[int, int | None]:
    """Return how many vectors there are and how long they are: Titan's one, or Cohere's list, each maybe by type."""
    single = sequence(body.get("embedding"))
    for vector in mapping(body.get("embeddingsByType")).values():
        single = single or sequence(vector)
    if single:
        return 1, len(single)
    kind, vectors = "float", sequence(body.get("embeddings"))
    for name, found in mapping(body.get("embeddings")).items():
        if not vectors or kind in _PACKED:
            kind, vectors = name, sequence(found)
    if not vectors or not isinstance(vectors[0], list):
        return len(vectors), None
    return len(vectors), len(vectors[0]) * (8 if kind in _PACKED else 1)

"""Cohere's embeddings, API v1 and v2: texts and images in, the number and length of the vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import openai_request
from spanreel.protocols.call import Call
from spanreel.protocols.cohere_usage import usage
from spanreel.protocols.exchange import Exchange, strings
from spanreel.protocols.openai_embeddings import FLOAT_BYTES
from spanreel.protocols.openai_parts import media, parts
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKED = ("binary", "ubinary")
"""Types whose numbers hold eight dimensions each."""


class CohereEmbed:
    """`POST .../v2/embed` or `.../v1/embed` with texts, images or both."""

    name = "cohere.embed"
    kind = "embedding"
    operation = "embeddings"
    suffixes = ("/v2/embed", "/v1/embed")

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for a list of texts, of images or of both."""
        return any(isinstance(request.get(key), list) for key in ("texts", "images", "inputs"))

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the body
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
        """Return the call: inputs, count and dimension of the vectors, billed units."""
        request, body = exchange.request, exchange.body
        kinds = strings(request.get("embedding_types"))
        count, dimension = _shape(body.get("embeddings"))
        output = [{"type": "embedding", "count": count, "dimension": dimension}] if count else []
        parameters = openai_request.parameters(request) | present(
            {
                "gen_ai.request.encoding_formats": kinds or None,
                "gen_ai.embeddings.dimension.count": dimension or integer(request.get("output_dimension")),
                "spanreel.request.input_type": text(request.get("input_type")),
            }
        )
        said = _inputs(request)
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_id=text(body.get("id")),
            parameters=parameters,
            input_messages=[{"role": "user", "parts": said}] if said else (),
            output_messages=[{"role": "assistant", "parts": output}] if output else (),
            usage=usage(body.get("meta")),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )


def _inputs(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"type": "text", "content": item} for item in strings(request.get("texts"))
    ]
    found.extend(media(url, "image") for url in strings(request.get("images")))
    for item in sequence(request.get("inputs")):
        found.extend(parts(mapping(item).get("content")))
    return found


def _shape(value: object) -> tuple[int, int | None]:
    """Return how many vectors there are and how long they are; by type (v2) or in one list (v1)."""
    kind, vectors = "float", sequence(value)
    for name, found in mapping(value).items():
        if isinstance(found, list) and found:
            kind, vectors = name, found
            if kind not in {*_PACKED, "base64"}:
                break
    if vectors and isinstance(vectors[0], str):
        return len(vectors), len(vectors[0].rstrip("=")) * 3 // 4 // FLOAT_BYTES
    if not vectors or not isinstance(vectors[0], list):
        return len(vectors), None
    length = len(vectors[0])
    return len(vectors), length * 8 if kind in _PACKED else length

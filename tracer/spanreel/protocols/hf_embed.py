"""Vectors from text-embeddings-inference and from Hugging Face's feature-extraction task: a bare array comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols.call import Call
from spanreel.protocols.exchange import Exchange, strings
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, present, sequence, text
from spanreel.protocols.tgi import model_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class TEIEmbed:
    """`POST .../embed` of text-embeddings-inference with `inputs`."""

    name = "tei.embed"
    kind = "embedding"
    operation = "embeddings"
    suffixes: tuple[str, ...] = ("/embed",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for a text or a list of texts."""
        return isinstance(request.get("inputs"), str | list)

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:
        """Return the model in the path; a server of one's own serves one and is not asked for it by name."""
        return model_of(path) or text(request.get("model")) or None

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
        """Return the call: texts, count and dimension of the vectors; there is no usage."""
        request = exchange.request
        vectors = sequence(exchange.value)
        if vectors and not isinstance(vectors[0], list):
            vectors = [vectors]
        dimension = len(vectors[0]) if vectors else integer(request.get("dimensions"))
        output = [{"type": "embedding", "count": len(vectors), "dimension": dimension}] if vectors else []
        texts = [{"type": "text", "content": item} for item in strings(request.get("inputs"))]
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            parameters=present({"gen_ai.embeddings.dimension.count": dimension}),
            input_messages=[{"role": "user", "parts": texts}] if texts else (),
            output_messages=[{"role": "assistant", "parts": output}] if output else (),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )


class HFFeatureExtraction(TEIEmbed):
    """`POST .../models/<model>/pipeline/feature-extraction` of Hugging Face's router."""

    name = "hugging_face.feature_extraction"
    suffixes = ("/pipeline/feature-extraction",)

"""Reranking: a query and documents in, the documents with scores in a new order out.

Cohere's API (v1 and v2) is spoken by Together, Jina, vLLM and others; Voyage and text-embeddings-inference
answer in shapes of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.protocols import cohere_request, cohere_usage, openai_usage
from spanreel.protocols.call import Call, Usage
from spanreel.protocols.exchange import Exchange
from spanreel.protocols.servers import answered_by
from spanreel.protocols.shapes import integer, mapping, number, present, sequence, text

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rerank:
    """`POST .../rerank` with a query and documents."""

    name = "cohere.rerank"
    kind = "rerank"
    operation = "rerank"
    suffixes = ("/rerank",)

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for a query and a list of documents."""
        return isinstance(request.get("query"), str) and isinstance(request.get("documents"), list)

    def model(self, path: str, request: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - it is in the body
        """Return the body's model."""
        return text(request.get("model")) or None

    def carries_output(self, event: Mapping[str, Any]) -> bool:
        """Say no: ranks are never streamed."""
        return bool(event) and False

    def carries_text(self, event: Mapping[str, Any]) -> bool:
        """Say no: ranks are never streamed."""
        return bool(event) and False

    def ends(self, event: Mapping[str, Any]) -> bool:
        """Say yes: ranks are never streamed."""
        return bool(event)

    def fold(self, exchange: Exchange) -> Call:
        """Return the call: the query, the documents in the order returned, what was billed."""
        request, body = exchange.request, exchange.body
        query = text(request.get("query"))
        given = sequence(request.get("documents")) or sequence(request.get("texts"))
        ranked = sequence(body.get("results")) or sequence(body.get("data")) or sequence(exchange.value)
        top = integer(request.get("top_n")) or integer(request.get("top_k"))
        return Call(
            provider=answered_by(exchange, self.name),
            operation=self.operation,
            request_model=self.model(exchange.path, request),
            response_model=text(body.get("model")),
            response_id=text(body.get("id")),
            parameters=present({"gen_ai.request.top_k": top, "spanreel.rerank.candidates": len(given)}),
            input_messages=[{"role": "user", "parts": [{"type": "text", "content": query}]}] if query else (),
            documents=[_document(mapping(item), given) for item in ranked if isinstance(item, dict)],
            query=query,
            usage=_usage(body),
            error_type=exchange.error_type,
            error_message=exchange.error_message,
        )


class TEIRerank(Rerank):
    """The same of text-embeddings-inference: `texts` in, a bare array of indices and scores out."""

    name = "tei.rerank"

    def accepts(self, path: str, request: Mapping[str, Any]) -> bool:  # noqa: ARG002 - told by the body
        """Ask for a query and a list of texts."""
        return isinstance(request.get("query"), str) and isinstance(request.get("texts"), list)


def _document(item: Mapping[str, Any], given: list[Any]) -> dict[str, Any]:
    """Return one result: the document is told by its place in the request, some servers repeat it."""
    index = integer(item.get("index"))
    source = given[index] if index is not None and 0 <= index < len(given) else None
    returned = item.get("document", item.get("text"))
    fields = mapping(source)
    score = number(item.get("relevance_score"))
    metadata = {key: value for key, value in fields.items() if key not in {"id", "text"}}
    return {
        "id": text(fields.get("id")) or (None if index is None else str(index)),
        "content": cohere_request.content(source) or cohere_request.content(returned),
        "score": number(item.get("score")) if score is None else score,
        "metadata": present({"index": index}) | metadata,
    }


def _usage(body: Mapping[str, Any]) -> Usage | None:
    """Read Cohere's `meta`, else an OpenAI-like `usage`, which may hold the total alone (Jina, Voyage, vLLM)."""
    billed = cohere_usage.usage(body.get("meta"))
    if billed is not None:
        return billed
    counts = mapping(body.get("usage"))
    found = openai_usage.usage(counts)
    total = integer(counts.get("total_tokens"))
    if found is not None and found.input_tokens is None and total is not None:
        return Usage(input_tokens=total, raw=dict(counts))
    return found

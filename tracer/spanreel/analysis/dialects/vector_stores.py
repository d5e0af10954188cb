"""OpenLLMetry's instrumentations of vector stores: `db.system`, `db.<store>.*`, results as span events.

A query or search is a retrieval; adding, deleting and the like are plain spans. A distance is no score (smaller
is nearer), so it stays in the document's metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.analysis.dialects import foreign
from spanreel.analysis.dialects.reading import dump, first, json_text, meant, number, text, words
from spanreel.analysis.record import Canonical, Document, RawSpan

NAME: Final = "vector_stores"
_STORES: Final = frozenset(
    {"chroma", "chromadb", "qdrant", "pinecone", "weaviate", "milvus", "marqo", "lancedb", "faiss"}
)
_READS: Final = (
    "query",
    "search",
    "recommend",
    "discover",
    "retrieve",
    "fetch_object",
    "near_",
    "bm25",
    "hybrid",
    "similarity",
)
_WRITES: Final = ("upsert", "upload", "insert", "add", "delete", "create", "update", "aggregate", "count")
_EVENTS: Final = ("db.query.result", "db.search.result")


def matches(raw: RawSpan) -> bool:
    """A vector store's span."""
    get = raw.attributes
    return (words(get.get("db.system")) or words(get.get("db.system.name")) or "").lower() in _STORES or any(
        key.startswith(("db.vector.", "db.chroma.", "db.milvus.", "qdrant.", "pinecone.", "db.marqo."))
        for key in get
    )


def normalise(raw: RawSpan, lose: Callable[[str], None]) -> Canonical:
    """Read the query and what it found."""
    del lose
    get = raw.attributes
    row = foreign.begin(raw, NAME)
    called = (words(first(get, "db.operation", "db.operation.name")) or raw.name).lower().rpartition(".")[2]
    results = [event for name in _EVENTS for event in foreign.events(raw, name)]
    asks = any(word in called for word in _READS) and not called.startswith(_WRITES)
    if called in {"do", "get"} and ".query." in raw.name:  # Weaviate: `db.weaviate.gql.query.get.do`
        asks = True
    if not asks and not results:
        return row
    row.kind = "retrieval"
    row.provider = (words(get.get("db.system")) or words(get.get("db.system.name")) or "").lower() or None
    row.input = json_text(first(
        get, "db.query.text", "db.marqo.search.query", "db.statement", "db.chroma.query.texts", "db.milvus.query.filter",
        "db.milvus.search.filter", "pinecone.query.filter", "db.chroma.query.where",
    ))  # fmt: skip
    row.documents = [_document(rank, details) for rank, (_, _, details) in enumerate(results)]
    return row


def _document(rank: int, details: Mapping[str, Any]) -> Document:
    """One `db.query.result` event."""
    told = {key.rpartition(".")[2]: value for key, value in details.items()}
    entity = meant(first(told, "metadata", "entity"))
    found = entity if isinstance(entity, dict) else {} if entity is None else {"metadata": entity}
    if told.get("distance") is not None:
        found = {**found, "distance": told["distance"]}
    content = first(told, "document", "content", "text")
    if content is None:
        content = first(found, "text", "content", "page_content", "document")
    return Document(
        rank=rank, id=text(told.get("id")), score=number(told.get("score")), content=text(content),
        metadata=dump(found) if found else None,
    )  # fmt: skip

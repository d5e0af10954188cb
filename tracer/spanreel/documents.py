"""What a retrieval returned -> documents: one table of whole results, one of single items.

`adapt(value)` gives a list of `{id, score, content, metadata}` in the order returned, or None if the value is
no documents. Values stay as they are found (metadata may hold anything): the recorder captures the list like
every other value, bounded and redacted. Fields are read without running the program's code, and nothing is
consumed. `score` is always "higher is better"; a distance is none, and is kept in the metadata.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from spanreel import anatomy
from spanreel.guard import guard

MOST = 200
"""Documents kept of one retrieval."""

CONTENT = ("page_content", "content", "text", "document", "passage", "chunk", "body")
IDS = ("id", "id_", "_id", "doc_id", "document_id", "chunk_id", "node_id", "uuid")
SCORES = ("score", "similarity", "relevance_score", "rerank_score", "_score", "relevance")
METADATA = ("metadata", "meta", "payload")
VECTORS = frozenset({"embedding", "embeddings", "sparse_embedding", "vector", "values", "sparse_values"})
"""Left out: long, and no evidence of anything."""
LISTS = ("documents", "docs", "source_nodes", "matches", "results", "points", "chunks", "hits")
"""Under these names a result object or dictionary holds its documents."""
_FIELDS = 64

Document = dict[str, Any]


def adapt(value: object) -> list[Document] | None:
    """Turn what a retrieval returned into documents, at most `MOST`; None if it is not recognised."""
    try:
        for _, read in RESULTS:
            found = read(value)
            if found is not None:
                return found[:MOST]
    except Exception as error:
        guard.caught("documents", error)
    return None


# -- whole results ----------------------------------------------------------------------------------


def _chroma(value: Any) -> list[Document] | None:
    """Read `{"ids": [[...]], "documents": [[...]], "distances": [[...]]}`; also flat, as `get()` gives it."""
    columns = _fields(value) if issubclass(type(value), dict) else {}
    ids = _items(columns.get("ids"))
    if ids is None or "documents" not in columns:
        return None
    names = ("ids", "documents", "metadatas", "distances")
    nested = bool(ids) and _items(ids[0]) is not None
    queries = len(ids) if nested else 1
    found: list[Document] = []
    for query in range(queries):
        columns_here = {name: _column(columns.get(name), query if nested else None) for name in names}
        for row in range(min(len(columns_here["ids"]), MOST - len(found))):
            cells = {
                name: column[row] if row < len(column) else None for name, column in columns_here.items()
            }
            metadata = (
                dict(islice(_fields(cells["metadatas"]).items(), _FIELDS)) if cells["metadatas"] else {}
            )
            if cells["distances"] is not None:
                metadata["distance"] = cells["distances"]
            found.append(entry(cells["ids"], None, cells["documents"], metadata))
    return found


def _column(value: Any, query: int | None) -> list[Any]:
    rows = _items(value) or []
    if query is None:
        return rows
    return (_items(rows[query]) or []) if query < len(rows) else []


def _parallel(value: Any) -> list[Document] | None:
    """Read `(documents, scores)`: two lists of one length, the second of numbers."""
    if type(value) is not tuple or len(value) != 2:
        return None
    documents, scores = _items(value[0]), _items(value[1])
    if not documents or not scores or len(documents) != len(scores):
        return None
    if any(number(score) is None for score in scores):
        return None
    return _each([(document, score) for document, score in zip(documents, scores, strict=True)])


def _sequence(value: Any) -> list[Document] | None:
    items = _items(value)
    if items is None:
        return None
    if len(items) == 1 and type(items[0]) is list:  # one query of a batch
        items = items[0][:MOST]
    return _each(items)


def _each(items: Sequence[Any]) -> list[Document] | None:
    found = []
    for item in items[:MOST]:
        document = _one(item)
        if document is None:
            return None
        found.append(document)
    return found


def _holder(value: Any) -> list[Document] | None:
    """Read a dictionary or object that holds the documents under one of `LISTS`."""
    if id(type(value)) in anatomy.PLAIN:
        return None
    fields = _fields(value)
    for name in LISTS:
        inner = fields.get(name)
        if name == "hits" and issubclass(type(inner), dict):  # Elasticsearch has hits.hits
            inner = _fields(inner).get("hits")
        items = _items(inner)
        if items is not None:
            found = _each(items)
            if found is not None:
                return found
    return None


def _single(value: Any) -> list[Document] | None:
    found = None if type(value) is list else _one(value)
    return None if found is None else [found]


# -- single items -----------------------------------------------------------------------------------


def _one(item: Any) -> Document | None:
    for _, read in ITEMS:
        document = read(item)
        if document is not None:
            return document
    return None


def _text(item: Any) -> Document | None:
    return entry(None, None, item, {}) if type(item) is str else None


def _pair(item: Any) -> Document | None:
    """Read `(document, score)`, as `similarity_search_with_score` gives it."""
    if (type(item) is not tuple and type(item) is not list) or len(item) != 2:
        return None
    score = number(item[1])
    if score is None or type(item[0]) is tuple or type(item[0]) is list:
        return None
    document = _one(item[0])
    if document is not None:
        document["score"] = score
    return document


def _langchain(item: Any) -> Document | None:
    if not _from(item, "langchain_core", "page_content"):
        return None
    fields = _fields(item)
    return entry(fields.get("id"), None, fields["page_content"], _metadata(fields))


def _llama_scored(item: Any) -> Document | None:
    if not _from(item, "llama_index", "node"):
        return None
    fields = _fields(item)
    document = _llama_node(fields["node"])
    if document is not None:
        document["score"] = number(fields.get("score"))
    return document


def _llama_node(item: Any) -> Document | None:
    if not _from(item, "llama_index", "id_"):
        return None
    fields = _fields(item)
    content = fields.get("text")
    if content is None:
        content = _fields(fields.get("text_resource")).get("text")
    return entry(fields["id_"], None, content if content is not None else "", _metadata(fields))


def _haystack(item: Any) -> Document | None:
    if not _from(item, "haystack", "content"):
        return None
    fields = _fields(item)
    return entry(fields.get("id"), fields.get("score"), fields["content"], _metadata(fields))


def _dictionary(item: Any) -> Document | None:
    if not issubclass(type(item), dict):
        return None
    return _record(_fields(item))


def _object(item: Any) -> Document | None:
    """Read an object of any class that has stored a content field."""
    if id(type(item)) in anatomy.PLAIN or issubclass(type(item), type | BaseException):
        return None
    return _record(
        {k: v for k, v in _fields(item).items() if type(k) is str and (not k.startswith("_") or k in IDS)}
    )


def _record(fields: dict[Any, Any]) -> Document | None:
    """Read named fields: content, id and score under their usual names, the rest as metadata."""
    metadata = _metadata(fields)
    found = {
        name: _pick(fields, names) for name, names in (("content", CONTENT), ("id", IDS), ("score", SCORES))
    }
    content = fields.get(found["content"])
    if type(content) is not str:  # vector stores keep the text in the metadata or payload
        inner = _pick(metadata, CONTENT)
        source = fields.get("_source")
        if inner is not None and type(metadata[inner]) is str and (found["id"] or found["score"]):
            content = metadata.pop(inner)
        elif issubclass(type(source), dict) and (inner := _pick(_fields(source), CONTENT)) is not None:
            metadata = {k: v for k, v in _fields(source).items() if k != inner}
            content = _fields(source)[inner]
    if type(content) is not str:
        return None
    used = {*METADATA, *VECTORS, *found.values(), "_source"}
    rest = {k: v for k, v in fields.items() if k not in used and v is not None}
    return entry(fields.get(found["id"]), fields.get(found["score"]), content, {**metadata, **rest})


# -- reading ----------------------------------------------------------------------------------------


def entry(key: Any, score: Any, content: Any, metadata: dict[Any, Any]) -> Document:
    """One document; a score that is no finite number is none."""
    return {
        "id": None if key is None else str(key) if type(key) is str or type(key) is int else _text_of(key),
        "score": number(score),
        "content": content if content is None or type(content) is str else _text_of(content),
        "metadata": metadata or None,
    }


def _text_of(value: Any) -> str:
    from spanreel.describe import describe

    plainer = describe(value, 1)
    return plainer if type(plainer) is str else anatomy.label(value)


def number(value: Any) -> float | None:
    """Return a number of Python's or numpy's as float; None for NaN and everything else."""
    if type(value) is int or type(value) is float:
        return float(value) if value == value else None  # noqa: PLR0124 - NaN is no score
    numpy = sys.modules.get("numpy")
    if numpy is not None and any(kind is numpy.generic for kind in anatomy.mro(type(value))):
        return number(numpy.generic.item(value))
    return None


def _items(value: Any) -> list[Any] | None:
    """The first items of a list, a tuple or an array of numbers; None for anything else."""
    if issubclass(type(value), list):
        return list(islice(list.__iter__(value), MOST))
    if issubclass(type(value), tuple):
        return list(islice(tuple.__iter__(value), MOST))
    if anatomy.full_name(type(value)) == "numpy.ndarray" and len(value.shape) == 1:
        return list(value[:MOST].tolist())
    return None


def _fields(value: Any) -> dict[Any, Any]:
    if issubclass(type(value), dict):
        return {k: v for k, v in islice(dict.items(value), _FIELDS) if type(k) is str}
    return {} if id(type(value)) in anatomy.PLAIN else anatomy.model_fields(value, _FIELDS)


def _metadata(fields: dict[Any, Any]) -> dict[Any, Any]:
    name = _pick(fields, METADATA)
    return dict(_fields(fields[name])) if name is not None and issubclass(type(fields[name]), dict) else {}


def _pick(fields: dict[Any, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if fields.get(name) is not None), None)


def _from(item: Any, package: str, field: str) -> bool:
    """Whether an object's class, or a base of it, is of this package, and it has stored this field."""
    if not any(anatomy.module_of(kind).partition(".")[0] == package for kind in anatomy.mro(type(item))):
        return False
    return field in _fields(item)


ITEMS: tuple[tuple[str, Callable[[Any], Document | None]], ...] = (
    ("str", _text),
    ("(document, score)", _pair),
    ("LangChain Document", _langchain),
    ("LlamaIndex NodeWithScore", _llama_scored),
    ("LlamaIndex TextNode, Node, Document", _llama_node),
    ("Haystack Document", _haystack),
    ("dict with content, text, page_content ...", _dictionary),
    ("object with content, text, page_content ...", _object),
)
"""What one document may be; the first that recognises it wins."""

RESULTS: tuple[tuple[str, Callable[[Any], list[Document] | None]], ...] = (
    ("Chroma query() and get()", _chroma),
    ("(documents, scores)", _parallel),
    ("list or tuple of documents", _sequence),
    ("one document", _single),
    ("dict or object with documents, matches, results, source_nodes ...", _holder),
)
"""What a retrieval may return; the first that recognises it wins."""

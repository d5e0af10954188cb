"""Embedding vectors inside attributes, reduced to their dimension: thousands of numbers that nobody reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

SHORT: Final = 64
"""Numbers from which on a list is taken for a vector whatever it is called."""
_VECTOR_KEYS: Final = (".embedding.vector", "ai.embedding", "ai.embeddings")
_NAMES: Final = frozenset({"embedding", "embeddings", "vector", "embedding_vector", "query_embedding"})
_TEXT_FROM: Final = 1_000
"""Characters from which on text is looked into."""
_DEPTH: Final = 12


def without_vectors(attributes: dict[str, Any], lose: Callable[[str], None]) -> dict[str, Any]:
    """A copy of the attributes with `{"dimensions": n}` in the place of each vector; each is counted."""
    kept = {}
    for key, value in attributes.items():
        if isinstance(value, list):
            kept[key] = _cut(value, lose, named=key.endswith(_VECTOR_KEYS))
        elif isinstance(value, str) and _worth_a_look(key, value):
            kept[key] = _in_text(value, lose, named=key.endswith(_VECTOR_KEYS))
        elif isinstance(value, dict):
            kept[key] = _walk(value, lose, 0, named=False)
        else:
            kept[key] = value
    return kept


def _worth_a_look(key: str, value: str) -> bool:
    if key.endswith(_VECTOR_KEYS):
        return value[:1] == "["
    return (
        len(value) > _TEXT_FROM and value[:1] in {"{", "["} and ("embedding" in value or '"vector"' in value)
    )


def _in_text(value: str, lose: Callable[[str], None], *, named: bool) -> str:
    try:
        spelled = orjson.loads(value)
    except ValueError:
        return value
    before = _Count(lose)
    reduced = _walk(spelled, before, 0, named=named)
    return orjson.dumps(reduced).decode() if before.count else value


class _Count:
    def __init__(self, lose: Callable[[str], None]) -> None:
        self._lose = lose
        self.count = 0

    def __call__(self, reason: str) -> None:
        self.count += 1
        self._lose(reason)


def _walk(value: Any, lose: Callable[[str], None], depth: int, *, named: bool) -> Any:
    if depth > _DEPTH:
        return value
    if isinstance(value, list):
        return _cut(value, lose, depth, named=named)
    if isinstance(value, dict):
        return {key: _entry(key, item, lose, depth) for key, item in value.items()}
    return value


def _entry(key: str, item: Any, lose: Callable[[str], None], depth: int) -> Any:
    named = key in _NAMES
    if named and isinstance(item, str) and len(item) > 256 and " " not in item:  # base64 of the floats
        lose("embedding_vector_cut")
        return {"dimensions": len(item) * 3 // 16}
    return _walk(item, lose, depth + 1, named=named)


def _cut(value: list[Any], lose: Callable[[str], None], depth: int = 0, *, named: bool) -> Any:
    least = 4 if named else SHORT
    if len(value) >= least and all(
        isinstance(item, (int, float)) and not isinstance(item, bool) for item in value
    ):
        lose("embedding_vector_cut")
        return {"dimensions": len(value)}
    if named and value and all(isinstance(item, str) and item[:1] == "[" for item in value):  # ai.embeddings
        return [_spelled(item, lose) for item in value]
    return [_walk(item, lose, depth + 1, named=named) for item in value]


def _spelled(item: str, lose: Callable[[str], None]) -> Any:
    try:
        return _walk(orjson.loads(item), lose, 0, named=True)
    except ValueError:
        return item

"""Telling a vector search of pgvector's in SQL: its operator, its table, its limit, and what its columns are.

Operators and what they mean are pgvector's README: `<->` L2, `<#>` negative inner product, `<=>` cosine, `<+>`
L1 distance, `<~>` Hamming and `<%>` Jaccard distance of bits. PostGIS and pg_trgm have a `<->` too, so that
one counts only where something else speaks of vectors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanreel.documents import IDS, SCORES

METRICS = {
    "<->": "l2", "<#>": "negative_inner_product", "<=>": "cosine", "<+>": "l1", "<~>": "hamming", "<%>": "jaccard",
}  # fmt: skip
OPERATOR = re.compile(r"<(?:->|#>|=>|\+>|~>|%>)")
AMBIGUOUS = frozenset({"<->", "<%>"})
VECTOR_TYPES = re.compile(r"\b(?:vector|halfvec|sparsevec|embeddings?|bit)\b|embedding|_vec\b", re.IGNORECASE)
LITERAL = re.compile(r"^\s*(?:\[[\s\d.,eE+\-]*\]|\{[\s\d.:,eE+\-]*\}/\d+)\s*$")
DISTANCES = ("distance", "dist", "_distance", "cosine_distance", "l2_distance", "vector_distance")
_TABLE = re.compile(r'\bFROM\s+(?:ONLY\s+)?("[^"]+"|[\w.]+)(?!\s*\()', re.IGNORECASE)
_LIMIT = re.compile(
    r"\bLIMIT\s+(?:(\d+)|%\((\w+)\)s|%s|\$(\d+)|:(\w+))(?=\s|;|:|\)|$)|\bFETCH\s+(?:FIRST|NEXT)\s+(\d+)",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"\bWHERE\b(.*?)(?=\bORDER\s+BY\b|\bGROUP\s+BY\b|\bLIMIT\b|\bHAVING\b|$)", re.IGNORECASE | re.DOTALL
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sbt]|%[sbt]|\$(\d+)")
_STOP = re.compile(r"\b(?:FROM|ORDER|WHERE|LIMIT|GROUP|UNION)\b", re.IGNORECASE)
_ALIAS = re.compile(r'\bAS\s+("[^"]+"|\w+)', re.IGNORECASE)
_BARE_ALIAS = re.compile(r"[)'\w]\s+(?!(?:ASC|DESC|NULLS|FIRST|LAST)\b)([A-Za-z_]\w*)\s*$", re.IGNORECASE)
_WINDOW = re.compile(r"\bOVER\s*\(", re.IGNORECASE)
UNNAMED = "?column?"
"""What PostgreSQL calls an expression without a name."""
_SIMILARITY = re.compile(r"(?:\b1(?:\.0*)?\s*-\s*\(*|-\s*\(+)[^,]*$")
_NEGATED = re.compile(r"\*\s*-\s*1\b")


@dataclass(frozen=True, slots=True)
class Search:
    """A statement that ranks rows by their distance to a vector."""

    metric: str
    table: str | None
    top_k: int | None
    where: str | None
    dimensions: int | None
    distance: str | None = None
    """The column that holds the distance, if the statement names one."""
    similarity: str | None = None
    """The column that holds the distance turned into a similarity (`1 - (a <=> b) AS score`)."""


def recognise(statement: str, parameters: Any) -> Search | None:
    """Read a statement that has one of the operators; None if it is not about vectors."""
    found = OPERATOR.search(statement)
    if found is None or not _is_query(statement):
        return None
    sizes = [size for size in map(size_of, values(parameters)) if size is not None]
    literals = [size_of(text) for text in re.findall(r"'([^']*)'", statement)]
    sizes += [size for size in literals if size is not None]
    if found.group() in AMBIGUOUS and not sizes and not VECTOR_TYPES.search(statement):
        return None
    distance, similarity = _columns(statement)
    table = _TABLE.search(statement)
    where = _WHERE.search(statement)
    return Search(
        metric=METRICS[found.group()],
        table=table.group(1).strip('"') if table else None,
        top_k=_limit(statement, parameters),
        where=_condition(where.group(1)) if where else None,
        dimensions=sizes[0] if sizes else None,
        distance=distance,
        similarity=similarity,
    )


def _condition(text: str) -> str | None:
    """A WHERE clause on one line, up to the parenthesis that its subquery ends with."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            text = text[:at]
            break
    return " ".join(text.split()).rstrip("; ") or None


def _is_query(statement: str) -> bool:
    head = statement.lstrip(" \t\r\n(").lower()
    return head.startswith(("select", "with", "/*", "--"))


def values(parameters: Any) -> list[Any]:
    """The values of a statement's parameters, by name or by place."""
    if isinstance(parameters, Mapping):
        return list(parameters.values())
    return list(parameters) if isinstance(parameters, Sequence) and not isinstance(parameters, str) else []


def size_of(value: Any) -> int | None:
    """How many dimensions a value has, if it is a vector: text as PostgreSQL has it, list, array, pgvector's."""
    if isinstance(value, str):
        if not LITERAL.match(value):
            return None
        return int(value.rpartition("/")[2]) if value.strip()[0] == "{" else value.count(",") + 1
    if isinstance(value, (list, tuple)):
        numbers = value and all(isinstance(number, (int, float)) for number in value[:8])
        return len(value) if numbers else None
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 1:
        return int(shape[0])
    size = getattr(value, "dimensions", None) or getattr(value, "dim", None)  # pgvector's own classes
    size = size() if callable(size) else size
    return size if isinstance(size, int) else None


def _limit(statement: str, parameters: Any) -> int | None:
    """The last LIMIT: a number, or the parameter that stands there."""
    found = None
    for found in _LIMIT.finditer(statement):  # noqa: B007 - the last one counts
        pass
    if found is None:
        return None
    number, name, place, colon, fetch = found.groups()
    value: Any = number or fetch
    if value is None:
        listed = values(parameters)
        if isinstance(parameters, Mapping):
            value = parameters.get(name or colon)
        elif place is not None:
            value = listed[int(place) - 1] if int(place) <= len(listed) else None
        else:
            before = len(_PLACEHOLDER.findall(statement[: found.start()]))
            value = listed[before] if before < len(listed) else None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _columns(statement: str) -> tuple[str | None, str | None]:
    """The names under which the select list gives a distance, and a similarity made of one."""
    distance = similarity = None
    source = _TABLE.search(statement)
    for found in OPERATOR.finditer(statement):
        begin, end = _item_start(statement, found.start()), _item_end(statement, found.end())
        if begin is None:  # what is only sorted by has no name
            continue
        alias = _alias(statement[found.end() : end])
        if alias is None and source is not None and found.start() < source.start():
            alias = UNNAMED
        if alias is None or _WINDOW.search(statement, begin, end):
            continue
        if _SIMILARITY.search(statement[begin : found.start()]) or _NEGATED.search(statement, begin, end):
            similarity = similarity or alias
        else:
            distance = distance or alias
    return distance, similarity


def _item_end(statement: str, place: int) -> int:
    """Where the item of a list that `place` is in ends: at a comma or a clause of its own level."""
    depth = 0
    for at in range(place, len(statement)):
        letter = statement[at]
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif depth <= 0 and (letter == "," or (letter.isalpha() and _STOP.match(statement, at))):
            return at
    return len(statement)


def _item_start(statement: str, place: int) -> int | None:
    """Where the item that `place` is in begins; None inside of an ORDER BY."""
    depth = 0
    for at in range(place - 1, -1, -1):
        letter = statement[at]
        if letter == ")":
            depth += 1
        elif letter == "(":
            depth -= 1
        elif depth <= 0 and letter == ",":
            return at + 1
        elif depth <= 0 and letter in "sSoO":
            word = statement[at : at + 9].upper()
            if word.startswith("SELECT"):
                return at + 6
            if word.startswith("ORDER BY"):
                return None
    return 0


def _alias(item: str) -> str | None:
    """The name that an item of the select list ends with; the last AS, since a CAST has one too."""
    named = _ALIAS.findall(item)
    bare = None if named else _BARE_ALIAS.search(item)
    return named[-1].strip('"') if named else bare.group(1) if bare else None


def read_row(
    row: Mapping[str, Any], search: Search
) -> tuple[Any, float | None, float | None, dict[str, Any]]:
    """(id, score, distance, the other fields) of a row by its columns' names."""
    names = {name.lower(): name for name in row}
    key = next((names[name] for name in IDS if name in names), None)
    distance = _pick(names, (search.distance, *DISTANCES) if search.distance else DISTANCES)
    score = _pick(names, (search.similarity, *SCORES, "rank") if search.similarity else SCORES)
    rest = {name: value for name, value in row.items() if name not in {key, distance, score}}
    return (
        None if key is None else row[key],
        None if score is None else row[score],
        None if distance is None else row[distance],
        rest,
    )


def _pick(names: Mapping[str, str], wanted: Sequence[str | None]) -> str | None:
    return next((names[name.lower()] for name in wanted if name is not None and name.lower() in names), None)

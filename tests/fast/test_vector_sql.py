"""Reading vector searches in SQL: what they ask, what their columns are, and never a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.instruments.vector_sql import Search, read_row, recognise, size_of

Q = "[1,2,3]"


@pytest.mark.parametrize(
    ("statement", "parameters", "expected"),
    [
        (
            "SELECT id, embedding <=> %s AS distance FROM items WHERE kind = %s ORDER BY distance LIMIT 5",
            (Q, "x"), Search("cosine", "items", 5, "kind = %s", 3, "distance"),
        ),
        (
            'SELECT 1 - (embedding <=> %(q)s) AS "Similarity" FROM "My Items" ORDER BY embedding <=> %(q)s LIMIT %(k)s',
            {"q": Q, "k": 3}, Search("cosine", "My Items", 3, None, 3, None, "Similarity"),
        ),
        (
            "SELECT * FROM rag.items ORDER BY embedding <-> '[3,1,2]' LIMIT 5",
            None, Search("l2", "rag.items", 5, None, 3),
        ),
        (
            "SELECT id, (embedding <#> %s) * -1 AS product FROM items", ([1.0, 2.0],),
            Search("negative_inner_product", "items", None, None, 2, None, "product"),
        ),
        (  # as SQLAlchemy writes it
            """SELECT items.id, items.embedding <=> %(embedding_1)s::VECTOR AS distance \nFROM items
            ORDER BY items.embedding <=> %(embedding_2)s::VECTOR \n LIMIT %(param_1)s::INTEGER""",
            {"embedding_1": Q, "embedding_2": Q, "param_1": 4}, Search("cosine", "items", 4, None, 3, "distance"),
        ),
        (  # as asyncpg has it
            "SELECT id FROM items WHERE owner = $1 ORDER BY embedding <=> $2 LIMIT $3",
            ("me", Q, 7), Search("cosine", "items", 7, "owner = $1", 3),
        ),
        (
            "SELECT id, CAST(1 - (v <=> %s) AS float) AS score, body FROM t FETCH FIRST 2 ROWS ONLY", (Q,),
            Search("cosine", "t", 2, None, 3, None, "score"),
        ),
        (
            "SELECT id, embedding <-> %s dist, body FROM items", (Q,), Search("l2", "items", None, None, 3, "dist"),
        ),
        (
            "SELECT id, embedding <-> %s, body FROM items", (Q,), Search("l2", "items", None, None, 3, "?column?"),
        ),
        (  # the rank of a window is no distance
            "WITH s AS (SELECT id, RANK() OVER (ORDER BY embedding <=> %s) AS rank FROM docs LIMIT 20) SELECT * FROM s",
            (Q,), Search("cosine", "docs", 20, None, 3),
        ),
        (
            "SELECT id FROM items ORDER BY embedding <=> (SELECT embedding FROM items WHERE id = 1) LIMIT 5",
            None, Search("cosine", "items", 5, "id = 1", None),
        ),
        (
            "SELECT id FROM b ORDER BY hash <~> %s::bit(3) LIMIT 1", ("101",), Search("hamming", "b", 1, None, None),
        ),
    ],
)  # fmt: skip
def test_a_search_is_read(statement: str, parameters: Any, expected: Search) -> None:
    assert recognise(statement, parameters) == expected


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("SELECT name FROM places ORDER BY geom <-> ST_Point(1, 2) LIMIT 5", None),
        ("SELECT word FROM words ORDER BY word <-> %s LIMIT 3", ("hello",)),
        ("SELECT a FROM t WHERE a < 5 AND b <> 3", None),
        ("SELECT a FROM t WHERE word <% %s", ("hello",)),
        ("INSERT INTO t SELECT embedding <=> '[1]' FROM u", None),
        ("UPDATE t SET d = embedding <=> %s", (Q,)),
    ],
)
def test_other_statements_are_none(statement: str, parameters: Any) -> None:
    assert recognise(statement, parameters) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("[1,2,3]", 3), ("[ 1.5e-3 ,-2]", 2), ("{1:0.5,3:2}/1536", 1536), ([0.1] * 768, 768), ((1, 2), 2),
        ("hello", None), ("[a,b]", None), ("", None), ([], None), (["a"], None), (None, None), (5, None), ({}, None),
    ],
)  # fmt: skip
def test_what_is_a_vector(value: Any, size: int | None) -> None:
    assert size_of(value) == size


def test_a_row_is_read_by_its_columns() -> None:
    search = Search("cosine", "t", None, None, 3, "gap", None)
    row = {"doc_id": 7, "Body": "text", "gap": 0.25, "score": 0.5, "page": 1}
    assert read_row(row, search) == (7, 0.5, 0.25, {"Body": "text", "page": 1})


PIECES = st.lists(
    st.sampled_from(
        ["SELECT ", "embedding ", "<=> ", "<-> ", "%s ", "$9 ", "%(k)s ", "AS d ", "FROM ", "t ", "(", ")", ",", "LIMIT ",
         "1 - ", "ORDER BY ", "WHERE ", "'[1,2]' ", "'", '"', "* -1 ", "OVER (", "--\n", "é", "5 ", ";"]
    ), max_size=30,
)  # fmt: skip
PARAMETERS = st.none() | st.lists(st.none() | st.integers() | st.text() | st.lists(st.floats())) | st.dictionaries(
    st.text(max_size=2), st.integers() | st.text()
)  # fmt: skip


@given(PIECES, PARAMETERS)
def test_reading_is_total(pieces: list[str], parameters: Any) -> None:
    found = recognise("SELECT " + "".join(pieces), parameters)
    if found is not None:
        read_row({"a": 1, "d": 2}, found)

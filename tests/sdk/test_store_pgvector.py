"""pgvector through psycopg 3, a real PostgreSQL: rows become documents, and nothing of them is consumed."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pgvector.psycopg
import psycopg
import pytest
from pgvector_server import pgvector as running
from psycopg import sql
from psycopg.rows import class_row, dict_row
from recording import Recording
from retrieved import retrieved

import spanreel
from spanreel import instruments

pytestmark = [pytest.mark.sdk, pytest.mark.covers("pgvector", package="psycopg")]

ROWS = [
    ("apple pie", "food", {"page": 1}, [1, 0, 0]),
    ("banana bread", "food", {"page": 2}, [0, 1, 0]),
    ("racing car", "toys", {"page": 3}, [0.6, 0.8, 0]),
]
APPLE = "[1,0,0]"
NEAREST = "SELECT id, content, meta, embedding <=> %s AS distance FROM items ORDER BY distance LIMIT 2"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with running() as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION vector")
                connection.execute(
                    "CREATE TABLE items (id serial PRIMARY KEY, content text, category text, meta jsonb, "
                    "embedding vector(3))"
                )
                for content, category, meta, vector in ROWS:
                    connection.execute(
                        "INSERT INTO items (content, category, meta, embedding) VALUES (%s, %s, %s, %s)",
                        (content, category, json.dumps(meta), str(vector)),
                    )
            yield dsn
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture
def connection(server: str) -> Iterator[psycopg.Connection[Any]]:
    instruments.install(["psycopg"])
    with psycopg.connect(server, autocommit=True) as opened:
        yield opened


def test_rows_become_documents(recording: Recording, connection: psycopg.Connection[Any]) -> None:
    """A SELECT by `<=>`: table, limit, filter, and each row's id, distance, content and metadata."""
    statement = (
        "SELECT id, content, meta, embedding <=> %s AS distance FROM items WHERE category = %s "
        "ORDER BY distance LIMIT 5"
    )
    with spanreel.span("root"):
        cursor = connection.execute(statement, (APPLE, "food"))
        assert cursor.rownumber == 0
        rows = cursor.fetchall()
    assert rows == [(1, "apple pie", {"page": 1}, 0.0), (2, "banana bread", {"page": 2}, 1.0)]
    (span,) = retrieved(recording)
    assert span.name == "retrieval items"
    assert span.documents == [
        ("1", None, "apple pie", {"page": 1, "distance": 0.0}),
        ("2", None, "banana bread", {"page": 2, "distance": 1.0}),
    ]
    assert (span.top_k, span.score_kind) == (5, "distance")
    assert span.attributes["spanreel.distance_metric"] == "cosine"
    assert span.filter == {"where": "category = %s", "parameters": ["food"]}
    assert span.attributes["db.query.text"] == statement
    assert span.input["vector"] == {"dimensions": 3}


@pytest.mark.parametrize(
    ("expression", "metric", "kind", "numbers"),
    [
        ("embedding <-> %s AS distance", "l2", "distance", [0.0, 0.8944271909999159, 1.4142135623730951]),
        ("embedding <#> %s AS d", "negative_inner_product", "distance", [-1.0, -0.6000000238418579, 0.0]),
        ("(embedding <#> %s) * -1 AS score", "negative_inner_product", "similarity", [1.0, 0.6000000238418579, 0.0]),
        ("1 - (embedding <=> %s) AS similarity", "cosine", "similarity", [1.0, 0.6000000178813937, 0.0]),
        ("embedding <+> %s", "l1", "distance", [0.0, 1.2000000178813934, 2.0]),
    ],
)  # fmt: skip
def test_distances_and_similarities(
    recording: Recording, connection: psycopg.Connection[Any],
    expression: str, metric: str, kind: str, numbers: list[float],
) -> None:  # fmt: skip
    """Every operator is named, a distance stays one, and `1 - distance` is a similarity."""
    operator = "<" + metric_operator(metric) + ">"
    with spanreel.span("root"):
        statement = f"SELECT id, content, {expression} FROM items ORDER BY embedding {operator} %s"
        connection.execute(statement.encode(), (APPLE, APPLE))
    (span,) = retrieved(recording)
    assert span.contents == ["apple pie", "racing car", "banana bread"]
    assert (span.score_kind, span.attributes["spanreel.distance_metric"]) == (kind, metric)
    found = span.scores if kind == "similarity" else span.distances
    assert found == pytest.approx(numbers, abs=1e-6)
    assert (span.distances if kind == "similarity" else span.scores) == [None] * 3


def metric_operator(metric: str) -> str:
    return {"l2": "-", "negative_inner_product": "#", "cosine": "=", "l1": "+"}[metric]


def test_row_factories_and_registered_vectors(
    recording: Recording, connection: psycopg.Connection[Any]
) -> None:
    """Dictionary and class rows, numpy vectors, binary results, composed SQL: results as ever, documents right."""
    pgvector.psycopg.register_vector(connection)

    class Item:
        made = 0

        def __init__(self, **fields: Any) -> None:
            type(self).made += 1
            self.fields = fields

    query = np.array([1, 0, 0])
    with spanreel.span("root"):
        with connection.cursor(row_factory=class_row(Item)) as cursor:
            cursor.execute("SELECT * FROM items ORDER BY embedding <-> %s LIMIT %s", (query, 1))
            assert Item.made == 0
            assert [type(row) for row in cursor.fetchall()] == [Item]
        with connection.cursor(row_factory=dict_row, binary=True) as plain:
            plain.execute(
                sql.SQL(
                    "SELECT content, embedding <=> %(q)s AS distance FROM {} ORDER BY 2 LIMIT %(k)s"
                ).format(sql.Identifier("items")),
                {"q": query, "k": 1},
            )
            assert plain.fetchone() == {"content": "apple pie", "distance": 0.0}
            assert plain.fetchone() is None
    whole, named = retrieved(recording)
    assert whole.documents == [("1", None, "apple pie", {"page": 1, "category": "food"})]
    assert (whole.top_k, named.top_k) == (1, 1)
    assert named.documents == [(None, None, "apple pie", {"distance": 0.0})]
    assert b"0.6" not in recording.raw()


def test_server_side_cursors_and_streams(recording: Recording, connection: psycopg.Connection[Any]) -> None:
    """Rows that are fetched bit by bit stay lazy; the span has those that were fetched."""
    with spanreel.span("root"):
        with connection.transaction(), connection.cursor("paged") as cursor:
            cursor.execute(NEAREST, (APPLE,))
            assert cursor.fetchone() == (1, "apple pie", {"page": 1}, 0.0)
            assert len(cursor.fetchmany(5)) == 1
        with connection.cursor() as streaming:
            rows = streaming.stream(NEAREST, (APPLE,))
            assert inspect.isgenerator(rows)
            first: Any = next(rows)
            assert first[1] == "apple pie"
            rows.close()
    paged, streamed = retrieved(recording)
    assert paged.contents == ["apple pie", "racing car"]
    assert streamed.contents == ["apple pie"]
    assert (paged.status, streamed.status) == ("ok", "ok")


def test_async(recording: Recording, server: str) -> None:
    """The async connection, its cursors and streams record the same."""
    instruments.install(["psycopg"])
    assert inspect.iscoroutinefunction(psycopg.AsyncCursor.execute)

    async def go() -> None:
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
            with spanreel.span("root"):
                cursor = await connection.execute(NEAREST, (APPLE,))
                assert len(await cursor.fetchall()) == 2
                async with connection.transaction(), connection.cursor("paged") as paged:
                    await paged.execute(NEAREST, (APPLE,))
                    assert [row[1] async for row in paged] == ["apple pie", "racing car"]
                async with connection.cursor() as streaming:
                    assert [row[0] async for row in streaming.stream(NEAREST, (APPLE,))] == [1, 3]

    asyncio.run(go())
    spans = retrieved(recording)
    assert [span.contents for span in spans] == [["apple pie", "racing car"]] * 3
    assert len({span.parent for span in spans}) == 1


def test_errors_and_other_statements(recording: Recording, connection: psycopg.Connection[Any]) -> None:
    """PostgreSQL's error is raised as it is; statements without a vector make no span."""
    with spanreel.span("root"):
        with pytest.raises(psycopg.errors.DataException, match="different vector dimensions"):
            connection.execute("SELECT id FROM items ORDER BY embedding <-> '[1,2]'")
        connection.execute("SELECT id FROM items WHERE id < 3 AND content <> %s", ("x",)).fetchall()
        connection.execute("SELECT point '(1,2)' <-> point '(3,4)'").fetchone()
        connection.execute("UPDATE items SET category = category")
    (span,) = retrieved(recording)
    assert span.status == "error"
    assert "different vector dimensions" in (span.error or "")
    assert span.input == {"vector": {"dimensions": 2}}


def test_pipeline_mode_and_uninstall(recording: Recording, connection: psycopg.Connection[Any]) -> None:
    """In a pipeline rows are not there yet: the query is recorded and says so; uninstall restores the class."""
    with spanreel.span("root"):
        with connection.pipeline():
            cursor = connection.execute(NEAREST, (APPLE,))
            assert len(cursor.fetchall()) == 2
        instruments.uninstall(["psycopg"])
        assert not hasattr(psycopg.Cursor.execute, "__wrapped__")
        assert "_fetch_gen" not in vars(psycopg.ServerCursor)
        connection.execute(NEAREST, (APPLE,))
        instruments.install(["psycopg"])
    (span,) = retrieved(recording)
    assert span.attributes["spanreel.documents_unread"] is True

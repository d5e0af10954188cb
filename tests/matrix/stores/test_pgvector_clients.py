"""pgvector through asyncpg, and through SQLAlchemy over psycopg and asyncpg; a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from pgvector.sqlalchemy import Vector
from pgvector_server import pgvector as running
from recording import Recording
from retrieved import Retrieved, retrieved
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import spanreel
from spanreel import instruments

APPLE = [1.0, 0.0, 0.0]


class Base(DeclarativeBase): ...


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str]
    embedding = mapped_column(Vector(3))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with running() as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION vector")
                connection.execute(
                    "CREATE TABLE items (id serial PRIMARY KEY, content text, embedding vector(3))"
                )
                connection.execute(
                    "INSERT INTO items (content, embedding) VALUES ('apple pie', '[1,0,0]'), ('racing car', '[0,1,0]')"
                )
            yield dsn.partition("host=")[2].partition(" ")[0]
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def hooks() -> None:
    instruments.install(["psycopg", "asyncpg"])


def _nearest(span: Retrieved) -> None:
    assert span.contents == ["apple pie"]
    assert span.ids == ["1"]
    assert (span.top_k, span.attributes["spanreel.distance_metric"]) == (1, "cosine")
    assert span.input["vector"] == {"dimensions": 3}
    assert span.attributes["gen_ai.data_source.id"] == "items"


def _statement() -> Any:
    distance = Item.embedding.cosine_distance(APPLE)
    return sa.select(Item, distance.label("distance")).order_by(distance).limit(1)


@pytest.mark.covers("pgvector", package="sqlalchemy")
def test_sqlalchemy_over_psycopg(recording: Recording, server: str) -> None:
    """SQLAlchemy's ORM over psycopg: one span a query, with table, limit and the row as a document."""
    engine = sa.create_engine("postgresql+psycopg://spanreel@/postgres", connect_args={"host": server})
    with Session(engine) as session, spanreel.span("root"):
        row: Any = session.execute(_statement()).one()
        assert (row[0].content, row[1]) == ("apple pie", 0.0)
    engine.dispose()
    (span,) = retrieved(recording)
    assert span.distances == [0.0]
    _nearest(span)


@pytest.mark.covers("pgvector", package="asyncpg")
def test_asyncpg(recording: Recording, server: str) -> None:
    """asyncpg: fetch and fetchrow of connections, pools and prepared statements; records stay records."""
    statement = (
        "SELECT id, content, embedding <=> $1::text::vector AS distance FROM items ORDER BY 3 LIMIT $2"
    )

    async def go() -> None:
        pool = await asyncpg.create_pool(
            host=server, user="spanreel", database="postgres", min_size=1, max_size=1
        )
        async with pool:
            with spanreel.span("root"):
                rows = await pool.fetch(statement, str(APPLE), 1)
                assert [type(row) for row in rows] == [asyncpg.Record]
                async with pool.acquire() as connection:
                    assert (await connection.fetchrow(statement, str(APPLE), 1))["content"] == "apple pie"
                    prepared = await connection.prepare(statement)
                    assert len(await prepared.fetch(str(APPLE), 1)) == 1
                    with pytest.raises(asyncpg.DataError, match="different vector dimensions"):
                        await connection.fetch(statement, "[1,2]", 1)
                    await connection.fetch("SELECT id FROM items WHERE id < $1", 5)

    asyncio.run(go())
    *spans, failed = retrieved(recording)
    assert len(spans) == 3
    for span in spans:
        assert span.distances == [0.0]
        _nearest(span)
    assert failed.status == "error"


@pytest.mark.covers("pgvector", package="sqlalchemy")
def test_sqlalchemy_over_asyncpg(recording: Recording, server: str) -> None:
    """SQLAlchemy's async engine over asyncpg: one span a query."""

    async def go() -> None:
        engine = create_async_engine("postgresql+asyncpg://spanreel@/postgres", connect_args={"host": server})
        async with engine.connect() as connection:
            with spanreel.span("root"):
                row = (await connection.execute(_statement())).one()
                assert row.content == "apple pie"
        await engine.dispose()

    asyncio.run(go())
    (span,) = retrieved(recording)
    _nearest(span)

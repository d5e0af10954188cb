"""Schema versions of the store: made, migrated, or refused by name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.errors import NewerStoreError, OlderStoreError
from spanreel.store import DATABASE
from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.queries import migrations, schema_sql, sql

if TYPE_CHECKING:
    import duckdb

VERSION: Final = 3
"""The schema that this spanreel reads and writes."""


def version(con: duckdb.DuckDBPyConnection) -> int:
    """The schema version of the attached store; 0 when it has none yet."""
    import duckdb

    try:
        row = one(con, sql("read_meta"))
    except duckdb.CatalogException:
        return 0
    return int(row[0]) if row else 0


def prepare(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Bring the store attached read-write to VERSION, in one transaction.

    Raises NewerStoreError when it is newer than this spanreel, and leaves it untouched.
    """
    there = version(con)
    check(there, store)
    digest = hashlib.sha256((schema_sql("live_base") + schema_sql("views")).encode()).hexdigest()[:16]
    if there == VERSION:
        row = one(con, sql("read_meta"))
        if row and row[2] == digest:
            return
    con.execute("BEGIN; USE store")
    try:
        for number, name in migrations():
            if number > there:
                con.execute(schema_sql(name))
        con.execute(sql("write_schema_version"), {"version": VERSION})
        con.execute(schema_sql("live_base"))
        con.execute(schema_sql("views"))
        con.execute(sql("write_views"), {"views": digest})
        con.execute("USE memory; COMMIT")
    except BaseException:
        con.execute("ROLLBACK; USE memory")
        raise


def prepare_session(con: duckdb.DuckDBPyConnection) -> None:
    """Give an ingester's connection what `trace_summary` needs; once per connection."""
    if not one(con, sql("has_summary"))[0]:  # type: ignore[index]
        con.execute(schema_sql("span_now_base"))
        con.execute(schema_sql("summary"))


def prepare_reader(con: duckdb.DuckDBPyConnection) -> None:
    """Give a reader's connection its tables for the tail, macros and views; once per connection."""
    con.execute(schema_sql("tail_tables"))
    con.execute(schema_sql("live_reader"))
    con.execute(schema_sql("span_now_tail"))
    con.execute(schema_sql("summary"))
    con.execute(schema_sql("views"))
    con.execute(schema_sql("reader_macros"))


def check(there: int, store: Path, *, read_only: bool = False) -> None:
    """Raise NewerStoreError (or, for readers, OlderStoreError) when the schema is not one we can work with."""
    path = store / DATABASE
    if there > VERSION:
        raise NewerStoreError(
            f"{path} has schema {there}, this spanreel knows up to {VERSION}: it was written by a newer spanreel. "
            "Upgrade with `pip install -U spanreel`, or choose another store with --store or SPANREEL_STORE"
        )
    if read_only and 0 < there < VERSION:
        raise OlderStoreError(
            f"{path} has schema {there}, this spanreel reads {VERSION}: `spanreel list` migrates it where it can be "
            "written; else make it writable once, or open it with the spanreel that wrote it"
        )


def create_in_memory(con: duckdb.DuckDBPyConnection) -> None:
    """Attach an empty store in memory as `store`: for readers when there is no file, or it is held."""
    con.execute("ATTACH ':memory:' AS store; USE store")
    for _, name in migrations():
        con.execute(schema_sql(name))
    con.execute("USE memory")

"""The one registry of SQL: every statement of the DuckDB store is a named file of `queries/` or `schema/`.

`sql("name")` is the text of `queries/name.sql`. Values are always passed as parameters, never formatted
into the text. A test holds that every file is used and every name exists.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

_PACKAGE: Final = "spanreel_exporters.duckdb"


@cache
def sql(name: str) -> str:
    """The text of `queries/<name>.sql`. Raises FileNotFoundError for a name without a file."""
    return _read("queries", name)


@cache
def schema_sql(name: str) -> str:
    """The text of `schema/<name>.sql`."""
    return _read("schema", name)


def migrations() -> list[tuple[int, str]]:
    """The numbered migrations in order: (version after it, file name without suffix)."""
    names = sorted(
        entry.name.removesuffix(".sql")
        for entry in (files(_PACKAGE) / "schema").iterdir()
        if entry.name[:4].isdigit() and entry.name.endswith(".sql")
    )
    return [(int(name[:4]), name) for name in names]


def _read(folder: str, name: str) -> str:
    return (files(_PACKAGE) / folder / f"{name}.sql").read_text(encoding="utf-8")

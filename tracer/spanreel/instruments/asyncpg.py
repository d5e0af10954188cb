"""asyncpg: statements that rank by a vector (pgvector), of connections, pools and prepared statements."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.documents import MOST
from spanreel.guard import guard
from spanreel.instruments import vector_sql
from spanreel.instruments.patching import Patches, wanted
from spanreel.instruments.psycopg import query_of, row_document
from spanreel.instruments.retrieval import Found, observe_async

if TYPE_CHECKING:
    from types import ModuleType

SYSTEM = "postgresql"


def install(module: ModuleType) -> Callable[[], None]:
    """Wrap the fetches of `asyncpg.connection` and `asyncpg.prepared_stmt`."""
    patches = Patches()
    for name in ("Connection", "PreparedStatement"):
        kind = getattr(module, name, None)
        for method in ("fetch", "fetchrow") if kind is not None else ():
            _wrap(patches, kind, method, prepared=name == "PreparedStatement")
    return patches.undo


def _wrap(patches: Patches, kind: Any, name: str, *, prepared: bool) -> None:
    original = vars(kind).get(name)
    if original is None:
        return

    @functools.wraps(original)
    async def fetch(self: Any, *args: Any, **kwargs: Any) -> Any:
        statement, given = (self._query, args) if prepared else (args[0] if args else "", args[1:])
        search = None
        if isinstance(statement, str) and "<" in statement and patches.on and wanted():
            with guard("instruments.asyncpg.search"):
                search = vector_sql.recognise(statement, given)
        if search is None:
            return await original(self, *args, **kwargs)
        return await observe_async(
            SYSTEM,
            lambda: original(self, *args, **kwargs),
            lambda: query_of(search, statement, given),
            lambda result: _read(result, search),
        )

    patches.replace(kind, name, fetch)


def _read(result: Any, search: vector_sql.Search) -> Found:
    rows = result if isinstance(result, list) else [] if result is None else [result]
    return Found([row_document(dict(row.items()), search) for row in rows[:MOST]], len(rows))

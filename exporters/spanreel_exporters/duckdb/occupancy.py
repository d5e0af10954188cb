"""How the room in the database file is spent, asked through an open connection (database as `store`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanreel_exporters.duckdb.connection import one
from spanreel_exporters.duckdb.queries import sql

if TYPE_CHECKING:
    import duckdb

HEADERS: Final = 3 * 4096
"""Bytes of a DuckDB file before its first block (main header and two database headers)."""
BODY_TABLES: Final = ("body_text", "span_wire", "document_row")
"""Tables that retention empties first: what was said, sent and found, not that it happened."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Bytes of the file: all blocks, those in use, and those in use by bodies."""

    total: int
    used: int
    bodies: int

    def free(self) -> int:
        """Return bytes of blocks that hold nothing; later inserts reuse them."""
        return self.total - self.used


def occupancy(con: duckdb.DuckDBPyConnection) -> Occupancy:
    """Measure the attached store; exact only right after a checkpoint."""
    row = one(con, sql("ops_database_size"))
    block, total, used = (int(cell) for cell in row) if row else (0, 0, 0)
    blocks = 0
    for table in BODY_TABLES:
        found = one(con, sql("ops_table_blocks"), {"table": f"store.{table}"})
        blocks += int(found[0]) if found else 0
    return Occupancy(HEADERS + total * block, HEADERS + used * block, min(blocks, used) * block)

"""spanreel for a harness that runs tracing SDKs side by side, each behind the same six names.

`local` records into a store below the scratch directory, `disabled` is SPANREEL_DISABLED=1. Copy or link
the file as `adapters/spanreel.py` of the harness; VENV names the environment that has spanreel installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

VENV = "spanreel"
DISTS = ["spanreel", "opentelemetry-sdk"]
IMPORT = "from spanreel import trace"
MODES = ["local", "disabled"]


def setup(mode: str, sink: str, workdir: str) -> None:
    """Configure by environment, as a user would; `sink` is not used, nothing is sent anywhere."""
    del sink
    os.environ["SPANREEL_STORE"] = str(_store(workdir))
    if mode == "disabled":
        os.environ["SPANREEL_DISABLED"] = "1"


def decorate(fn: Callable[..., Any], kind: str = "task") -> Callable[..., Any]:
    """Trace `fn`; `kind` is root or task."""
    import spanreel

    return spanreel.trace.agent(fn) if kind == "root" else spanreel.trace(fn)


def flush() -> None:
    """Nothing waits in memory while the disk can be written."""
    import spanreel

    spanreel.flush(60)


def count_stored(workdir: str) -> int:
    """How many whole spans of the harness's loss test are in the store, read by the store's own reader."""
    from spanreel_exporters.duckdb.ingest import catch_up
    from spanreel_exporters.duckdb.reader import DuckReader

    catch_up(_store(workdir), timeout=120)
    with DuckReader(_store(workdir)) as reader:
        row = reader.connection.execute(
            "SELECT count(*) FROM spans WHERE state = 'ended' AND input LIKE '%iK%' AND output LIKE '%oK%'"
        ).fetchone()
    return int(row[0]) if row else 0


def _store(workdir: str) -> Path:
    return Path(workdir) / "store"

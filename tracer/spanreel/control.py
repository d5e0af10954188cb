"""Settings, the reach of recording, and reading back: `configure`, `instrument`, `flush`, `sql`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from spanreel import recorder as recorders
from spanreel.config import Capture, Keeper, Redact
from spanreel.errors import SpanreelError
from spanreel.guard import guard

if TYPE_CHECKING:
    from spanreel.hooks import Hooks


def configure(
    *,
    store: str | PathLike[str] | None = None,
    service_name: str | None = None,
    capture: Capture | None = None,
    redact: Redact = None,
    sample_rate: float | None = None,
    keeper: Keeper | None = None,
    join: bool | None = None,
    span_processors: Sequence[Any] | None = None,
    **unknown: Any,
) -> None:
    """Set what the environment does not; nothing has to be. Idempotent, the last call wins.

    `store`: the directory to record into. `capture`: "full", "metadata" (no inputs and outputs) or "none"
    (names, times, tokens). `redact`: a callable, patterns, field names, or False. `sample_rate`: share of
    traces that are recorded, 0 to 1. `keeper`: whether a small process brings the journal into DuckDB.
    `join`: make our spans the parents of other OpenTelemetry spans. `span_processors`: OpenTelemetry
    SpanProcessors that are fed every span. Raises ConfigurationError naming what is wrong and the nearest.
    """
    recorders.configure(
        store=store,
        service_name=service_name,
        capture=capture,
        redact=redact,
        sample_rate=sample_rate,
        keeper=keeper,
        join=join,
        span_processors=span_processors,
        **unknown,
    )


def instrument(*names: str, exclude: Sequence[str] = ()) -> list[Any]:
    """Record LLM, retrieval and tool calls of the whole process, inside a trace or not.

    `names` are the libraries to watch (all that are known by default), `exclude` those to leave alone.
    Frameworks (LangChain, LlamaIndex, ...) are told of by instrumentors that extras bring, `spanreel[langchain]`.
    Returns what became of each: wrapped, waiting for its import, not installed, in use by the program itself,
    out of range, failed, or unknown.
    """
    with guard("instrument"):
        from spanreel import hooks

        names, exclude = _underscored(names), _underscored(exclude)
        recorders.widen("all")
        recorders.active()
        wanted = {name for room in _rooms() for name in names or room.libraries if name not in exclude}
        found: list[Any] = []
        for room in _rooms():
            room.uninstall(exclude)
            found += [outcome for outcome in room.install(wanted) if outcome.name in wanted]
        known = {outcome.name for outcome in found}
        return found + [hooks.unknown(name, _rooms()) for name in names if name not in {*known, *exclude}]
    return []


def uninstrument() -> None:
    """Take the hooks out of all libraries again; decorated functions go on being recorded."""
    with guard("uninstrument"):
        for room in _rooms():
            room.uninstall()
        recorders.widen("off")


def _underscored(names: Sequence[str]) -> tuple[str, ...]:
    """Names as the tables have them: `pydantic-ai` is `pydantic_ai`."""
    return tuple(name.replace("-", "_") for name in names)


def _rooms() -> tuple[Hooks, ...]:
    from spanreel import instruments, wire
    from spanreel.instruments import frameworks

    return wire.hooks, instruments.hooks, frameworks.hooks


def flush(timeout: float = 5) -> bool:
    """Wait until everything recorded so far is in the journal; False if that was not so within `timeout` s.

    There is nothing to wait for unless the disk is full or the store cannot be written: a span is in the
    journal before its function returns.
    """
    recorder = recorders._holder.recorder
    if recorder is None:
        return True
    recorder.write_losses()
    end = time.monotonic() + timeout
    while recorder.journal.pending and time.monotonic() < end:
        time.sleep(0.02)
    return not recorder.journal.pending


def sql(
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    store: str | PathLike[str] | None = None,
) -> Any:
    """Run read-only SQL over the views `spans`, `traces`, `documents`, `flags`, `scores`, `losses`.

    Returns Rows: a list of dicts with `.df()`, shown as a table in notebooks. Raises QueryError for SQL
    that is refused or does not run, StoreError for a store that cannot be read. Warns where the answer may
    lack something (also in `Rows.notices`).
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group="spanreel.sql"):
        rows = entry.load()(query, params, store)
        for notice in rows.notices:
            warnings.warn(notice, stacklevel=2)
        return rows
    raise SpanreelError("no reader is installed; reinstall spanreel")

"""Files -> store: which files, what is in them, and what went wrong with which."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from spanreel.store import JOURNAL
from spanreel_exporters.duckdb.ingest import catch_up
from spanreel_exporters.otlp.framing import messages
from spanreel_exporters.otlp.model import Decoded
from spanreel_exporters.otlp.records import Recorder
from spanreel_exporters.otlp.writer import Intake, JournalWriter

if TYPE_CHECKING:
    from spanreel.config import Settings

SUFFIXES: Final = (
    ".json",
    ".jsonl",
    ".ndjson",
    ".pb",
    ".binpb",
    ".bin",
    ".otlp",
    ".otlp_json",
    ".otlp_proto",
    ".proto",
)
"""Names that are taken when a directory is given, also with .gz, .zst or .zstd behind them."""
PACKED: Final = (".gz", ".zst", ".zstd")
STDIN: Final = "-"
FLUSH_BYTES: Final = 48 << 20
"""Journal bytes after which they are taken into the database, so that the journal stays small."""
GATHERED: Final = 4_000
"""Spans and log records after which the store is asked what it has of them."""
MOST_PROBLEMS: Final = 20
"""Problems told of one file; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in a file that could not be read."""

    file: str
    offset: int | None
    reason: str

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at offset {self.offset:,}"
        return f"{self.file}:{place} {self.reason}" if place else f"{self.file}: {self.reason}"


@dataclass(slots=True)
class Outcome:
    """What an import did."""

    files: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)


def import_files(
    store: Path, names: Sequence[str], settings: Settings, *, told: Callable[[Trouble], None] = lambda _: None
) -> Outcome:
    """Take every file into the store; `told` hears of each trouble at once. Raises StoreError."""
    from spanreel.redaction import Redactor

    outcome = Outcome()

    def trouble(file: str, offset: int | None, reason: str) -> None:
        found = Trouble(file, offset, reason)
        outcome.troubles.append(found)
        told(found)

    with JournalWriter(store, settings, service="spanreel import") as writer:
        intake = Intake(writer, Recorder(Redactor.from_setting(settings.redact), writer.lose))
        flushed = 0
        for name in expand(names, trouble):
            outcome.files += 1
            for batch in _gathered(_read(name, trouble)):
                intake.take(batch)
                if writer.bytes - flushed > FLUSH_BYTES:
                    flushed = writer.bytes
                    catch_up(store)
    if (store / JOURNAL).is_dir():
        catch_up(store)
    outcome.counts = intake.counts()
    return outcome


def expand(names: Sequence[str], trouble: Callable[[str, int | None, str], None]) -> Iterator[str]:
    """The files that the names mean: files, directories (with what lies below), patterns, `-`."""
    for name in names:
        if name == STDIN or Path(name).is_file():
            yield name
        elif Path(name).is_dir():
            yield from _below(name, trouble)
        elif glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - patterns may be absolute
            if not found:
                trouble(name, None, "no file matches")
            for match in found:
                if Path(match).is_dir():
                    yield from _below(match, trouble)
                else:
                    yield match
        else:
            yield name


def _below(folder: str, trouble: Callable[[str, int | None, str], None]) -> Iterator[str]:
    def failed(error: OSError) -> None:
        trouble(str(error.filename or folder), None, error.strerror or str(error))

    for where, folders, files in os.walk(folder, onerror=failed):
        folders.sort()
        for file in sorted(files):
            plain = file.lower()
            for packed in PACKED:
                plain = plain.removesuffix(packed)
            path = Path(where) / file
            if plain.endswith(SUFFIXES) and path.is_file():
                yield str(path)


def _read(name: str, trouble: Callable[[str, int | None, str], None]) -> Iterator[Decoded]:
    seen: set[str] = set()
    skipped = 0

    def problem(offset: int, reason: str) -> None:
        nonlocal skipped
        if reason in seen or len(seen) >= MOST_PROBLEMS:
            skipped += 1
            return
        seen.add(reason)
        trouble("standard input" if name == STDIN else name, offset, reason)

    try:
        with _opened(name) as stream:
            yield from messages(stream, problem)
    except OSError as error:
        trouble(name, None, error.strerror or str(error))
    if skipped:
        trouble(name, None, f"and {skipped:,} more of the kind")


def _opened(name: str) -> IO[bytes]:
    if name == STDIN:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    handle = open(name, "rb", buffering=0)  # noqa: PTH123, SIM115 - handed on
    if stat.S_ISDIR(os.fstat(handle.fileno()).st_mode):  # pragma: no cover - turned into one meanwhile
        handle.close()
    return handle


def _gathered(found: Iterator[Decoded]) -> Iterator[Decoded]:
    """Messages put together: a Collector's are small, and each look into the store costs milliseconds."""
    batch = Decoded()
    for decoded in found:
        batch.spans += decoded.spans
        batch.logs += decoded.logs
        batch.ignored += decoded.ignored
        if len(batch.spans) + len(batch.logs) >= GATHERED:
            yield batch
            batch = Decoded()
    if batch or batch.ignored:
        yield batch

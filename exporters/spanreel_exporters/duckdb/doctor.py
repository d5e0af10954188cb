"""What is well and what is wrong with a store, in words that say what to do; never changes the store."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from spanreel import keeper_rules, keeper_start
from spanreel.errors import SpanreelError, StoreError
from spanreel.store import DATABASE, JOURNAL
from spanreel.version import __version__
from spanreel_exporters.duckdb import compaction, retention, schema, stores
from spanreel_exporters.duckdb.connection import StoreHeldError
from spanreel_exporters.duckdb.folder import strangers
from spanreel_exporters.duckdb.loss_words import describe, describe_note, is_note
from spanreel_exporters.duckdb.results import LossRow, Summary

Level = Literal["ok", "info", "warn", "error"]
_ORDER: Final[dict[str, int]] = {"ok": 0, "info": 1, "warn": 2, "error": 3}
KEEPER_LOG: Final = "keeper.log"
FAR_NS: Final = 24 * 3600 * 10**9
"""A record dated further than this in the future says that a clock jumped."""
JOURNAL_WARN: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `level` ok, info, warn or error; `advice` says what to do, where there is something."""

    name: str
    level: Level
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a store in the order of a reader's questions, and the facts behind them."""

    store: str
    checks: tuple[Check, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """The worst level among the checks."""
        worst: Level = "ok"
        for check in self.checks:
            if _ORDER[check.level] > _ORDER[worst]:
                worst = check.level
        return worst

    @property
    def troubles(self) -> tuple[Check, ...]:
        """Return the checks that ask for attention, the worst first."""
        found = [check for check in self.checks if _ORDER[check.level] >= _ORDER["warn"]]
        return tuple(sorted(found, key=lambda check: -_ORDER[check.level]))


def doctor(store: Path) -> Report:
    """Look at everything that can be wrong with `store`. Never raises for what it finds, changes nothing."""
    checks = [Check("versions", "ok", versions())]
    facts: dict[str, Any] = {
        "spanreel": __version__,
        "duckdb": metadata.version("duckdb"),
        "schema": schema.VERSION,
    }
    place = _place(store)
    checks.append(place)
    if place.level == "error":
        return Report(str(store), tuple(checks), facts)
    looks: tuple[Callable[[Path, dict[str, Any]], Iterator[Check]], ...] = (
        _disk, _locks, _database, _journal, _keeper, _prices, _settings,
    )  # fmt: skip
    for look in looks:
        try:
            checks += look(store, facts)
        except Exception as error:
            checks.append(
                Check(
                    look.__name__.strip("_"),
                    "warn",
                    f"could not be looked at: {type(error).__name__}: {error}",
                )
            )
    return Report(str(store), tuple(checks), facts)


def versions() -> str:
    """Return the versions that a report of a fault should name."""
    import platform

    return f"spanreel {__version__}, DuckDB {metadata.version('duckdb')}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def _place(store: Path) -> Check:
    """The directory itself: there, a directory, ours, closed to others."""
    try:
        info = store.stat()
    except FileNotFoundError:
        return Check(
            "store",
            "error",
            f"no recording at {store} yet",
            "run a program that uses @spanreel.trace, or `spanreel demo`",
        )
    except OSError as error:
        return Check(
            "store",
            "error",
            f"{store} cannot be looked at: {error.strerror}",
            "check the permissions of the folders above it",
        )
    if not stat.S_ISDIR(info.st_mode):
        return Check(
            "store",
            "error",
            f"{store} is a file, not a directory",
            "choose another path with --store or SPANREEL_STORE",
        )
    if info.st_uid != os.geteuid():
        return Check(
            "store", "error", f"{store} belongs to {_user_name(info.st_uid)}, you are {_user_name(os.geteuid())}",
            "choose a store of your own with --store or SPANREEL_STORE",
        )  # fmt: skip
    if not os.access(store, os.W_OK | os.X_OK):
        return Check(
            "store",
            "warn",
            f"{store} is read-only: nothing can be recorded or taken in",
            f"chmod u+rwx {store}",
        )
    if info.st_mode & 0o077:
        return Check(
            "store",
            "warn",
            f"{store} is open to other users (mode {info.st_mode & 0o777:o})",
            f"chmod 700 {store}",
        )
    return Check("store", "ok", f"{store}, open to {_user_name(info.st_uid)} only")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _disk(store: Path, facts: dict[str, Any]) -> Iterator[Check]:
    kind = keeper_rules.network_filesystem(store)
    facts["filesystem"] = keeper_rules.filesystem(store)
    if kind is not None:
        yield Check(
            "disk",
            "error",
            f"{store} is on a network or shared file system ({kind}), where locks cannot be trusted",
            "put the store on a local disk: SPANREEL_STORE",
        )
    disk = shutil.disk_usage(store)
    facts["free_bytes"] = free = disk.free
    floor = retention.free_floor(disk.total)
    if free < min(16 << 20, floor):
        yield Check(
            "disk",
            "error",
            f"the disk is full ({_size(free)} free): recording waits in memory, then loses",
            "free disk space; recording goes on by itself",
        )
    elif free < floor:
        yield Check(
            "disk",
            "warn",
            f"{_size(free)} free on the disk, less than {_size(floor)}: the oldest recordings give way",
            "free disk space, or spanreel prune --max-size",
        )
    else:
        yield Check("disk", "ok", f"{_size(free)} free")


def _locks(store: Path, _facts: dict[str, Any]) -> Iterator[Check]:
    """Files of ours that others could read."""
    loose = [
        path.name
        for path in (store / DATABASE, store / JOURNAL, store / keeper_start.LOCK_NAME)
        if path.exists() and path.stat().st_mode & 0o077
    ]
    if loose:
        yield Check(
            "permissions", "warn", f"other users may read {', '.join(loose)}", f"chmod -R go= {store}"
        )


def _database(store: Path, facts: dict[str, Any]) -> Iterator[Check]:
    from spanreel_exporters.duckdb.reader import DuckReader

    facts["database_bytes"] = stores.database_bytes(store)
    if (store / compaction.PENDING).exists():
        yield Check(
            "database",
            "error",
            "an erasure was cut off before the database was rewritten",
            f"spanreel compact --store {store}",
        )
    held = _held_by(store)
    if held is not None:
        facts["held_by"] = held.pid
        who = f"process {held.pid} ({_command(held.pid)})" if held.pid else "another DuckDB client"
        yield Check(
            "database",
            "warn",
            f"{DATABASE} is held open by {who}: new spans wait in the journal",
            "close that client; everything is taken in afterwards",
        )
    try:
        with DuckReader(store, catch_up=False, timeout_s=3.0) as reader:
            summary = reader.summary()
    except SpanreelError as error:
        yield Check("database", "error", str(error))
        return
    facts["summary"] = summary
    limit = retention.effective_limit(store)
    text = f"{summary.traces:,} traces, {summary.spans:,} spans, {_size(summary.database_bytes)} of {_size(limit)}"
    level: Level = "warn" if summary.database_bytes > limit else "ok"
    yield Check(
        "database",
        level,
        text,
        "spanreel prune --max-size 4GB, or a larger SPANREEL_MAX_SIZE" if level == "warn" else "",
    )
    yield from _clocks(summary)
    yield from _losses([loss for loss in summary.losses if not is_note(loss.reason)])
    yield from _notes([loss for loss in summary.losses if is_note(loss.reason)])


def _held_by(store: Path) -> StoreHeldError | None:
    """The foreign client that keeps the file from us, if one does now: one that only reads does, too."""
    from spanreel_exporters.duckdb import connection, locks

    if not (store / DATABASE).exists():
        return None
    try:
        with locks.exclusive(store, timeout_s=3.0) as alone:  # none of ours has it open then
            if alone:
                connection.probe(store)
    except StoreHeldError as error:
        return error
    except StoreError:
        return None
    return None


def _command(pid: int | None) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
            .strip()[:80]
        )
    except OSError:
        return "gone"


def _clocks(summary: Summary) -> Iterator[Check]:
    now = time.time_ns()
    if summary.newest_ns is not None and summary.newest_ns > now + FAR_NS:
        yield Check(
            "clock",
            "warn",
            f"the newest span is dated {_date(summary.newest_ns)}, in the future: a clock jumped",
            "check the clock of the machine that recorded it",
        )
    if summary.oldest_ns is not None and summary.oldest_ns < 10**18:  # 2001-09-09
        yield Check(
            "clock",
            "warn",
            f"the oldest span is dated {_date(summary.oldest_ns)}: a clock was not set",
            "check the clock of the machine that recorded it",
        )


def _losses(losses: list[LossRow]) -> Iterator[Check]:
    if not losses:
        yield Check("losses", "ok", "nothing was lost")
        return
    totals: dict[str, tuple[int, int]] = {}
    for row in losses:
        count, last = totals.get(row.reason, (0, 0))
        totals[row.reason] = (count + row.count, max(last, row.last_ns))
    for reason, (count, last) in sorted(totals.items(), key=lambda item: -item[1][0]):
        what, advice = describe(reason)
        level: Level = "info" if advice.startswith("nothing") else "warn"
        yield Check("losses", level, f"{count:,} {reason}: {what} (last {_date(last)})", advice)


def _notes(notes: list[LossRow]) -> Iterator[Check]:
    """What the programs use that is not recorded, each by its name with the programs that use it."""
    named: dict[tuple[str, str, str], set[str]] = {}
    for row in notes:
        named.setdefault(describe_note(row.reason), set()).add(row.service or f"pid {row.pid}")
    for (name, what, advice), users in sorted(named.items()):
        yield Check("libraries", "info", f"{name}: {what} (in {', '.join(sorted(users)[:5])})", advice)


def _journal(store: Path, facts: dict[str, Any]) -> Iterator[Check]:
    from spanreel_exporters.duckdb.watch import living_writers

    summary: Summary | None = facts.get("summary")
    room = stores.journal_bytes(store)
    writers = living_writers(store)
    facts["journal_bytes"], facts["writers"] = room, len(writers)
    names = sorted(writer.partition("-")[0] for writer in writers)
    alive = (
        f"{len(names)} program{'s' * (len(names) > 1)} recording (pid {', '.join(names[:8])})"
        if names
        else "no program is recording"
    )
    found = strangers(store)
    if found:
        yield Check(
            "journal",
            "warn",
            f"files that are not the journal's: {', '.join(found[:5])}",
            f"move them out of {store / JOURNAL}",
        )
    if summary is not None and summary.missing_bytes:
        yield Check(
            "journal",
            "warn",
            f"{_size(summary.missing_bytes)} are not taken in yet and not shown; {alive}",
            "start `spanreel view` or `spanreel list`, which take them in",
        )
    elif room > JOURNAL_WARN:
        yield Check(
            "journal",
            "warn",
            f"{_size(room)} of journal; {alive}",
            "start `spanreel view` or `spanreel list`, which take it in",
        )
    else:
        yield Check("journal", "ok", f"{alive}; {_size(room)} of journal")


def _keeper(store: Path, facts: dict[str, Any]) -> Iterator[Check]:
    running = keeper_start.is_running(store)
    facts["keeper"] = {"running": running, **keeper_identity(store)}
    if running:
        identity = keeper_identity(store)
        text = f"a keeper runs (pid {identity.get('pid', '?')}, spanreel {identity.get('version', '?')})"
        yield Check("keeper", "ok", text)
        if identity.get("version", __version__) != __version__:
            yield Check(
                "keeper",
                "info",
                f"the keeper is of spanreel {identity['version']}, you are {__version__}",
                "nothing; it steps down when the store is newer than it",
            )
    else:
        mode = keeper_start.effective_mode("auto", os.environ)
        decision = keeper_rules.decide(store, mode, os.environ)
        why = (
            "none is needed now"
            if decision.start
            else f"none is started from here: {KEEPER_REASONS.get(decision.reason, decision.reason)}"
        )
        yield Check("keeper", "ok" if decision.start else "info", f"no keeper runs; {why}")
    last = last_log_line(store)
    if last:
        yield Check("keeper", "info", f"the keeper's last words: {last}", f"see {store / KEEPER_LOG}")


KEEPER_REASONS: Final = {
    "off": "it is switched off",
    "platform": "this platform has none",
    "not_cpython": "the interpreter is not a plain CPython",
    "serverless": "this is a serverless environment",
    "ci": "this is a CI run",
    "test_runner": "this is a test run",
    "pid_1": "this is the first process of a container",
    "container": "this is the main process of a container",
    "sigchld_handler": "the program watches its children",
    "subreaper": "the program adopts orphans",
    "no_store": "there is no store",
    "not_owner": "the store is another user's",
    "read_only": "the store is read-only",
    "network_fs": "the store is on a network file system",
    "small_memory": "the memory limit is under 512 MB",
}


def keeper_identity(store: Path) -> dict[str, Any]:
    """Return pid, started_ns and version that the last keeper wrote into its lock file; {} when it did not."""
    try:
        found = json.loads((store / keeper_start.LOCK_NAME).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def last_log_line(store: Path) -> str:
    """Return the last line of the keeper's log, or nothing."""
    try:
        return (
            (store / KEEPER_LOG)
            .read_text(encoding="utf-8", errors="replace")
            .rstrip("\n")
            .rpartition("\n")[2]
        )
    except OSError:
        return ""


def _prices(store: Path, _facts: dict[str, Any]) -> Iterator[Check]:
    """The price files of the user's own; where there are none, the book prices alone and nothing is said."""
    from spanreel.analysis import pricing

    prices = pricing.load_or_explain(store)
    if prices.trouble:
        yield Check(
            "prices", "warn", prices.trouble, "put it right; until then calls are priced without this file"
        )
    if prices.files:
        names = ", ".join(file.source.removeprefix("user:") for file in prices.files)
        yield Check("prices", "ok", f"{names} before the bundled book")


def _settings(_store: Path, _facts: dict[str, Any]) -> Iterator[Check]:
    """Environment variables that do not mean what was meant."""
    from spanreel import config
    from spanreel.errors import ConfigurationError

    if config.from_environment().disabled:
        yield Check(
            "settings",
            "warn",
            "recording is switched off (SPANREEL_DISABLED or OTEL_SDK_DISABLED)",
            "unset it to record",
        )
    for name, option in (
        ("SPANREEL_CAPTURE", "capture"),
        ("SPANREEL_KEEPER", "keeper"),
        ("SPANREEL_SAMPLE_RATE", "sample_rate"),
    ):
        value = os.environ.get(name, "").strip()
        if not value:
            continue
        try:
            config.Settings().merged(**{option: value.lower()})
        except ConfigurationError as error:
            yield Check(
                "settings",
                "warn",
                f"{name} cannot be used and the default holds: {error}",
                f"correct or unset {name}",
            )


def _size(count: float) -> str:
    from spanreel.terminal import size

    return size(count)


def _date(ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(ns / 1e9)) + " UTC"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import duckdb
import pytest
from journal_fixture import T0, Writer, ids

from spanreel_exporters.duckdb import compaction, ingest, stores
from spanreel_exporters.duckdb.doctor import KEEPER_REASONS, Report, doctor
from spanreel_exporters.duckdb.loss_words import describe


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "the store"
    path.mkdir(mode=0o700)
    writer = Writer(path)
    writer.start(*ids(1))
    writer.end(*ids(1))
    writer.die()
    ingest.catch_up(path)
    (path / "journal").chmod(0o700)
    return path


def texts(report: Report, name: str) -> str:
    return " | ".join(
        f"{check.level}: {check.text} > {check.advice}" for check in report.checks if check.name == name
    )


def test_a_healthy_store_has_no_troubles(store: Path) -> None:
    report = doctor(store)
    assert report.troubles == ()
    assert "1 traces, 1 spans" in texts(report, "database")
    assert "nothing was lost" in texts(report, "losses")
    assert str(asdict(report))


def test_it_changes_nothing(store: Path) -> None:
    def listing() -> list[tuple[str, int, int]]:
        return sorted(
            (p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in store.rglob("*") if p.is_file()
        )

    before = listing()
    doctor(store)
    after = [entry for entry in listing() if not entry[0].endswith(".lock")]
    assert after == [entry for entry in before if not entry[0].endswith(".lock")]


@pytest.mark.parametrize("kind", ["missing", "file", "through a file"])
def test_a_path_that_is_no_store_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    path = {"missing": tmp_path / "none", "file": file, "through a file": file / "store"}[kind]
    report = doctor(path)
    assert report.level == "error"
    assert report.checks[-1].advice


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a store away")
def test_a_store_of_another_user_is_an_error(store: Path) -> None:
    os.chown(store, 12345, 12345)
    assert "belongs to user 12345" in texts(doctor(store), "store")


def test_a_store_open_to_others_is_a_warning(store: Path) -> None:
    store.chmod(0o755)
    (store / "traces.duckdb").chmod(0o644)
    report = doctor(store)
    assert "mode 755" in texts(report, "store")
    assert "traces.duckdb" in texts(report, "permissions")


def test_a_newer_schema_is_refused_by_name(store: Path) -> None:
    with duckdb.connect(str(store / "traces.duckdb")) as con:
        con.execute("UPDATE meta SET schema_version = 99")
    report = doctor(store)
    assert report.level == "error"
    assert "newer spanreel" in texts(report, "database")


def test_a_damaged_file_is_an_error_not_a_traceback(store: Path) -> None:
    (store / "traces.duckdb").write_bytes(b"garbage" * 1000)
    assert "error" in texts(doctor(store), "database")


def test_a_foreign_client_is_named_with_its_pid(store: Path) -> None:
    code = f"import duckdb, sys; c = duckdb.connect({str(store / 'traces.duckdb')!r}); print('open', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        report = doctor(store)
        assert f"process {child.pid}" in texts(report, "database")
        assert report.facts["held_by"] == child.pid
    finally:
        child.communicate("")


def test_living_writers_and_strangers_in_the_journal_are_named(store: Path) -> None:
    writer = Writer(store, f"{os.getpid()}-0badb007-0000000a")
    (store / "journal" / "notes.txt").write_text("hello")
    try:
        report = doctor(store)
        assert f"pid {os.getpid()}" in texts(report, "journal") or report.facts["writers"] == 1
        assert "notes.txt" in texts(report, "journal")
    finally:
        writer.die()


def test_losses_are_told_in_plain_words(store: Path) -> None:
    writer = Writer(store, "7-0badb007-00000007")
    writer.line(
        "loss",
        1,
        {"reason": "journal_unwritable", "count": 7, "first_ns": T0, "last_ns": T0, "pid": 1, "service": "s"},
    )
    writer.raw(b"what is this\n")
    writer.die()
    report = doctor(store)
    assert "7 journal_unwritable: records that found no room" in texts(report, "losses")
    assert "garbage_record" in texts(report, "losses")
    assert report.level == "warn"


def test_a_clock_that_jumped_is_noticed(store: Path) -> None:
    writer = Writer(store, "7-0badb007-00000007")
    writer.start(*ids(5), at=time.time_ns() + 400 * 86400 * 10**9)
    writer.end(*ids(5), at=time.time_ns() + 401 * 86400 * 10**9)
    writer.start(*ids(6), at=1000)
    writer.end(*ids(6), at=2000)
    writer.die()
    found = texts(doctor(store), "clock")
    assert "in the future" in found
    assert "was not set" in found


def test_an_erasure_that_was_cut_off_is_an_error(store: Path) -> None:
    (store / compaction.PENDING).touch()
    assert "cut off" in texts(doctor(store), "database")


def test_settings_that_cannot_be_used_are_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANREEL_CAPTURE", "everything")
    monkeypatch.setenv("SPANREEL_DISABLED", "1")
    found = texts(doctor(store), "settings")
    assert "SPANREEL_CAPTURE" in found
    assert "switched off" in found


def test_why_no_keeper_starts_is_said(store: Path) -> None:
    assert "it is switched off" in texts(doctor(store), "keeper")


@pytest.mark.parametrize("reason", ["torn_record", "internal:wire.request", "no such reason"])
def test_every_reason_has_words_and_advice(reason: str) -> None:
    what, advice = describe(reason)
    assert what
    assert advice


def test_every_rule_of_the_keeper_has_words() -> None:
    import re

    from spanreel import keeper_rules

    source = Path(keeper_rules.__file__).read_text()
    reasons = set(re.findall(r'return "(\w+)"', source)) | set(re.findall(r'"(\w+)" if ', source))
    assert reasons - {"ok"} <= KEEPER_REASONS.keys()


def test_stores_are_registered_once_and_missing_ones_dropped(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    second.mkdir()
    assert stores.register(first)
    assert stores.register(second)
    assert stores.register(first)
    assert {entry.path for entry in stores.known()} == {first, second}
    assert stores.register_path().stat().st_mode & 0o777 == 0o600
    second.rmdir()
    assert [entry.exists for entry in stores.known() if entry.path == second] == [False]
    assert stores.forget_missing() == 1
    assert {entry.path for entry in stores.known()} == {first}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stores": 3}', '{"stores": {"/x": "y"}}'])
def test_a_broken_register_is_an_empty_one(tmp_path: Path, content: str) -> None:
    path = stores.register_path()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert stores.known() == []
    assert stores.register(tmp_path)
    assert [entry.path for entry in stores.known()] == [tmp_path]


def test_a_register_that_cannot_be_written_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    assert not stores.register(tmp_path)
    assert stores.known() == []


def test_every_file_of_a_store_is_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        writer = Writer(tmp_path / "s")
        writer.start(*ids(1))
        writer.end(*ids(1))
        ingest.catch_up(tmp_path / "s")
        compaction.compact(tmp_path / "s")
        writer.start(*ids(2))
        writer.end(*ids(2))
        ingest.catch_up(tmp_path / "s")
        writer.die()
    finally:
        os.umask(before)
    loose = [p.name for p in (tmp_path / "s").iterdir() if p.is_file() and p.stat().st_mode & 0o077]
    assert loose == []


def test_prices_of_ones_own_are_named_and_their_mistakes_too(store: Path) -> None:
    def told() -> list[tuple[str, str]]:
        return [(check.level, check.text) for check in doctor(store).checks if check.name == "prices"]

    assert told() == []
    mine = store / "prices.toml"
    mine.write_text('name = "mine"\nupdated = 2026-11-01\n[[price]]\nmodel = "m"\ninput = 1\n')
    assert told() == [("ok", "mine (2026-11-01) before the bundled book")]
    mine.write_text('name = "mine"\n[[price]]\nmodel = "m"\ninpt = 1\n')
    ((level, text),) = told()
    assert level == "warn"
    assert f"{mine}:4: inpt" in text

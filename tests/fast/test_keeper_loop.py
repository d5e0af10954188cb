"""The keeper's loop over real journals, in this process and with its own clock."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from journal_fixture import Writer, ids

from spanreel.errors import NewerStoreError, StoreError
from spanreel_exporters.duckdb import connection, locks
from spanreel_exporters.duckdb import keeper as keepers
from spanreel_exporters.duckdb.keeper import Keeper, KeeperLog, Step, ingest_step, settle, upkeep
from spanreel_exporters.duckdb.reader import DuckReader
from spanreel_exporters.duckdb.watch import JournalWatch, living_writers


class Time:
    """A clock that `sleep` moves, and on which things happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: list[tuple[float, object]] = []
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += max(seconds, 0.001)
        for when, action in list(self.at):
            if self.now >= when:
                self.at.remove((when, action))
                action()  # type: ignore[operator]

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    (path / "journal").mkdir(parents=True)
    return path


def make(store: Path, time: Time, **options: Any) -> Keeper:
    options.setdefault("ingest", ingest_step)
    options.setdefault("rss_cap", 1 << 40)  # a test run is larger than a keeper may be
    return Keeper(store, sleep=time.sleep, monotonic=time.monotonic, **options)


def spans(store: Path) -> int:
    with DuckReader(store, catch_up=False) as reader:
        return int(reader.connection.execute("SELECT count(*) FROM store.span_row").fetchall()[0][0])


def test_it_takes_everything_in_and_leaves_ten_seconds_after_the_last_writer(store: Path) -> None:
    time, writer = Time(), Writer(store)
    writer.start(*ids(1))

    def finish() -> None:
        writer.end(*ids(1))
        time.at.append((time.now + 3, writer.die))

    time.at.append((30.0, finish))
    assert make(store, time).run() == "idle"
    assert spans(store) == 1
    assert list((store / "journal").iterdir()) == []
    assert 33 + keepers.LINGER_S <= time.now < 33 + keepers.LINGER_S + 3


def test_an_idle_keeper_looks_once_a_second(store: Path) -> None:
    time, writer = Time(), Writer(store)
    keeper = make(store, time)
    time.at.append((60.0, keeper.stop))
    assert keeper.run() == "stopped"
    assert max(time.pauses) <= keepers.IDLE_S
    assert len([pause for pause in time.pauses if pause]) < 75
    writer.die()


def test_nothing_to_do_ends_soon(store: Path) -> None:
    time = Time()
    assert make(store, time).run() == "idle"
    assert time.now < keepers.LINGER_S + 3


def test_a_deleted_store_ends_it(store: Path) -> None:
    time, writer = Time(), Writer(store)
    time.at.append((5.0, lambda: shutil.rmtree(store)))
    assert make(store, time).run() == "gone"
    writer.die()


def test_a_store_made_anew_is_another_store(store: Path) -> None:
    time, writer = Time(), Writer(store)

    def replace() -> None:
        store.rename(store.with_name("moved"))
        (store / "journal").mkdir(parents=True)

    time.at.append((5.0, replace))
    assert make(store, time).run() == "gone"
    writer.die()


def test_a_newer_store_makes_it_step_down_and_says_so(store: Path) -> None:
    def newer(_store: Path) -> Step:
        raise NewerStoreError("schema 9")

    log = KeeperLog(store)
    assert make(store, Time(), ingest=newer, log=log.write).run() == "newer"
    assert "schema 9" in (store / "keeper.log").read_text()


def test_a_foreign_client_makes_it_back_off_and_resume(store: Path) -> None:
    time, writer = Time(), Writer(store)
    writer.start(*ids(1))
    writer.end(*ids(1))
    writer.die()
    log = KeeperLog(store)

    def held_for_a_minute(path: Path) -> Step:
        if time.now < 60:
            raise StoreError("held open by process 7")
        return ingest_step(path)

    assert make(store, time, ingest=held_for_a_minute, log=log.write).run() == "idle"
    assert spans(store) == 1
    assert max(time.pauses) <= keepers.RETREAT_S
    assert len([pause for pause in time.pauses if pause]) < 60
    assert (store / "keeper.log").read_text().count("held open by process 7") == 1


def test_what_can_never_be_taken_in_does_not_keep_it_for_ever(store: Path) -> None:
    def broken(_store: Path) -> Step:
        raise OSError(5, "Input/output error")

    time = Time()
    assert make(store, time, ingest=broken).run() == "stuck"
    assert time.now < keepers.PATIENCE_S + 10


def test_upkeep_that_fails_is_logged_and_goes_on(store: Path) -> None:
    time, writer = Time(), Writer(store)

    def failing(_store: Path) -> str:
        raise StoreError("no room")

    log = KeeperLog(store)
    keeper = make(store, time, upkeep=failing, log=log.write)
    time.at.append((200.0, keeper.stop))
    assert keeper.run() == "stopped"
    assert "upkeep: StoreError: no room" in (store / "keeper.log").read_text()
    writer.die()


def test_too_much_memory_ends_the_loop(store: Path) -> None:
    assert make(store, Time(), rss_cap=1 << 20).run() == "memory"


def test_work_may_take_more_memory_than_rest(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst takes a keeper over its cap; ending then would leave the burst in the journal."""
    time, writer = Time(), Writer(store)
    for number in range(1, 200):
        writer.start(*ids(number), given="x" * 1000)
        writer.end(*ids(number))
    monkeypatch.setattr(keepers, "resident_bytes", lambda: 150)
    assert make(store, time, rss_cap=100).run() == "memory"
    assert spans(store) == 199
    writer.die()


def test_resident_memory_is_measured() -> None:
    assert 1 << 20 < keepers.resident_bytes() < 1 << 34


def test_the_log_is_private_bounded_and_does_not_repeat_itself(store: Path) -> None:
    log = KeeperLog(store)
    for number in range(3000):
        log.write(f"message {number} " + "x" * 80)
        log.write(f"message {number} " + "x" * 80)
    path = store / "keeper.log"
    assert path.stat().st_size <= keepers.LOG_BYTES + 600
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert "message 2999" in lines[-1]
    assert "message 2998" in lines[-2]


def test_upkeep_and_settle_of_a_young_store_are_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(store.parent / "state"))
    assert upkeep(store) == ""
    settle(store)


def test_settle_folds_the_log_into_the_file(store: Path) -> None:
    writer = Writer(store)
    writer.start(*ids(1))
    writer.end(*ids(1))
    writer.die()
    ingest_step(store)
    settle(store)
    wal = store / "traces.duckdb.wal"
    assert not wal.exists() or wal.stat().st_size == 0
    assert spans(store) == 1


def test_the_watch_sees_growth_new_segments_and_deaths(store: Path) -> None:
    watch = JournalWatch(store)
    assert not watch.changed()
    writer = Writer(store)
    assert watch.changed()
    watch.note()
    assert not watch.changed()
    assert living_writers(store) == watch.writers() == frozenset({writer.procid})
    writer.start(*ids(1))
    assert watch.changed()
    watch.note()
    assert not watch.changed()
    writer.rotate()
    assert watch.changed()
    watch.note()
    writer.die()
    assert watch.changed()
    watch.note()
    assert not watch.changed()
    assert watch.writers() == frozenset()
    shutil.rmtree(store)
    assert watch.changed()


def test_a_quiet_store_is_packed_once(store: Path) -> None:
    time, writer, packed = Time(), Writer(store), []
    writer.start(*ids(1))
    writer.end(*ids(1))

    def pack(_store: Path) -> str:
        packed.append(time.now)
        return ""

    def more() -> None:
        writer.start(*ids(2))
        writer.end(*ids(2))

    keeper = make(store, time, pack=pack)
    time.at += [(20.0, more), (60.0, keeper.stop)]
    assert keeper.run() == "stopped"
    assert len(packed) == 2
    assert keepers.QUIET_S < packed[0] < 20
    assert packed[1] > 20 + keepers.QUIET_S
    writer.die()


def test_packing_runs_in_a_process_of_its_own(store: Path) -> None:
    writer = Writer(store)
    for number in range(1, 5):
        writer.start(*ids(number), given="a question")
        writer.end(*ids(number), output="an answer")
        ingest_step(store)
        with locks.exclusive(store), connection.writer(store) as con:
            con.execute("CHECKPOINT store")
    writer.start(*ids(9))
    writer.end(*ids(9))
    ingest_step(store)
    assert (store / "traces.duckdb.wal").exists()
    assert keepers.pack(store).startswith("packed ")
    assert keepers.pack(store) == ""
    assert not (store / "traces.duckdb.wal").exists()
    assert spans(store) == 5
    writer.die()

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest
from journal_fixture import MS, T0, Writer, ids

from spanreel.errors import StoreError
from spanreel_exporters.duckdb import compaction, ingest, locks, retention
from spanreel_exporters.duckdb.reader import DuckReader

DAY = 24 * 3600 * 10**9


def text(number: int, length: int) -> str:
    return random.Random(number).randbytes(length // 2).hex()


def record(store: Path, count: int, *, length: int = 4000, first: int = 1, at: int = T0) -> Writer:
    writer = Writer(store, f"1-0badb007-{first:08x}")
    for number in range(first, first + count):
        trace, span = ids(number)
        moment = at + number * 1000 * MS
        writer.start(trace, span, at=moment, given=text(number, length))
        writer.end(trace, span, at=moment + MS, output=text(number + 10**6, length))
    writer.die()
    ingest.catch_up(store)
    return writer


def counts(store: Path) -> tuple[int, int]:
    with DuckReader(store) as reader:
        con = reader.connection
        spans = con.execute("SELECT count(*) FROM spans").fetchall()[0][0]
        bodies = con.execute("SELECT count(*) FROM spans WHERE input IS NOT NULL").fetchall()[0][0]
    return spans, bodies


def test_age_drops_whole_traces_and_keeps_the_rest(tmp_path: Path) -> None:
    record(tmp_path, 150, at=time.time_ns() - 40 * DAY)
    record(tmp_path, 3, first=200, at=time.time_ns() - DAY)
    dry = retention.prune(tmp_path, older_than_s=30 * 86400, dry_run=True)
    assert (dry.traces, dry.spans) == (150, 150)
    assert counts(tmp_path) == (153, 153)
    done = retention.prune(tmp_path, older_than_s=30 * 86400)
    assert (done.traces, done.spans) == (150, 150)
    assert done.bytes_after < done.bytes_before
    assert counts(tmp_path) == (3, 3)
    assert retention.prune(tmp_path, older_than_s=30 * 86400).traces == 0


def test_size_drops_the_oldest_bodies_first_and_keeps_their_spans(tmp_path: Path) -> None:
    record(tmp_path, 600)
    compaction.compact(tmp_path)
    before = (tmp_path / "traces.duckdb").stat().st_size
    target = round(before * 0.6)
    dry = retention.prune(tmp_path, max_bytes=target, dry_run=True)
    assert dry.traces == 0
    assert dry.bodies > 0
    assert counts(tmp_path) == (600, 600)
    done = retention.prune(tmp_path, max_bytes=target)
    spans, bodies = counts(tmp_path)
    assert done.bytes_after <= target
    assert spans == 600
    assert 100 < bodies < 500
    with DuckReader(tmp_path) as reader:
        assert reader.span(*ids(1)).input is None
        assert reader.span(*ids(600)).input is not None


def test_size_drops_the_oldest_traces_when_bodies_are_not_enough(tmp_path: Path) -> None:
    record(tmp_path, 8000, length=100)
    compaction.compact(tmp_path)
    done = retention.prune(tmp_path, max_bytes=1_000_000)
    spans, _ = counts(tmp_path)
    assert done.bytes_after <= 1_000_000
    assert done.traces > 0
    assert 500 < spans == 8000 - done.traces
    with DuckReader(tmp_path) as reader:
        assert reader.traces(limit=1).rows[0].trace_id == ids(8000)[0]


def test_size_goes_on_with_traces_where_no_bodies_are_left(tmp_path: Path) -> None:
    record(tmp_path, 8000, length=300)
    first = retention.prune(tmp_path, max_bytes=1_500_000)
    assert first.bytes_after <= 1_500_000
    done = retention.prune(tmp_path, max_bytes=1_000_000)
    assert done.traces > 0
    assert done.bytes_after <= 1_000_000


def test_a_size_that_no_database_has_is_refused(tmp_path: Path) -> None:
    record(tmp_path, 3)
    with pytest.raises(StoreError, match="1 MB"):
        retention.prune(tmp_path, max_bytes=1000)
    assert counts(tmp_path)[0] == 3


def test_a_store_under_its_limit_is_left_alone(tmp_path: Path) -> None:
    record(tmp_path, 5)
    assert retention.enforce(tmp_path, {}) is None
    before = (tmp_path / "traces.duckdb").stat().st_ino
    assert retention.prune(tmp_path, max_bytes=10**9).bodies == 0
    assert (tmp_path / "traces.duckdb").stat().st_ino == before


def test_the_keeper_prunes_a_store_over_its_limit(tmp_path: Path) -> None:
    record(tmp_path, 600)
    done = retention.enforce(tmp_path, {"SPANREEL_MAX_SIZE": "2000000"})
    assert done is not None
    assert (tmp_path / "traces.duckdb").stat().st_size <= 2_000_000
    assert retention.enforce(tmp_path, {"SPANREEL_MAX_SIZE": "2000000"}) is None


def test_a_scarce_disk_lowers_the_limit_but_spares_something(tmp_path: Path) -> None:
    record(tmp_path, 1)
    assert retention.effective_limit(tmp_path, {}) == retention.DEFAULT_LIMIT
    assert retention.effective_limit(tmp_path, {"SPANREEL_MIN_FREE": str(10**18)}) == retention.SPARED


def test_running_traces_stay(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    trace, root = ids(1)
    writer.start(trace, root)
    writer.start(trace, ids(2)[1], root)
    writer.end(trace, ids(2)[1])
    ingest.catch_up(tmp_path)
    assert retention.prune(tmp_path, older_than_s=0).traces == 0
    writer.end(trace, root)
    writer.die()
    ingest.catch_up(tmp_path)
    assert counts(tmp_path)[0] == 2


def test_a_busy_store_is_said_to_be_busy(tmp_path: Path) -> None:
    record(tmp_path, 1)
    with locks.shared(tmp_path), pytest.raises(locks.StoreBusyError, match="busy"):
        retention.prune(tmp_path, older_than_s=1, timeout_s=0.05)


def test_no_room_for_the_rewrite_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 0})())
    done = retention.prune(tmp_path, older_than_s=0)
    assert done.traces == 5
    assert "keeps its size" in done.note
    assert counts(tmp_path)[0] == 0

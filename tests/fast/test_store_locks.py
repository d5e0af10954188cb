"""Election, the writer-waiting gate, and who lives."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from spanreel.errors import StoreError
from spanreel.journal import Journal
from spanreel_exporters.duckdb import locks


def test_one_ingester_at_a_time(tmp_path: Path) -> None:
    with locks.exclusive(tmp_path) as first, locks.exclusive(tmp_path) as second:
        assert (first, second) == (True, False)
    with locks.exclusive(tmp_path) as third:
        assert third


def test_readers_share_and_keep_an_ingester_out(tmp_path: Path) -> None:
    with locks.shared(tmp_path), locks.shared(tmp_path), locks.exclusive(tmp_path) as elected:
        assert not elected


def test_a_reader_gives_up_with_a_clear_word(tmp_path: Path) -> None:
    with (
        locks.exclusive(tmp_path),
        pytest.raises(locks.StoreBusyError, match="busy"),
        locks.shared(tmp_path, timeout_s=0.02),
    ):
        pass


def test_a_waiting_ingester_gets_in_between_readers_that_never_pause(tmp_path: Path) -> None:
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with locks.shared(tmp_path):
                time.sleep(0.03)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    try:
        time.sleep(0.05)
        for _ in range(3):
            with locks.exclusive(tmp_path, timeout_s=10) as elected:
                assert elected
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_nothing_to_lock_in_a_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with locks.shared(tmp_path):
        pass
    with (
        pytest.raises(StoreError, match=r"ingest\.lock cannot be opened: Permission denied"),
        locks.exclusive(tmp_path),
    ):
        pass


def test_a_network_file_system_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "filesystem", lambda _path: "nfs4")
    with pytest.raises(StoreError, match="nfs4.*SPANREEL_STORE.*collector"), locks.shared(tmp_path):
        pass
    with pytest.raises(StoreError, match="nfs4"), locks.exclusive(tmp_path):
        pass


def test_the_file_system_of_a_path_is_told(tmp_path: Path) -> None:
    assert locks.filesystem("/proc") in {"proc", ""}
    assert locks.filesystem(str(tmp_path)) not in {"nfs", "nfs4"}


def test_an_owner_lives_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    owner = tmp_path / "1-a-b.owner"
    assert not locks.owner_alive(owner)
    owner.touch()
    os.utime(owner, (1, 1))
    assert not locks.owner_alive(owner)
    handle = os.open(owner, os.O_RDWR)
    assert locks._try(handle, fcntl.LOCK_EX)
    assert locks.owner_alive(owner)
    os.close(handle)
    assert not locks.owner_alive(owner)


def test_a_writer_is_never_seen_with_an_owner_file_that_is_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        seen.append(locks.owner_alive(target))
        return moved

    monkeypatch.setattr(Path, "rename", watched)
    journal = Journal(tmp_path / "s", {"procid": "1-aaaaaaaa-bbbbbbbb"})
    journal.append(b"void\t1\t\n")
    assert seen == [True]
    assert [path.name for path in (tmp_path / "s" / "journal").glob("*.owner")] == [
        "1-aaaaaaaa-bbbbbbbb.owner"
    ]
    journal.close()
    assert not locks.owner_alive(tmp_path / "s" / "journal" / "1-aaaaaaaa-bbbbbbbb.owner")

"""The journal: rotation, threads, re-entrance, disks that are full, stores that vanish."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recording import records, segments

from spanreel import quiet
from spanreel.journal import Journal
from spanreel.segment import HEADER_BYTES, Segment, header


def _journal(store: Path, **options: Any) -> tuple[Journal, dict[str, int]]:
    losses: dict[str, int] = {}

    def lose(reason: str, count: int) -> None:
        losses[reason] = losses.get(reason, 0) + count

    options.setdefault("first_segment", 4096)
    options.setdefault("step", 16384)
    options.setdefault("largest", 0)
    return Journal(store, {"procid": "1-aaaaaaaa-bbbbbbbb"}, on_loss=lose, **options), losses


def _bodies(store: Path) -> list[bytes]:
    return [cells[1] for cells in records(store) if cells[0] == b"x"]


def test_the_header_is_one_line_of_64_bytes() -> None:
    assert len(header("1234567-aaaaaaaa-bbbbbbbb")) == HEADER_BYTES
    assert header("p")[19:25] == b"open  "


def test_records_survive_rotation_in_order(tmp_path: Path) -> None:
    journal, losses = _journal(tmp_path / "a store")
    for n in range(2000):
        journal.append(b"x\t%d\t%s\n" % (n, b"y" * (n % 97)))
    assert [int(body) for body in _bodies(journal.store)] == list(range(2000))
    states = [path.read_bytes()[19:25] for path in segments(journal.store)]
    assert set(states[:-1]) == {b"sealed"}
    assert states[-1] == b"open  "
    assert losses == {}
    journal.close()


def test_a_segment_grows_in_place_before_the_next_is_begun(tmp_path: Path) -> None:
    journal, losses = _journal(tmp_path / "s", step=8192, largest=20_000)
    for n in range(1500):
        journal.append(b"x\t%d\t%s\n" % (n, b"y" * (n % 97)))
    sizes = [path.stat().st_size for path in segments(journal.store)]
    assert max(sizes) > 8192
    assert max(sizes) <= 20_000
    assert len(sizes) > 1
    assert [int(body) for body in _bodies(journal.store)] == list(range(1500))
    assert losses == {}
    journal.close()


def test_a_record_larger_than_a_segment_gets_one_of_its_size(tmp_path: Path) -> None:
    journal, _ = _journal(tmp_path / "s")
    journal.append(b"x\tsmall\n")
    journal.append(b"x\t" + b"b" * 100_000 + b"\n")
    journal.append(b"x\tafter\n")
    assert [len(body) for body in _bodies(journal.store)] == [5, 100_000, 5]
    journal.close()


def test_threads_lose_nothing_and_tear_nothing(tmp_path: Path) -> None:
    journal, losses = _journal(tmp_path / "s")

    def write(worker: int) -> None:
        for n in range(1000):
            journal.append(b"x\t%d-%d\n" % (worker, n))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_bodies(journal.store)) == sorted(b"%d-%d" % (w, n) for w in range(8) for n in range(1000))
    assert losses == {}
    journal.close()


def test_an_append_from_within_an_append_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = _journal(tmp_path / "s")
    real = Journal._make

    def make(self: Journal, size: int) -> Segment:
        if self._sequence == 1:
            self.append(b"x\tnested\n")
        return real(self, size)

    monkeypatch.setattr(Journal, "_make", make)
    for n in range(900):
        journal.append(b"x\t%d\n" % n)
    bodies = _bodies(journal.store)
    assert bodies.count(b"nested") == 1
    assert [body for body in bodies if body != b"nested"] == [b"%d" % n for n in range(900)]
    journal.close()


def test_the_store_is_private(tmp_path: Path) -> None:
    journal, _ = _journal(tmp_path / "s")
    journal.append(b"x\t1\n")
    assert os.stat(journal.store).st_mode & 0o777 == 0o700
    assert all(os.stat(path).st_mode & 0o777 == 0o600 for path in (journal.store / "journal").iterdir())
    assert (journal.store / ".gitignore").read_text() == "*\n"
    journal.close()


def test_a_deleted_store_is_made_again_with_what_was_in_the_segment(tmp_path: Path) -> None:
    import shutil

    journal, losses = _journal(tmp_path / "s")
    journal.append(b"x\t1\n")
    shutil.rmtree(journal.store)
    journal.append(b"x\t2\n")
    journal.attend()
    journal.append(b"x\t3\n")
    assert _bodies(journal.store) == [b"1", b"2", b"3"]
    assert losses == {"store_vanished": 1}
    journal.close()


def test_a_store_deleted_with_its_folder_is_not_made_again(tmp_path: Path) -> None:
    import shutil

    journal, _ = _journal(tmp_path / "folder" / "s")
    journal.append(b"x\t1\n")
    shutil.rmtree(tmp_path / "folder")
    journal.attend()
    journal.append(b"x\t2\n")
    assert not (tmp_path / "folder").exists()
    assert journal.trouble is not None
    assert "deleted" in journal.trouble
    journal.close()


def test_a_store_path_that_is_a_file_is_trouble_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("not a store")
    journal, losses = _journal(tmp_path / "s")
    for _ in range(3):
        journal.append(b"x\t1\n")
    assert journal.trouble is not None
    assert "is a file" in journal.trouble
    assert journal.pending > 0
    assert losses == {}


def test_what_waits_is_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanreel.journal.QUEUE_BYTES", 100)
    (tmp_path / "s").write_text("not a store")
    journal, losses = _journal(tmp_path / "s")
    for _ in range(30):
        journal.append(b"x\t12345678\n")
    assert losses == {"journal_unwritable": 30 - 9}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_that_is_freed_again_loses_nothing_within_the_queue(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanreel.journal.RETRY_NS", 0)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(456 << 10))
    journal, losses = _journal(small_disk / "s")
    journal._attendant = True  # its own thread would give room back at a moment of its choosing
    for n in range(4000):
        journal.append(b"x\t%04d%s\n" % (n, b"z" * 40))
    assert journal.trouble is not None
    assert "No space" in journal.trouble
    assert journal.pending > 0
    ballast.unlink()
    journal.append(b"x\tlast\n")
    assert journal.pending == 0
    assert [body[:4] for body in _bodies(journal.store)] == [*(b"%04d" % n for n in range(4000)), b"last"]
    assert losses == {}
    journal.close()


def test_a_read_only_store(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root writes everywhere")
    (tmp_path / "s").mkdir(mode=0o500)
    journal, _ = _journal(tmp_path / "s" / "below")
    journal.append(b"x\t1\n")
    assert journal.trouble is not None


def test_quiet_calls_report_like_os(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        quiet.open_new(str(tmp_path / "nowhere" / "file"), os.O_RDWR | os.O_CREAT, 0o600)
    descriptor = quiet.open_new(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT, 0o600)
    quiet.make_room(descriptor, 0, 600_000)
    assert os.fstat(descriptor).st_size == 600_000
    os.close(descriptor)


KILLED = """
import os, signal, sys, spanreel

@spanreel.trace(name="work")
def work(n):
    return n

@spanreel.trace(name="open")
def forever():
    for n in range(3000):
        work(n)
        os.write(1, b"%d\\n" % n)
    os.kill(os.getpid(), signal.SIGKILL)

forever()
"""


@pytest.mark.crash
def test_everything_that_ended_before_sigkill_is_there(tmp_path: Path) -> None:
    from recording import spans

    environment = {**os.environ, "SPANREEL_STORE": str(tmp_path / "s"), "SPANREEL_KEEPER": "off"}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, check=False)
    assert done.returncode == -9
    said = [int(line) for line in done.stdout.split()]
    found = spans(tmp_path / "s")
    assert [span.output for span in found if span.name == "work"] == said == list(range(3000))
    (running,) = (span for span in found if span.name == "open")
    assert not running.ended

"""Keepers as processes: who starts them, what they hold, what they survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from spanreel import keeper_start
from spanreel_exporters.duckdb.doctor import keeper_identity

pytestmark = pytest.mark.crash

PROGRAM = """
import os, sys, time, spanreel

@spanreel.trace
def answer(question):
    return question

def record(count=3):
    for number in range(count):
        answer(f"q{number}")
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store whose keeper is ended with the test."""
    path = tmp_path / "a store"
    yield path
    pid = keeper_identity(path).get("pid")
    if pid and keeper_start.is_running(path):
        os.kill(pid, signal.SIGTERM)
        wait(lambda: not keeper_start.is_running(path))


def environment(store: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPANREEL", "PYTEST"))}
    return (
        kept
        | {
            "SPANREEL_STORE": str(store),
            "SPANREEL_KEEPER": "on",
            "XDG_STATE_HOME": str(store.parent / "state"),
        }
        | more
    )


def program(store: Path, code: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(code)],
        env=environment(store, **more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(store: Path, code: str, **more: str) -> str:
    child = program(store, code, **more)
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert err == ""
    return out


def wait(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def rows(store: Path) -> int:
    """What a plain DuckDB client sees; -1 while the file is not there or an ingest is at it."""
    try:
        with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as con:
            return int(con.execute("SELECT count(*) FROM spans WHERE state = 'ended'").fetchall()[0][0])
    except duckdb.Error:
        return -1


def keepers_of(store: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(store).encode() in words and any(word.endswith(b"keeper_start.py") for word in words):
            found.append(int(entry.name))
    return found


def test_a_plain_script_ends_and_its_spans_are_there_for_a_plain_client(store: Path) -> None:
    run(store, "record()")
    assert wait(lambda: rows(store) == 3)


def test_the_keeper_is_no_child_and_inherits_nothing(store: Path) -> None:
    out = run(
        store,
        """
        extra = os.open("/etc/hostname", os.O_RDONLY)
        os.set_inheritable(extra, True)
        record()
        from spanreel import keeper_start
        print(keeper_start.start(os.environ["SPANREEL_STORE"], mode="on"))
        try:
            print(os.wait())
        except ChildProcessError:
            print("no children")
        """,
    )
    assert out.splitlines()[-1] == "no children"
    assert wait(lambda: bool(keeper_identity(store)))
    pid = keeper_identity(store)["pid"]
    process = Path("/proc") / str(pid)
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    assert fields[1] != str(os.getpid())
    assert fields[3] == str(pid)  # a session of its own
    assert (process / "cwd").resolve() == Path("/")
    descriptors = {link.name: os.readlink(link) for link in (process / "fd").iterdir()}
    assert {descriptors[name] for name in "012"} == {"/dev/null"}
    assert not any("hostname" in target for target in descriptors.values())
    environ = (process / "environ").read_bytes()
    assert b"SPANREEL_KEEPER=" not in environ


def test_many_programs_starting_at_once_start_one_keeper(store: Path) -> None:
    code = "sys.stdin.read(); record(1); time.sleep(0.6)"
    children = [program(store, code) for _ in range(12)]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    seen = set()
    while any(child.poll() is None for child in children):
        seen |= set(keepers_of(store))
        time.sleep(0.02)
    for child in children:
        child.communicate()
    seen |= set(keepers_of(store))
    assert len(seen) == 1
    assert wait(lambda: rows(store) == 12)


def test_sixty_four_starters_of_one_process_start_one_keeper(store: Path) -> None:
    out = run(
        store,
        """
        import multiprocessing
        from spanreel import keeper_start, store as stores
        from pathlib import Path
        path = stores.create(Path(os.environ["SPANREEL_STORE"]))
        ready, words = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").SimpleQueue()
        def starter():
            ready.wait()
            words.put(keeper_start.start(path, mode="on"))
        children = [multiprocessing.get_context("fork").Process(target=starter) for _ in range(64)]
        for child in children: child.start()
        ready.set()
        for child in children: child.join()
        print(sorted(words.get() for _ in children).count("started"))
        """,
    )
    assert out.strip() == "1"
    assert len(keepers_of(store)) <= 1


def test_it_survives_the_death_of_its_program_by_any_signal(store: Path) -> None:
    child = program(store, "record(); print('done', flush=True); sys.stdin.read()")
    assert child.stdout is not None
    child.stdout.readline()
    assert wait(lambda: bool(keepers_of(store)))
    pid = keepers_of(store)[0]
    child.kill()
    child.communicate()
    assert wait(lambda: rows(store) == 3)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGHUP)
    assert keepers_of(store) == [pid]


def test_it_lets_go_of_the_file_between_ingests(store: Path) -> None:
    child = program(
        store, "record(); print('done', flush=True); sys.stdin.read(); record(); print('again', flush=True)"
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert wait(lambda: rows(store) == 3)

    def open_for_writing() -> bool:
        try:
            duckdb.connect(str(store / "traces.duckdb")).close()
        except duckdb.IOException:
            return False
        return True

    assert wait(open_for_writing)
    child.communicate("")
    assert wait(lambda: rows(store) == 6)


def test_a_killed_keeper_is_replaced_and_nothing_is_lost(store: Path) -> None:
    run(store, "record()")
    assert wait(lambda: bool(keeper_identity(store)) and bool(keepers_of(store)))
    os.kill(keepers_of(store)[0], signal.SIGKILL)
    assert wait(lambda: not keeper_start.is_running(store))
    run(store, "record()")
    assert wait(lambda: rows(store) == 6)


def test_two_ingesters_take_each_span_once(store: Path) -> None:
    from spanreel_exporters.duckdb.ingest import catch_up

    child = program(store, "record(2000)")
    while child.poll() is None:
        if (store / "journal").is_dir():
            catch_up(store, timeout=0.5)
    child.communicate()
    assert wait(lambda: rows(store) == 2000)


def test_switched_off_starts_none(store: Path) -> None:
    run(store, "record()", SPANREEL_KEEPER="off")
    assert not keeper_start.is_running(store)
    assert not (store / "keeper.lock").exists()


def test_ci_starts_none(store: Path) -> None:
    run(store, "record()", SPANREEL_KEEPER="", CI="true")
    assert not keeper_start.is_running(store)


def test_memory_above_the_cap_brings_a_fresh_process_with_the_same_lock(store: Path) -> None:
    code = f"""
    from spanreel_exporters.duckdb import keeper
    keeper.RSS_CAP = 1
    import spanreel.store
    from pathlib import Path
    spanreel.store.create(Path({str(store)!r}))
    sys.exit(keeper.main(["--store", {str(store)!r}]))
    """
    child = program(store, code)
    assert wait(lambda: keepers_of(store) == [child.pid])  # exec'ed in its place, with the normal cap
    assert keeper_start.is_running(store)
    assert keeper_start.take_lock(store) is None
    assert wait(lambda: b"keeper_start" in Path(f"/proc/{child.pid}/cmdline").read_bytes())
    time.sleep(0.5)
    child.terminate()
    child.communicate()
    assert child.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_loses_nothing_that_fits_again(store: Path) -> None:
    store.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(store)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        ballast = store / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        child = program(
            store, "record(); print('recorded', flush=True); sys.stdin.read(); time.sleep(1.2); record()"
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "recorded\n"
        ballast.unlink()
        child.communicate("")
        assert child.returncode == 0
        assert wait(lambda: rows(store) == 6)
    finally:
        pid = keeper_identity(store).get("pid")
        if pid and keeper_start.is_running(store):
            os.kill(pid, signal.SIGTERM)
            wait(lambda: not keeper_start.is_running(store))
        subprocess.run(["umount", "-l", str(store)], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_read_only_store_harms_no_program_and_can_be_read(store: Path) -> None:
    store.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(store)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        run(store, "record()", SPANREEL_KEEPER="off")
        listing = "from spanreel import cli; sys.exit(cli.main(['sql', 'SELECT count(*) AS n FROM spans', '--json']))"
        assert run(store, listing, SPANREEL_KEEPER="off") == '[\n  {\n    "n": 3\n  }\n]\n'
        run(store, "record()", SPANREEL_KEEPER="off")
        subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
        assert run(store, "record(); print('unharmed')") == "unharmed\n"
        child = program(store, listing)
        out, err = child.communicate()
        assert '"n": 6' in out
        assert "Read-only" in err
        doctor = program(store, "from spanreel import cli; sys.exit(cli.main(['doctor']))")
        assert "read-only" in doctor.communicate()[0]
    finally:
        subprocess.run(["umount", "-l", str(store)], check=False)


def test_a_store_path_that_is_a_file_harms_no_program(store: Path) -> None:
    store.write_text("precious")
    assert run(store, "record(); print('unharmed')") == "unharmed\n"
    assert store.read_text() == "precious"
    store.unlink()


def test_a_keeper_that_cannot_run_is_not_started_again_and_again(store: Path) -> None:
    out = run(
        store,
        """
        from pathlib import Path
        from spanreel import keeper_start, store as stores
        path = stores.create(Path(os.environ["SPANREEL_STORE"]))
        keeper_start.keeper_command = lambda store: ["/bin/false"]
        print(keeper_start.start(path, mode="on"))
        while keeper_start.is_running(path):
            time.sleep(0.01)
        print(keeper_start.start(path, mode="on"))
        """,
    )
    assert out.split() == ["started", "resting"]


def test_a_fork_amid_a_start_does_not_keep_the_lock(store: Path) -> None:
    out = run(
        store,
        """
        from pathlib import Path
        from spanreel import keeper_start, store as stores
        path = stores.create(Path(os.environ["SPANREEL_STORE"]))
        keeper_start.keeper_command = lambda store: ["/bin/false"]
        spawn, children = keeper_start._spawn, []
        def and_fork(*arguments):
            child = os.fork()
            if not child:
                time.sleep(30)
                os._exit(0)
            children.append(child)
            spawn(*arguments)
        keeper_start._spawn = and_fork
        print(keeper_start.start(path, mode="on"))
        deadline = time.monotonic() + 10
        while keeper_start.is_running(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        print(keeper_start.is_running(path))
        os.kill(children[0], 9)
        """,
    )
    assert out.split() == ["started", "False"]

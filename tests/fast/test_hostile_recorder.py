"""Programs that do odd things around the recorder, each in a process of its own: neither side may be harmed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest
from recording import Recording, records, spans

import spanreel
from spanreel import recorder as recorders
from spanreel.journal import Journal
from spanreel.segment import Segment

PRELUDE = """
import os, signal, sys, threading, time
import spanreel

@spanreel.trace(name="work")
def work(value):
    return value
"""


def run(store: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", PRELUDE + program]
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=60, cwd=store.parent
    )


DAEMON = """
for value in range(10):
    work(value)
os.closerange(3, 256)  # as daemons do
files = [open(f"mine{number}", "w+b", buffering=0) for number in range(12)]
for file in files:
    file.write(b"mine" * 200_000)
for value in range(10, 1000):
    work("x" * 1000 if value % 2 else value)
time.sleep(1.2)
for value in range(1000, 3000):
    work("x" * 1000 if value % 2 else value)
time.sleep(1.2)
for file in files:
    file.write(b"!")
    file.seek(0)
    assert file.read() == b"mine" * 200_000 + b"!", file
    file.close()
owner = [name for name in os.listdir("s/journal") if name.endswith(".owner")]
import fcntl
with open(f"s/journal/{owner[0]}") as lock:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("alive")
"""


@pytest.mark.crash
def test_a_daemon_that_closes_all_descriptors_keeps_its_files_and_its_spans(tmp_path: Path) -> None:
    done = run(tmp_path / "s", DAEMON)
    assert (done.stderr, done.stdout) == ("", "alive\n")
    found = spans(tmp_path / "s")
    assert len(found) == len({span.span for span in found}) == 3000
    assert all(span.ends == 1 for span in found)


def test_a_seal_takes_the_room_at_once(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a.seg", "1-0-0", 4096)
    segment.write(b"loss\t1\t{}\n")
    segment.seal()
    with pytest.raises(ValueError, match="out of range"):
        segment.write(b"\n")
    assert segment.content() == b"loss\t1\t{}\n"
    segment.close()
    assert (tmp_path / "a.seg").stat().st_size == 64 + len(b"loss\t1\t{}\n")


def test_rotation_under_threads_loses_and_doubles_nothing(tmp_path: Path) -> None:
    journal = Journal(
        tmp_path / "s", {"procid": "1-00000000-00000000"}, first_segment=4096, step=4096, largest=4096
    )

    def write(thread: int) -> None:
        for number in range(1000):
            journal.append(b'score\t1\t{"thread":%d,"number":%d}\n' % (thread, number))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    journal.close()
    found = [cells[2] for cells in records(tmp_path / "s") if cells[0] == b"score"]
    assert len(found) == len(set(found)) == 4000


LIMIT = """
class Limit(Exception):
    pass

class Handlers:
    def limit(self, number, frame):
        raise Limit

def leave(number, frame):
    sys.exit(3)

odd = [{"a": object(), "b": [number] * 5} for number in range(4000)]  # takes milliseconds to capture
"""


@pytest.mark.parametrize(
    ("handler", "error"),
    [("Handlers().limit", "Limit"), ("leave", "SystemExit"), ("lambda *a: leave(*a)", "SystemExit")],
)
def test_what_a_signal_handler_raises_reaches_the_program(tmp_path: Path, handler: str, error: str) -> None:
    program = f"""
work(0)
signal.signal(signal.SIGALRM, {handler})
ended = {{True: 0, False: 0}}
for _ in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        work(odd)
        ended[signal.setitimer(signal.ITIMER_REAL, 0)[0] > 0] += 1
    except {error}:
        signal.setitimer(signal.ITIMER_REAL, 0)
print(ended)
"""
    done = run(tmp_path / "s", LIMIT + program)
    assert (done.stderr, done.stdout) == ("", "{True: 0, False: 0}\n")


FORK = """
from spanreel import recorder

span = spanreel.span("open").__enter__()
held, go = threading.Event(), threading.Event()

def hold():
    with recorder.active().journal._lock:
        held.set()
        go.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
pid = os.fork()
if not pid:
    span.patch({"in": "the child"})
    span.record_attempt(0, {}, b"", b"")
    span.end()
    work("child")
    os._exit(0)
for _ in range(100):
    if os.waitpid(pid, os.WNOHANG)[0]:
        break
    time.sleep(0.1)
else:
    os.kill(pid, signal.SIGKILL)
    print("the child hangs")
go.set()
holder.join()
span.__exit__(None, None, None)
"""


@pytest.mark.crash
def test_a_child_forked_while_the_journal_is_locked_goes_on(tmp_path: Path) -> None:
    done = run(tmp_path / "s", FORK)
    assert (done.stderr, done.stdout) == ("", "")
    found = {span.name: span for span in spans(tmp_path / "s")}
    assert (found["work"].output, found["work"].parent) == ("child", found["open"].span)
    assert (found["open"].ends, found["open"].attributes, found["open"].attempts) == (1, {}, [])


def test_a_journal_serves_the_recorder_of_the_settings_in_force(recording: Recording) -> None:
    spanreel.trace(lambda: None)()
    recording.configure(capture="metadata", service_name=None)
    recorder = recorders.active()
    assert recorder is not None
    recorder.loss("probe")
    recorder.loss("probe", 4)
    counts: list[int] = []
    for _ in range(100):  # the journal's own thread may be in the middle of writing the second
        recorder.journal.attend()
        counts = [
            orjson.loads(cells[2])["count"] for cells in records(recording.store) if cells[0] == b"loss"
        ]
        if len(counts) == 2:
            break
        time.sleep(0.02)
    assert counts == [1, 4]


FORK_IN_UPKEEP = """
import importlib, sys
from pathlib import Path

Path("slowly.py").write_text("import time; time.sleep(0.1); done = True")
sys.path.insert(0, "")
work(0)
from spanreel import recorder

journal = recorder.active().journal
importing = threading.Event()

def attend():
    importing.set()
    import slowly

journal._attend_hook = attend
importing.wait()
pid = os.fork()
if not pid:
    signal.alarm(5)
    import slowly
    work(slowly.done)
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""


@pytest.mark.crash
def test_a_fork_waits_for_what_the_journals_thread_imports(tmp_path: Path) -> None:
    done = run(tmp_path / "s", FORK_IN_UPKEEP)
    assert (done.stderr, done.stdout) == ("", "0\n")
    assert [span.output for span in spans(tmp_path / "s")] == [0, True]

"""Every way a process can end: what had ended before is in the journal, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recording import records, spans

pytestmark = pytest.mark.crash

PRELUDE = """
import os, signal, sys, threading, time
import spanreel

@spanreel.trace(name="work")
def work(n):
    return n

def some(count=200, base=0):
    for n in range(count):
        work(base + n)
"""

ENDS = {
    "return": "some()",
    "exception": "some()\nraise RuntimeError('end')",
    "sys.exit": "some()\nsys.exit(3)",
    "os._exit": "some()\nos._exit(0)",
    "SIGKILL": "some()\nos.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "some()\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5)",
    "SIGINT in a thread pool": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    list(pool.map(work, range(200)))
os.kill(os.getpid(), signal.SIGKILL)
""",
    "threads": """
threads = [threading.Thread(target=some, args=(50, 50 * n)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
os._exit(0)
""",
    "fork": """
pid = os.fork()
some(100, 0 if pid else 100)
if not pid:
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
""",
    "prefork of four": """
work(-1)
pids = []
for worker in range(4):
    pid = os.fork()
    if not pid:
        some(50, 50 * worker)
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
""",
    "exec": "some()\nos.execv(sys.executable, [sys.executable, '-c', 'pass'])",
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_that_ended_is_lost_or_doubled(tmp_path: Path, end: str) -> None:
    store = tmp_path / "s"
    environment = {**os.environ, "SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off"}
    program = [sys.executable, "-c", PRELUDE + ENDS[end]]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=60)
    found = [span for span in spans(store) if span.name == "work" and span.output >= 0]
    assert sorted(span.output for span in found) == list(range(200)), done.stderr
    assert all(span.ends == 1 for span in found)
    assert len({span.span for span in found}) == 200
    assert "spanreel" not in done.stderr.replace("import spanreel", "").replace("@spanreel.trace", "")
    assert done.stdout == ""
    assert not [cells for cells in records(store) if cells[0] == b"loss"]


def test_a_program_that_cannot_record_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    environment = {**os.environ, "SPANREEL_STORE": str(tmp_path / "file"), "SPANREEL_KEEPER": "off"}
    program = [sys.executable, "-c", PRELUDE + "some()\nprint(work(7))"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7\n", "")


JOBLIB = """
import sys
sys.path.insert(0, {folder!r})
import joblib, multiprocessing
from traced_module import double

if __name__ == "__main__":
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(double)(n) for n in range(4)) == [0, 2, 4, 6]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(double, [4, 5]) == [8, 10]
"""


def test_traced_functions_travel_to_joblib_and_spawned_pools(tmp_path: Path) -> None:
    (tmp_path / "traced_module.py").write_text(
        "import spanreel\n@spanreel.trace(name='double')\ndef double(n):\n    return 2 * n\n"
    )
    script = tmp_path / "program.py"
    script.write_text(JOBLIB.format(folder=str(tmp_path)))
    store = tmp_path / "s"
    environment = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "SPANREEL_KEEPER": "off",
        "PYTHONPATH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(span.output for span in spans(store)) == [0, 2, 4, 6, 8, 10]

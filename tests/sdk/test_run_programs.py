"""`spanreel run -- CMD` with the programs that people run: nothing about them changes, and all of them is recorded."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from recording import Seen, records, spans

from spanreel import handshake

pytestmark = [pytest.mark.sdk, pytest.mark.covers("spanreel run", package="spanreel")]
RUN = [sys.executable, "-m", "spanreel.cli", "run", "--store"]
PYTHON = sys.executable
BIN = Path(sys.executable).parent
CALL = """
import os, sys, openai
def call(text="hi"):
    with openai.OpenAI(api_key="k", base_url=os.environ["MODEL_URL"], max_retries=0) as client:
        return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    yield server
    server.close()


class Place:
    """A folder with programs, and a store of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.environment = {
            **os.environ,
            "SPANREEL_KEEPER": "off",
            "MODEL_URL": url,
            "PYTHONPATH": str(folder),
        }
        self.write("calls.py", CALL)

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def run(
        self, *command: str, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUN, str(self.store), "--", *command], cwd=self.folder, env={**self.environment, **environment},
            input=given, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def start(self, *command: str, stdout: Any, stderr: Any = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*RUN, str(self.store), "--", *command],
            cwd=self.folder,
            env=self.environment,
            stdout=stdout,
            stderr=stderr,
        )

    def llm(self) -> list[Seen]:
        return [span for span in spans(self.store) if span.kind == "llm"] if self.store.exists() else []

    def not_loaded(self) -> int:
        found = [json.loads(cells[2]) for cells in records(self.store) if cells[0] == b"loss"]
        return sum(loss["count"] for loss in found if loss["reason"] == "hooks_not_loaded")


@pytest.fixture
def place(tmp_path: Path, provider: OpenAIServer) -> Place:
    return Place(tmp_path, provider.url)


@pytest.mark.parametrize(
    "command",
    [("python", "app.py"), ("python", "-m", "app"), ("python", "-c", "import app"), ("sh", "-c", "exec python app.py"), ("./app",)],
    ids=["script", "module", "code", "shell", "shebang"],
)  # fmt: skip
def test_python_in_every_form(place: Place, command: tuple[str, ...]) -> None:
    """A script, a module, code, a shell in between and a console script: the calls of an unchanged program are recorded, streams, arguments and exit status are its own."""
    text = "import sys, calls\ncalls.call()\nprint('out', sys.stdin.read())\nprint('err', file=sys.stderr)\nsys.exit(7)\n"
    place.write("app.py", text)
    place.write("app", f"#!{PYTHON}\n{text}").chmod(0o755)
    done = place.run(*command, given="given", PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out given\n", "err\n")
    assert len(place.llm()) == 1


@pytest.mark.parametrize("extra", [(), ("-n", "2")], ids=["pytest", "xdist"])
@pytest.mark.covers("spanreel run", package=("pytest", "pytest-xdist"))
def test_pytest(place: Place, extra: tuple[str, ...]) -> None:
    """pytest and pytest -n 2 (xdist's own processes): each test's calls are recorded, the outcome is pytest's."""
    place.write(
        "test_it.py",
        "import pytest, calls\n@pytest.mark.parametrize('n', range(4))\ndef test_call(n):\n    calls.call(); assert n != 3\n",
    )
    done = place.run(
        str(BIN / "pytest"), "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *extra, "test_it.py"
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 failed, 3 passed" in done.stdout
    assert len(place.llm()) == 4


APP = """
import os, sys, calls
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    calls.call()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
def wsgi(environ, start_response):
    calls.call()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
SERVERS = {
    "uvicorn": ("uvicorn", "webapp:app", "--port", "PORT", "--lifespan", "off", "--log-level", "error"),
    "uvicorn-workers": ("uvicorn", "webapp:app", "--port", "PORT", "--workers", "2", "--lifespan", "off", "--log-level", "error"),
    "uvicorn-reload": ("uvicorn", "webapp:app", "--port", "PORT", "--reload", "--lifespan", "off", "--log-level", "error"),
    "gunicorn": ("gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "--log-level", "error", "webapp:wsgi"),
    "python -m gunicorn": ("PYTHON", "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "--log-level", "error", "webapp:wsgi"),
}  # fmt: skip


@contextmanager
def _serving(place: Place, words: tuple[str, ...]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [PYTHON if word == "PYTHON" else word.replace("PORT", port) for word in words]
    if command[0] != PYTHON:
        command[0] = str(BIN / command[0])
    with (place.folder / "log").open("wb") as log:
        process = place.start(*command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/", process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _ask(url: str) -> int:
    end = time.monotonic() + 40
    while True:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
                return int(answer.read())
        except OSError:
            assert time.monotonic() < end
            threading.Event().wait(0.05)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.covers("spanreel run", package=("uvicorn", "gunicorn"))
def test_web_servers(place: Place, server: str) -> None:
    """uvicorn, its workers and reloader, gunicorn: calls of every worker process are recorded; SIGTERM and SIGINT stop them as ever, under the process id that was started."""
    place.write("webapp.py", APP)
    with _serving(place, SERVERS[server]) as (url, process):
        workers = {_ask(url) for _ in range(6)}
        process.send_signal(signal.SIGINT if server == "uvicorn-reload" else signal.SIGTERM)
        status = process.wait(40)
    assert status == (0 if server != "uvicorn" else -signal.SIGTERM), (place.folder / "log").read_text()
    assert (process.pid in workers) == (server == "uvicorn")
    assert len(place.llm()) == 6
    assert (place.folder / "log").read_text() == ""


TREE = """
import multiprocessing, os, subprocess, sys, calls

def work(n):
    calls.call(str(n))

if __name__ == "__main__":
    calls.call("parent")
    if len(sys.argv) == 1:
        subprocess.run([sys.executable, "tree.py", "child"], check=True)
        subprocess.run(f"{sys.executable} tree.py grandchild", shell=True, check=True)
        process = multiprocessing.get_context("spawn").Process(target=work, args=(1,))
        process.start(); process.join()
        with multiprocessing.get_context("forkserver").Pool(1) as pool:
            pool.apply(work, (2,))
        if os.fork() == 0:
            work(3)
            os._exit(0)
        os.wait()
        assert process.exitcode == 0
"""


def test_children_of_children(place: Place) -> None:
    """Subprocesses, through a shell, multiprocessing spawn and forkserver, fork: each is recorded once; the program has no child but its own."""
    place.write("tree.py", TREE)
    done = place.run(PYTHON, "tree.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    said = sorted(json.loads(span.attempts[0][1])["messages"][0]["content"] for span in place.llm())
    assert said == ["1", "2", "3", "parent", "parent", "parent"]
    alone = place.run(PYTHON, "-c", "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')")
    assert (alone.stdout, alone.stderr) == ("none\n", "")


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_a_python_that_keeps_us_away_is_named(place: Place, flag: str) -> None:
    """`python -I`, `-E` and `-S` do not load the hooks: told on stderr after the end and counted in the store; the exit status is the program's."""
    done = place.run(PYTHON, flag, "-c", "import sys; print('ran'); sys.exit(5)")
    assert (done.returncode, done.stdout) == (5, "ran\n")
    assert f"{flag} -c" in done.stderr
    assert "did not load spanreel" in done.stderr
    assert done.stderr.count("\n") == 1
    assert place.not_loaded() == 1


def test_children_that_keep_us_away_are_named(place: Place) -> None:
    """Children started with -I, or with an environment of their own: named and counted, the recorded ones are not."""
    place.write(
        "app.py",
        """
import subprocess, sys
for words, options in ((["-I", "-c", "pass"], {}), (["-c", "pass"], {}), (["-c", "0"], {"env": {}})):
    subprocess.run([sys.executable, *words], check=True, **options)
sys.exit(9)
""",
    )
    done = place.run(PYTHON, "app.py")
    assert done.returncode == 9
    assert [line.split(" did not")[0].split(": ", 2)[2] for line in done.stderr.splitlines()] == [
        f"{PYTHON} -I -c pass", f"{PYTHON} -c 0",
    ]  # fmt: skip
    assert place.not_loaded() == 2


def test_a_child_that_has_ended_is_known_by_the_word_that_started_it() -> None:
    """A child that ended before we could look at it: no failure of ours, and told by its first word."""
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert handshake.program_of(child.pid, ["true"]) == "true"
        assert handshake.program_of(child.pid, []) == ""


def test_a_program_without_python_is_told(place: Place) -> None:
    """A command in which no Python ran says that nothing was recorded; one that is switched off says nothing."""
    done = place.run("true")
    assert (done.returncode, done.stderr) == (
        0,
        "spanreel: nothing was recorded: true ran no Python that loaded spanreel\n",
    )
    off = place.run(PYTHON, "-c", "print(1)", SPANREEL_DISABLED="1")
    assert (off.stdout, off.stderr) == ("1\n", "")


def test_a_python_without_spanreel_is_told(place: Place) -> None:
    """A Python further down that has no spanreel runs as ever and is named with the line that installs it."""
    bare = place.folder / "bare"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = place.run("sh", "-c", f"{bare}/bin/python -c 'print(2)'")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert f"{bare}/bin/python -m pip install spanreel" in done.stderr
    direct = place.run(f"{bare}/bin/python", "-c", "print(2)")
    assert (direct.returncode, direct.stdout) == (1, "")
    assert "cannot import spanreel" in direct.stderr


@pytest.mark.covers("spanreel run", package="coverage")
def test_the_next_sitecustomize_still_runs(place: Place) -> None:
    """The program's own sitecustomize on PYTHONPATH, one in the environment's site-packages, one that raises, and coverage's start-up in subprocesses work as without us."""
    place.write("app.py", "import calls, builtins\nprint(getattr(builtins, 'mine', None))\ncalls.call()\n")
    place.write(
        "sitecustomize.py", "import builtins, coverage\nbuiltins.mine = 'mine'\ncoverage.process_startup()\n"
    )
    place.write("rc", f"[run]\ndata_file = {place.folder}/data\nparallel = true\n")
    done = place.run(PYTHON, "app.py", COVERAGE_PROCESS_START=str(place.folder / "rc"))
    assert (done.stdout, done.stderr) == ("mine\n", "")
    assert list(place.folder.glob("data.*"))
    assert len(place.llm()) == 1
    place.write("sitecustomize.py", "raise ValueError('broken')\n")
    plain = subprocess.run(
        [PYTHON, "app.py"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    done = place.run(PYTHON, "app.py")
    assert done.stderr == plain.stderr * 2  # `spanreel run` is a Python too, until it becomes the program
    assert "ValueError: broken" in done.stderr
    assert len(place.llm()) == 2
    (place.folder / "sitecustomize.py").unlink()
    own = place.folder / "own"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(own)], check=True)
    site = next(own.glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text("import builtins; builtins.mine = 'of the environment'\n")
    (site / "all.pth").write_text("\n".join(path for path in sys.path if path) + "\n")
    assert place.run(str(own / "bin" / "python"), "app.py").stdout == "of the environment\n"
    assert len(place.llm()) == 3


@pytest.mark.crash
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1]
)
def test_a_signal_reaches_the_program_itself(place: Place, number: signal.Signals) -> None:
    """Signals reach the program under the process id that was started, and it dies of them: the shell sees 128+n; what was recorded before stays."""
    place.write(
        "app.py",
        "import calls, signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\ncalls.call()\nprint('up', flush=True)\nsignal.pause()\n",
    )
    process = place.start(PYTHON, "app.py", stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(30) == -number
    assert len(place.llm()) == 1


def test_a_terminal_is_the_programs(place: Place) -> None:
    """On a terminal the program sees one, and Ctrl-C interrupts it once."""
    place.write(
        "app.py",
        """
import sys, time
count = 0
for _ in range(2):
    try:
        if not count:
            print("tty", sys.stdin.isatty(), flush=True)
            time.sleep(60)
        else:
            time.sleep(0.3)
    except KeyboardInterrupt:
        count += 1
print("interrupted", count, flush=True)
""",
    )
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in a shell's background
        os.chdir(place.folder)
        os.execve(PYTHON, [*RUN, str(place.store), "--", PYTHON, "app.py"], place.environment)
    seen = _read_until(terminal, lambda text: "tty" in text and text.endswith("\n"))
    os.write(terminal, b"\x03")
    seen += _read_until(terminal, lambda text: "interrupted" in text and text.endswith("\n"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert "tty True" in seen
    assert "interrupted 1" in seen


def _read_until(terminal: int, enough: Callable[[str], bool]) -> str:
    text = ""
    while not enough(text):
        try:
            text += os.read(terminal, 1000).decode()
        except OSError as error:  # the other side is gone
            raise AssertionError(text) from error
    return text


def test_what_is_said_of_many(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [f"{n}\tstarted\tpython {n}\n" for n in range(8)]
    path.write_text("".join([*lines, "1\tloaded\tpython 1\n", "garbage\n", "\t\t\n", "99999"]))
    found = handshake.missing(handshake.read(str(path)), ["x"], None)
    assert len(found) == 7
    assert handshake._shown(found)[-1] == "and 2 more Python processes were not recorded"
    assert handshake.missing([handshake.Entry(5, "loaded", "python")], ["python"], 5) == []

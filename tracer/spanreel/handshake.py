"""Who under `spanreel run` has loaded the recorder, and who has not: said on stderr once the program has ended.

`spanreel run` becomes the program (exec), so that process id, signals, terminal and exit status are the
program's own. What looks on is a process of its own, child of nobody, that waits for the program's end. Every
Python process that comes up through our sitecustomize writes a line into a file that the environment names;
those that start a Python process write one about it; who was started and has not answered was not recorded.
"""

from __future__ import annotations

import os
import select
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spanreel.guard import guard

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "SPANREEL_RUN_LOG"
SHOWN = 5
"""Processes that are named; the rest are counted."""
GRACE = 1.0
"""Seconds that a process which was started just before the end gets to answer."""


class Entry(NamedTuple):
    """One line of the file: a process, `loaded`, `disabled`, `absent` or `started`, and what it runs."""

    pid: int
    state: str
    about: str


def answer(state: str) -> None:
    """Say that this process has come up."""
    _write(os.getpid(), state, shlex.join(getattr(sys, "orig_argv", []) or [sys.executable]))


def _write(pid: int, state: str, about: str) -> None:
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)  # gone: the program has ended, its child lives on
    except OSError:
        return
    try:
        line = f"{pid}\t{state}\t{' '.join(about.split())[:500]}\n"
        os.write(handle, line.encode(errors="replace"))
    finally:
        os.close(handle)


def note_children() -> None:
    """Note every Python process that this one starts; where the system tells what a process runs (Linux)."""
    if not os.environ.get(VARIABLE) or not os.path.exists("/proc/self/exe"):  # noqa: PTH110 - at each start
        return
    import wrapt

    def patch(module: Any) -> None:
        with guard("handshake.patch"):
            wrapt.wrap_function_wrapper(module, "Popen._execute_child", _starting)

    wrapt.register_post_import_hook(patch, "subprocess")


def _starting(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    with guard("handshake.started"):
        words = instance.args if isinstance(instance.args, list | tuple) else [instance.args]
        if is_python(program_of(instance.pid, words)):
            _write(instance.pid, "started", shlex.join(os.fsdecode(word) for word in words))
    return result


def program_of(pid: int, words: Sequence[Any]) -> str:
    """The file that a process runs; of one that has ended by now, the word it was started by."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return os.fsdecode(words[0]) if words else ""


def is_python(program: str) -> bool:
    """Whether a program is a Python interpreter, or a script that names one in its first line."""
    if os.path.basename(os.path.realpath(program)).startswith(("python", "pypy")):  # noqa: PTH119
        return True
    try:
        with open(program, "rb") as file:  # noqa: PTH123 - may be a path of any kind
            first = file.readline(300)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def watch(environment: dict[str, str], command: list[str], program: str) -> None:
    """Leave a process behind that tells who was not recorded, before this one becomes the program.

    Nothing is left behind where no process can wait for another that is not its child, or where it would
    become the program's own child (process 1 of a container).
    """
    if not hasattr(os, "pidfd_open") or os.getpid() == 1:
        return
    with guard("handshake.watch"):
        handle, path = tempfile.mkstemp(prefix="spanreel-run-")
        os.close(handle)
        store = os.path.abspath(environment["SPANREEL_STORE"])  # noqa: PTH100 - must not follow links
        expected = os.getpid() if is_python(program) else None
        ended = os.pidfd_open(os.getpid())
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            environment[VARIABLE] = path
            return
        try:
            os.setsid()
            if os.fork() == 0:
                _look_on(ended, path, store, command, expected)
        finally:
            os._exit(0)


def _look_on(ended: int, path: str, store: str, command: list[str], program: int | None) -> None:
    """Wait for the program's end and say what is to be said; holds nothing of the program's but stderr."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(ended, 3)
    os.closerange(4, 1 << 16)
    os.chdir("/")
    select.select([3], [], [])
    try:
        lines = missing(_settled(path), command, program)
    finally:
        Path(path).unlink(missing_ok=True)
    if lines:
        _count(store, len(lines))
        sys.stderr.write("".join(f"spanreel: {line}\n" for line in _shown(lines)))
        sys.stderr.flush()


def _settled(path: str) -> list[Entry]:
    """What was written, once those that live have had their time to answer."""
    end = time.monotonic() + GRACE
    while True:
        entries = read(path)
        answered = {entry.pid for entry in entries if entry.state != "started"}
        silent = [entry.pid for entry in entries if entry.state == "started" and entry.pid not in answered]
        if time.monotonic() > end or not any(Path(f"/proc/{pid}").exists() for pid in silent):
            return entries
        time.sleep(0.02)


def read(path: str) -> list[Entry]:
    """The entries of the file; a line that is no entry is left out."""
    entries = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        pid, _, rest = line.partition("\t")
        state, _, about = rest.partition("\t")
        if pid.isdecimal() and state:
            entries.append(Entry(int(pid), state, about))
    return entries


def missing(entries: list[Entry], command: list[str], program: int | None) -> list[str]:
    """One line for each Python process that was not recorded; `program` is the command's own, if Python."""
    answered = {entry.pid: entry for entry in entries if entry.state != "started"}
    lines = [_absent(entry) for entry in answered.values() if entry.state == "absent"]
    if program is not None and program not in answered:
        lines.append(_silent(shlex.join(command)))
    lines += [
        _silent(entry.about) for entry in entries if entry.state == "started" and entry.pid not in answered
    ]
    if not entries and not lines:
        lines.append(f"nothing was recorded: {shlex.join(command)} ran no Python that loaded spanreel")
    return lines


def _silent(about: str) -> str:
    return (
        f"not recorded: {about} did not load spanreel (-I, -E, -S or an environment without PYTHONPATH keep"
        " it away); start it without them, or call spanreel.instrument() in it"
    )


def _absent(entry: Entry) -> str:
    return f"not recorded: {entry.about} has no spanreel; install it there: {entry.about} -m pip install spanreel"


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more Python processes were not recorded"] if more > 0 else lines


def _count(store: str, number: int) -> None:
    """Write the loss into the store's journal."""
    with guard("handshake.count"):
        from spanreel import recorder as recorders

        recorders.configure(store=store, keeper="off")
        recorder = recorders.active()
        if recorder is not None:
            recorder.loss("hooks_not_loaded", number)
            recorder.write_losses()
            recorder.journal.close()

"""Measurements run in processes of their own; this starts them and takes their answer.

A child is `python -m bench.TOPIC NAME ARGUMENT...` and answers with one line of JSON (`answer`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MARK = "@@"
LONG = 900.0
"""Seconds after which a child is given up."""
NEUTRAL = ("SPANREEL_", "OTEL_", "OPENAI_", "PYTEST_", "TRACEPARENT", "TRACESTATE")
"""Prefixes of environment variables that would bend a measurement."""


class ChildError(Exception):
    """A measuring process failed; the text is the end of what it said."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what bends a measurement; the keeper is off unless asked for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NEUTRAL)}
    kept |= {"PYTHONPATH": str(ROOT), "SPANREEL_KEEPER": "off", "PYTHONUNBUFFERED": "1"}
    return kept | dict(extra or {})


def start(module: str, *arguments: object, extra: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a child in a process group of its own, so that its forks can be ended with it."""
    return subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(extra), start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = LONG) -> Any:
    """Wait for a child and return its answer. Raises ChildError."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        end_group(process)
        process.communicate()
        raise ChildError(f"no answer within {timeout:g} s") from error
    for line in reversed(out.splitlines()):
        if line.startswith(MARK):
            return json.loads(line[len(MARK) :])
    raise ChildError(f"exit code {process.returncode}: {(err or out).strip()[-800:]}")


def run(
    module: str, *arguments: object, extra: Mapping[str, str] | None = None, timeout: float = LONG
) -> Any:
    """Run a child to its end and return its answer. Raises ChildError."""
    return finish(start(module, *arguments, extra=extra), timeout)


def answer(value: object) -> None:
    """Say the result, from inside a child."""
    print(MARK + json.dumps(value), flush=True)


def end_group(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Signal a child that we started and the processes it forked."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """Make a directory for one measurement, and delete it."""
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield path
    finally:
        rmtree(path, ignore_errors=True)

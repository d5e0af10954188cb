"""A real Redis on the loopback, and worker processes that record into one store."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recording import Seen, spans

PATIENCE = 20
"""Seconds that a worker may take to be up, on a machine that is busy."""


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here (Debian: apt-get install redis-server)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        threading.Event().wait(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(20)


class Site:
    """A folder with the program's modules, a store, and the processes that run there."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.environment = {
            **os.environ,
            "SPANREEL_STORE": str(self.store),
            "SPANREEL_KEEPER": "off",
            "REDIS_URL": redis_url,
            "PYTHONPATH": str(folder),
            "PYTHONWARNINGS": "default",
        }

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=100
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def worker(self, *command: str, spanreel_run: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process, and its end by SIGTERM; what it printed is shown where the test fails."""
        before = [sys.executable, "-m", "spanreel.cli", "run", "--"] if spanreel_run else []
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", *command], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )  # fmt: skip
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
                finally:
                    print((self.folder / "worker.log").read_text(errors="replace")[-4000:])

    def spans(self) -> list[Seen]:
        return spans(self.store)

    def until(self, count: int) -> list[Seen]:
        """The spans, once so many of them have ended."""
        end = time.monotonic() + PATIENCE
        while sum(span.ended for span in self.spans()) < count:
            assert time.monotonic() < end, Counter((span.name, span.ended) for span in self.spans())
            threading.Event().wait(0.05)
        return self.spans()


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    yield Site(tmp_path, redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

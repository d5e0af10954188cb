from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanreel import keeper_rules, keeper_start

CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a store"
    (path / "journal").mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, "serverless"),
        ({"K_SERVICE": "svc"}, "serverless"),
        ({"FUNCTIONS_WORKER_RUNTIME": "python"}, "serverless"),
    ],
)
def test_serverless_is_refused_even_when_switched_on(
    store: Path, environ: dict[str, str], reason: str
) -> None:
    assert keeper_rules.decide(store, "on", CLEAN | environ).reason == reason


@pytest.mark.parametrize(
    "environ", [{"CI": "true"}, {"CI": "1"}, {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}]
)
def test_ci_is_refused_unless_switched_on(store: Path, environ: dict[str, str]) -> None:
    assert keeper_rules.decide(store, "auto", CLEAN | environ).reason == "ci"
    assert keeper_rules.decide(store, "on", CLEAN | environ).reason == "ok"


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_a_variable_that_says_no_is_no_ci(store: Path, value: str) -> None:
    assert keeper_rules.decide(store, "auto", CLEAN | {"CI": value}).reason == "test_runner"


def test_a_test_runner_is_refused_unless_switched_on(store: Path) -> None:
    assert keeper_rules.decide(store, "auto", CLEAN).reason == "test_runner"  # this very process
    assert keeper_rules.decide(store, "on", CLEAN).start


def test_off_is_off(store: Path) -> None:
    assert keeper_rules.decide(store, "off", CLEAN).reason == "off"


def test_a_missing_store_or_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert keeper_rules.decide(tmp_path / "none", "on", CLEAN).reason == "no_store"
    assert keeper_rules.decide(file, "on", CLEAN).reason == "no_store"


def test_an_interpreter_that_is_no_python_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert keeper_rules.decide(store, "on", CLEAN).reason == "not_cpython"
    monkeypatch.setattr(sys, "executable", "")
    assert keeper_rules.decide(store, "on", CLEAN).reason == "not_cpython"


def test_a_program_that_watches_its_children_is_left_alone(store: Path) -> None:
    code = (
        "import signal, sys; from pathlib import Path; from spanreel import keeper_rules\n"
        "signal.signal(signal.SIGCHLD, lambda *a: None)\n"
        "print(keeper_rules.decide(Path(sys.argv[1]), 'on', {}).reason)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "sigchld_handler"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux")
def test_a_subreaper_is_left_alone(store: Path) -> None:
    code = (
        "import ctypes, sys; from pathlib import Path; from spanreel import keeper_rules\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "print(keeper_rules.decide(Path(sys.argv[1]), 'on', {}).reason)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "subreaper"


@pytest.mark.parametrize(
    ("mode", "variable", "effective"),
    [
        ("auto", "", "auto"),
        ("auto", "off", "off"),
        ("auto", "0", "off"),
        ("auto", "ON", "on"),
        ("auto", "nonsense", "auto"),
        ("on", "off", "on"),
        ("off", "on", "off"),
    ],
)
def test_an_argument_wins_over_the_environment(mode: str, variable: str, effective: str) -> None:
    assert keeper_start.effective_mode(mode, {"SPANREEL_KEEPER": variable}) == effective


def test_network_file_systems_are_told_by_their_mount(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"23 22 0:5 / {str(tmp_path).replace(' ', chr(92) + '040')} rw shared:1 - nfs4 server:/x rw\n"
        "24 22 0:6 / /mnt/host rw - fuse.grpcfuse grpcfuse rw\n"
        "25 22 0:7 / /mnt/local rw - fuse.ext4 x rw\n"
    )
    monkeypatch.setattr(keeper_rules, "_read", lambda _path: table)
    keeper_rules.network_filesystem.cache_clear()
    try:
        assert keeper_rules.network_filesystem(tmp_path / "deep") == "nfs4"
        assert keeper_rules.network_filesystem(Path("/mnt/host/x")) == "fuse.grpcfuse"
        assert keeper_rules.network_filesystem(Path("/mnt/local/x")) is None
        assert keeper_rules.network_filesystem(Path("/mnt/hostile")) is None
        assert keeper_rules.network_filesystem(Path("/usr")) is None
    finally:
        keeper_rules.network_filesystem.cache_clear()


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n"}, None),
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/memory.max": "268435456\n"}, 268435456),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "1073741824\n"}, 1073741824),
        (
            {"/proc/self/cgroup": "5:memory:/x\n", "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n"},
            1000,
        ),
        ({}, None),
    ],
)
def test_the_tightest_memory_limit_counts(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limit: int | None
) -> None:
    monkeypatch.setattr(keeper_rules, "_read", lambda path: files.get(path, ""))
    keeper_rules.memory_limit.cache_clear()
    try:
        assert keeper_rules.memory_limit() == limit
    finally:
        keeper_rules.memory_limit.cache_clear()


def test_the_keeper_gets_no_secrets_and_no_python_switches() -> None:
    environ = CLEAN | {"OPENAI_API_KEY": "sk-1", "PYTHONPATH": "/evil", "LD_PRELOAD": "x.so", "OTEL_X": "1"}
    given = keeper_start.keeper_environment(environ)
    assert given["PATH"] == CLEAN["PATH"]
    assert not {"OPENAI_API_KEY", "PYTHONPATH", "LD_PRELOAD", "OTEL_X"} & given.keys()


def test_the_lock_is_taken_once_and_asking_takes_nothing(store: Path) -> None:
    assert not keeper_start.is_running(store)
    lock = keeper_start.take_lock(store)
    assert lock is not None
    assert keeper_start.is_running(store)
    assert keeper_start.take_lock(store) is None
    os.close(lock)
    assert not keeper_start.is_running(store)
    assert (store / "keeper.lock").stat().st_mode & 0o777 == 0o600


def test_start_never_raises(tmp_path: Path) -> None:
    assert keeper_start.start(tmp_path / "none", mode="on") == "no_store"
    assert keeper_start.start("\0", mode="on") == "failed"

"""Where a keeper may be started: pure decisions over the process, its environment and the store's disk."""

from __future__ import annotations

import functools
import os
import signal
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

MEMORY_FLOOR = 512 << 20
"""Bytes: in a smaller cgroup a second interpreter could get the user's program killed."""

CI_VARIABLES = (
    "CI", "CONTINUOUS_INTEGRATION", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "JENKINS_URL",
    "TEAMCITY_VERSION", "TF_BUILD", "CIRCLECI", "TRAVIS",
)  # fmt: skip
TEST_VARIABLES = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "TOX_ENV_NAME", "NOX_CURRENT_SESSION")
SERVERLESS_VARIABLES = (
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API", "K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET",
    "FUNCTIONS_WORKER_RUNTIME", "VERCEL", "NETLIFY", "FC_FUNCTION_NAME", "MODAL_TASK_ID",
)  # fmt: skip
NETWORK_TYPES = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "9p",
    "virtiofs", "vboxsf", "prl_fs", "fakeowner", "osxfs", "ncpfs", "ocfs2", "gfs2", "orangefs",
})  # fmt: skip
"""File systems whose flock or shared mmap does not hold between hosts (or between a VM and its host)."""
LOCAL_FUSE = frozenset({"fuse.ext4", "fuse.ntfs-3g", "fuse.fuse-overlayfs", "fuse.overlayfs", "fuse.lxcfs"})


class Decision(NamedTuple):
    """Whether to start a keeper, and the reason in one word (`ok` when it may start)."""

    start: bool
    reason: str


def decide(store: Path, mode: str, environ: Mapping[str, str]) -> Decision:
    """Apply the rules in order of cost; `mode` is auto, on or off (`on` lifts the CI and test-runner rules)."""
    reason = (
        _by_mode(mode)
        or _by_platform()
        or _by_environment(mode, environ)
        or _by_process(environ)
        or _by_store(store)
        or _by_memory()
    )
    return Decision(start=not reason, reason=reason or "ok")


def _by_mode(mode: str) -> str:
    return "off" if mode == "off" else ""


def _by_platform() -> str:
    """Only a real CPython on POSIX: `sys.executable` is uwsgi, a frozen app or empty elsewhere."""
    if os.name != "posix" or not hasattr(os, "posix_spawn"):
        return "platform"
    executable = sys.executable or ""
    name = Path(executable).name.lower()
    if sys.implementation.name != "cpython" or getattr(sys, "frozen", False):
        return "not_cpython"
    if not name.startswith("python") or not os.access(executable, os.X_OK):
        return "not_cpython"
    return ""


def _by_environment(mode: str, environ: Mapping[str, str]) -> str:
    if any(environ.get(name) for name in SERVERLESS_VARIABLES):
        return "serverless"
    if mode == "on":
        return ""
    if any(_truthy(environ.get(name, "")) for name in CI_VARIABLES):
        return "ci"
    if any(environ.get(name) for name in TEST_VARIABLES) or "_pytest" in sys.modules or _is_unittest_main():
        return "test_runner"
    return ""


def _truthy(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no", "off")


def _is_unittest_main() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = str(getattr(spec, "name", ""))
    return name.partition(".")[0] in ("unittest", "nose2", "ward") or name == "django.test"


def _by_process(environ: Mapping[str, str]) -> str:
    """A keeper must never come back to the program as its child, nor be the last process of a container."""
    if os.getpid() == 1:
        return "pid_1"
    if os.getppid() == 1 and in_container(environ):
        return "container"
    handler = signal.getsignal(signal.SIGCHLD)
    if handler not in (signal.SIG_DFL, signal.SIG_IGN):
        return "sigchld_handler"  # a supervisor: our short-lived intermediate would wake its handler
    if _is_subreaper():
        return "subreaper"
    return ""


def in_container(environ: Mapping[str, str]) -> bool:
    """True inside Docker, Podman, Kubernetes or systemd-nspawn, as far as a process can tell."""
    if environ.get("KUBERNETES_SERVICE_HOST") or environ.get("container"):
        return True
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    text = _read("/proc/1/cgroup")
    return any(word in text for word in ("docker", "kubepods", "containerd", "libpod", "/lxc/"))


def _is_subreaper() -> bool:
    """Linux: orphans of a subreaper's descendants become its children (PR_GET_CHILD_SUBREAPER)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        flag = ctypes.c_int(0)
        outcome = ctypes.CDLL(None).prctl(37, ctypes.byref(flag), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return False
    return outcome == 0 and flag.value != 0


def _by_store(store: Path) -> str:
    try:
        info = store.stat()
    except OSError:
        return "no_store"
    if not stat.S_ISDIR(info.st_mode):
        return "no_store"
    if hasattr(os, "geteuid") and info.st_uid != os.geteuid():
        return "not_owner"
    if not os.access(store, os.W_OK | os.X_OK):
        return "read_only"
    return "network_fs" if network_filesystem(store) else ""


@functools.lru_cache(maxsize=16)
def network_filesystem(path: Path) -> str | None:
    """The type of the network (or VM-shared) file system that holds `path`; None for a local disk."""
    kind = filesystem(path)
    if kind is None:
        return None
    if kind in NETWORK_TYPES or (kind.startswith("fuse.") and kind not in LOCAL_FUSE):
        return kind
    return None


def filesystem(path: Path) -> str | None:
    """The file system type under `path` by the longest mount point of /proc/self/mountinfo; None if unknown."""
    target = os.path.realpath(path)
    best, kind = -1, None
    for line in _read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        cells, types = left.split(), right.split()
        if len(cells) < 5 or not types:
            continue
        mount = cells[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= best:
            best, kind = len(mount), types[0]
    return kind


def _by_memory() -> str:
    limit = memory_limit()
    return "small_memory" if limit is not None and limit < MEMORY_FLOOR else ""


@functools.lru_cache(maxsize=1)
def memory_limit() -> int | None:
    """The tightest cgroup memory limit over this process in bytes (version 2 or 1); None when unlimited."""
    found: list[int] = []
    for line in _read("/proc/self/cgroup").splitlines():
        cells = line.split(":", 2)
        if len(cells) != 3:
            continue
        if cells[0] == "0" and not cells[1]:
            base, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in cells[1].split(","):
            base, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in cells[2].split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            text = _read("/".join([base, *parts[:depth], name])).strip()
            if text.isdigit():
                found.append(int(text))
    return min(found, default=None)


def _read(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""

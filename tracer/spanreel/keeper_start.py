"""Start the keeper, the small process that moves the journal into DuckDB, without leaving a trace here.

Runs inside the user's program: never raises, never blocks for long, and the keeper is never the program's
child. The one who wins the keeper's lock starts it and hands the locked descriptor down (a flock belongs to
the open file, so it passes through spawn): of 64 workers starting at once exactly one gets there.

The same file is what the new interpreter runs (`python -P keeper_start.py --store PATH`): it needs no
import path, so it can be found whichever way the program found spanreel.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_Action = (
    tuple[int, int]
    | tuple[int, int, int]
    | tuple[int, str | bytes, int, int]
    | tuple[int, int, str, int, int]
)

LOCK_NAME = "keeper.lock"
LOCK_FD = 3
PATHS_VARIABLE = "SPANREEL_KEEPER_PATHS"
MODULE = "spanreel_exporters.duckdb.keeper"
SHELL = "/bin/sh"
KEPT_VARIABLES = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONUTF8", "PYTHONNOUSERSITE", "VIRTUAL_ENV",
    "SPANREEL_MAX_SIZE", "SPANREEL_MIN_FREE", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "__PYVENV_LAUNCHER__",
)  # fmt: skip
"""What a keeper needs; keys, tokens and other programs' switches stay out of its environment."""


_starting = _thread.allocate_lock()
_PATIENCE_S = 0.04
"""A program that ends while its own thread starts the keeper waits this long for it, else neither would."""


_REST_S = 10.0
_LONGEST_REST_S = 600.0
"""Between two starts by one program: a keeper that steps down or cannot run is not started for ever."""
_attempts: dict[Path, tuple[int, float]] = {}
_held: list[int] = []


def start(
    store: str | os.PathLike[str], *, mode: str = "auto", environ: Mapping[str, str] | None = None
) -> str:
    """Start a keeper for `store` if the rules allow it and none runs; return what happened in one word.

    `started`, `running`, `resting`, `failed`, or the reason of `keeper_rules.decide`. `mode` is the configured
    `keeper=`; `SPANREEL_KEEPER` wins over `auto`. Never raises; takes a few milliseconds.
    """
    if not _starting.acquire(timeout=_PATIENCE_S):
        return "running"
    try:
        return _start(Path(store).absolute(), mode, os.environ if environ is None else environ)
    except Exception:
        return "failed"
    finally:
        _starting.release()


def _start(store: Path, mode: str, environ: Mapping[str, str]) -> str:
    wanted = effective_mode(mode, environ)
    if wanted != "off" and is_running(store):
        return "running"
    attempts, not_before = _attempts.get(store, (0, 0.0))
    if time.monotonic() < not_before:
        return "resting"
    from spanreel.keeper_rules import decide

    decision = decide(store, wanted, environ)
    if not decision.start:
        return decision.reason
    lock = take_lock(store)
    if lock is None:
        return "running"
    _held.append(lock)
    try:
        _spawn(store, lock, environ)
    finally:
        _held.remove(lock)
        os.close(lock)
    _attempts[store] = (attempts + 1, time.monotonic() + min(_REST_S * 2**attempts, _LONGEST_REST_S))
    return "started"


def _in_child() -> None:
    """After a fork: an inherited descriptor would keep the keeper's lock for the life of the child."""
    global _starting  # noqa: PLW0603 - the copy may be held by a thread that is not here
    _starting = _thread.allocate_lock()
    while _held:
        os.close(_held.pop())


def effective_mode(mode: str, environ: Mapping[str, str]) -> str:
    """Return `off`, `on` or `auto`: an explicit argument wins, then the environment, then auto."""
    if mode in ("on", "off"):
        return mode
    word = environ.get("SPANREEL_KEEPER", "").strip().lower()
    return {"0": "off", "false": "off", "no": "off", "off": "off", "1": "on", "true": "on", "on": "on"}.get(
        word, "auto"
    )


def take_lock(store: Path) -> int | None:
    """The descriptor of the locked keeper.lock, or None while another process holds it."""
    import fcntl

    descriptor = os.open(store / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_running(store: Path) -> bool:
    """True while a keeper holds the store's keeper.lock; changes nothing, works on a read-only store."""
    import fcntl

    try:
        descriptor = os.open(store / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # shared: two who ask at the same time do not take each other for a keeper
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _spawn(store: Path, lock: int, environ: Mapping[str, str]) -> None:
    """Let a shell put the interpreter in the background and die: the keeper's parent is init, not we.

    posix_spawn neither copies the page tables nor runs the program's fork handlers.
    """
    command = [SHELL, "-c", '"$@" &', "sh", *keeper_command(store)]
    actions: list[_Action] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable(lock)]
    source = lock
    if lock == LOCK_FD:  # dup2 onto itself would keep close-on-exec
        source = os.dup(lock)
    actions.append((os.POSIX_SPAWN_DUP2, source, LOCK_FD))
    try:
        pid = _posix_spawn(command, keeper_environment(environ), actions)
    finally:
        if source != lock:
            os.close(source)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # the program ignores SIGCHLD or reaped it by waiting for any child


def _posix_spawn(command: list[str], environment: dict[str, str], actions: list[_Action]) -> int:
    reset = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD]
    try:
        return os.posix_spawn(
            SHELL, command, environment, file_actions=actions, setsid=True, setsigmask=[], setsigdef=reset
        )
    except NotImplementedError:  # a libc without POSIX_SPAWN_SETSID: the keeper calls setsid itself
        return os.posix_spawn(
            SHELL, command, environment, file_actions=actions, setpgroup=0, setsigmask=[], setsigdef=reset
        )


def _inheritable(lock: int) -> list[int]:
    """Descriptors above 2 that the program made inheritable: not ours to hand on (at most 256 looked at)."""
    directory = Path("/proc/self/fd")
    names = [entry.name for entry in os.scandir(directory if directory.is_dir() else "/dev/fd")]
    found = []
    for name in names[:256]:
        number = int(name)
        try:
            if number > 2 and number != lock and os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue
    return found


def keeper_command(store: Path) -> list[str]:
    """The command line of a keeper that inherits its lock as descriptor 3."""
    return [
        sys.executable,
        "-P",
        str(Path(__file__).absolute()),
        "--store",
        str(store),
        "--lock-fd",
        str(LOCK_FD),
    ]


def keeper_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the keeper's whole environment: what an interpreter needs and where it finds the packages."""
    kept = {name: environ[name] for name in KEPT_VARIABLES if name in environ}
    kept["MALLOC_ARENA_MAX"] = "1"  # glibc keeps freed memory per arena; the keeper has a cap to stay under
    kept[PATHS_VARIABLE] = os.pathsep.join(entry for entry in sys.path if entry.startswith("/"))
    return kept


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _main() -> None:
    """Run the keeper in the new interpreter: the program's import path goes after its own."""
    import runpy

    for entry in os.environ.pop(PATHS_VARIABLE, "").split(os.pathsep):
        if entry and entry not in sys.path:
            sys.path.append(entry)
    sys.argv[0] = MODULE
    runpy.run_module(MODULE, run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    _main()

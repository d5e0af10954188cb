"""The commands that start another program: `run -- CMD`, `view`, `demo`."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from spanreel import handshake
from spanreel.command import Command, UsageError, store_path
from spanreel.errors import SpanreelError

AUTOSTART = Path(__file__).resolve().parent / "autostart"
INSTALL_VIEWER = "the viewer is not installed; install it: pip install 'spanreel[viewer]'"


def _configure_run(parser: argparse.ArgumentParser) -> None:
    parser.usage = "spanreel run [--store PATH] -- CMD [ARG ...]"
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the program and its arguments"
    )


def _run(arguments: argparse.Namespace) -> int:
    command: list[str] = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise UsageError("run needs a program: spanreel run -- python app.py")
    program = shutil.which(command[0])
    if program is None:
        hint = f"; try: spanreel run -- python {command[0]}" if command[0].endswith(".py") else ""
        raise UsageError(f"no program {command[0]!r} on the PATH{hint}")
    environment = run_environment(dict(os.environ), store_path(arguments, must_exist=False))
    _check_interpreter(program, environment)
    handshake.watch(environment, command, program)
    sys.stdout.flush()
    # replaced, not spawned: signals, the terminal and the exit code are the program's own
    os.execve(program, command, environment)  # noqa: S606


def run_environment(environment: dict[str, str], store: Path) -> dict[str, str]:
    """Return the environment in which every Python program records itself into `store`, whole process."""
    others = [
        part
        for part in environment.get("PYTHONPATH", "").split(os.pathsep)
        if part and part != str(AUTOSTART)
    ]
    environment["PYTHONPATH"] = os.pathsep.join([str(AUTOSTART), *others])
    environment["SPANREEL_STORE"] = str(store)
    environment["SPANREEL_INSTRUMENT"] = "all"
    return environment


def _check_interpreter(program: str, environment: dict[str, str]) -> None:
    """Refuse a Python that has no spanreel: it would run unrecorded without a word."""
    name = Path(program).name
    ours = Path(os.path.abspath(sys.executable)).parent  # noqa: PTH100 - two environments link to one binary
    if not name.startswith("python") or Path(os.path.abspath(program)).parent == ours:  # noqa: PTH100
        return
    probe = subprocess.run(  # noqa: S603 - the user's own interpreter, found on the PATH
        [program, "-c", "import spanreel"],
        env={**environment, "PYTHONPATH": ""},
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        raise SpanreelError(
            f"{program} cannot import spanreel, so nothing would be recorded; install it there: {program} -m pip install spanreel"
        )


def _configure_view(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    parser.add_argument(
        "--port", type=_port, default=None, metavar="N", help="the port (default: 8501, or a free one)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="the address to listen on (default: this machine only)",
    )
    parser.add_argument(
        "--token",
        metavar="SECRET",
        help="what a visitor must show; needed where others can reach the address",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def _view(arguments: argparse.Namespace) -> int:
    launch = _load("spanreel_viewer.launch", INSTALL_VIEWER)
    options = {} if arguments.port is None else {"port": arguments.port}
    try:
        launch.launch(
            store_path(arguments),
            host=arguments.host,
            open_browser=not arguments.no_browser,
            token=arguments.token,
            **options,
        )
    except launch.LaunchError as error:
        raise SpanreelError(str(error)) from error
    return 0


def _configure_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-view", action="store_true", help="record only, do not open the viewer")
    parser.add_argument(
        "--no-browser", action="store_true", help="print the viewer's address, open no browser"
    )
    parser.add_argument("--port", type=_port, default=None, metavar="N", help="the viewer's port")
    parser.add_argument("--again", action="store_true", help="record another day into the same store")
    parser.add_argument(
        "--offline", action="store_true", help="use the bundled model in spite of OPENAI_API_KEY"
    )


def _demo(arguments: argparse.Namespace) -> int:
    argv: list[str] = []
    if arguments.store:
        argv += ["--store", arguments.store]
    if arguments.no_view:
        argv.append("--no-view")
    if arguments.no_browser:
        argv.append("--no-browser")
    if arguments.port is not None:
        argv += ["--port", str(arguments.port)]
    argv += [option for option in ("--again", "--offline") if getattr(arguments, option[2:])]
    demo = _load(
        "spanreel_demo.run",
        "the demo needs the openai client; install it: pip install 'spanreel[demo,viewer]'",
    )
    return int(demo.main(argv) or 0)


def _load(name: str, missing: str) -> Any:
    """Import a module of another layer by name; say how to install what it lacks."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SpanreelError(f"{missing} (missing: {error.name})") from error


RUN = Command(
    summary="run a program so that it is recorded without a change to its code",
    description="Run CMD with recording on in every Python process it starts, through PYTHONPATH. The program\n"
    "takes the place of this one: its streams, signals and exit status are its own. A Python that was not\n"
    "reached (started with -I, -E or -S, or without spanreel installed) is named on stderr when CMD has ended.",
    configure=_configure_run,
    run=_run,
    examples=("spanreel run -- python app.py", "spanreel run -- uvicorn app:api"),
)
VIEW = Command(summary="open the viewer in the browser", configure=_configure_view, run=_view)
DEMO = Command(
    summary="record a small support agent and look at it; no key and no network needed",
    description="Record a day at a support desk and open the viewer on it. Without OPENAI_API_KEY or\n"
    "OPENAI_BASE_URL a bundled model answers. It records into a store of its own (spanreel-demo in\n"
    "the user's data directory) unless --store names another; a second run reuses the recording.",
    configure=_configure_demo,
    run=_demo,
)

"""`spanreel`: finds the command among the entry points and runs it; the recorder needs none of this.

Only the chosen command is loaded. Errors are one line on stderr: exit code 2 for a command line that
cannot be used, 1 for everything else that went wrong, 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata

from spanreel.command import EXIT_FAILED, EXIT_USAGE, GROUP, Command, UsageError, nearest, parser_of
from spanreel.errors import SpanreelError

ORDER = ("demo", "view", "run", "list", "show", "sql", "doctor", "stores", "prune", "compact", "forget")
"""The order of a reader's first day; commands of later versions and of other packages follow by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (default: of this process) and return the exit code."""
    _prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except UsageError as error:
        return _complain(error, EXIT_USAGE)
    except SpanreelError as error:
        return _complain(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # the reader (head, less) has gone; keep the interpreter's last flush from saying so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        return _unexpected(error)
    except Exception as error:
        return _unexpected(error)
    return code


def _prepare_streams() -> None:
    """Recorded text may hold anything; a console that cannot show it gets an escape, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _complain(error: SpanreelError, code: int) -> int:
    sys.stderr.write(f"spanreel: {_in_one_line(error)}\n")
    return code


def _in_one_line(error: Exception) -> str:
    """An error may quote what was recorded: nothing in it steers the terminal."""
    from spanreel.terminal import one_line

    return one_line(" ".join(str(error).split()))


def _unexpected(error: Exception) -> int:
    """A fault of ours or of the machine: one line; the traceback for those who ask for it."""
    if os.environ.get("SPANREEL_DEBUG"):
        raise error
    text = _in_one_line(error)[:500]
    sys.stderr.write(f"spanreel: {type(error).__name__}: {text} (SPANREEL_DEBUG=1 shows where)\n")
    return EXIT_FAILED


def _dispatch(arguments: list[str]) -> int:
    store, rest = _global_options(arguments)
    if not rest or rest[0] in ("-h", "--help", "help"):
        if len(rest) > 1 and rest[0] == "help":
            rest = [rest[1], "--help"]
        else:
            sys.stdout.write(overview())
            return 0 if rest else EXIT_USAGE
    name = rest[0]
    if name in ("--version", "-V"):
        sys.stdout.write(f"spanreel {metadata.version('spanreel')}\n")
        return 0
    if name == "--reference":
        sys.stdout.write(reference())
        return 0
    command = find(name)
    parser = parser_of(name, command)
    try:
        parsed = parser.parse_args(rest[1:])
    except SystemExit as stop:
        return int(stop.code or 0)
    if parsed.store is None:
        parsed.store = store
    return command.run(parsed)


def _global_options(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take `--store` from before the command; return it and what follows."""
    store, rest = None, list(arguments)
    while rest and rest[0].startswith("--store"):
        word = rest.pop(0)
        if word == "--store":
            if not rest:
                raise UsageError("--store needs the path of a store directory")
            store = rest.pop(0)
        elif word.startswith("--store="):
            store = word.partition("=")[2]
        else:
            raise UsageError(f"unknown option {word}; did you mean --store?")
    if rest and rest[0].startswith("-") and rest[0] not in ("-h", "--help", "--version", "-V", "--reference"):
        raise UsageError(
            f"unknown option {rest[0]}{nearest(rest[0], ['--help', '--version', '--store'])} (see spanreel --help)"
        )
    return store, rest


def entry_points() -> dict[str, metadata.EntryPoint]:
    """Every installed command by name; spanreel's own win over another package's of the same name."""
    found = {point.name: point for point in metadata.entry_points(group=GROUP)}
    found.update(_own())
    return found


def _own() -> dict[str, metadata.EntryPoint]:
    points = metadata.distribution("spanreel").entry_points
    return {point.name: point for point in points if point.group == GROUP}


def find(name: str) -> Command:
    """Return the command of this name. Raises UsageError naming the nearest one."""
    own = _own()
    point = own.get(name) or entry_points().get(name)
    if point is None:
        raise UsageError(f"no command {name!r}{nearest(name, entry_points())} (see spanreel --help)")
    try:
        command = point.load()
    except ImportError as error:
        raise SpanreelError(
            f"the command {name!r} cannot be loaded ({error}); install it: pip install 'spanreel[viewer]'"
        ) from error
    if not isinstance(command, Command):
        raise SpanreelError(f"the entry point of {name!r} ({point.value}) is not a spanreel command")
    return command


def ordered() -> list[str]:
    """Return the names of all commands, the first day's first."""
    names = entry_points()
    return [name for name in ORDER if name in names] + sorted(name for name in names if name not in ORDER)


def overview() -> str:
    """Return the text of `spanreel --help`."""
    lines = ["usage: spanreel [--store PATH] COMMAND [...]", "", "Look at what your LLM application did.", ""]
    lines += [f"  {name:<9} {find(name).summary}" for name in ordered()]
    lines += [
        "",
        "TRACE is an id or its beginning, `last`, `last~1` (the one before) or `last:NAME`.",
        "The store is --store, SPANREEL_STORE, or the nearest .spanreel directory.",
        "`spanreel COMMAND --help` tells more; `spanreel --version` the version.",
    ]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Return the reference of all commands of this distribution in Markdown, made from the parsers."""
    previous = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"  # argparse wraps by the terminal; the document must not change with it
    try:
        parts = [
            "# The `spanreel` program",
            "",
            "Made by `python -m spanreel.cli --reference`.",
            "",
            "```",
            overview().rstrip(),
            "```",
        ]
        own = _own()
        for name in (name for name in ordered() if name in own):
            text = parser_of(name, find(name)).format_help().rstrip()
            parts += ["", f"## `spanreel {name}`", "", "```", text, "```"]
    finally:
        if previous is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = previous
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())

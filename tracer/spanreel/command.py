"""What a command of the `spanreel` program is: the shape behind the entry points `spanreel.commands`."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from spanreel.errors import SpanreelError

GROUP = "spanreel.commands"
EXIT_FAILED = 1
EXIT_USAGE = 2


class UsageError(SpanreelError):
    """The command line cannot be used as it stands; the program exits with 2."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: an entry point of the group `spanreel.commands` names it and points at an instance.

    `configure` adds the command's own arguments (`--store` is there already). `run` gets the parsed
    arguments and returns the exit code; it may raise SpanreelError, which becomes one line on stderr.
    """

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    description: str = ""
    examples: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line that ends in the way out."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 after one line; an unknown option is answered with the nearest known one."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).split()[0].partition("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            message = (
                f"unknown option {word}{nearest(word, known)}"
                if word.startswith("-")
                else f"unexpected {word!r}"
            )
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest of `known`, or nothing when none is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def parser_of(name: str, command: Command) -> Parser:
    """Build the parser of one command, `--store` included."""
    parser = Parser(
        prog=f"spanreel {name}",
        description=command.description or command.summary,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in command.examples)
        if command.examples
        else None,
    )
    command.configure(parser)
    parser.add_argument(
        "--store",
        metavar="PATH",
        default=None,
        help="the store directory (default: found as the recorder finds it)",
    )
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, the same words in every command."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def store_path(arguments: argparse.Namespace, *, must_exist: bool = True) -> Path:
    """Return the store a command works on: `--store`, else `SPANREEL_STORE`, else the nearest `.spanreel/`.

    Raises SpanreelError when it must exist and does not, or is not a directory.
    """
    from spanreel.store import resolve

    explicit = getattr(arguments, "store", None) or os.environ.get("SPANREEL_STORE") or None
    path = resolve(Path(explicit) if explicit else None)
    if path.exists() and not path.is_dir():
        raise SpanreelError(
            f"the store path {path} is a file, not a directory; name the directory with --store"
        )
    if must_exist and not path.is_dir():
        raise SpanreelError(
            f"no recording at {path} yet: run a program that uses @spanreel.trace, or `spanreel demo`, "
            "or name another store with --store (`spanreel stores` lists them)"
        )
    return path

"""Where a program's recording goes: finding, making and guarding the store directory.

`configure(store=)` > `SPANREEL_STORE` > the nearest `.spanreel/` upward > `.spanreel/` beside the nearest
pyproject.toml or .git > the user's data directory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spanreel.errors import StoreError

DIRECTORY = ".spanreel"
JOURNAL = "journal"
DATABASE = "traces.duckdb"


def resolve(explicit: Path | None = None, *, start: Path | None = None) -> Path:
    """The store directory to use; nothing is created. Never raises."""
    if explicit is not None:
        return _absolute(explicit)
    try:
        here = start or Path.cwd()
    except OSError:
        return user_store()
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where no home can be had
    chain = [here, *here.parents]
    for folder in chain:
        if (folder / DIRECTORY).is_dir():
            return folder / DIRECTORY
    for folder in chain:
        if folder in (home, Path(folder.anchor)):
            break
        if (folder / "pyproject.toml").is_file() or (folder / ".git").exists():
            return folder / DIRECTORY
    return user_store()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - must not follow links


def user_store() -> Path:
    """The store of programs that belong to no project."""
    if sys.platform == "darwin":
        base = Path(os.path.expanduser("~/Library/Application Support"))  # noqa: PTH111
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"))  # noqa: PTH111
    return base / "spanreel"


def create(path: Path) -> Path:
    """Make the store directory (0700) with its journal and `.gitignore`, or check the one that is there.

    Raises StoreError naming the path and the cause: it is a file, belongs to another user, or cannot be
    written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
        if hasattr(os, "getuid") and owner != os.getuid():
            raise StoreError(
                f"the store {path} belongs to another user (uid {owner}); choose your own with SPANREEL_STORE"
            )
        (path / JOURNAL).mkdir(mode=0o700, exist_ok=True)
        ignore = path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
            ignore.chmod(0o600)
    except FileExistsError as error:
        raise StoreError(
            f"the store path {path} is a file, not a directory; choose another with SPANREEL_STORE"
        ) from error
    except NotADirectoryError as error:
        raise StoreError(
            f"the store path {path} leads through a file; choose another with SPANREEL_STORE"
        ) from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be written: {error.strerror or error}") from error
    return path

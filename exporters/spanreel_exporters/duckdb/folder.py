"""The journal's directory: which of its entries are the journal's own.

Only plain files count. A named pipe, a device, a link or a directory with a segment's name would make its
reader wait for ever, read what is not ours, or fail; `spanreel doctor` names such strangers.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from spanreel.store import JOURNAL

SEGMENT: Final = ".seg"
OWNER: Final = ".owner"
_NAME: Final = re.compile(r"[^.]+\.(?:owner|(?:\d{6}|[1-9]\d{6,8})\.seg)", re.ASCII)
"""`<procid>.owner`, `<procid>.<number>.seg` as the writer spells them: no two names of one number."""


def plain_files(store: Path, suffix: str = "") -> list[os.DirEntry[str]]:
    """Return the journal's own files whose names end so (default: all of them), by name. Raises OSError."""
    with os.scandir(store / JOURNAL) as entries:
        found = [
            entry
            for entry in entries
            if entry.name.endswith(suffix)
            and _NAME.fullmatch(entry.name)
            and entry.is_file(follow_symlinks=False)
        ]
    return sorted(found, key=lambda entry: entry.name)


def strangers(store: Path) -> list[str]:
    """Return the names of entries that are not the journal's. Raises OSError."""
    ours = {entry.name for entry in plain_files(store)}
    return sorted({path.name for path in (store / JOURNAL).iterdir()} - ours)

"""Natural text, never the same twice: docstrings and licences of the Python packages on this machine.

Read in a fixed order and shuffled with a fixed seed, walked through from front to back: a text comes again
only after the whole corpus (17 MB where site-packages is as large as a test environment's), far outside of
any window that a compressor looks through.
"""

from __future__ import annotations

import os
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

BYTES: Final = 24 << 20
_DOC: Final = re.compile(r'"""(.*?)"""', re.DOTALL)
_TEXT_SUFFIXES: Final = (".rst", ".md", ".txt")
_PROSE: Final = ("METADATA", "LICENSE", "NOTICE", "COPYING")
_FILE_BYTES: Final = 400_000
PROSE: Final = 0.88
"""Share of letters and spaces (English prose has 0.93 to 0.97; documentation with examples less)."""
_INDENT: Final = re.compile(r"\n[ \t]+")
_CHUNK: Final = 1_800
"""Characters of one shuffled piece."""


def _sources() -> Iterator[Path]:
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    for root in roots:
        for folder, names, files in os.walk(root):
            names[:] = sorted(n for n in names if n not in {"__pycache__", "test", "tests"})
            if root == roots[0] and "site-packages" in folder:
                continue
            for name in sorted(files):
                if name.endswith((".py", *_TEXT_SUFFIXES)) or name.startswith(_PROSE):
                    yield Path(folder) / name


def _pieces(path: Path) -> Iterator[str]:
    try:
        if path.stat().st_size > _FILE_BYTES:
            return
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for found in _DOC.findall(text) if path.suffix == ".py" else [text]:
        plain = _INDENT.sub("\n", found).strip()
        for at in range(0, len(plain), _CHUNK):
            piece = plain[at : at + _CHUNK]
            if len(piece) >= 200 and _prose(piece):
                yield piece


def _prose(piece: str) -> bool:
    """Whether a piece is prose rather than tables, signatures and code."""
    return sum(map(str.isalpha, piece)) + piece.count(" ") > PROSE * len(piece)


def build(limit: int) -> str:
    """Return about `limit` characters of shuffled prose, no piece twice."""
    seen: set[int] = set()
    pieces: list[str] = []
    size = 0
    for path in _sources():
        for piece in _pieces(path):
            mark = hash(piece[:300])
            if mark not in seen and ord(max(piece)) <= 0xFFFF:
                seen.add(mark)
                pieces.append(piece)
                size += len(piece)
        if size >= limit:
            break
    random.Random(20).shuffle(pieces)
    return "\n\n".join(pieces)


def cached(folder: Path, limit: int = BYTES) -> Path:
    """Write the corpus of this run once, for all its processes; return the file."""
    path = folder / f"corpus-{limit >> 20}.txt"
    if not path.exists():
        path.write_text(build(limit), encoding="utf-8")
    return path


class Text:
    """Walks through the corpus: every `take` is a new object with text that was not given out before."""

    def __init__(self, path: Path | str, *, seed: int = 0) -> None:
        self._text = Path(path).read_text(encoding="utf-8")
        self._at = random.Random(seed).randrange(len(self._text) // 2) if seed else 0

    def take(self, size: int) -> str:
        """Return the next `size` characters."""
        if self._at + size > len(self._text):
            self._at = (self._at * 7919) % 997
        start, self._at = self._at, self._at + size
        return self._text[start : self._at]

    def messages(self, count: int, size: int) -> list[dict[str, Any]]:
        """Return a conversation of `count` messages of `size` characters."""
        roles = ("system", "user", "assistant")
        return [{"role": roles[min(i, 1 + i % 2)], "content": self.take(size)} for i in range(count)]

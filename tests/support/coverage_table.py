"""Makes docs/coverage.md of the rows that test runs have left: `python coverage_table.py FOLDER > FILE`.

Standard library only, so that any Python can run it.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

HEAD = """# What is covered, and by which run

Generated from the last test run (`make test` and `make matrix`, then `make coverage`): a system stands here
because a test ran its real library in the version named and passed. `main` is the environment of `make test`,
the others are those of `make matrix`.

| system | package and version | environment | asserted |
|---|---|---|---|
"""


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of all runs below `folder`."""
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        found += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return found


def table(rows: Iterable[dict[str, str]]) -> str:
    """The page: one line for each system, sorted, whatever order the rows come in."""
    systems: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        systems[row["system"]].append(row)
    return HEAD + "".join(_line(name, systems[name]) for name in sorted(systems, key=_words))


def systems(page: str) -> list[str]:
    """The systems that a page has a line for, as they stand."""
    return [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()[HEAD.count("\n") :]]


def _line(name: str, rows: list[dict[str, str]]) -> str:
    versions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        versions[row["package"]].add(row["version"])
    packages = [f"{package} {_span(found)}" for package, found in sorted(versions.items())]
    environments = sorted({row["environment"] for row in rows}, key=lambda name: (name != "main", name))
    asserted = sorted({row["asserted"] for row in rows}, key=_words)
    cells = (name, ", ".join(packages), ", ".join(environments), "; ".join(asserted))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _span(versions: set[str]) -> str:
    ordered = sorted(versions, key=_numbers)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def _numbers(version: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", version)], version


def _words(text: str) -> tuple[str, str]:
    return text.casefold(), text


if __name__ == "__main__":
    sys.stdout.write(table(read(Path(sys.argv[1]))))

"""The README's code runs, and its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _run(tmp_path: Path, *command: str) -> str:
    environment = {**os.environ, "SPANREEL_STORE": str(tmp_path / "s"), "SPANREEL_KEEPER": "off"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.crash
def test_the_code_runs_and_gives_the_tree_that_is_shown(tmp_path: Path) -> None:
    assert len(BLOCKS) == 2
    assert _run(tmp_path, "-c", BLOCKS[0]) == ""
    shown = _run(tmp_path, "-m", "spanreel.cli", "show", "last").splitlines()
    tree = [re.sub(r"\s{2,}[\d.]+ (us|ms|s)", "", line).split() for line in shown[-2:]]
    promised = re.search(r"\$ spanreel show last\n(.*?)\n```", README, re.DOTALL)
    assert promised is not None
    assert tree == [line.split() for line in promised[1].splitlines()]
    assert "'name': 'search'" in _run(tmp_path, "-c", BLOCKS[1])


def test_every_link_and_command_leads_somewhere() -> None:
    root = Path(__file__).parents[2]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / target).is_file(), target
    known = re.findall(
        r"^(\w+) = \"spanreel", (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    used = set(re.findall(r"`?spanreel (\w+)", README)) - {"keeps"}
    assert used <= {*known, "demo", "view", "run"}


def test_the_reference_of_the_views_is_the_views() -> None:
    from spanreel_exporters.duckdb.reference import reference

    written = (Path(__file__).parents[2] / "docs" / "views.md").read_text(encoding="utf-8")
    assert written == reference(), "run: make docs"

"""The rows that tests leave about what they cover, and the page that is made of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import coverage_table
import pytest
from coverage_rows import MATRIX

SUPPORT = Path(coverage_table.__file__).parent
TESTS = '''
import pytest

pytestmark = pytest.mark.covers("Wrapping", package="wrapt")

@pytest.mark.parametrize("n", [1, 2])
def test_one(n):
    """It wraps | unwraps.

    More about it.
    """

@pytest.mark.covers("JSON", package=("orjson", "pytest"))
def test_two_in_words(): ...

def test_failed():
    """Never written."""
    assert False

def test_skipped():
    """Never written."""
    pytest.skip("no")

@pytest.fixture
def broken():
    yield
    raise ValueError

def test_broken_teardown(broken):
    """Never written."""
'''


def _run(folder: Path, tests: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = covers: x\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "coverage_rows", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SUPPORT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_passed_test_leaves_its_rows(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    ran = _run(tmp_path, TESTS, SPANREEL_COVERAGE_ROWS=str(rows), SPANREEL_COVERAGE_ENV="lean")
    assert "1 failed, 4 passed, 1 skipped, 1 error" in ran.stdout, ran.stdout
    found = coverage_table.read(rows)
    assert {row["environment"] for row in found} == {"lean"}
    assert {(row["system"], row["package"], row["asserted"]) for row in found} == {
        ("Wrapping", "wrapt", "It wraps | unwraps"),
        ("Wrapping", "wrapt", "two in words"),
        ("JSON", "orjson", "two in words"),
        ("JSON", "pytest", "two in words"),
    }
    assert "Never written" not in json.dumps(found)
    page = coverage_table.table(found)
    assert (
        f"| Wrapping | wrapt {metadata.version('wrapt')} | lean | It wraps \\| unwraps; two in words |"
        in page
    )
    assert coverage_table.systems(page) == ["JSON", "Wrapping"]


def test_nothing_is_written_unless_asked(tmp_path: Path) -> None:
    _run(tmp_path, TESTS, SPANREEL_COVERAGE_ROWS="")
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".ini", ".py")] in (
        [],
        ["__pycache__"],
    )


def test_a_mark_that_says_too_little_is_refused(tmp_path: Path) -> None:
    ran = _run(tmp_path, "import pytest\n@pytest.mark.covers('X')\ndef test_it(): ...\n")
    assert ran.returncode == 4
    assert 'package="its distribution"' in ran.stderr


def test_the_page_does_not_depend_on_the_order_of_rows() -> None:
    rows = [
        {"system": system, "package": "p", "version": version, "asserted": asserted, "environment": env}
        for system in ("b", "A")
        for version in ("1.9.0", "1.10.0", "1.2")
        for asserted in ("streams", "Errors")
        for env in ("zoo", "main", "air")
    ]
    page = coverage_table.table(rows)
    assert "| A | p 1.2 to 1.10.0 | main, air, zoo | Errors; streams |\n| b |" in page
    shuffled = list(rows)
    random.Random(1).shuffle(shuffled)
    assert coverage_table.table(shuffled) == page


def test_every_named_system_is_on_the_page() -> None:
    page = MATRIX.parents[1] / "docs" / "coverage.md"
    if not page.exists():
        pytest.skip("docs/coverage.md is not written yet: make test matrix")
    text = page.read_text(encoding="utf-8")
    assert text.startswith(coverage_table.HEAD)
    assert coverage_table.systems(text) == sorted(coverage_table.systems(text), key=coverage_table._words)
    assert coverage_table.without_a_line(text) == []


def test_every_environment_of_its_own_says_what_it_needs() -> None:
    folders = [path for path in MATRIX.glob("*/") if path.name != "__pycache__"]
    for folder in folders:
        assert folder.name.isidentifier(), f"{folder.name}: mypy needs a name that is one of Python's"
        assert (folder / "requirements.txt").exists(), folder
        assert list(folder.glob("test_*.py")), folder

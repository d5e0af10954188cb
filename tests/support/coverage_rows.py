"""A pytest plugin: what each passed test has shown about a named system, written down as it happens.

A test says what it covers, `@pytest.mark.covers("Anthropic messages", package="anthropic")`, and in the first
line of its docstring what it asserts. With SPANREEL_COVERAGE_ROWS=FOLDER each such test that passed, teardown
included, leaves one JSON line in FOLDER; `coverage_table.py` makes docs/coverage.md of them. The environment
is named by SPANREEL_COVERAGE_ENV ("main" by default).

Tests of an environment of its own (tests/matrix/ENVIRONMENT) are collected only when their folder is named on
the command line: their libraries are not installed elsewhere.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Generator, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

FOLDER = "SPANREEL_COVERAGE_ROWS"
ENVIRONMENT = "SPANREEL_COVERAGE_ENV"
MATRIX = Path(__file__).resolve().parent.parent / "matrix"
NODE_MODULES = MATRIX.parent.parent / ".matrix" / "node" / "node_modules"
"""Where tests/matrix/javascript installs what it needs from npm."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave an environment of its own alone unless it was asked for by path."""
    if not collection_path.is_relative_to(MATRIX):
        return None
    asked = [(config.invocation_params.dir / word.partition("::")[0]).resolve() for word in config.args]
    near = any(collection_path.is_relative_to(path) or path.is_relative_to(collection_path) for path in asked)
    return None if near and any(path.is_relative_to(MATRIX) for path in asked) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in an environment of its own, and refuse a mark that says too little."""
    for item in items:
        if item.path.is_relative_to(MATRIX):
            item.add_marker("matrix")
        for mark in item.iter_markers("covers"):
            if len(mark.args) != 1 or set(mark.kwargs) != {"package"}:
                raise pytest.UsageError(f'{item.nodeid}: covers("the system", package="its distribution")')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the rows of a test once all three of its phases have passed."""
    report = yield
    phases = item.stash.setdefault(_PHASES, set())
    if report.passed:
        phases.add(call.when)
    folder = os.environ.get(FOLDER)
    if folder and len(phases) == 3 and call.when == "teardown":
        lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows(item)]
        if lines:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with (Path(folder) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(lines)
    return report


def rows(item: pytest.Item) -> Iterator[dict[str, str]]:
    """One row for each system and distribution that a test covers."""
    for mark in item.iter_markers("covers"):
        named = mark.kwargs["package"]
        for package in [named] if isinstance(named, str) else named:
            yield {
                "system": mark.args[0],
                "package": package,
                "version": version(package),
                "asserted": asserted(item),
                "environment": os.environ.get(ENVIRONMENT, "main"),
            }


def version(package: str) -> str:
    """The installed version of a distribution; of `npm:NAME` the one that the environment's test put in its place."""
    if not package.startswith("npm:"):
        return metadata.version(package)
    manifest = NODE_MODULES / package.removeprefix("npm:") / "package.json"
    return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])


def asserted(item: pytest.Item) -> str:
    """What a test asserts: the first line of its docstring, else its name in words."""
    function: Any = getattr(item, "function", None)
    text = inspect.getdoc(function) or "" if function is not None else ""
    if text:
        return text.splitlines()[0].strip().rstrip(".")
    return getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")


_PHASES = pytest.StashKey[set[str]]()

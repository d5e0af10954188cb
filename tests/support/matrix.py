"""Runs every environment of tests/matrix in a virtual environment of its own: `python matrix.py [NAME ...]`.

An environment is a folder with `requirements.txt`, tests, and `debian.txt` where a real service is needed. Its virtual environment lies in `.matrix/NAME`
and is made again when the requirements, pyproject.toml or the Python have changed. One after the other; the
exit status is 1 when a test of any of them failed, or one had none. When all passed, docs/coverage.md is written from their rows and those
that `make test` left. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from coverage_table import read, table

ROOT = Path(__file__).resolve().parent.parent.parent
MATRIX = ROOT / "tests" / "matrix"
VENVS = ROOT / ".matrix"
ROWS = ROOT / ".coverage-rows"
COVERAGE = ROOT / "docs" / "coverage.md"


class Result(NamedTuple):
    """How the tests of one environment went; an environment that could not be made has failed once."""

    passed: int
    failed: int
    skipped: int


def environments() -> list[str]:
    """The names of all environments, sorted."""
    return sorted(path.parent.name for path in MATRIX.glob("*/requirements.txt"))


def prepare(name: str) -> Path:
    """The Python of an environment's virtual environment, made or brought up to date where need be."""
    venv, requirements = VENVS / name, MATRIX / name / "requirements.txt"
    python, stamp = venv / "bin" / "python", venv / ".made"
    known = f"{requirements.read_text()}\n{_project()}\n{sys.version}"
    state = hashlib.sha256(known.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == state:
        return python
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-e", ".", "-r", str(requirements), *_pytest()], check=True, cwd=ROOT)
    stamp.write_text(state)
    return python


def services(name: str) -> None:
    """Install the Debian packages of `debian.txt`, where we may; tests that need them skip visibly elsewhere."""
    listed = MATRIX / name / "debian.txt"
    if not listed.exists() or os.geteuid() or shutil.which("apt-get") is None:
        return
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    wanted = listed.read_text().split()
    if subprocess.run(["dpkg", "-s", *wanted], check=False, stderr=subprocess.DEVNULL, **quiet).returncode:
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", *wanted], check=False, **quiet)


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _pytest() -> list[str]:
    """pytest and its plugins, as the extra `test` pins them."""
    return [line for line in _project()["optional-dependencies"]["test"] if line.startswith("pytest")]


def run(name: str) -> Result:
    """Run the tests of one environment; its rows of docs/coverage.md are written anew."""
    report = VENVS / f"{name}.xml"
    try:
        services(name)
        python = prepare(name)
    except subprocess.CalledProcessError as error:
        print(f"matrix: {name} could not be installed: {error}", flush=True)
        return Result(0, 1, 0)
    shutil.rmtree(ROWS / name, ignore_errors=True)
    report.unlink(missing_ok=True)
    variables = {"SPANREEL_COVERAGE_ROWS": str(ROWS / name), "SPANREEL_COVERAGE_ENV": name}
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    status = subprocess.run(
        [str(python), "-m", "pytest", "-q", f"--junit-xml={report}", str(MATRIX / name)],
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables, "PATH": path},
    ).returncode
    found = _counts(report) if report.exists() else Result(0, 0, 0)
    return found if status == 0 or found.failed else found._replace(failed=1)


def _counts(report: Path) -> Result:
    suite = ET.parse(report).getroot().find("testsuite")
    if suite is None:
        return Result(0, 0, 0)
    tests, errors, failures, skipped = (
        int(suite.get(key, 0)) for key in ("tests", "errors", "failures", "skipped")
    )
    failed = errors + failures
    return Result(max(tests - failed - skipped, 0), failed, skipped)


def main(names: list[str]) -> int:
    """Run the environments named, or all; print how each went, and the sum as the last line."""
    unknown = [name for name in names if name not in environments()]
    if unknown:
        print(f"matrix: no environment {unknown[0]!r} (there are: {', '.join(environments())})")
        return 2
    VENVS.mkdir(exist_ok=True)
    results: list[Result] = []
    lines = []
    for name in names or environments():
        print(f"\nmatrix: {name}", flush=True)
        began = time.monotonic()
        found = run(name)
        results.append(found)
        verdict = "failed" if found.failed else "passed"
        took = f"{time.monotonic() - began:.0f} s"
        lines.append(
            f"matrix: {name} {verdict} ({found.passed} passed, {found.failed} failed, {found.skipped} skipped, {took})"
        )
    if not any(result.failed for result in results) and (ROWS / "sdk").exists():
        COVERAGE.write_text(table(read(ROWS)), encoding="utf-8")
        lines.append("matrix: docs/coverage.md is written")
    print("\n" + "\n".join(lines))
    passed, failed, skipped = (sum(result[n] for result in results) for n in range(3))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

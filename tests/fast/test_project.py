"""The house rules that a machine can hold: module sizes, names, SQL in its place, versions, licences."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import spanreel

ROOT = Path(__file__).parents[2]
SOURCES = ("tracer", "exporters", "viewer")
CAP = 600


def _tracked(*endings: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        ROOT / name
        for name in listed.stdout.split("\n")
        if name.endswith(endings) and (ROOT / name).is_file()
    ]


def _lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_no_module_is_a_house() -> None:
    too_long = {
        str(path.relative_to(ROOT)): _lines(path)
        for path in _tracked(".py", ".js", ".css")
        if _lines(path) > CAP
    }
    assert too_long == {}


def test_names_say_something() -> None:
    hidden = [
        path
        for path in _tracked(".py", ".js")
        if re.fullmatch(r"(utils?|helpers?|common|manager|misc)", path.stem)
    ]
    assert hidden == []


def test_sql_lives_in_sql_files() -> None:
    statement = re.compile(r"""["'](\s*)(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|WITH)\s""")
    found = [
        str(path.relative_to(ROOT))
        for path in _tracked(".py")
        if path.relative_to(ROOT).parts[0] in SOURCES and statement.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_one_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == spanreel.__version__


def test_every_package_is_typed() -> None:
    for package in (
        "tracer/spanreel",
        "exporters/spanreel_exporters",
        "viewer/spanreel_viewer",
        "examples/spanreel_demo",
    ):
        assert (ROOT / package / "py.typed").is_file()

"""The browser's half: it parses, its pure functions hold, it never turns text into markup, its colours can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

import spanreel_viewer
from spanreel_viewer import theme

ASSETS = Path(spanreel_viewer.__file__).with_name("assets")
MODULES = sorted(ASSETS.rglob("*.js"))
needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="node is not installed: JavaScript is not checked"
)
MODES: tuple[theme.Mode, ...] = ("light", "dark")


@needs_node
def test_every_module_parses() -> None:
    for module in MODULES:
        run = subprocess.run(
            ["node", "--check", str(module)], capture_output=True, text=True, timeout=30, check=False
        )
        assert run.returncode == 0, run.stderr


@needs_node
def test_pure_functions_in_node() -> None:
    tests = sorted(str(path) for path in (Path(__file__).with_name("viewer_js")).glob("*.test.mjs"))
    run = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 0, run.stdout[-4000:]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_text_never_becomes_markup(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "createContextualFragment",
        "DOMParser",
    ):
        assert forbidden not in source, forbidden
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source), "no module names another host"
    assert source.count("\n") <= 400


def test_styles_load_nothing_from_elsewhere() -> None:
    for sheet in ASSETS.glob("*.css"):
        assert "http" not in sheet.read_text(encoding="utf-8"), sheet.name
    assert "http" not in theme.css()
    for _, file, _ in theme.FONTS:
        assert (ASSETS / "fonts" / file).is_file()


@pytest.mark.parametrize("mode", MODES)
def test_text_can_be_read_on_every_surface(mode: theme.Mode) -> None:
    tokens = theme.TOKENS[mode]
    for surface in ("bg", "panel", "raised", "hover", "accent-soft"):
        for text in ("text", "muted", "accent", "error-text"):
            assert theme.contrast(tokens[text], tokens[surface]) >= 4.5, (text, surface)
    for text, surface in (
        ("error-text", "error-soft"),
        ("warn", "warn-soft"),
        ("faint", "bg"),
        ("key", "bg"),
        ("string", "bg"),
        ("number", "bg"),
    ):
        assert theme.contrast(tokens[text], tokens[surface]) >= 4.5, (text, surface)


@pytest.mark.parametrize("mode", MODES)
def test_kinds_stand_out_and_are_told_apart_by_their_letter(mode: theme.Mode) -> None:
    colours = theme.kind_colours(mode)
    assert set(colours) == set(theme.LETTERS)
    for kind, colour in colours.items():
        assert theme.contrast(colour, theme.TOKENS[mode]["bg"]) >= 3, kind
        assert theme.contrast(theme.ink(colour), colour) >= 4.5, kind
    for one, other in combinations(colours, 2):
        assert theme.LETTERS[one] != theme.LETTERS[other]


def test_letters_agree_with_the_browser() -> None:
    source = (ASSETS / "dom.js").read_text(encoding="utf-8")
    found = dict(re.findall(r"(\w+): \"([A-Z])\"", source))
    assert found == theme.LETTERS

"""Every reason of a loss that the code counts has words of its own, and no words are left over."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanreel_exporters.duckdb import loss_words

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("tracer", "exporters", "viewer", "examples") for path in (ROOT / folder).rglob("*.py")
)
COUNTERS = ("lose", "loss", "lost", "losses", "_count")
"""What the callables and mappings that count losses are called, whatever stands before it."""


def test_every_reason_has_words() -> None:
    reasons = {reason for path in SOURCES for reason in _reasons(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(reasons) > 15
    assert {reason for reason in reasons if not _known(reason)} == set()


def test_all_words_are_used() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name != "loss_words.py")
    assert [reason for reason in loss_words._WORDS if f'"{reason}' not in texts] == []


@pytest.mark.parametrize("reason", ["orphan_record", "internal:httpx.send", "torn_record"])
def test_a_reason_is_told_with_what_to_do(reason: str) -> None:
    what, advice = loss_words.describe(reason)
    assert len(what) > 15
    assert advice


def _known(reason: str) -> bool:
    return "nothing is known" not in loss_words.describe(reason)[1]


def _reasons(tree: ast.AST) -> Iterator[str]:
    """The texts that are counted: first arguments of calls, and keys, of what is named like a counter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _counts(node.func):
            yield from _texts(node.args[0])
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _counts(node.value):
            yield from _texts(node.slice)


def _counts(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.endswith(COUNTERS)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            part.value
            for part in node.values
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )

"""Frameworks that run beside openai 3; see `framework_runs.py`."""

from __future__ import annotations

from framework_runs import (
    instrumented,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_unconfigure,
    server,
)

__all__ = [
    "instrumented",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_unconfigure",
    "server",
]

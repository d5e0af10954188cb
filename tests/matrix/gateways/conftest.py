"""LiteLLM keeps clients for the life of the process and never closes them; its open sockets are no news of ours."""

from __future__ import annotations

import gc
import warnings

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
        item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    warnings.simplefilter("ignore", ResourceWarning)
    gc.collect()

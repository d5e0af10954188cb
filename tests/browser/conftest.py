"""A viewer over the fixture store and a real Chromium; skipped, visibly, where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from viewer_browser import FLAGS, SUPPORT, Watched, chromium, serving, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The URL of a viewer over the fixture store."""
    with serving(str(SUPPORT / "viewer_serve.py")) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    found = chromium()
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or set SPANREEL_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def view(browser: Browser, base: str) -> Iterator[Watched]:
    """A watched page over the fixture store; fails the test when the page misbehaved."""
    with watched(browser, base) as it:
        yield it
        assert it.troubles == []

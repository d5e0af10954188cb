"""Driving a viewer in its own process with a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SUPPORT = Path(__file__).parent
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """The browser's path: SPANREEL_CHROMIUM, or what the machine has."""
    return os.environ.get("SPANREEL_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """Run a viewer and give its URL, which it prints once it answers."""
    state = tempfile.mkdtemp(prefix="spanreel-state-")
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT), "PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": state}
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said.startswith("spanreel viewer: "), said + process.stdout.read()
        yield said.removeprefix("spanreel viewer: ").strip().rstrip("/")
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[0]
        shutil.rmtree(state, ignore_errors=True)
        assert process.returncode == 0, rest
        assert not rest.strip(), rest


@dataclass
class Watched:
    """A page, and everything it did that it must not do."""

    page: Page
    base: str
    troubles: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a path and wait until it is drawn."""
        self.page.goto(self.base + path)
        self.page.wait_for_selector(".sr-page:not([data-state=loading])")
        return self.page


@contextmanager
def watched(browser: Browser, base: str, **options: Any) -> Iterator[Watched]:
    """A fresh context whose console, requests and failures are held against it."""
    context = browser.new_context(**{"viewport": {"width": 1600, "height": 980}, **options})
    page = context.new_page()
    it = Watched(page, base)
    page.on(
        "console",
        lambda message: (
            it.troubles.append(f"console {message.type}: {message.text}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: it.troubles.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            it.troubles.append(f"foreign: {request.url}") if not _ours(request.url, base) else None
        ),
    )
    page.on(
        "response",
        lambda answer: it.troubles.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None,
    )
    try:
        yield it
    finally:
        context.close()


def _ours(url: str, base: str) -> bool:
    return url.startswith((base + "/", base.replace("http", "ws") + "/", "data:", "blob:"))

"""What every test shares: a store of its own, our own failures made loud, no keeper, no leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["coverage_rows"]

os.environ["SPANREEL_KEEPER"] = "off"
for _name in ("SPANREEL_STORE", "SPANREEL_DISABLED", "SPANREEL_CAPTURE", "SPANREEL_REDACT", "TRACEPARENT"):
    os.environ.pop(_name, None)

from recording import Recording  # noqa: E402 - after the environment is clean

from spanreel.guard import guard  # noqa: E402
from spanreel.instruments import frameworks  # noqa: E402
from spanreel.wire import unseen  # noqa: E402

unseen.LIBRARIES = ()  # what other tests have imported is no loss of this one
frameworks.watched = ()


@pytest.fixture(autouse=True)
def loud_guard() -> Iterator[None]:
    """Failures of ours raise in our own tests; a test of the guard itself switches this off."""
    guard.strict = True
    yield
    guard.strict = False


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    """A recorder writing into a fresh store, and a way to read the journal back."""
    opened = Recording(tmp_path / "store dir")
    yield opened
    opened.close()

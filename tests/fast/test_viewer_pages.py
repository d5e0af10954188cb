"""The pages as Streamlit runs them: every page mounts, with and without a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import viewer_fixture as fixture
from streamlit.testing.v1 import AppTest

import spanreel_viewer
from spanreel_viewer import source

APP = Path(spanreel_viewer.__file__).with_name("app.py")


@pytest.fixture
def store() -> Iterator[None]:
    source.use(fixture.standard(many=1, sizes=()).source())
    yield
    source.use(None)


@pytest.mark.usefixtures("store")
def test_the_list_mounts_bar_and_list() -> None:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    assert not page.exception
    assert not page.error
    assert len(page.get("bidi_component")) == 2


@pytest.mark.usefixtures("store")
def test_the_trace_page_mounts() -> None:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    page.switch_page("views/trace.py").run()
    assert not page.exception
    assert len(page.get("bidi_component")) == 2


def test_without_a_store_the_page_says_how_to_start() -> None:
    source.use(None)
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    assert not page.exception
    assert "spanreel view" in page.error[0].value

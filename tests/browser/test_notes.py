"""What the programs use and is not recorded stands over the list, in one quiet line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viewer_browser import SUPPORT, serving, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SERVE = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
import viewer_fixture as fixture
from spanreel_exporters.duckdb.results import LossRow
from spanreel_viewer.launch import launch
store = fixture.standard(many=2, sizes=())
store.losses = [LossRow("unrecorded_framework:LangGraph (pip install 'spanreel[langgraph]')", 1, "app", 1, 1, 1)]
launch(store.source(), port=0, open_browser=False)
"""


def test_a_framework_that_is_not_recorded_is_named_over_the_list(browser: Browser) -> None:
    with serving("-c", SERVE) as base, watched(browser, base) as view:
        page = view.go("/")
        notice = page.locator(".sr-notice-note")
        notice.wait_for()
        assert notice.locator("span").inner_text() == "Not recorded: the steps of LangGraph."
        assert notice.locator("code").inner_text() == "pip install 'spanreel[langgraph]'"
        box = notice.bounding_box()
        assert box is not None
        assert box["height"] < 36
        assert page.locator(".sr-stat", has_text="Lost").inner_text().split("\n")[1].startswith("0")

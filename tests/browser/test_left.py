"""An answer that nobody read to its end says so in the list and over the trace, and leads to where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viewer_browser import SUPPORT, serving, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SERVE = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
import viewer_fixture as fixture
from viewer_traces import EPOCH_NS, left, retried
from spanreel_viewer.launch import launch
store = fixture.standard(many=2, sizes=())
store.add(left("1ef7" + fixture.trace_id(7)[4:], EPOCH_NS))
store.add(retried("4e74" + fixture.trace_id(8)[4:], EPOCH_NS))
launch(store.source(), port=0, open_browser=False)
"""


def test_an_answer_that_nobody_read_to_its_end_is_told(browser: Browser) -> None:
    with serving("-c", SERVE) as base, watched(browser, base) as view:
        page = view.go("/")
        page.locator("[data-trace-id^='1ef7']", has_text="abandoned").wait_for()
        page = view.go("/trace?trace=1ef7")
        page.locator(".sr-title .sr-mark", has_text="abandoned").wait_for()
        card = page.locator(".sr-warned")
        assert "The reader left before the end" in card.inner_text()
        card.click()
        page.wait_for_selector("[data-testid=trace-tree] [aria-selected=true]:has-text('chat gpt-4.1')")


def test_what_is_billed_by_other_units_than_tokens_has_usage(browser: Browser) -> None:
    with serving("-c", SERVE) as base, watched(browser, base) as view:
        page = view.go("/trace?trace=4e74")
        page.locator("[data-testid=trace-tree] [data-span-id]").nth(1).click()
        page.get_by_text("1 search unit, no price").wait_for()
        assert page.get_by_text("no known price for this model").count() == 1

"""The list as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import viewer_fixture as fixture
from viewer_browser import SUPPORT, Watched, serving, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROW = "[data-testid=trace-list] [data-trace-id]"
FIRST = fixture.trace_id(0)


def test_a_click_opens_the_trace_and_back_returns_to_the_row(view: Watched) -> None:
    page = view.go("/")
    page.locator(f'[data-trace-id="{FIRST}"]').click()
    page.wait_for_selector("[data-testid=trace-page][data-state=ready]")
    assert page.url.startswith(f"{view.base}/trace?trace={FIRST}")
    for _ in range(5):
        page.keyboard.press("j")
    page.wait_for_timeout(250)
    page.go_back()
    page.wait_for_selector(ROW)
    assert page.url == f"{view.base}/"
    page.wait_for_selector(f'[data-trace-id="{FIRST}"][aria-selected=true]')


def test_the_column_heads_stand_in_one_line(view: Watched) -> None:
    page = view.go("/")
    for width in (1600, 1200, 900):
        page.set_viewport_size({"width": width, "height": 900})
        head = page.get_by_role("columnheader", name="Failed steps")
        box = head.bounding_box()
        assert box is not None
        assert box["height"] < 28
        assert head.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_the_list_is_walked_by_keys(view: Watched) -> None:
    page = view.go("/")
    page.wait_for_selector(ROW)
    order = json.load(urllib.request.urlopen(f"{view.base}/api/traces?limit=5"))["rows"]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    selected = page.locator(f"{ROW}[aria-selected=true]")
    assert selected.get_attribute("data-trace-id") == order[1]["trace_id"]
    assert page.evaluate("document.activeElement.dataset.traceId") == order[1]["trace_id"]
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=trace-page][data-state=ready]")
    assert order[1]["trace_id"] in page.url
    page.keyboard.press("Escape")
    page.wait_for_selector(f'[data-trace-id="{order[1]["trace_id"]}"][aria-selected=true]')


def test_search_narrows_stands_in_the_address_and_survives_a_reload(view: Watched) -> None:
    page = view.go("/")
    page.wait_for_selector(ROW)
    page.keyboard.press("/")
    page.keyboard.type("licence")
    page.wait_for_selector(".sr-found:has-text('1 found')")
    page.wait_for_timeout(200)
    assert page.url == f"{view.base}/?q=licence"
    page.reload()
    page.wait_for_selector(ROW)
    assert page.locator("[data-testid=trace-search]").input_value() == "licence"
    assert page.locator(ROW).count() == 1
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelectorAll('[data-trace-id]').length > 10")
    assert page.locator("[data-testid=trace-search]").input_value() == ""


def test_a_match_is_marked_and_opened_where_it_stands(view: Watched) -> None:
    page = view.go("/?q=refund+window")
    page.wait_for_selector(ROW)
    row = page.locator(f'[data-trace-id="{FIRST}"]')
    assert row.locator(".sr-l-input mark").inner_text() == "refund window"
    page.locator("[data-testid=trace-search]").fill("288.0")
    row.locator(".sr-l-output mark").wait_for()
    assert row.locator(".sr-l-output").inner_text().startswith("in lookup_order: ")
    assert row.locator("mark").all_inner_texts() == ["288.0"]
    row.click()
    page.wait_for_selector("[data-testid=span-detail][data-state=ready]")
    assert page.url.endswith(f"&span=000a{FIRST[:12]}")
    assert "288" in page.locator("[data-testid=span-detail]").inner_text()
    page = view.go("/?q=organization")
    error = page.locator(".sr-row-error")
    assert error.inner_text() == "… for gpt-4.1 in organization org-1 on tokens per min", (
        "from where the match is seen"
    )
    page = view.go("/?q=%3Cimg+src")
    page.wait_for_selector("mark")
    assert set(page.locator("mark").all_inner_texts()) == {"<img src"}, "text, never markup"


def test_filters_are_in_the_address_both_ways(view: Watched) -> None:
    page = view.go("/?status=error")
    page.wait_for_selector(ROW)
    assert page.locator(ROW).count() == 1
    assert page.locator("[data-status=error]").get_attribute("aria-pressed") == "true"
    page.locator("[data-status='']").click()
    page.get_by_label("Model", exact=True).select_option("llama-3.3-70b")
    page.wait_for_selector(".sr-found:has-text('1 found')")
    page.wait_for_timeout(200)
    assert page.url == f"{view.base}/?model=llama-3.3-70b"
    assert page.locator(ROW).inner_text().startswith(page.locator(".sr-l-started").nth(1).inner_text())


def test_no_match_shows_the_way_back(view: Watched) -> None:
    page = view.go("/?q=nothing+holds+this")
    page.wait_for_selector("[data-testid=no-match]")
    page.get_by_role("button", name="Show all traces").click()
    page.wait_for_selector(ROW)


def test_figures_say_what_they_do_not_know(view: Watched) -> None:
    page = view.go("/")
    summary = page.locator("[data-testid=summary]")
    summary.get_by_text("lower bound, 1 unpriced").wait_for()
    assert "47" in summary.inner_text()
    assert "≥ $" in summary.inner_text()


def test_an_empty_store_teaches_and_the_first_trace_appears(browser: Browser, tmp_path: Path) -> None:
    store = tmp_path / "shop" / ".spanreel"
    store.parent.mkdir()
    serve = "import sys; from spanreel_viewer.launch import launch; launch(sys.argv[1], port=0, open_browser=False)"
    record = (
        "import sys, spanreel\nspanreel.configure(store=sys.argv[1], keeper='off')\n"
        "@spanreel.trace(kind='agent')\ndef answer(question): return 'Within 30 days.'\n"
        "answer('What is the refund window?')\n"
    )
    with serving("-c", serve, str(store)) as base, watched(browser, base) as it:
        page = it.go("/")
        page.wait_for_selector("[data-testid=first-run]")
        assert "@spanreel.trace" in page.locator("[data-testid=first-run]").inner_text()
        assert "spanreel demo" in page.locator("[data-testid=first-run]").inner_text()
        subprocess.run([sys.executable, "-c", record, str(store)], check=True, timeout=60)
        row = page.locator(ROW)
        row.first.wait_for(timeout=20_000)
        assert "What is the refund window?" in row.inner_text()
        subprocess.run([sys.executable, "-c", record, str(store)], check=True, timeout=60)
        page.locator(ROW).nth(1).wait_for(timeout=20_000)
        page.locator(ROW).first.click()
        page.locator("[data-testid=span-detail]").get_by_text("Within 30 days.").wait_for()
        assert it.troubles == []


def test_a_token_opens_the_door_once(browser: Browser) -> None:
    with (
        serving(str(SUPPORT / "viewer_serve.py"), "--empty", "--token", "s3cret") as address,
        watched(browser, address.partition("/?")[0]) as it,
    ):
        page = it.page
        page.goto(address)
        page.wait_for_selector("[data-testid=first-run]")
        assert "s3cret" not in page.url
        assert it.troubles == []

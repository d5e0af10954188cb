"""The trace page as a person uses it."""

from __future__ import annotations

import pytest
import viewer_fixture as fixture
from viewer_browser import Watched

TRACE = fixture.trace_id(0)
SELECTED = "[data-testid=trace-tree] [data-span-id][aria-selected=true]"


def span_id(number: int, trace: str = TRACE) -> str:
    return f"{number:04x}{trace[:12]}"


def opened(view: Watched, number: int | None = None) -> object:
    page = view.go(f"/trace?trace={TRACE}" + (f"&span={span_id(number)}" if number else ""))
    page.wait_for_selector("[data-testid=span-detail][data-state=ready]")
    return page


def test_a_deep_link_selects_the_span_and_a_reload_keeps_it(view: Watched) -> None:
    opened(view, 12)
    page = view.page
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(12)
    assert page.locator("[data-testid=span-detail]").get_attribute("data-span-id") == span_id(12)
    page.keyboard.press("k")
    page.wait_for_timeout(300)
    assert page.url.endswith(f"&span={span_id(11)}")
    page.reload()
    page.wait_for_selector("[data-testid=span-detail][data-state=ready]")
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(11)


def test_the_tree_is_a_treegrid_and_keys_walk_it(view: Watched) -> None:
    opened(view)
    page = view.page
    assert page.locator("[data-testid=trace-tree]").get_attribute("role") == "treegrid"
    page.keyboard.press("End")
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(13)
    page.keyboard.press("Home")
    page.keyboard.press("l")
    row = page.locator(SELECTED)
    assert row.get_attribute("aria-level") == "2"
    assert row.get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowLeft")
    assert row.get_attribute("aria-expanded") == "false"
    assert page.locator("[data-testid=trace-tree] [data-span-id]").count() == 12
    page.keyboard.press("h")
    assert page.locator(SELECTED).get_attribute("aria-level") == "1"
    assert page.evaluate("document.activeElement.dataset.spanId") == span_id(1)
    assert page.locator("[data-span-id][tabindex='0']").count() == 1
    page.keyboard.press("e")
    assert "lookup_order" in page.locator(SELECTED).inner_text()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog", name="Keys").count() == 0


def test_arrows_do_not_fill_the_history(view: Watched) -> None:
    opened(view)
    page = view.page
    before = page.evaluate("history.length")
    for _ in range(8):
        page.keyboard.press("j")
    page.keyboard.press("n")
    page.wait_for_timeout(400)
    assert page.evaluate("history.length") == before


def test_finding_filters_the_tree(view: Watched) -> None:
    opened(view)
    page = view.page
    page.keyboard.press("/")
    page.keyboard.type("lookup")
    rows = page.locator("[data-testid=trace-tree] [data-span-id]")
    assert rows.count() == 4, "two matches and their two ancestors"
    page.keyboard.press("Enter")
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(10)
    page.keyboard.press("Escape")
    assert rows.count() == 13
    page.keyboard.press("/")
    page.keyboard.type("zzz")
    page.get_by_text("No span matches.").wait_for()


def test_a_failed_trace_opens_where_its_failure_began(view: Watched) -> None:
    trace = "fa11" + fixture.trace_id(900)[4:]
    page = view.go(f"/trace?trace={trace}")
    page.wait_for_selector("[data-testid=span-detail][data-state=ready]")
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(3, trace)
    assert (
        page.locator("[data-story='what is wrong']").inner_text().startswith("What is wrong in chat gpt-4.1")
    )
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_timeout(300)
    left = page.locator("[data-story='what is wrong']").bounding_box()
    assert left is not None
    assert left["x"] < 20


def test_the_head_tells_the_story_and_jumps(view: Watched) -> None:
    opened(view)
    page = view.page
    head = page.locator(".sr-head")
    assert "What is the refund window" in head.locator(".sr-asked").inner_text()
    assert "Annual plans can be refunded" in head.locator(".sr-answered").inner_text()
    head.get_by_text("TimeoutError").click()
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(9)
    detail = page.locator("[data-testid=span-detail]")
    detail.get_by_text("orders-db did not answer within 400 ms").first.wait_for()
    assert "tools.py" in detail.locator(".sr-stack").inner_text()


def test_a_model_call_shows_conversation_calls_with_results_and_usage(view: Watched) -> None:
    opened(view, 12)
    detail = view.page.locator("[data-testid=span-detail]")
    headings = detail.locator("h3").all_inner_texts()
    assert headings[:2] == ["Answer", "Conversation"], "the answer of this very call comes first"
    assert "Hello, I bought the annual plan." not in detail.inner_text()
    detail.get_by_role("button", name="4 earlier messages").click()
    text = detail.inner_text()
    assert text.index("system") < text.index("Hello, I bought the annual plan.")
    call = detail.locator(".sr-call")
    assert "lookup_order" in call.inner_text()
    assert "2026-11-03" in call.locator(".sr-call-result").inner_text()
    assert "from cache" in text
    assert "1,792" in text
    assert "Annual plans can be refunded within 30 days" in detail.locator(".sr-answer").inner_text()
    view.page.keyboard.press("Home")
    view.go(f"/trace?trace={TRACE}&span={span_id(8)}")
    view.page.locator("[data-testid=span-detail] .sr-call .sr-link").click()
    assert view.page.locator(SELECTED).get_attribute("data-span-id") == span_id(9)


def test_a_tool_call_and_its_run_lead_to_each_other(view: Watched) -> None:
    page = view.go(f"/trace?trace={TRACE}&span={span_id(8)}")
    detail = page.locator("[data-testid=span-detail]")
    ran, left = detail.locator(".sr-call").all()
    assert "lookup_order" in ran.inner_text()
    assert "not run" not in ran.inner_text()
    assert "open_ticket" in left.inner_text()
    assert "not run" in left.inner_text()
    ran.locator(".sr-link").click()
    asked = detail.locator(".sr-asked")
    assert asked.inner_text() == "asked by chat gpt-4.1"
    asked.get_by_role("button").click()
    assert page.locator(SELECTED).get_attribute("data-span-id") == span_id(8)
    view.go(f"/trace?trace={TRACE}&span={span_id(10)}")
    detail.get_by_role("heading", name="lookup_order").wait_for()
    assert asked.count() == 0, "nobody asked for it a second time"


def test_retrieved_documents_show_with_scores(view: Watched) -> None:
    opened(view, 4)
    documents = view.page.locator("[data-testid=span-detail] .sr-doc")
    assert documents.count() == 3
    assert "policy.md#refunds" in documents.first.inner_text()
    assert "12.41" in documents.first.inner_text()
    documents.nth(2).get_by_role("button", name="Show all").click()
    assert documents.nth(2).get_by_role("button", name="Show less").is_visible()


def test_attributes_and_raw(view: Watched) -> None:
    opened(view, 12)
    page = view.page
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_text("gen_ai.request.temperature").wait_for()
    page.get_by_role("tab", name="Raw").click()
    page.get_by_text("Over the wire").wait_for()
    page.get_by_text("Request, ").click()
    page.locator(".sr-json-key", has_text="messages").first.wait_for()


def test_an_embedding_is_counted_not_printed(view: Watched) -> None:
    opened(view, 5)
    text = view.page.locator("[data-testid=span-detail]").inner_text()
    assert "1,536 numbers" in text
    assert len(text) < 1500


def test_both_panes_share_the_width_as_dragged(view: Watched) -> None:
    opened(view)
    page = view.page
    before = page.locator(".sr-left").bounding_box()
    handle = page.locator(".sr-split").bounding_box()
    assert before
    assert handle
    page.mouse.move(handle["x"] + 3, handle["y"] + 200)
    page.mouse.down()
    page.mouse.move(handle["x"] - 200, handle["y"] + 200, steps=4)
    page.mouse.up()
    after = page.locator(".sr-left").bounding_box()
    assert after
    assert 180 < before["width"] - after["width"] < 220


@pytest.mark.parametrize(
    ("prefix", "marks"), [("aa00", ["running"]), ("b0b0", ["interrupted", "from outside", "parent missing"])]
)
def test_unfinished_traces_are_marked(view: Watched, prefix: str, marks: list[str]) -> None:
    page = view.go(f"/trace?trace={prefix}")
    page.wait_for_selector("[data-testid=trace-tree] [data-span-id]")
    said = page.locator("[data-testid=trace-tree]").inner_text()
    for mark in marks:
        assert mark in said


def test_a_prefix_opens_the_trace_and_the_address_is_made_whole(view: Watched) -> None:
    page = view.go("/trace?trace=fa11")
    page.wait_for_timeout(200)
    assert "trace=fa11" in page.url
    assert len(page.url.split("trace=")[1].split("&")[0]) == 32


def test_an_unknown_trace_is_a_page_not_a_blank(view: Watched) -> None:
    page = view.go("/trace?trace=abcdef")
    page.get_by_text("No such trace here").wait_for()
    page.get_by_role("link", name="All traces", exact=True).click()
    page.wait_for_selector("[data-testid=trace-list] [data-trace-id]")
    view.troubles[:] = [trouble for trouble in view.troubles if "404" not in trouble]


def test_ten_thousand_spans_open_and_move(view: Watched) -> None:
    page = view.go("/trace?trace=010000")
    page.wait_for_selector("[data-testid=trace-tree] [data-span-id]")
    rows = page.locator("[data-testid=trace-tree] [data-span-id]")
    assert rows.count() < 80, "only rows in view are elements"
    page.keyboard.press("]")
    page.keyboard.press("End")
    last = page.locator(SELECTED)
    last.wait_for()
    assert int(last.get_attribute("aria-rowindex") or 0) == 10_001
    page.keyboard.press("e")
    assert "error" in page.locator(SELECTED).inner_text()
    page.keyboard.press("[")
    assert rows.count() < 80
    page.keyboard.press("w")
    page.keyboard.press("f")
    page.keyboard.press("0")
    assert page.locator(SELECTED).count() == 1


def test_an_interrupted_trace_leads_to_where_it_stopped(view: Watched) -> None:
    view.go("/trace?trace=b0b0")
    view.page.locator(".sr-warned").click()
    view.page.wait_for_selector(f"{SELECTED}:has-text('chat gpt-4.1')")
    assert "in chat gpt-4.1" in view.page.locator(".sr-warned").inner_text()

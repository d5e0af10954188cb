"""What a trace says stays text, and strangers get nothing."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import viewer_fixture as fixture
from viewer_browser import Watched, watched
from viewer_traces import PIXEL

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize("number", [1, 2, 3])
def test_markup_in_a_trace_is_shown_not_run(view: Watched, number: int) -> None:
    page = view.go("/")
    page.wait_for_selector("[data-trace-id]")
    trace = next(
        row["trace_id"]
        for row in page.evaluate("() => fetch('/api/traces?limit=50').then((a) => a.json())")["rows"]
        if row["trace_id"].startswith("666f")
    )
    page = view.go(f"/trace?trace={trace}&span={number:04x}{trace[:12]}")
    page.wait_for_selector("[data-testid=span-detail][data-state=ready]")
    detail = page.locator("[data-testid=span-detail]")
    assert "<script>window.__owned=1</script>" in detail.inner_text()
    for tab in ("Attributes", "Raw"):
        page.get_by_role("tab", name=tab).click()
    assert page.evaluate("window.__owned === undefined")
    assert (
        page.locator(
            ".sr-page script, .sr-page img[src*='evil'], .sr-page a[href*='evil'], .sr-page a[href^=javascript]"
        ).count()
        == 0
    )


def test_binary_data_is_named_not_printed(view: Watched) -> None:
    page = view.go("/trace?trace=666f")
    page.wait_for_selector("[data-testid=trace-tree] [data-span-id]")
    page.keyboard.press("j")
    detail = page.locator("[data-testid=span-detail]")
    detail.get_by_text("image/png").wait_for()
    assert PIXEL not in detail.inner_text()


def test_the_policy_stops_an_image_that_would_phone_out(browser: Browser, base: str) -> None:
    with watched(browser, base) as it:
        page = it.go("/")
        asked: list[str] = []
        page.on("response", lambda answer: asked.append(answer.url))
        page.evaluate(
            "() => { const i = new Image(); i.src = 'http://evil.example/x.png'; document.body.append(i); }"
        )
        page.wait_for_timeout(300)
        assert any("Content Security Policy" in trouble for trouble in it.troubles)
        assert not [url for url in asked if "evil" in url]


def answer(base: str, path: str, headers: dict[str, str], method: str = "GET") -> int:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    connection.request(method, path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    "path", ["/", "/trace", "/api/traces", "/assets/dom.js", "/_stcore/health", "/static/js/x.js"]
)
def test_a_forged_host_gets_nothing(base: str, path: str) -> None:
    assert answer(base, path, {"Host": "evil.example"}) == 400


def test_a_websocket_of_another_origin_is_refused(base: str) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    own = urlsplit(base).netloc
    assert answer(base, "/_stcore/stream", {**upgrade, "Host": own, "Origin": f"http://{own}"}) == 101
    assert answer(base, "/_stcore/stream", {**upgrade, "Host": own, "Origin": "http://evil.example"}) == 403
    assert answer(base, "/_stcore/stream", {**upgrade, "Host": "evil.example"}) == 403


def test_writes_of_another_origin_are_refused(base: str) -> None:
    assert answer(base, "/api/traces", {"Origin": "http://evil.example"}, "POST") == 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1600, 980), (1100, 800), (420, 860)])
def test_pictures_of_every_size_and_theme(
    browser: Browser, base: str, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    with watched(browser, base, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme) as it:
        for name, path in (("list", "/"), ("trace", f"/trace?trace={fixture.trace_id(0)}")):
            page = it.go(path)
            page.wait_for_selector("[data-trace-id], [data-span-id]")
            page.wait_for_timeout(200)
            picture = tmp_path / f"{name}_{size[0]}_{scheme}.png"
            page.screenshot(path=str(picture))
            assert picture.stat().st_size > 10_000
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            background = page.evaluate("getComputedStyle(document.querySelector('.sr-page')).backgroundColor")
            assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 18, 22)"}[scheme]
        assert it.troubles == []


def test_the_theme_can_be_chosen_and_stays(view: Watched) -> None:
    page = view.go("/")
    button = page.get_by_role("button", name="Theme: as the system")
    button.click()
    page.get_by_role("button", name="Theme: light").click()
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.sr-page')).backgroundColor")
        == "rgb(15, 18, 22)"
    )
    page.reload()
    page.get_by_role("button", name="Theme: dark").wait_for()
    assert json.loads(page.evaluate("JSON.stringify(document.documentElement.dataset.theme)")) == "dark"

"""Take the README's picture: record the demo, open the viewer, photograph a trace. `make picture` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path(__file__).with_name("trace.png")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
ROW = "[data-testid=trace-tree] [data-span-id]"


def main() -> None:
    """Write docs/trace.png."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        cli = [sys.executable, "-m", "spanreel.cli", "--store", store]
        subprocess.run([*cli, "demo", "--no-view", "--offline"], check=True)  # noqa: S603
        viewer = subprocess.Popen([*cli, "view", "--no-browser"], stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            line = viewer.stdout.readline() if viewer.stdout else ""
            address = re.search(r"http://\S+", line)
            if address is None:
                raise SystemExit(f"the viewer did not start: {line}")
            photograph(address[0].rstrip("/"))
        finally:
            viewer.terminate()
            viewer.wait()


def photograph(base: str) -> None:
    """Open the trace with a refund in it, select its answer, and save the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(
            viewport={"width": 1400, "height": 760}, color_scheme="dark", device_scale_factor=1.5
        )
        page.goto(base)
        page.locator("[data-testid=trace-list] [data-trace-id]", has_text="start the refund").first.click()
        page.wait_for_selector(ROW)
        page.locator(ROW, has_text="chat gpt").last.click()
        page.wait_for_selector("[data-testid=span-detail]")
        page.wait_for_timeout(700)
        page.screenshot(path=str(OUT))
        browser.close()


if __name__ == "__main__":
    main()

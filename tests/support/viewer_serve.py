"""Serves the fixture store for the browser tests: `python viewer_serve.py [--empty] [--token T]`; prints the URL."""

from __future__ import annotations

import argparse

import viewer_fixture as fixture

from spanreel_viewer.launch import launch


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token")
    asked = parser.parse_args()
    store = fixture.Store() if asked.empty else fixture.standard()
    launch(store.source(), port=asked.port, open_browser=False, token=asked.token)


main()

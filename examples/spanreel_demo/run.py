"""`spanreel demo`: records a day at the support desk and opens the viewer on it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import openai

import spanreel
from spanreel.store import user_store
from spanreel_demo import day, models
from spanreel_demo.model_server import ModelServer

SERVICE = "fernwheel-desk"
PACE = 0.4
"""How fast the bundled model talks; 1.0 is the speed of a small hosted model."""
INSTALL_VIEWER = "The viewer is not installed: pip install 'spanreel[viewer]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Record the demo, unless its store has it already, and open the viewer. Returns the exit code."""
    options = _parser().parse_args(argv)
    store = Path(os.path.abspath(options.store)) if options.store else demo_store()  # noqa: PTH100 - keep links
    found = _recorded(store)
    if found >= day.TRACES and not options.again:
        print(f"The demo is recorded already: {found} traces in {store} (--again adds another day).")
    else:
        code = record(store, pace=options.pace, offline=options.offline)
        if code:
            return code
    if options.no_view:
        print(f"Look at it: spanreel view --store {_quoted(store)}")
        return 0
    return _view(store, port=options.port, browser=not options.no_browser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spanreel demo", description=__doc__)
    parser.add_argument("--store", help="where to record (default: a store of the demo's own)")
    parser.add_argument("--no-view", action="store_true", help="record only, do not open the viewer")
    parser.add_argument(
        "--no-browser", action="store_true", help="print the viewer's address, open no browser"
    )
    parser.add_argument("--port", type=int, help="the viewer's port")
    parser.add_argument("--again", action="store_true", help="record another day into the same store")
    parser.add_argument(
        "--offline", action="store_true", help="use the bundled model in spite of OPENAI_API_KEY"
    )
    parser.add_argument("--pace", type=float, default=PACE, help="scales all waiting of the bundled model")
    return parser


def demo_store() -> Path:
    """Return the demo's own store: its traces belong neither into a project's store nor into SPANREEL_STORE."""
    return user_store().with_name("spanreel-demo")


def record(store: Path, *, pace: float = PACE, offline: bool = False) -> int:
    """Record the whole day into `store` and say so. Returns the exit code."""
    began = time.monotonic()
    with ExitStack() as stack:
        server = None
        if offline or not ({"OPENAI_API_KEY", "OPENAI_BASE_URL"} & os.environ.keys()):
            server = stack.enter_context(ModelServer(pace=pace))
        stack.enter_context(_environment(server))
        _introduce(server)
        spanreel.configure(store=store, service_name=SERVICE)
        try:
            _play(day.Day(server, store))
        except (openai.AuthenticationError, openai.APIConnectionError) as error:
            print(f"The model does not answer ({_first_line(error)}). `spanreel demo --offline` needs none.")
            return 1
    spanreel.flush()
    found = _recorded(store)
    if not found:
        print("Nothing was recorded. Is SPANREEL_DISABLED set?")
        return 1
    print(f"Recorded in {time.monotonic() - began:.0f} s: {found} traces in {store}")
    return 0


def _play(today: day.Day) -> None:
    """Play all scenes; one that goes wrong unexpectedly is part of the recording, not the end of it."""
    for title, scenes in day.PARTS:
        print(f"  {title}", flush=True)
        for scene in scenes:
            try:
                scene(today)
            except (openai.AuthenticationError, openai.APIConnectionError):
                raise
            except Exception as error:
                print(f"    ({scene.__name__} failed: {_first_line(error)})")


def _introduce(server: ModelServer | None) -> None:
    print("A support desk answers its customers, and spanreel records it.")
    if server is not None:
        print(
            f"The model is a stand-in on this machine ({server.base_url}): no key, no cost, nothing leaves it."
        )
    else:
        names = models.models()
        url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
        print(
            f"The model is {names.chat} at {url}; about 60 small calls (--offline uses a stand-in instead)."
        )


@contextmanager
def _environment(server: ModelServer | None) -> Iterator[None]:
    """Set what the openai client and the recorder of child processes read, for as long as the demo runs."""
    before = dict(os.environ)
    os.environ.setdefault("OPENAI_API_KEY", "none")
    os.environ["OTEL_SERVICE_NAME"] = SERVICE
    if server is not None:
        os.environ.update(OPENAI_API_KEY="demo", OPENAI_BASE_URL=server.base_url)
        # A proxy must not be asked for the loopback interface.
        os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        for name in ("OPENAI_MODEL", "OPENAI_EMBEDDING_MODEL"):
            os.environ.pop(name, None)
    models.client.cache_clear()
    try:
        yield
    finally:
        if models.client.cache_info().currsize:
            models.client().close()
            models.client.cache_clear()
        os.environ.clear()
        os.environ.update(before)


def _recorded(store: Path) -> int:
    """Return how many traces of the demo are in `store`."""
    if not (store / "journal").is_dir():
        return 0
    rows = spanreel.sql("SELECT count(*) AS traces FROM traces WHERE service = ?", [SERVICE], store=store)
    return int(rows[0]["traces"])


def _view(store: Path, *, port: int | None, browser: bool) -> int:
    if find_spec("streamlit") is None:
        print(INSTALL_VIEWER)
        return 1
    from spanreel_viewer.launch import DEFAULT_PORT, LaunchError, launch

    try:
        launch(store, port=port or DEFAULT_PORT, open_browser=browser)
    except LaunchError as error:
        print(error)
        return 1
    return 0


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: INP001 - it must be found as the top-level module `sitecustomize`
"""First on PYTHONPATH under `spanreel run`: starts the recorder, after the sitecustomize it stands before."""

from __future__ import annotations

import sys
from pathlib import Path


def _next_one() -> None:
    """Run the sitecustomize that would have been found without us, under its own name."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = Path(__file__).absolute().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _start() -> None:
    try:
        from spanreel import _autostart
    except Exception:
        _say_absent()  # this interpreter has no spanreel
        return
    _autostart.start()


def _say_absent() -> None:
    """Answer `spanreel run` without spanreel; the line is that of `spanreel.handshake.answer`."""
    try:
        import os

        handle = os.open(os.environ["SPANREEL_RUN_LOG"], os.O_WRONLY | os.O_APPEND)
        os.write(handle, f"{os.getpid()}\tabsent\t{sys.executable}\n".encode(errors="replace"))
        os.close(handle)
    except Exception:
        pass


try:
    _next_one()
finally:
    _start()

"""The table of hooks: put in now or at import, by version, reversible, and never in the program's way."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recording import Recording

import spanreel
from spanreel import wire
from spanreel.guard import guard
from spanreel.hooks import Hook, Hooks, Outcome

HOOK = """
def install(module):
    original = module.answer
    module.answer = lambda: original() + 1
    def undo():
        module.answer = original
    return undo
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A distribution `lib-<n>` with a package, a submodule and a hook module of ours for it."""
    name = f"hooked_{tmp_path.name.replace('-', '_')}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("def answer(): return 1\n")
    (package / "deep.py").write_text("def answer(): return 10\n")
    (tmp_path / f"{name}_hook.py").write_text(HOOK)
    info = tmp_path / f"{name}_dist-2.3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 2.3.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def _hook(name: str, **changes: Any) -> Hook:
    hook = Hook(name, f"{name}_hook", (2,), (3,), distribution=f"{name}-dist")
    return hook._replace(**changes)


def _answer(name: str) -> int:
    return int(sys.modules[name].answer())


def test_a_library_is_wrapped_when_it_is_imported_and_only_then(library: str) -> None:
    hooks = Hooks("test", [_hook(library, imports=(library, f"{library}.deep"))])
    assert [outcome.state for outcome in hooks.install()] == ["not imported"]
    assert library not in sys.modules
    importlib.import_module(library)
    assert hooks.outcomes() == [Outcome(library, "wrapped", "2.3.1")]
    assert _answer(library) == 2
    assert f"{library}.deep" not in sys.modules
    importlib.import_module(f"{library}.deep")
    assert _answer(f"{library}.deep") == 11


def test_install_is_idempotent_and_uninstall_takes_all_out(library: str) -> None:
    importlib.import_module(f"{library}.deep")
    hooks = Hooks("test", [_hook(library, imports=(library, f"{library}.deep"))])
    assert hooks.install() == hooks.install() == [Outcome(library, "wrapped", "2.3.1")]
    assert (_answer(library), _answer(f"{library}.deep")) == (2, 11)
    hooks.uninstall()
    assert (_answer(library), _answer(f"{library}.deep")) == (1, 10)
    assert hooks.outcomes() == [Outcome(library, "not imported", "uninstalled")]
    hooks.install()
    assert (_answer(library), _answer(f"{library}.deep")) == (2, 11)


def test_one_that_was_taken_out_before_its_import_stays_out(library: str) -> None:
    hooks = Hooks("test", [_hook(library)])
    hooks.install()
    hooks.uninstall()
    importlib.import_module(library)
    assert _answer(library) == 1
    hooks.install()
    assert _answer(library) == 2


@pytest.mark.parametrize(
    ("minimum", "below", "state"),
    [((2,), (3,), "wrapped"), ((2, 3, 1), (2, 3, 2), "wrapped"), ((2, 4), (3,), "out of range"), ((1,), (2, 3), "out of range")],
)  # fmt: skip
def test_versions_come_from_the_distribution(
    library: str, minimum: tuple[int, ...], below: tuple[int, ...], state: str
) -> None:
    importlib.import_module(library)
    (outcome,) = Hooks("test", [_hook(library, minimum=minimum, below=below)]).install()
    assert outcome.state == state
    assert "2.3.1" in outcome.reason


def test_a_package_tells_its_version_first(library: str) -> None:
    module = importlib.import_module(library)
    module.__version__ = "9.0"  # type: ignore[attr-defined]
    hook = _hook(library, distribution="")
    assert Hooks("test", [hook]).wrap(hook, ModuleType(library)).reason == f"{library} 9.0 is not >=2,<3"
    vars(module).pop("__version__")
    assert Hooks("test", [hook]).wrap(hook, module).reason == f"{library} of unknown version is not >=2,<3"


def test_a_hook_that_breaks_costs_only_itself(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)
    hooks = Hooks("test", [_hook("json", minimum=(0,), distribution="wrapt"), _hook(library)])
    hooks.install()
    importlib.import_module(library)
    broken, fine = hooks.outcomes()
    assert (broken.state, fine.state) == ("failed", "wrapped")
    assert "json_hook" in broken.reason


def test_threads_wrap_once(library: str) -> None:
    hooks = Hooks("test", [_hook(library)])
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        hooks.install() if number % 2 else importlib.import_module(library)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hooks.install()
    assert _answer(library) == 2


def test_instrument_tells_of_every_name(recording: Recording) -> None:
    outcomes = {outcome.name: outcome for outcome in spanreel.instrument("httpx", "htpx")}
    assert set(outcomes) == {"httpx", "htpx"}
    assert outcomes["htpx"].state == "unknown"
    assert "did you mean 'httpx'?" in outcomes["htpx"].reason
    everything = {outcome.name for outcome in spanreel.instrument(exclude=["httpx2"])}
    assert "httpx" in everything
    assert "httpx2" not in everything
    wire.install()

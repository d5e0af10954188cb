"""Libraries that the wire does not see: noted once a process, named by `doctor`, no loss."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from recording import Recording

import spanreel
from spanreel import recorder
from spanreel.wire import unseen
from spanreel_exporters.duckdb.doctor import doctor
from spanreel_exporters.duckdb.loss_words import describe, is_note

PROGRAM = """
import sys, types
sys.modules["grpc"] = types.ModuleType("grpc")
import spanreel
with spanreel.span("root"):
    pass
"""


def test_an_imported_library_is_named_by_doctor(tmp_path: Path) -> None:
    store = tmp_path / "store"
    environment = {"SPANREEL_STORE": str(store), "SPANREEL_KEEPER": "off", "OTEL_SERVICE_NAME": "billing"}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)
    with_names = [check for check in doctor(store).checks if check.name == "libraries"]
    assert [check.level for check in with_names] == ["info"]
    assert with_names[0].text == "grpc: a library whose calls the wire does not see (in billing)"
    assert "@spanreel.trace.llm" in with_names[0].advice
    assert [check.text for check in doctor(store).checks if check.name == "losses"] == ["nothing was lost"]


def test_a_server_of_websockets_calls_nobody() -> None:
    """What uvicorn and FastAPI import of websockets is their server; only its client makes calls."""
    code = """
from spanreel.wire.unseen import found
serving = dict.fromkeys(("websockets", "websockets.server", "websockets.sansio"))
print(found(serving), found({**serving, "websockets.client": None}))
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "[] ['websockets.client']\n"


def test_each_is_noted_once(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unseen, "LIBRARIES", ("json", "there.is.no.such"))
    active = recorder.active()
    assert active is not None
    with spanreel.span("root"):
        for _ in range(3):
            active.note_unseen()
    assert recording.losses() == {"unseen_library:json": 1}


def test_nothing_is_noted_where_nothing_is_watched(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unseen, "LIBRARIES", ("json",))
    recorder.widen("off")
    active = recorder.active()
    assert active is not None
    with spanreel.span("root"):
        pass
    recorder.configure(service_name="other")
    active = recorder.active()
    assert active is not None
    active.note_unseen()
    assert recording.losses() == {}


def test_a_library_out_of_range_is_unseen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from spanreel import wire
    from spanreel.hooks import Outcome

    outcomes = [
        Outcome("urllib3", "out of range", "urllib3 1.26.20 is not >=2,<3"),
        Outcome("httpx", "wrapped"),
    ]
    monkeypatch.setattr(wire, "outcomes", lambda: outcomes)
    assert unseen.found({"websockets": object()}) == ["urllib3 (urllib3 1.26.20 is not >=2,<3)"]
    monkeypatch.setattr(unseen, "LIBRARIES", ("grpc", "websockets"))
    assert unseen.found({"websockets": object()})[0] == "websockets"


def test_a_note_is_told_from_a_loss() -> None:
    assert is_note("unseen_library:grpc")
    assert not is_note("wire_truncated")
    assert describe("unseen_library:grpc") == describe("unseen_library")

"""Applications that other packages instrument, run in a process of their own: what they export over OTLP, imported."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loopback import Asked, Loopback, Reply

from spanreel.config import Settings
from spanreel_exporters.otlp.importing import import_files


class Collector(Loopback):
    """Takes what is exported over OTLP, as a collector does."""

    def reply(self, asked: Asked) -> Reply:
        return Reply(b"", content_type="application/x-protobuf")


def exported(command: Sequence[str], folder: Path, store: Path, *, home: Path, **environment: str) -> Path:
    """Run a program in `folder` with a collector beside it, and import what it exported: the store."""
    with Collector() as collector:
        told = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "SPANREEL_DISABLED": "1", "HOME": str(home),
        }  # fmt: skip
        ran = subprocess.run(
            command,
            env={**os.environ, **told, **environment},
            cwd=folder,
            timeout=90,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        files = []
        for number, asked in enumerate(asked for asked in collector.requests if asked.path == "/v1/traces"):
            packed = asked.headers.get("content-encoding") == "gzip"
            files.append(home / f"{number}.pb{'.gz' if packed else ''}")
            files[-1].write_bytes(asked.raw)
    assert files, f"nothing was exported: {ran.stderr}"
    outcome = import_files(store, [str(file) for file in files], Settings())
    assert outcome.troubles == []
    return store

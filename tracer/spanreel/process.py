"""What identifies this process in the journal."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from typing import Any

from spanreel import clock
from spanreel.config import Settings
from spanreel.version import __version__


def boot_id() -> str:
    """The kernel's id of this boot; the host name where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return platform.node()


def describe(settings: Settings) -> dict[str, Any]:
    """The `process` record: who wrote a segment, under which service and resource."""
    boot = boot_id()
    digest = hashlib.sha256(boot.encode()).hexdigest()[:8]
    pid = os.getpid()
    argv = getattr(sys, "argv", None) or [""]
    return {
        "pid": pid,
        "procid": f"{pid}-{digest}-{os.urandom(4).hex()}",
        "boot_id": boot,
        "host": platform.node(),
        "start_ns": clock.now(),
        "python": platform.python_version(),
        "spanreel": __version__,
        "executable": sys.executable or "",
        "argv0": os.path.basename(str(argv[0])),  # noqa: PTH119
        "service": settings.service_name or _default_service(str(argv[0])),
        "environment": settings.environment,
        "release": settings.release,
        "resource": dict(settings.resource),
    }


def _default_service(argv0: str) -> str:
    """The script's name, as a reader would call it; OpenTelemetry's `unknown_service` otherwise."""
    name = os.path.basename(argv0)  # noqa: PTH119
    if name == "__main__.py":
        name = os.path.basename(os.path.dirname(argv0))  # noqa: PTH119, PTH120
    if name in {"", "-c", "-m"}:
        return "unknown_service"
    return name.removesuffix(".py")

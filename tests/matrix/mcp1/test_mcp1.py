"""MCP, the real SDK of 1.x: the same tests as for 2.x."""

from __future__ import annotations

import pytest

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.covers("MCP client and server", package="mcp"),
]

from mcp_cases import *  # noqa: E402, F403 - the same tests for every version of the SDK

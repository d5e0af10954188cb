"""MCP, the real SDK: a server process over stdio, one over HTTP, and one in this process."""

from __future__ import annotations

import pytest

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.covers("MCP client and server", package="mcp"),
]

from mcp_cases import *  # noqa: E402, F403 - the same tests for every version of the SDK

"""A small MCP server on the real SDK, 2.x or 1.x: `python mcp_server.py` speaks over stdin and stdout."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as types
from mcp.shared.memory import create_client_server_memory_streams
from web_server import uvicorn_serving

import spanreel

_module: Any
try:
    _module = importlib.import_module("mcp.server.mcpserver")
except ImportError:
    _module = importlib.import_module("mcp.server.fastmcp")
if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
else:
    Context = _module.Context


def make() -> Any:
    """A server with tools that work, fail, wait and ask back, a prompt and a resource."""
    server: Any = (getattr(_module, "MCPServer", None) or _module.FastMCP)("letters")

    @server.tool()
    @spanreel.trace.tool
    def count(text: str, letter: str) -> int:
        """Count a letter."""
        return text.count(letter)

    @server.tool()
    async def fail(reason: str) -> types.CallToolResult:
        """Fail."""
        return types.CallToolResult(content=[types.TextContent(type="text", text=reason)], **_failed())  # type: ignore[arg-type]

    @server.tool()
    async def wait(name: str) -> str:
        """Wait for ever."""
        with spanreel.span(f"waiting {name}"):
            await anyio.sleep_forever()
        return name

    @server.tool()
    async def ask(question: str, ctx: Context[Any, Any]) -> str:
        """Ask the client's model."""
        message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))
        answer: Any = await ctx.session.create_message(messages=[message], max_tokens=10)
        return str(answer.content.text)

    @server.prompt()
    def greet(name: str) -> str:
        """Greet."""
        return f"Hello {name}"

    @server.resource("letters://all")
    def letters() -> str:
        """All letters."""
        return "abc"

    return server


def _failed() -> dict[str, bool]:
    known = types.CallToolResult.model_fields
    return {"isError" if "isError" in known else "is_error": True}


def lowlevel(server: Any) -> Any:
    """The server below the decorators."""
    return getattr(server, "_lowlevel_server", None) or server._mcp_server


@asynccontextmanager
async def in_memory() -> AsyncIterator[tuple[Any, Any]]:
    """The client's streams to a server in this process; it runs outside of every trace of the client's."""
    below = lowlevel(make())
    async with create_client_server_memory_streams() as (client, server), anyio.create_task_group() as group:
        group.start_soon(lambda: below.run(*server, below.create_initialization_options()))
        yield client
        group.cancel_scope.cancel()


@contextlib.contextmanager
def over_http() -> Iterator[str]:
    """The URL of a server in this process."""
    with uvicorn_serving(make().streamable_http_app(), lifespan="on") as url:
        yield f"{url}/mcp"


if __name__ == "__main__":
    make().run()

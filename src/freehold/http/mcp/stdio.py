"""The house on standard input and output, for one MCP client that started this process. Whoever did owns the house."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection

import anyio
from mcp.server.mcpserver import MCPServer

from freehold.core.errors import FreeholdError
from freehold.http.access import Caller
from freehold.http.mcp.tools import Room, make_server
from freehold.http.server import log_to_stderr
from freehold.serving.keys import SCOPES, Scope
from freehold.serving.service import Service

NAME = "stdio"


def run(service: Service, scopes: Collection[Scope]) -> None:
    """Serve until the client closes standard input. Raises what the engine fails with."""
    log_to_stderr()
    caller = Caller(NAME, NAME, tuple(scope for scope in SCOPES if scope in scopes), None)

    @contextlib.asynccontextmanager
    async def room(_: MCPServer[Room]) -> AsyncIterator[Room]:
        # Begun here, where standard output is no longer what a child process writes to.
        starting = asyncio.create_task(service.start())
        try:
            yield Room(service, caller, starting)
        finally:
            starting.cancel()
            await asyncio.wait([starting])
            await service.stop()
        if not starting.cancelled():
            starting.result()

    try:
        anyio.run(make_server(room).run_stdio_async)
    except BaseExceptionGroup as group:
        known = group.subgroup(FreeholdError)
        if known is None:
            raise
        raise _first(known) from None


def _first(group: BaseExceptionGroup[FreeholdError]) -> FreeholdError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

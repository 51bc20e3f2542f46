"""``/mcp``: streamable HTTP for MCP clients. Whoever calls is checked for every request, before the protocol sees it.

A session belongs to the key that opened it: to any other it does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from freehold.config import ServerSettings
from freehold.http.access import BEARER, caller_of
from freehold.http.problems import Refused
from freehold.serving.keys import SCOPES
from freehold.serving.service import Service

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from freehold.http.mcp.tools import Room

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
"""Where clients learn who issues tokens for it (RFC 9728, 3.1)."""
_MOST_SESSIONS = 1_000
_IDLE_S = 900.0
"""After it a session is forgotten; its client opens another."""


class Door:
    """ASGI application. What speaks the protocol is imported and started when the first caller comes."""

    path = PATH
    """As of a route, for whoever counts requests."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()
        self._manager: StreamableHTTPSessionManager | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused: 421 and 403 for a page of somebody else's, 401 and 429 as every route."""
        scope["route"] = self
        request = Request(scope, receive)
        check_names(request, self._service.settings.server)
        try:
            caller = await caller_of(request, self._service, await BEARER(request))
        except Refused as refused:
            if refused.status == 401 and self._service.settings.server.oidc_issuer:  # RFC 9728, 5.1
                refused.headers["WWW-Authenticate"] = f'Bearer resource_metadata="{_base(request)}{METADATA}"'
            raise
        manager = await self._opened()
        from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
        from mcp.server.auth.provider import AccessToken

        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller.id, scopes=list(caller.scopes)))
        await manager.asgi_app(scope, receive, send)

    async def metadata(self, request: Request) -> JSONResponse:
        """Who issues tokens for it, and what may stand in them (RFC 9728). Raises Refused: 421 and 403 as above."""
        part = self._service.settings.server
        check_names(request, part)
        told = {
            "resource": f"{_base(request)}{PATH}",
            "resource_name": self._service.settings.house.name or "Freehold",
            "authorization_servers": [part.oidc_issuer],
            "scopes_supported": [f"freehold:{scope}" for scope in SCOPES],
            "bearer_methods_supported": ["header"],
        }
        return JSONResponse(told)

    async def close(self) -> None:
        """End all sessions."""
        self._closing.set()
        if self._task:
            await self._task

    async def _opened(self) -> StreamableHTTPSessionManager:
        async with self._opening:
            if self._manager is None:
                await asyncio.to_thread(_load)
                manager = self._made()
                started = asyncio.Event()
                self._task = asyncio.get_running_loop().create_task(self._keep(manager, started))
                await started.wait()
                self._manager = manager
            return self._manager

    def _made(self) -> StreamableHTTPSessionManager:
        from mcp.server.transport_security import TransportSecuritySettings

        from freehold.http.mcp.tools import Room, make_server

        @contextlib.asynccontextmanager
        async def room(_: MCPServer[Room]) -> AsyncIterator[Room]:
            yield Room(self._service)

        server = make_server(room)
        server.streamable_http_app(
            max_request_body_size=self._service.settings.server.max_body_mb << 20,
            max_sessions=_MOST_SESSIONS,
            session_idle_timeout=_IDLE_S,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # see check_names
        )
        return server.session_manager

    async def _keep(self, manager: StreamableHTTPSessionManager, started: asyncio.Event) -> None:
        """Its tasks begin and end in one task, as their group wants it."""
        async with manager.run():
            started.set()
            await self._closing.wait()


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


def _load() -> None:
    """In a thread: it takes a second. Raises Refused where it is not installed."""
    try:
        importlib.import_module("freehold.http.mcp.tools")
    except ImportError as error:
        hint = "pip install 'freehold[server]'"
        raise Refused(501, "no_mcp", f"{error.name} is not installed where the service runs", hint=hint) from None


def check_names(request: Request, part: ServerSettings) -> None:
    """That no web page of somebody else's calls, under a name that it had point here (DNS rebinding).

    An address as host is always right: a page that came from a name of somebody else's has that name there.
    """
    host = request.headers.get("host", "")
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    if not _is_address(name) and name not in {"localhost", part.host, *part.hosts}:
        hint = "name in server.hosts what the service is called"
        raise Refused(421, "wrong_host", "the service is not known by the name it was called by", hint=hint)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host and origin not in part.origins:
        hint = "name it in server.origins if its pages may call"
        raise Refused(403, "wrong_origin", "pages of that origin may not call", hint=hint)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

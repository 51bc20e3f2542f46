"""The application: routes, who may call them, and what every response carries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from freehold import __version__
from freehold.http import documents, health, heard, models, openai, problems, requests, search
from freehold.http.access import Tokens
from freehold.http.envelope import Envelope
from freehold.http.mcp.door import METADATA, PATH, Door
from freehold.http.schemas import Problem
from freehold.serving.service import Service

_DESCRIPTION = """Search and answers from a house's own documents, with citations.

Every route but `/healthz`, `/readyz` and `/metrics` takes a key: `Authorization: Bearer KEY`. Errors are RFC 9457
problem details with a stable `code` and a `hint`. Long work answers 202 with a job: `GET /v1/jobs/{id}` tells how far
it is."""
_MCP_HEADERS = ("Mcp-Session-Id", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-ID")
_PROBLEMS = {
    401: "No key, or one that is not valid.",
    403: "The key has not the scope.",
    422: "The request is not as it must be.",
    429: "More requests than the key may send.",
    503: "More waits than can be done in time; `Retry-After` says when to come back.",
    504: "The request's time was over.",
}


def create_app(service: Service, *rooms: Callable[[FastAPI], None]) -> FastAPI:
    """The application over a service, which starts and stops with it. ``rooms`` add what lies above it: the console."""

    door = Door(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await door.close()
            await service.stop()

    app = FastAPI(
        title="Freehold",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # those pages load their scripts from elsewhere
        redoc_url=None,
        responses={
            status: {"description": text, "model": Problem, "content": {problems.MEDIA_TYPE: {}}}
            for status, text in _PROBLEMS.items()
        },
    )
    part = service.settings.server
    app.state.service = service
    app.state.tokens = Tokens(part.oidc_issuer, part.oidc_audience) if part.oidc_issuer else None
    problems.install(app)
    for room in (search, heard, documents, openai, models, requests, health):
        app.include_router(room.router)
    app.router.routes.append(Route(PATH, door, include_in_schema=False))
    if part.oidc_issuer:
        app.router.routes.append(Route(METADATA, door.metadata, include_in_schema=False))
    for add in rooms:
        add(app)
    if part.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(part.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", *_MCP_HEADERS],
            expose_headers=["Mcp-Session-Id"],
        )
    app.add_middleware(
        Envelope,
        metrics=service.metrics,
        max_body_bytes=part.max_body_mb << 20,
        max_upload_bytes=part.max_upload_mb << 20,
    )
    return app

"""The console, to be added to the application: ``create_app(service, console.add)``."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from freehold.console import ask, audit, cost, documents, live, quality, records, requests, signing, subjects
from freehold.console.live import Sampler
from freehold.console.page import HOME, PageRoute
from freehold.console.sessions import Sessions
from freehold.http.problems import Refused


def add(app: FastAPI) -> None:
    """All its pages, and who is signed in."""
    app.state.sessions = Sessions()
    app.state.sampler = Sampler()
    for part in (signing, ask, documents, quality, audit, requests, subjects, records, live, cost):
        app.include_router(part.router, include_in_schema=False)
    rest = APIRouter(prefix=HOME, route_class=PageRoute)

    @rest.get("/{path:path}")
    async def nowhere(path: str) -> None:  # noqa: ARG001
        raise Refused(404, "no_page", "there is no such page", hint="the links above lead to all there are")

    app.include_router(rest, include_in_schema=False)

"""``/healthz`` for whoever restarts, ``/readyz`` for whoever balances, ``/metrics`` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from freehold.http.access import ServiceOf

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "up"}


@router.get("/readyz", responses={503: {"description": "Not ready.", "model": dict[str, str]}})
async def readyz(service: ServiceOf) -> JSONResponse:
    """Searches are answered; 503 while none would be, and while the service drains."""
    ready = bool(service.fleet.states) and not service.draining
    return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: ServiceOf) -> PlainTextResponse:
    """Counts and times, by route and stage. They name nobody; keep them from the internet all the same."""
    return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

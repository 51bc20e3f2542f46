"""What is wrong with the house: its last audit, and a new one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from freehold.auditing import kept
from freehold.auditing.finding import SEVERITIES
from freehold.auditing.forms import page
from freehold.console.access import Form, MayAdmin
from freehold.console.page import HOME, PageRoute, own_style, see_other, shown
from freehold.http.access import ServiceOf
from freehold.http.documents import begin
from freehold.http.problems import Refused

router = APIRouter(prefix=HOME, route_class=PageRoute)


@router.get("/audit")
async def audit(request: Request, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """What the last audit found, the gravest first."""
    report = await service.house(lambda house: kept.last(house.root))
    return shown(request, "audit.html.j2", report=report, severities=SEVERITIES)


@router.get("/audit/report")
async def report(visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """The whole report. It brings its own style."""
    found = await service.house(lambda house: kept.last(house.root))
    if found is None:
        raise Refused(404, "no_audit", "the house was not audited yet", hint="the page Audit begins one")
    text = page(found)
    return HTMLResponse(text, headers={"Content-Security-Policy": own_style(text)})


@router.post("/audit")
async def begin_audit(form: Form, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Audit the house by every rule."""
    job = await begin(service, "audit", {}, visitor.caller)
    return see_other(f"{HOME}/jobs/{job.id}")

"""Records for the officer: which there are, what is to be filled in, and each as a page, a table or a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from freehold.console.access import IsOfficer
from freehold.console.page import HOME, PageRoute, own_style, shown
from freehold.house import House
from freehold.http.access import ServiceOf
from freehold.http.problems import Refused
from freehold.records import render
from freehold.records.bom import bill
from freehold.records.write import BILL, KINDS, facts_of, make

router = APIRouter(prefix=HOME, route_class=PageRoute)


@router.get("/records")
async def records(request: Request, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """All of them, made now."""
    made = await service.house(partial(make, now=datetime.now(UTC)))
    empty = list(dict.fromkeys(key for record in made.values() for key in record.to_fill))
    return shown(request, "records.html.j2", records=list(made.values()), empty=empty)


@router.get("/records/bom")
async def materials(visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """The bill of materials, to be kept."""
    told = json.dumps(await service.house(_bill), indent=2, sort_keys=True, ensure_ascii=False)
    headers = {"Content-Disposition": f'attachment; filename="{BILL}"'}
    return Response(told, media_type="application/vnd.cyclonedx+json; version=1.6", headers=headers)


@router.get("/records/{kind}")
async def record(kind: str, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """One record, whole. It brings its own style."""
    making = {str(name): made for name, made in KINDS.items()}.get(kind)
    if making is None:
        raise Refused(404, "no_record", "there is no such record", hint="the list has those there are")
    page = render.page(await service.house(lambda house: making(facts_of(house))))
    return HTMLResponse(page, headers={"Content-Security-Policy": own_style(page)})


def _bill(house: House) -> dict[str, object]:
    return bill(facts_of(house))

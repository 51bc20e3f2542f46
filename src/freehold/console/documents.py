"""What the house holds: the list, a document with a cited span marked, what comes in and goes, and jobs."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response, UploadFile
from starlette.datastructures import UploadFile as Sent

from freehold.console.access import BY_ITSELF, Form, MayAsk, MayIngest
from freehold.console.page import HOME, PageRoute, see_other, shown
from freehold.console.text import stretch
from freehold.core.errors import UsageError
from freehold.core.shelf import page_of
from freehold.http import documents as api
from freehold.http.access import ServiceOf

router = APIRouter(prefix=HOME, route_class=PageRoute)
_A_PAGE = 50
REFRESH_S = 2


@router.get("/documents")
async def documents(
    request: Request,
    visitor: MayAsk,
    service: ServiceOf,
    after: api.Id = "",
    source: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Documents, a page at a time, those whose source contains something."""
    found = await api.documents(visitor.caller, service, after=after, limit=_A_PAGE, source=source.strip())
    stats = await service.house(lambda house: house.shelf.stats(visitor.caller.reader))
    return shown(request, "documents.html.j2", found=found, stats=stats, source=source.strip(), after=after, trouble="")


@router.post("/documents")
async def upload(request: Request, form: Form, visitor: MayIngest, service: ServiceOf) -> Response:
    """Take files in, and show the job that reads them."""
    files = [one for one in form.getlist("files") if isinstance(one, Sent) and one.filename]
    try:
        if not files:
            raise UsageError("no file was chosen", hint="choose one or more")
        job = await api.upload(cast("list[UploadFile]", files), visitor.caller, service)
    except UsageError as error:
        found = await api.documents(visitor.caller, service, limit=_A_PAGE)
        stats = await service.house(lambda house: house.shelf.stats(visitor.caller.reader))
        trouble = f"{error.message}: {error.hint}"
        values = {"found": found, "stats": stats, "source": "", "after": "", "trouble": trouble}
        return shown(request, "documents.html.j2", status=422, **values)
    return see_other(f"{HOME}/jobs/{job.id}")


@router.get("/documents/{document_id}")
async def document(
    request: Request,
    document_id: str,
    visitor: MayAsk,
    service: ServiceOf,
    start: Annotated[int, Query(ge=0)] = 0,
    end: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Its text, with ``text[start:end]`` marked."""
    found = await api.shown(service, document_id, visitor.caller)
    mark = (start, min(end, len(found.text))) if start < min(end, len(found.text)) else None
    return shown(
        request,
        "document.html.j2",
        document=found,
        stretch=stretch(found, at=min(start, len(found.text)), mark=mark),
        marked=mark is not None,
        page=page_of(found.pages, start) if mark else None,
    )


@router.get("/documents/{document_id}/remove")
async def ask_remove(request: Request, document_id: str, visitor: MayIngest, service: ServiceOf) -> Response:
    """Whether it is meant."""
    found = await api.shown(service, document_id, visitor.caller)
    return shown(request, "remove.html.j2", document=found)


@router.post("/documents/{document_id}/remove")
async def remove(document_id: str, form: Form, visitor: MayIngest, service: ServiceOf) -> Response:  # noqa: ARG001
    """Take it out."""
    job = await api.remove(document_id, visitor.caller, service)
    return see_other(f"{HOME}/jobs/{job.id}")


@router.get("/quarantine")
async def quarantine(request: Request, visitor: MayIngest, service: ServiceOf) -> Response:
    """What could not be read, and why."""
    return shown(request, "quarantine.html.j2", kept=await api.quarantine(visitor.caller, service))


# -- jobs --------------------------------------------------------------------------------------------------------------


@router.get("/jobs")
async def jobs(request: Request, visitor: MayAsk, service: ServiceOf) -> Response:
    """The latest, the newest first: all for an administrator, else one's own."""
    return shown(request, "jobs.html.j2", jobs=await api.jobs(visitor.caller, service))


@router.get("/jobs/{job_id}")
async def job(request: Request, job_id: str, visitor: MayAsk, service: ServiceOf) -> Response:
    """How far it is. The page loads itself again until it is over."""
    found = await api.job(job_id, visitor.caller, service)
    refresh_s = 0 if found.state in {"done", "failed"} else REFRESH_S
    again = f"{HOME}/jobs/{found.id}?{BY_ITSELF}=1"
    return shown(request, "job.html.j2", job=found, refresh_s=refresh_s, again=again)

"""``/v1/documents`` and ``/v1/jobs``: what the house holds, what comes in and goes, and how far long work is."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, UploadFile
from fastapi.responses import PlainTextResponse

from freehold.core.access import checked
from freehold.core.errors import StorageFault
from freehold.core.shelf import Quarantined
from freehold.core.types import Document
from freehold.house import House
from freehold.http.access import Caller, MayAsk, MayIngest, ServiceOf
from freehold.http.problems import Refused
from freehold.http.schemas import DocumentOut, DocumentsOut, JobOut
from freehold.serving.service import Service
from freehold.store.jobs import Job, JobKind, checked_name

router = APIRouter(prefix="/v1", tags=["documents"])
_MOST_FILES = 1_000
Id = Annotated[str, Query(pattern=r"^[0-9a-f-]{0,36}$")]


@router.post("/documents", status_code=202)
async def upload(
    files: list[UploadFile],
    caller: MayIngest,
    service: ServiceOf,
    fields: Annotated[str, Form(description="JSON object of strings: fields to filter by.")] = "{}",
    groups: Annotated[list[str] | None, Form(description="Who may see them; default: the caller's groups.")] = None,
) -> JobOut:
    """Take files in. They are read by a job: a file whose name is there already, in these groups, replaces that one."""
    if not 0 < len(files) <= _MOST_FILES:
        raise Refused(422, "invalid_request", f"between 1 and {_MOST_FILES} files are taken", hint="send fewer")
    taken = [(checked_name(file.filename or ""), await file.read()) for file in files]
    if len({name for name, _ in taken}) < len(taken):
        raise Refused(422, "invalid_request", "two files have one name", hint="send one of them")
    given = {"fields": _fields(fields), "groups": _groups(groups, caller)}
    return await begin(service, "ingest", given, caller, files=taken)


def _groups(named: list[str] | None, caller: Caller) -> list[str]:
    """Where a caller sees but some groups, what they send in belongs to those, or to those of them that are named."""
    groups = checked(named or caller.groups or ())
    if caller.groups is not None and not (groups and set(groups) <= set(caller.groups)):
        raise Refused(403, "groups", "the key is in none of these groups, or not in all", hint="name some of its own")
    return list(groups)


def _fields(text: str) -> dict[str, str]:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()) or len(fields) > 16:
        raise Refused(
            422, "invalid_request", "fields is no JSON object of strings", hint='for example {"team": "legal"}'
        )
    return fields


@router.get("/documents")
async def documents(
    caller: MayAsk,
    service: ServiceOf,
    after: Id = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    source: Annotated[str, Query(max_length=500, description="Only those whose source contains this.")] = "",
) -> DocumentsOut:
    """Documents by id, a page at a time."""
    return await listed(service, caller, after=after, limit=limit, source=source)


async def listed(service: Service, caller: Caller, *, after: str, limit: int, source: str = "") -> DocumentsOut:
    """A page of the documents that the caller may see. Raises Refused where people are masked, and the caller has but
    questions to ask.
    """
    _check_mask(service, caller)
    reader = caller.reader
    rows = await service.house(lambda house: house.shelf.listed(reader, after=after, limit=limit + 1, source=source))
    page = [
        DocumentOut(
            id=row.id,
            source=row.source,
            title=row.title,
            language=row.language,
            pages=row.pages,
            characters=row.characters,
            metadata=dict(row.metadata),
            groups=list(row.groups),
        )
        for row in rows[:limit]
    ]
    return DocumentsOut(documents=page, next=page[-1].id if len(rows) > limit else "")


@router.get("/documents/{document_id}/text", response_class=PlainTextResponse)
async def text(document_id: str, caller: MayAsk, service: ServiceOf) -> PlainTextResponse:
    """The document's text, as citations count its characters."""
    document = await shown(service, document_id, caller)
    return PlainTextResponse(document.text)


def _check_mask(service: Service, caller: Caller) -> None:
    """Names of documents may be those of people, and a whole document has no question that says who is meant."""
    if service.settings.server.mask_people and not (caller.may("ingest") or caller.may("dpo")):
        hint = "ask questions, or take a key that may ingest"
        raise Refused(403, "masked", "people are masked here, and documents are not shown", hint=hint)


async def shown(service: Service, document_id: str, caller: Caller) -> Document:
    """A document that the caller may see. Raises Refused with 404 for any other, and as ``listed``."""
    _check_mask(service, caller)

    def read(house: House) -> Document:
        return house.shelf.document_for(document_id, caller.reader)

    try:
        return await service.house(read)
    except StorageFault:
        raise Refused(404, "no_document", "there is no such document", hint="GET /v1/documents lists them") from None


@router.delete("/documents/{document_id}", status_code=202)
async def remove(document_id: str, caller: MayIngest, service: ServiceOf) -> JobOut:
    """Take a document out, with all that was made from it. It is no erasure: that takes a person's request."""
    await removable(service, document_id, caller)
    return await begin(service, "remove", {"documents": [document_id]}, caller)


async def removable(service: Service, document_id: str, caller: Caller) -> Document:
    """A document that the caller may take out. Raises Refused for any other."""
    document = await shown(service, document_id, caller)
    if caller.groups is not None and not document.groups:
        raise Refused(403, "groups", "the document is everybody's", hint="a key that sees all groups may remove it")
    return document


@router.get("/quarantine")
async def quarantine(caller: MayIngest, service: ServiceOf) -> list[dict[str, str]]:
    """What could not be read, and why."""
    kept = await service.house(lambda house: house.shelf.quarantined())
    return [{"source": q.source, "code": q.code, "reason": q.reason} for q in kept.values() if _is_theirs(q, caller)]


def _is_theirs(bad: Quarantined, caller: Caller) -> bool:
    return caller.reader is None or (bool(bad.groups) and caller.reader.sees(bad.groups))


# -- jobs --------------------------------------------------------------------------------------------------------------


@router.get("/jobs")
async def jobs(caller: MayIngest, service: ServiceOf) -> list[JobOut]:
    """The latest hundred, the newest first: all for an administrator, else the caller's own."""
    known = await service.house(lambda _: service.jobs.all())
    mine = [job for job in known if caller.may("admin") or job.key == caller.id]
    return [told(service, job) for job in reversed(mine[-100:])]


@router.get("/jobs/{job_id}")
async def job(job_id: str, caller: MayAsk, service: ServiceOf) -> JobOut:
    """How far it is, and what came of it."""
    return await one_job(service, job_id, caller)


async def one_job(service: Service, job_id: str, caller: Caller) -> JobOut:
    """A job of the caller's, or any for an administrator. Raises Refused with 404 for any other."""
    known = {job.id: job for job in await service.house(lambda _: service.jobs.all())}
    found = known.get(job_id)
    if found is None or not (found.key == caller.id or caller.may("admin")):
        raise Refused(404, "no_job", "there is no such job", hint="GET /v1/jobs lists them")
    return told(service, found)


def told(service: Service, job: Job) -> JobOut:
    """The job as it is at the moment."""
    job = service.progress_of(job)
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        created=job.created,
        started=job.started,
        ended=job.ended,
        stage=job.stage,
        done=job.done,
        total=job.total,
        result=dict(job.result),
        error=dict(job.error),
    )


async def begin(
    service: Service,
    kind: JobKind,
    given: dict[str, Any],
    caller: Caller,
    *,
    files: list[tuple[str, bytes]] | None = None,
) -> JobOut:
    """A new job; it is on disk when its caller is told."""
    made = await service.house(lambda _: service.jobs.add(kind, given, key=caller.id, files=files or ()))
    service.wake()
    return told(service, made)

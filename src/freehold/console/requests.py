"""Requests of people, for the data protection officer: what is due when, what is to be decided, what was proved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast, get_args

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from freehold.console.access import BY_ITSELF, Form, IsOfficer, text_in
from freehold.console.documents import REFRESH_S
from freehold.console.page import HOME, PageRoute, see_other, shown
from freehold.core.erasure import Action, ErasureRequest, Ground
from freehold.core.errors import UsageError
from freehold.erasing.certify import signer_of
from freehold.erasing.review import Todo, doubts, is_overdue, to_do
from freehold.erasing.walk import requests_of
from freehold.http import documents
from freehold.http import requests as api
from freehold.http.access import ServiceOf
from freehold.http.problems import Refused
from freehold.http.schemas import JobOut
from freehold.proof import verify
from freehold.serving.service import Service

router = APIRouter(prefix=HOME, route_class=PageRoute)
_ROWS = 5
_DECISION = "decision-"


@dataclass(frozen=True, slots=True)
class Row:
    """A request with what its list says besides."""

    request: ErasureRequest
    overdue: bool
    days_left: int
    """Whole days until it is due; below 0 where that is past."""
    to_do: Sequence[Todo]

    @classmethod
    def of(cls, request: ErasureRequest) -> Row:
        now = datetime.now(UTC)
        days = (datetime.fromisoformat(request.due) - now).days
        return cls(request, is_overdue(request, now=now), days, to_do(request))

    @property
    def is_open(self) -> bool:
        """Whether anything is left to be done but to close it."""
        return self.request.stage != "closed" and self.request.certificate not in {"COMPLETE", "PARTIAL_EXEMPT"}


@router.get("/requests")
async def requests(request: Request, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """All: what waits for a person first, then by deadline. Whom they are about is nowhere in it."""
    return await _listed(request, service)


async def _listed(request: Request, service: Service, *, trouble: str = "", given: FormData | None = None) -> Response:
    rows = [Row.of(one) for one in await service.house(lambda house: requests_of(house).all())]
    rows.sort(key=lambda row: (not row.is_open, row.request.due))
    status = 422 if trouble else 200
    values = {
        "rows": rows,
        "trouble": trouble,
        "given": blank_rows(given),
        "ground": text_in(given, "ground") if given else "",
    }
    return shown(request, "requests.html.j2", status=status, **values)


@router.post("/requests")
async def receive(request: Request, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:
    """Take a request on record, and begin."""
    ground = text_in(form, "ground")
    if ground not in get_args(Ground):
        return await _listed(request, service, trouble="The reason is none of those offered.", given=form)
    parts = [api.SubjectPart(kind=kind, value=value) for kind, value in filled_rows(form)]
    if not parts:
        trouble = "Nothing was given to find the person by: fill in at least one row."
        return await _listed(request, service, trouble=trouble, given=form)
    body = api.ErasureBody(subject=parts, ground=cast("Ground", ground))
    try:
        received = await api.receive_request(body, visitor.caller, service)
    except UsageError as error:
        return await _listed(request, service, trouble=told(error), given=form)
    return see_other(f"{HOME}/requests/{received.request}")


def filled_rows(form: FormData) -> list[tuple[str, str]]:
    """Rows of kind and value that have a value."""
    pairs = zip(form.getlist("kind"), form.getlist("value"), strict=False)
    return [(str(kind), str(value).strip()[:500]) for kind, value in pairs if str(value).strip()][:50]


def blank_rows(given: FormData | None) -> list[tuple[str, str]]:
    """What was filled in, and empty rows below it."""
    filled = filled_rows(given) if given else []
    return [*filled, *[("", "")] * max(1, _ROWS - len(filled))]


def told(error: UsageError) -> str:
    """What is wrong, as a sentence."""
    return f"{error.message[:1].upper()}{error.message[1:]}."


@router.get("/requests/{request_id}")
async def one(request: Request, request_id: str, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """How far it is, and the sentences that a person has to decide on."""
    return await _one(request, request_id, service)


async def _one(request: Request, request_id: str, service: Service, *, trouble: str = "") -> Response:
    found = await api.found(service, request_id)
    waiting = await service.house(lambda house: doubts(house, found)) if found.asked else []
    job = await _job(service, found)
    works = job is not None and job.state in {"waiting", "running"}
    return shown(
        request,
        "request.html.j2",
        status=422 if trouble else 200,
        row=Row.of(found),
        doubts=[] if works else waiting,
        job=job,
        works=works,
        trouble=trouble,
        decision=_DECISION,
        refresh_s=REFRESH_S if works else 0,
        again=f"{HOME}/requests/{found.id}?{BY_ITSELF}=1",
    )


async def _job(service: Service, request: ErasureRequest) -> JobOut | None:
    """The latest that carries the request out."""
    known = await service.house(lambda _: service.jobs.all())
    mine = [job for job in known if job.given.get("request") == request.id]
    return documents.told(service, mine[-1]) if mine else None


@router.post("/requests/{request_id}/decisions")
async def decide(request: Request, request_id: str, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:
    """What is to become of documents. Those that nothing was said of go on waiting."""
    said = {
        name.removeprefix(_DECISION): cast("Action", value)
        for name, value in form.items()
        if name.startswith(_DECISION) and value in get_args(Action)
    }
    if not said:
        return await _one(
            request, request_id, service, trouble="Nothing was decided: choose for at least one document."
        )
    await api.decide(request_id, api.DecisionsBody(decisions=said), visitor.caller, service)
    return see_other(f"{HOME}/requests/{request_id}")


@router.post("/requests/{request_id}/resume")
async def resume(request_id: str, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """Go on with it."""
    await api.resume(request_id, visitor.caller, service)
    return see_other(f"{HOME}/requests/{request_id}")


@router.post("/requests/{request_id}/close")
async def close(request_id: str, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """Destroy its key."""
    await api.close(request_id, visitor.caller, service)
    return see_other(f"{HOME}/requests/{request_id}")


# -- certificates ------------------------------------------------------------------------------------------------------


@router.get("/requests/{request_id}/certificate")
async def certificate(request: Request, request_id: str, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """What it says, verdict first, then what it did not reach. It is checked each time that it is shown."""
    found = await api.found(service, request_id)
    bundle = json.loads(await _certificate(service, found))
    key = await service.house(lambda house: signer_of(house).public)
    wrong, said = "", None
    try:
        said = verify.verify(bundle, key)
    except verify.Invalid as problem:
        wrong = str(problem)
    return shown(request, "certificate.html.j2", row=Row.of(found), c=said, wrong=wrong, never=verify.NEVER_PROVEN)


@router.get("/requests/{request_id}/certificate.json")
async def download(request_id: str, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """The certificate as a file, for `freehold verify` or the one file that checks it alone."""
    found = await api.found(service, request_id)
    name = f"certificate-{found.id[:8]}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(await _certificate(service, found), media_type="application/json", headers=headers)


async def _certificate(service: Service, request: ErasureRequest) -> bytes:
    text = await service.house(lambda house: requests_of(house).certificate(request.id))
    if not text:
        raise Refused(404, "no_certificate", "there is no certificate yet", hint="the request tells how far it is")
    return text

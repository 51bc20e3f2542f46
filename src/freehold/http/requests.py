"""``/v1/erasure-requests``: what people ask to have forgotten, for the data protection officer."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from freehold.core.erasure import Action, ErasureRequest, Ground
from freehold.core.errors import UsageError
from freehold.core.records import to_json
from freehold.erasing.erase import close as close_request
from freehold.erasing.review import doubts
from freehold.erasing.walk import receive, requests_of
from freehold.http.access import IsOfficer, ServiceOf
from freehold.http.documents import begin
from freehold.http.problems import Refused
from freehold.http.schemas import Body, JobOut
from freehold.privacy.subjects import parse_subject
from freehold.serving.service import Service

router = APIRouter(prefix="/v1/erasure-requests", tags=["erasure"])


class SubjectPart(Body):
    """Something that the person can be found by."""

    kind: str = Field(examples=["email"])
    value: str = Field(min_length=1, max_length=500, examples=["anna.keller@example.com"])


class ErasureBody(Body):
    """Whom to forget, and why."""

    subject: list[SubjectPart] = Field(min_length=1, max_length=50)
    ground: Ground = "17(1)(b)"


class DecisionsBody(Body):
    """What is to become of documents that may speak of the person, by id."""

    decisions: dict[str, Action] = Field(min_length=1, max_length=10_000)


class Received(JobOut):
    """The job, and the request that it carries out."""

    request: str
    due: str


@router.post("", status_code=202)
async def receive_request(body: ErasureBody, caller: IsOfficer, service: ServiceOf) -> Received:
    """Take a request on record and begin. The person is fenced out and hidden first; the certificate comes last."""
    subject = parse_subject([(part.kind, part.value) for part in body.subject])
    request = await service.house(lambda house: receive(house, subject, body.ground))
    job = await begin(service, "erase", {"request": request.id}, caller)
    return Received(**job.model_dump(), request=request.id, due=request.due)


@router.get("")
async def all_requests(caller: IsOfficer, service: ServiceOf) -> list[dict[str, Any]]:  # noqa: ARG001
    """All, the oldest first, each with its deadline and stage. Whom they are about is nowhere in it."""
    return [_told(one) for one in await service.house(lambda house: requests_of(house).all())]


@router.get("/{request_id}")
async def one_request(request_id: str, caller: IsOfficer, service: ServiceOf) -> dict[str, Any]:  # noqa: ARG001
    """How far it is, and the sentences that a person has to decide on."""
    request = await found(service, request_id)
    waiting = await service.house(lambda house: doubts(house, request)) if request.asked else []
    return {**_told(request), "doubts": to_json(waiting)}


@router.post("/{request_id}/decisions", status_code=202)
async def decide(request_id: str, body: DecisionsBody, caller: IsOfficer, service: ServiceOf) -> JobOut:
    """Say what is to become of documents, and go on."""
    request = await found(service, request_id)
    unknown = set(body.decisions) - {*request.asked, *request.refused}
    if unknown:
        hint = "GET the request lists those that wait"
        raise Refused(422, "invalid_request", f"{len(unknown)} of the documents do not wait for a decision", hint=hint)
    return await begin(service, "erase", {"request": request.id, "decisions": body.decisions}, caller)


@router.post("/{request_id}/resume", status_code=202)
async def resume(request_id: str, caller: IsOfficer, service: ServiceOf) -> JobOut:
    """Go on with it: after a hold has ended, or where something was found that should be gone."""
    request = await found(service, request_id)
    return await begin(service, "erase", {"request": request.id}, caller)


@router.post("/{request_id}/close")
async def close(request_id: str, caller: IsOfficer, service: ServiceOf) -> dict[str, Any]:  # noqa: ARG001
    """Destroy the key of a certified request: from then on nobody can tell whom it was about."""
    request = await found(service, request_id)
    try:
        return _told(await service.house(lambda house: close_request(house, request.id)))
    except UsageError as error:
        raise Refused(409, "not_final", error.message, hint="POST its resume, or wait for its job") from None


@router.get("/{request_id}/certificate", response_class=JSONResponse)
async def certificate(request_id: str, caller: IsOfficer, service: ServiceOf) -> JSONResponse:  # noqa: ARG001
    """The latest certificate, to be verified by `freehold verify` or alone."""
    request = await found(service, request_id)
    text = await service.house(lambda house: requests_of(house).certificate(request.id))
    if not text:
        raise Refused(404, "no_certificate", "there is none yet", hint="the request's job tells how far it is")
    return JSONResponse(json.loads(text))


async def found(service: Service, request_id: str) -> ErasureRequest:
    """The request of that id. Raises Refused with 404 where there is none."""
    try:
        return await service.house(lambda house: requests_of(house).get(request_id))
    except UsageError:
        hint = "GET /v1/erasure-requests lists them"
        raise Refused(404, "no_request", "there is no such request", hint=hint) from None


def _told(request: ErasureRequest) -> dict[str, Any]:
    told: dict[str, Any] = to_json(request)
    return told

"""Errors as RFC 9457 problem details: a stable code, what to do next, ids; never a word of a query or a document."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from freehold.core.errors import (
    ContextOverflow,
    EndpointFault,
    EngineFault,
    FreeholdError,
    HouseBusy,
    InvalidQuery,
    NeedsPerson,
    UsageError,
)
from freehold.serving.fleet import EngineLost, Overloaded
from freehold.serving.messages import DeadlinePassed

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (InvalidQuery, 422),
    (ContextOverflow, 422),
    (UsageError, 400),
    (HouseBusy, 409),
    (NeedsPerson, 409),
    (EngineLost, 503),
    (EngineFault, 503),
    (EndpointFault, 502),
    (FreeholdError, 500),
)
log = logging.getLogger("freehold")


class Refused(Exception):
    """A request that is turned away before anything is done."""

    def __init__(self, status: int, code: str, detail: str, *, hint: str = "", **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def problem(error: Exception, request_id: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of the response for an error."""
    if isinstance(error, Refused):
        return error.status, _body(error.status, error.code, error.detail, error.hint, (), request_id), error.headers
    if isinstance(error, Overloaded):
        after = str(error.retry_after_s)
        body = _body(
            503, "overloaded", "more waits than can be done in time", f"try again in {after} s", (), request_id
        )
        return 503, body, {"Retry-After": after}
    if isinstance(error, DeadlinePassed):
        hint = "allow more time, or ask for less"
        return 504, _body(504, "deadline", "the request's time was over", hint, (), request_id), {}
    if isinstance(error, FreeholdError):
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        headers = {"Retry-After": "1"} if status == 503 else {}
        return status, _body(status, error.code, error.message, error.hint, error.refs, request_id), headers
    hint = "send the request's id to whoever runs the service"
    return 500, _body(500, "error", "the service failed", hint, (), request_id), {}


def _body(status: int, code: str, detail: str, hint: str, refs: tuple[str, ...], request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:freehold:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
        "refs": list(refs),
        "instance": f"urn:uuid:{request_id}",
    }


def response(error: Exception, request: Request) -> JSONResponse:
    """The whole response; OpenAI's clients find their ``error`` object in it too."""
    status, body, headers = problem(error, request.state.id)
    if status >= 500 and not isinstance(error, Overloaded | DeadlinePassed | FreeholdError | Refused):
        log.error("request failed", extra={"request": request.state.id, "error": type(error).__name__})
    if request.url.path in {"/v1/chat/completions", "/v1/embeddings"}:
        body["error"] = {"message": f"{body['detail']}. {body['hint']}", "type": body["code"], "code": body["code"]}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of every route goes through here."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        return response(error, request)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        places = [".".join(str(part) for part in one["loc"]) for one in error.errors()]
        kinds = sorted({one["type"] for one in error.errors()})
        refused = Refused(422, "invalid_request", f"not as it must be: {', '.join(places[:10])}", hint=f"{kinds}")
        return response(refused, request)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers: Mapping[str, str] = error.headers or {}
        code = HTTPStatus(error.status_code).name.lower()
        refused = Refused(error.status_code, code, str(error.detail), hint="GET /openapi.json lists what there is")
        refused.headers = dict(headers)
        return response(refused, request)

    for kind in (FreeholdError, Refused, Overloaded, DeadlinePassed, Exception):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)

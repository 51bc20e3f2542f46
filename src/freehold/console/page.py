"""What every page goes through: its template, its policy, and errors told as a page."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from freehold.auditing.forms import marked
from freehold.console import words
from freehold.core.errors import FreeholdError
from freehold.http.problems import Refused, problem
from freehold.measure.cost.plots import euros
from freehold.measure.report import figures
from freehold.serving.fleet import Overloaded
from freehold.serving.messages import DeadlinePassed

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HOME = "/console"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SHOWN = (Refused, FreeholdError, Overloaded, DeadlinePassed, HTTPException, RequestValidationError)
log = logging.getLogger("freehold")

# As in the report of an experiment: what HTML does not allow, and what reorders the text around it.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


class SignedOut(Exception):
    """Nobody is signed in, or not any more."""


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose answers carry the console's policy."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                response = await inner(request)
            except SignedOut:
                response = RedirectResponse(_login(request), 303)
            except Exception as error:
                if not isinstance(error, _SHOWN):
                    log.warning("page failed", extra={"request": request.state.id, "error": type(error).__name__})
                response = _error(request, error)
            response.headers.setdefault("Content-Security-Policy", POLICY)
            return response

        return handled


def _login(request: Request) -> str:
    """To sign in, and from there back to where one was, if that only shows something."""
    back = request.url.path if request.method == "GET" else HOME
    return f"{HOME}/login" if back == HOME else f"{HOME}/login?back={quote(back)}"


def _error(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = Refused(422, "invalid_request", "the address or the form is not as it must be", hint="go back")
    if isinstance(error, HTTPException):
        code = HTTPStatus(error.status_code).phrase
        error = Refused(error.status_code, code, str(error.detail), hint="go back and try again")
    status, body, headers = problem(error, request.state.id)
    response = shown(request, "error.html.j2", status=status, problem=body)
    response.headers.update(headers)
    return response


def shown(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. It knows who is signed in, and in which house."""
    visitor = getattr(request.state, "visitor", None)
    common: Mapping[str, Any] = {
        "path": request.url.path,
        "request_id": request.state.id,
        "visitor": visitor,
        "house_name": request.app.state.service.settings.house.name,
        "status": status,
        "refresh_s": 0,
    }
    page = _environment().get_template(template).render({**common, **values})
    return HTMLResponse(_FORBIDDEN.sub("\ufffd", _REORDERING.sub("", page)), status)


def own_style(page: str) -> str:
    """The policy of a page that brings its style along: allowed by its digest, and nothing besides."""
    styles = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in _STYLE.findall(page))
    allowed = " ".join(f"'sha256-{digest}'" for digest in styles)
    return f"default-src 'none'; style-src {allowed}; img-src data:; frame-ancestors 'none'; base-uri 'none'"


def see_other(path: str) -> RedirectResponse:
    """What was asked for is done; this is where to see it."""
    return RedirectResponse(path, 303)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("freehold.console", "templates"), PackageLoader("freehold.measure", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        figures.measure, figures.interval, figures.change, figures.change_interval, figures.count, figures.percent,
        figures.ms, figures.duration, figures.moment, figures.clipped, figures.plain,
        words.many, words.file_name, words.cited, euros, marked,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in filters})
    environment.tests["known"] = figures.known
    environment.globals["words"] = words
    return environment


@cache
def asset(name: str) -> bytes:
    """A file that the pages use."""
    return resources.files("freehold.console").joinpath(name).read_bytes()

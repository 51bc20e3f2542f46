"""Signing in and out, and what the pages look like."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from freehold.console.access import COOKIE, Form, SessionsOf, check_site, text_in, visitor_of
from freehold.console.page import HOME, PageRoute, SignedOut, asset, see_other, shown
from freehold.http.access import ServiceOf

router = APIRouter(prefix=HOME, route_class=PageRoute)
_BACK = re.compile(rf"{HOME}(?:/[\w-]+)*")


@router.get("/login")
async def login(request: Request, service: ServiceOf, sessions: SessionsOf, back: str = HOME) -> Response:
    """The form that takes a key."""
    try:
        await visitor_of(request, service, sessions)
    except SignedOut:
        return shown(request, "login.html.j2", back=_safe(back), wrong=False)
    return see_other(HOME)


@router.post("/login")
async def sign_in(request: Request, service: ServiceOf, sessions: SessionsOf) -> Response:
    """Begin a session. Its cookie holds a random id: the key is neither in it nor kept."""
    check_site(request)
    async with request.form() as form:
        secret, back = text_in(form, "key"), _safe(text_in(form, "back"))
    key = service.keys.bearer(secret)
    if key is None:
        service.metrics.refused.labels("login").inc()
        return shown(request, "login.html.j2", status=401, back=back, wrong=True)
    sessions.end(request.cookies.get(COOKIE, ""))
    response = see_other(back)
    response.set_cookie(
        COOKIE,
        sessions.begin(key.id).id,
        path=HOME,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def sign_out(request: Request, form: Form, sessions: SessionsOf) -> Response:  # noqa: ARG001
    """End the session."""
    sessions.end(request.cookies.get(COOKIE, ""))
    response = see_other(f"{HOME}/login")
    response.delete_cookie(COOKIE, path=HOME, httponly=True, samesite="strict")
    return response


@router.get("/console.css")
async def style() -> Response:
    """The look of all pages."""
    return Response(asset("console.css"), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/icon.svg")
async def icon() -> Response:
    """For the browser's tab."""
    return Response(asset("icon.svg"), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


def _safe(back: str) -> str:
    """A page of the console, whatever was asked for."""
    return back if _BACK.fullmatch(back) else HOME

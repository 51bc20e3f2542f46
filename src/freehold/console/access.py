"""Who is on the other side of a page: a session, its key as it is at the moment, and forms that came from here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from freehold.console.page import HOME, SignedOut
from freehold.console.sessions import Session, Sessions
from freehold.http.access import Caller, ServiceOf
from freehold.http.problems import Refused
from freehold.serving.keys import Scope

COOKIE = "freehold_session"
BY_ITSELF = "auto"
"""Parameter of pages that load themselves again: nobody need sit before them."""
_MOST_FIELDS = 20_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in."""

    session: Session
    caller: Caller

    @property
    def pages(self) -> list[tuple[str, str]]:
        """(path, name) of the parts of the console that they may see."""
        parts: tuple[tuple[str, str, Scope], ...] = (
            (HOME, "Ask", "ask"),
            (f"{HOME}/documents", "Documents", "ask"),
            (f"{HOME}/quality", "Quality", "admin"),
            (f"{HOME}/audit", "Audit", "admin"),
            (f"{HOME}/requests", "Requests", "dpo"),
            (f"{HOME}/records", "Records", "dpo"),
            (f"{HOME}/jobs", "Jobs", "ask"),
            (f"{HOME}/live", "Live", "admin"),
            (f"{HOME}/cost", "Cost", "admin"),
        )
        return [(path, name) for path, name, scope in parts if self.caller.may(scope)]


def sessions_of(request: Request) -> Sessions:
    """The sessions of the application."""
    sessions: Sessions = request.app.state.sessions
    return sessions


SessionsOf = Annotated[Sessions, Depends(sessions_of)]


async def visitor_of(request: Request, service: ServiceOf, sessions: SessionsOf) -> Visitor:
    """Whoever is signed in. Raises SignedOut, and Refused with 429 above the key's rate.

    The key is looked up for every request: one that was revoked or has expired ends its sessions.
    """
    session = sessions.of(request.cookies.get(COOKIE, ""), by_itself=BY_ITSELF in request.query_params)
    if session is None:
        raise SignedOut
    key = next((key for key in service.keys.all() if key.id == session.key_id), None)
    if key is None or not key.is_valid(datetime.now(UTC)):
        sessions.end(session.id)
        raise SignedOut
    caller = Caller(key.id, key.name, key.scopes, key.groups)
    request.state.caller = caller
    request.state.visitor = visitor = Visitor(session, caller)
    wait_s = service.limit.wait_s(caller.id)
    if wait_s:
        service.metrics.refused.labels("rate").inc()
        raise Refused(429, "rate", "more requests than the key may send", hint="slow down", Retry_After=str(wait_s))
    return visitor


def needs(scope: Scope) -> Callable[..., Awaitable[Visitor]]:
    """A dependency: who is signed in, and has the scope. Raises Refused with 403 where they have not."""

    async def checked(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
        if not visitor.caller.may(scope):
            held = ", ".join(visitor.caller.scopes) or "none"
            hint = f"your key has: {held}. Sign in with another, or ask for one"
            raise Refused(403, "scope", f"this page takes a key with the scope {scope}", hint=hint)
        return visitor

    return checked


MayAsk = Annotated[Visitor, Depends(needs("ask"))]
MayIngest = Annotated[Visitor, Depends(needs("ingest"))]
MayAdmin = Annotated[Visitor, Depends(needs("admin"))]
IsOfficer = Annotated[Visitor, Depends(needs("dpo"))]


def check_site(request: Request) -> None:
    """Raise Refused for a form that another site sent, as browsers tell it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refused(403, "form", "the form came from another site", hint="open the console yourself")


async def form_of(request: Request, visitor: Annotated[Visitor, Depends(visitor_of)]) -> AsyncIterator[FormData]:
    """What a form of the console holds. Raises Refused with 403 for any other form."""
    check_site(request)
    async with request.form(max_fields=_MOST_FIELDS) as form:
        if not visitor.session.is_form(text_in(form, "csrf")):
            hint = "open the page again, and send the form from there"
            raise Refused(403, "form", "the form did not come from a page of this session", hint=hint)
        yield form


Form = Annotated[FormData, Depends(form_of)]


def text_in(form: FormData, name: str) -> str:
    """A field of the form; empty where it has none."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""

"""What the house holds on somebody, for the data protection officer: shown, hidden, put right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from freehold.console.access import Form, IsOfficer, text_in
from freehold.console.page import HOME, PageRoute, shown
from freehold.console.requests import blank_rows, filled_rows, told
from freehold.core.errors import UsageError
from freehold.erasing import letter
from freehold.erasing.access import RESTRICTION, Access, lift, restrict, show
from freehold.erasing.rectify import rectify
from freehold.house import House, open_house
from freehold.http.access import ServiceOf
from freehold.privacy.subjects import parse_subject
from freehold.serving.service import Service

router = APIRouter(prefix=f"{HOME}/subject", route_class=PageRoute)
_MOST_CHARS = 2_000
"""Of a statement that is put right."""
T = TypeVar("T")


@router.get("")
async def subject(request: Request, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """The form, and the restrictions in force."""
    return await _subject(request, service)


@router.post("")
async def show_subject(request: Request, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """What the house holds on somebody; or the same as a page for them. Nothing of it is kept."""
    try:
        person = parse_subject(filled_rows(form))
    except UsageError as error:
        return await _subject(request, service, trouble=told(error), given=form)
    found = await _apart(service, lambda house: show(house, person, _silent))
    if text_in(form, "as") == "page":
        headers = {"Content-Disposition": 'attachment; filename="what-is-held-about-you.html"'}
        return HTMLResponse(letter.page(found), headers=headers)
    return await _subject(request, service, found=found, given=form)


@router.post("/restrict")
async def restrict_subject(request: Request, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """Hide what surely speaks of somebody from every search, at once (Art. 18)."""
    try:
        person = parse_subject(filled_rows(form))
        name, hidden = await _apart(service, lambda house: restrict(house, person, _silent))
    except UsageError as error:
        return await _subject(request, service, trouble=told(error), given=form)
    done = f"Hidden from every search: {len(hidden)} documents, by restriction {_short(name)}."
    return await _subject(request, service, done=done)


@router.post("/lift")
async def lift_restriction(request: Request, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """End a restriction."""
    name = text_in(form, "restriction")
    try:
        count = await _apart(service, lambda house: lift(house, name))
    except UsageError as error:
        return await _subject(request, service, trouble=told(error))
    done = f"Restriction {_short(name)} is lifted: {count} documents are found again."
    return await _subject(request, service, done=done)


@router.post("/rectify")
async def rectify_document(request: Request, form: Form, visitor: IsOfficer, service: ServiceOf) -> Response:  # noqa: ARG001
    """Put a statement of a document right (Art. 16)."""
    document, wrong, right = (text_in(form, name)[:_MOST_CHARS] for name in ("document", "wrong", "right"))
    try:
        _, count = await _apart(service, lambda house: rectify(house, document, wrong, right, _silent))
    except UsageError as error:
        return await _subject(request, service, trouble=told(error), given=form)
    done = f"Put right in {count} places. The document has a new version; the old one is erased."
    return await _subject(request, service, done=done, given=form)


async def _apart(service: Service, work: Callable[[House], T]) -> T:
    """In a thread and with a house of its own: it takes as long as reading much, and others are not to wait."""
    root = await service.house(lambda house: house.root)

    def done() -> T:
        with open_house(root) as house:
            return work(house)

    return await asyncio.to_thread(done)


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _short(restriction: str) -> str:
    return restriction.removeprefix(RESTRICTION)[:8]


async def _subject(
    request: Request,
    service: Service,
    *,
    found: Access | None = None,
    trouble: str = "",
    done: str = "",
    given: FormData | None = None,
) -> Response:
    hidden = await service.house(lambda house: house.shelf.restricted())
    in_force: dict[str, int] = {}
    for names in hidden.values():
        for name in names:
            if name.startswith(RESTRICTION):
                in_force[name] = in_force.get(name, 0) + 1
    return shown(
        request,
        "subject.html.j2",
        status=422 if trouble else 200,
        found=found,
        trouble=trouble,
        done=done,
        given=blank_rows(given),
        filled=filled_rows(given) if given else [],
        restrictions=[(name, _short(name), count) for name, count in sorted(in_force.items())],
        most_chars=_MOST_CHARS,
    )

"""The first page: a question, its answer with numbered citations, and the passages below it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from freehold.console.access import Form, MayAsk, text_in
from freehold.console.page import HOME, PageRoute, see_other, shown
from freehold.core.errors import InvalidQuery, UsageError
from freehold.http.access import ServiceOf
from freehold.serving.messages import Ask

router = APIRouter(prefix=HOME, route_class=PageRoute)
MOST_CHARS = 2_000
"""Of a question: sealed it stands in an address."""


@router.post("/ask")
async def ask(form: Form, visitor: MayAsk) -> Response:
    """Go where the answer is. The question stands in the address sealed: no log and no history can read it."""
    question = text_in(form, "question")[:MOST_CHARS]
    return see_other(f"{HOME}?question={visitor.session.sealed(question)}" if question else HOME)


@router.get("")
async def answer(request: Request, visitor: MayAsk, service: ServiceOf, question: str = "") -> Response:
    """The form, and below it the answer."""
    asked = visitor.session.opened(question) if question else ""
    answered, trouble = None, ""
    if asked:
        timeout_s = service.settings.server.answer_timeout_s
        try:
            answered = await service.ask(Ask(asked, caller=visitor.caller.reader), timeout_s=timeout_s)
        except InvalidQuery as error:
            trouble = f"This cannot be asked: {error.message}. {error.hint}"
        except UsageError as error:
            trouble = f"{error.message}: {error.hint}"
    documents = (await service.house(lambda house: house.shelf.stats(visitor.caller.reader))).documents
    return shown(
        request,
        "ask.html.j2",
        asked=asked,
        answered=answered,
        trouble=trouble,
        lost=bool(question and not asked),
        most_chars=MOST_CHARS,
        documents=documents,
    )

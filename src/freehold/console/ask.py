"""The first page: a question, its answer with numbered citations, and the passages below it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from freehold.console.access import Form, MayAsk, text_in
from freehold.console.page import HOME, PageRoute, see_other, shown
from freehold.core.errors import InvalidQuery, UsageError
from freehold.http import heard
from freehold.http.access import ServiceOf
from freehold.http.problems import Refused
from freehold.serving.messages import Ask

router = APIRouter(prefix=HOME, route_class=PageRoute)
MOST_CHARS = 2_000
"""Of a question: sealed it stands in an address."""


@router.post("/ask")
async def ask_for(form: Form, visitor: MayAsk) -> Response:
    """Go where the answer is. The question stands in the address sealed: no log and no history can read it."""
    question = text_in(form, "question")[:MOST_CHARS]
    return see_other(f"{HOME}?question={visitor.session.sealed(question)}" if question else HOME)


@router.post("/feedback")
async def feedback(form: Form, visitor: MayAsk, service: ServiceOf) -> Response:
    """Keep what somebody thought of an answer, and go back to it."""
    try:
        body = heard.FeedbackBody.model_validate({name: text_in(form, name) for name in ("id", "signal")})
    except ValidationError:
        raise Refused(422, "invalid_request", "the form is not as it must be", hint="go back") from None
    await heard.feedback(body, visitor.caller, service)
    return see_other(f"{HOME}?question={text_in(form, 'question')}&said={body.signal}")


@router.get("")
async def answer(
    request: Request,
    visitor: MayAsk,
    service: ServiceOf,
    question: str = "",
    said: Literal["", "up", "down"] = "",
) -> Response:
    """The form, and below it the answer. ``said``: what was just said of it, for which it is shown once more."""
    asked = visitor.session.opened(question) if question else ""
    answered, trouble = None, ""
    if asked:
        timeout_s = service.settings.server.answer_timeout_s
        ask = Ask(asked, caller=visitor.caller.reader)
        try:
            answered = await service.ask(ask, timeout_s=timeout_s)
            if not said:
                heard.answered(service, request.state.id, ask, visitor.caller, answered)
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
        question=question,
        said=said,
        keeps_log=service.keeps_log,
        most_chars=MOST_CHARS,
        documents=documents,
    )

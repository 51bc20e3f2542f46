"""What the query log keeps of a request, and ``/v1/feedback``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from freehold.core.traffic import Asked, Feedback, QuestionKind, Shown
from freehold.http.access import Caller, MayAsk, ServiceOf
from freehold.http.problems import Refused
from freehold.http.schemas import Body
from freehold.journeys.search import Found
from freehold.serving.messages import Answered, Ask, Search
from freehold.serving.service import Service

router = APIRouter(prefix="/v1", tags=["ask"])


class FeedbackBody(Body):
    """What somebody thought of a hit, or of an answer as a whole."""

    id: UUID
    """Of the response that it is about."""
    signal: Literal["click", "up", "down"]
    chunk_id: UUID | None = None
    """The hit; without one it is about the answer."""


@router.post("/feedback", status_code=202)
async def feedback(body: FeedbackBody, caller: MayAsk, service: ServiceOf) -> dict[str, str]:
    """Say what a hit or an answer was worth: the query log keeps it, and training learns from it."""
    if not service.keeps_log:
        raise Refused(409, "no_query_log", "nothing is kept of what is asked", hint="set traffic.query_log = true")
    chunk_id = str(body.chunk_id) if body.chunk_id else None
    service.hear(Feedback(str(body.id), body.signal, datetime.now(UTC), chunk_id, caller.id))
    return {"status": "taken"}


def searched(service: Service, id: str, search: Search, caller: Caller, found: Found) -> None:
    """A search and its hits."""
    _hear(service, id, "search", search, caller, found, None)


def answered(
    service: Service, id: str, ask: Ask, caller: Caller, answered: Answered, *, kind: QuestionKind = "ask"
) -> None:
    """A question, what was found for it, and the answer."""
    _hear(service, id, kind, ask, caller, answered.found, answered)


def _hear(
    service: Service,
    id: str,
    kind: QuestionKind,
    asked: Search | Ask,
    caller: Caller,
    found: Found,
    answered: Answered | None,
) -> None:
    if not service.keeps_log:
        return
    state = next(iter(service.fleet.states), None)
    service.hear(
        Asked(
            id=id,
            at=datetime.now(UTC),
            kind=kind,
            text=asked.text,
            shown=tuple(Shown(hit.rank, hit.document_id, hit.chunk_id) for hit in found.hits),
            key=caller.id,
            filter=asked.filter,
            latency_ms=(answered.answer.trace.timings_ms if answered else found.timings_ms).get("total"),
            lineup=state.lineup if state else 0,
            models=state.models if state else {},
            revision=state.revision if state else 0,
            abstained=answered.answer.abstained if answered else None,
            answer=answered.answer.text if answered else None,
        )
    )

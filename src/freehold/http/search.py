"""``/v1/search`` and ``/v1/ask``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from freehold.http import heard
from freehold.http.access import Caller, MayAsk, ServiceOf
from freehold.http.problems import problem
from freehold.http.schemas import AnswerOut, AskBody, SearchBody, SearchOut
from freehold.serving.messages import Answered, Ask, Search
from freehold.serving.service import Service

router = APIRouter(prefix="/v1", tags=["ask"])
_ALIVE_S = 15.0
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer, or its events.", "content": {"text/event-stream": {}}}
}


@router.post("/search")
async def search(request: Request, body: SearchBody, caller: MayAsk, service: ServiceOf) -> SearchOut:
    """The passages that answer best."""
    search = Search(body.query, body.k, body.mode, body.rerank_depth, body.filter, caller.reader)
    timeout_s = _within(body.timeout_ms, service.settings.server.timeout_s)
    found = await service.search(search, timeout_s=timeout_s, parent=request.headers)
    heard.searched(service, request.state.id, search, caller, found)
    return SearchOut.of(request.state.id, found)


@router.post("/ask", response_model=AnswerOut, responses=STREAMED)
async def ask(request: Request, body: AskBody, caller: MayAsk, service: ServiceOf) -> Any:
    """An answer from the documents alone, with citations; or that they do not hold it."""
    asked = Ask(body.question, body.mode, body.filter, caller.reader)
    timeout_s = _within(body.timeout_ms, service.settings.server.answer_timeout_s)
    if body.stream:
        events = _events(request, service, asked, caller, timeout_s)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    answered = await service.ask(asked, timeout_s=timeout_s, parent=request.headers)
    heard.answered(service, request.state.id, asked, caller, answered)
    return AnswerOut.of(request.state.id, answered.answer, answered.degraded)


def _within(timeout_ms: int | None, most_s: float) -> float:
    """What the caller allows, but not more than the settings do."""
    return most_s if timeout_ms is None else min(most_s, timeout_ms / 1000)


async def _events(
    request: Request, service: Service, asked: Ask, caller: Caller, timeout_s: float
) -> AsyncIterator[bytes]:
    """``text`` events as it is written, ``answer`` with what is left of it after its check, or ``problem``."""
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    task = asyncio.create_task(
        service.ask(asked, timeout_s=timeout_s, on_text=pieces.put_nowait, parent=request.headers)
    )
    task.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while True:
            try:
                piece = await asyncio.wait_for(pieces.get(), _ALIVE_S)
            except TimeoutError:
                yield b": alive\n\n"
                continue
            if piece is None:
                break
            yield event("text", {"text": piece})
        try:
            answered: Answered = task.result()
        except Exception as error:
            yield event("problem", problem(error, request.state.id)[1])
            return
        heard.answered(service, request.state.id, asked, caller, answered)
        answer = AnswerOut.of(request.state.id, answered.answer, answered.degraded)
        yield event("answer", answer.model_dump())
    finally:
        task.cancel()


def event(name: str, load: object) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(load, ensure_ascii=False)}\n\n".encode()

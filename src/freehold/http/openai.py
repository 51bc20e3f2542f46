"""What OpenAI's and Cohere's clients speak: chat with citations, embeddings, rerank."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from freehold.core.types import Answer, Citation
from freehold.http import heard
from freehold.http.access import MayAsk, ServiceOf
from freehold.http.problems import Refused
from freehold.http.schemas import Body, CitationOut, Text
from freehold.http.search import STREAMED
from freehold.serving.messages import Answered, Ask, Embed, Score

router = APIRouter(prefix="/v1", tags=["openai"])
MODEL = "freehold"
"""Name of the chat model: the house."""
_MOST_TEXTS = 256
_PIECE_WORDS = 8


class _Lenient(BaseModel):
    """Of a client that sends settings of its own: what is not known here is left aside."""

    model_config = ConfigDict(extra="ignore")


class Part(_Lenient):
    """A part of a message."""

    type: str
    text: str = ""


class Message(_Lenient):
    """One message of a chat."""

    role: str
    content: str | list[Part] | None = None

    def text(self) -> str:
        """What it says; parts that are no text are left aside."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type in {"text", "input_text"})
        return self.content or ""


class StreamOptions(_Lenient):
    """What comes with a stream."""

    include_usage: bool = False


class ChatBody(_Lenient):
    """A chat. The last message of the user is the question; the house's own instructions stand, whatever others say."""

    model: str = MODEL
    messages: list[Message] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None


@router.post("/chat/completions", response_model=None, responses=STREAMED)
async def chat(request: Request, body: ChatBody, caller: MayAsk, service: ServiceOf) -> Any:
    """An answer from the documents, as a chat completion: `citations` beside it, and sources under it."""
    if body.model != MODEL:
        raise Refused(404, "model_not_found", "there is no such chat model", hint=f"it is called {MODEL}")
    question = next((m.text() for m in reversed(body.messages) if m.role == "user"), "")
    ask = Ask(question, caller=caller.reader)
    timeout_s = service.settings.server.answer_timeout_s
    answered = await service.ask(ask, timeout_s=timeout_s, parent=request.headers)
    heard.answered(service, request.state.id, ask, caller, answered, kind="chat")
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        events = _stream(request.state.id, answered, with_usage=usage)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": _content(answered.answer), **_extension(answered)},
        "finish_reason": _finish(answered.answer),
        "logprobs": None,
    }
    return {**_head(request.state.id, "chat.completion"), "choices": [choice], "usage": _usage(answered.answer)}


def _finish(answer: Answer) -> str:
    return "length" if answer.trace.cut else "stop"


async def _stream(id: str, answered: Answered, *, with_usage: bool) -> AsyncIterator[bytes]:
    """The answer as it stands after its check, since a client cannot take back what it has shown."""
    head = _head(id, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        return _data({**head, "choices": choices})

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(_content(answered.answer)):
        yield chunk({"content": piece})
    yield chunk(_extension(answered), _finish(answered.answer))
    if with_usage:
        yield _data({**head, "choices": [], "usage": _usage(answered.answer)})
    yield b"data: [DONE]\n\n"


def _data(value: object) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def _head(id: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{id}", "object": kind, "created": int(time.time()), "model": MODEL}


def _extension(answered: Answered) -> dict[str, Any]:
    answer = answered.answer
    return {
        "citations": [CitationOut.of(one).model_dump() for one in answer.citations],
        "abstained": answer.abstained,
        "supported": answer.supported,
        "degraded": answered.degraded,
    }


def _content(answer: Answer) -> str:
    """The text, and under it what its numbers stand for."""
    if not answer.citations:
        return answer.text
    first: dict[int, Citation] = {}
    for citation in answer.citations:
        first.setdefault(citation.marker, citation)
    lines = [f"[{marker}] {c.source}{f', p. {c.page}' if c.page else ''}" for marker, c in sorted(first.items())]
    return f"{answer.text}\n\n" + "\n".join(lines)


def _pieces(text: str) -> Iterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), _PIECE_WORDS):
        piece = " ".join(words[start : start + _PIECE_WORDS])
        yield piece if not start else f" {piece}"


def _usage(answer: Answer) -> dict[str, int]:
    asked, written = answer.trace.tokens.get("context", 0), answer.trace.tokens.get("answer", 0)
    return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}


# -- embeddings --------------------------------------------------------------------------------------------------------


class EmbeddingsBody(_Lenient):
    """Texts to embed. `input_type` is an extension: `document` leaves the question's prefix and adapter out."""

    model: str
    input: Text | list[Text] = Field(examples=[["Is a leased battery covered?"]])
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: Literal["query", "document"] = "query"


@router.post("/embeddings", response_model=None)
async def embeddings(body: EmbeddingsBody, caller: MayAsk, service: ServiceOf) -> dict[str, Any]:  # noqa: ARG001
    """Vectors of the live embedder, unit L2 norm, in the order of the texts."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise Refused(422, "invalid_request", f"between 1 and {_MOST_TEXTS} texts are taken", hint="send fewer")
    name = live_model(service.fleet.states)
    if body.model not in {MODEL, name}:
        raise Refused(404, "model_not_found", "there is no such embedding model", hint=f"it is called {name}")
    made = await service.embed(
        Embed(tuple(texts), queries=body.input_type == "query"), timeout_s=service.settings.server.timeout_s
    )
    if body.dimensions not in {None, made.vectors.shape[1]}:
        dim = made.vectors.shape[1]
        raise Refused(422, "invalid_request", f"vectors have {dim} dimensions", hint="leave dimensions out")

    def coded(row: Any) -> Any:
        return (
            base64.b64encode(row.astype("<f4").tobytes()).decode() if body.encoding_format == "base64" else row.tolist()
        )

    data = [{"object": "embedding", "index": at, "embedding": coded(row)} for at, row in enumerate(made.vectors)]
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
    return {"object": "list", "data": data, "model": made.model, "usage": usage}


def live_model(states: Any) -> str:
    """Name of the embedder that answers."""
    return str(states[0].models["embedder"]) if states else ""


# -- rerank ------------------------------------------------------------------------------------------------------------


class RerankText(_Lenient):
    """A text as Cohere's older clients wrap it."""

    text: Text


class RerankBody(_Lenient):
    """A question and texts, as Cohere's and Jina's clients send them."""

    model: str = MODEL
    query: Text
    documents: list[Text | RerankText] = Field(min_length=1, max_length=_MOST_TEXTS)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = False


class Ranked(Body):
    """One text: its place in the request and its score, in [-1, 1]."""

    index: int
    relevance_score: float
    document: dict[str, str] | None = None


@router.post("/rerank")
async def rerank(request: Request, body: RerankBody, caller: MayAsk, service: ServiceOf) -> dict[str, Any]:  # noqa: ARG001
    """The texts, the best first, by the live embedder's late interaction."""
    texts = tuple(one if isinstance(one, str) else one.text for one in body.documents)
    scores = await service.score(Score(body.query, texts), timeout_s=service.settings.server.timeout_s)
    order = sorted(range(len(texts)), key=lambda at: (-scores[at], at))[: body.top_n]
    ranked = [
        Ranked(index=at, relevance_score=scores[at], document={"text": texts[at]} if body.return_documents else None)
        for at in order
    ]
    return {"id": request.state.id, "results": [one.model_dump(exclude_none=True) for one in ranked]}

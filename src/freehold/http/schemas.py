"""Bodies of requests and responses. What a field means stands in the API's own description, made from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from freehold.core.types import Answer, Citation, Hit, Mode
from freehold.journeys.search import MAX_QUERY_CHARS, Found

Text = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]


class Body(BaseModel):
    """Of a request: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class SearchBody(Body):
    """A question, and how to look."""

    query: Text = Field(examples=["Is a leased battery covered?"])
    k: int = Field(10, ge=1, le=100, description="How many hits.")
    mode: Mode | None = Field(None, description="Which legs are asked; the settings' by default.")
    rerank_depth: int | None = Field(None, ge=0, le=1000, description="Hits that are scored again; 0: none.")
    filter: dict[str, str] = Field({}, max_length=16, description="Fields that must have exactly these values.")
    timeout_ms: int | None = Field(None, ge=10, le=600_000)


class AskBody(Body):
    """A question to be answered from the documents."""

    question: Text = Field(examples=["Is a leased battery covered?"])
    mode: Mode | None = None
    filter: dict[str, str] = Field({}, max_length=16)
    stream: bool = Field(False, description="Server-sent events: `text` while it is written, then `answer`.")
    timeout_ms: int | None = Field(None, ge=10, le=600_000)


class HitOut(BaseModel):
    """A passage."""

    rank: int
    score: float
    chunk_id: str
    document_id: str
    source: str
    title: str
    page: int | None
    start: int
    end: int
    language: str
    headings: list[str]
    text: str

    @classmethod
    def of(cls, hit: Hit) -> HitOut:
        return cls(
            rank=hit.rank,
            score=hit.score,
            chunk_id=hit.chunk_id,
            document_id=hit.document_id,
            source=hit.source,
            title=hit.title,
            page=hit.page,
            start=hit.start,
            end=hit.end,
            language=hit.language,
            headings=list(hit.heading_path),
            text=hit.text,
        )


class SearchOut(BaseModel):
    """Hits, best first."""

    id: str
    hits: list[HitOut]
    unit: str
    timings_ms: dict[str, float]
    rerank_depth: int
    rerank_left: int = Field(description="Hits that there was no time to score again.")

    @classmethod
    def of(cls, id: str, found: Found) -> SearchOut:
        return cls(
            id=id,
            hits=[HitOut.of(hit) for hit in found.hits],
            unit=found.hits[0].unit if found.hits else "",
            timings_ms=dict(found.timings_ms),
            rerank_depth=found.rerank_depth,
            rerank_left=found.rerank_left,
        )


class CitationOut(BaseModel):
    """An exact span of a document that supports a sentence; `marker` is the number in the text."""

    marker: int
    document_id: str
    source: str
    page: int | None
    start: int
    end: int
    quote: str

    @classmethod
    def of(cls, citation: Citation) -> CitationOut:
        return cls(
            marker=citation.marker,
            document_id=citation.document_id,
            source=citation.source,
            page=citation.page,
            start=citation.start,
            end=citation.end,
            quote=citation.quote,
        )


class AnswerOut(BaseModel):
    """An answer. "Not in these documents" is one: `abstained` is true."""

    id: str
    text: str
    citations: list[CitationOut]
    abstained: bool
    supported: bool
    degraded: str = Field("", description="What failed, where another engine stood in: `generator`.")
    timings_ms: dict[str, float]
    tokens: dict[str, int]
    models: dict[str, str]

    @classmethod
    def of(cls, id: str, answer: Answer, degraded: str) -> AnswerOut:
        return cls(
            id=id,
            text=answer.text,
            citations=[CitationOut.of(one) for one in answer.citations],
            abstained=answer.abstained,
            supported=answer.supported,
            degraded=degraded,
            timings_ms=dict(answer.trace.timings_ms),
            tokens=dict(answer.trace.tokens),
            models=dict(answer.trace.models),
        )


class JobOut(BaseModel):
    """Long work, and how far it is."""

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    created: str
    started: str
    ended: str
    stage: str
    done: int
    total: int
    result: dict[str, Any]
    error: dict[str, Any]


class DocumentOut(BaseModel):
    """A document, without its text."""

    id: str
    source: str
    title: str
    language: str
    pages: int
    characters: int
    metadata: dict[str, str]
    groups: list[str] = Field(description="Who may see it; empty: everybody.")


class DocumentsOut(BaseModel):
    """A page of documents."""

    documents: list[DocumentOut]
    next: str = Field(description="Give it as `after` for the next page; empty at the end.")


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    refs: list[str]
    instance: str

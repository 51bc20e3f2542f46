"""Bodies of requests and responses. What a field means stands in the API's own description, made from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

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
    """A stretch of a document that may hold the answer."""

    rank: int = Field(description="1 is the best.")
    score: float = Field(description="Comparable within this result alone.")
    chunk_id: str = Field(description="Of the passage, for feedback.")
    document_id: str
    source: str = Field(description="Where the document came from: a path, a name under `upload:`, the id of a record.")
    title: str
    page: int | None = Field(description="Counted from 1; null where the format has no pages.")
    start: int = Field(description="First character in the document's text.")
    end: int = Field(description="The character after the last.")
    language: str = Field(description="ISO 639-1, or und.")
    headings: list[str] = Field(description="Headings above the passage, the outermost first.")
    text: str

    @classmethod
    def of(cls, hit: Hit, **more: str) -> Self:
        """``more``: fields of a subclass."""
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
            **more,
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
    """An exact span of a document that supports the sentence with its marker."""

    marker: int = Field(description="The number in square brackets in the answer.")
    document_id: str
    source: str
    page: int | None
    start: int
    end: int
    quote: str

    @classmethod
    def of(cls, citation: Citation, **more: str) -> Self:
        """``more``: fields of a subclass."""
        return cls(
            marker=citation.marker,
            document_id=citation.document_id,
            source=citation.source,
            page=citation.page,
            start=citation.start,
            end=citation.end,
            quote=citation.quote,
            **more,
        )


class AnswerOut(BaseModel):
    """An answer. "Not in these documents" is one: `abstained` is true."""

    id: str
    text: str
    citations: list[CitationOut]
    abstained: bool
    supported: bool
    degraded: str = Field("", description="What failed, where another engine stood in: `generator`.")
    cut: bool = Field(False, description="Whether time or tokens were over before the model was done.")
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
            cut=answer.trace.cut,
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

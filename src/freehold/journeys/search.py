"""Search: a question to the passages that answer it best.

legs (dense beside lexical, one call to the engine) -> fusion -> reranking of the best -> hits with text and page.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freehold.core.errors import InvalidQuery
from freehold.core.ids import new_id
from freehold.core.ports import Embedder, Reranker, VectorIndex
from freehold.core.shelf import ChunkView, Shelf
from freehold.core.types import Embeddings, Filter, Hit, Leg, LegScore, Mode, Query, ScoredId
from freehold.journeys.fuse import Fusion, fuse, interpolate
from freehold.text.terms import TermAnalyzer

MAX_QUERY_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How to retrieve: the settings' [retrieval] and [reranker], or what a caller asks for once."""

    mode: Mode = "hybrid"
    fusion: Fusion = "weighted"
    rrf_k: int = 60
    dense_weight: float = 0.5
    candidates: int = 100
    rerank_depth: int = 50
    """0 switches reranking off."""
    rerank_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Engines:
    """What a search goes through."""

    shelf: Shelf
    index: VectorIndex
    embedder: Embedder
    terms: TermAnalyzer
    reranker: Reranker | None


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, best first, and the wall-clock time of each stage in milliseconds."""

    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]


class Stopwatch:
    """Time of named stages, in the order in which they end."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self._last = self._first = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings_ms[stage] = round((now - self._last) * 1000, 3)
        self._last = now

    def stop(self) -> Mapping[str, float]:
        """All laps and their ``total``."""
        return {**self.timings_ms, "total": round((self._last - self._first) * 1000, 3)}


def question(text: str, *, embedder: Embedder, filter: Filter | None = None) -> Query:
    """A checked and normalised query: NFC, control characters out, white space folded.

    Raises InvalidQuery when nothing is left, or when it is longer than the model can read.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise InvalidQuery(
            f"the query has {len(text):,} characters, at most {MAX_QUERY_CHARS:,} are taken",
            hint="ask a question; to add a document use freehold ingest",
        )
    visible = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    visible = "".join(c for c in visible if unicodedata.category(c) not in {"Cf", "Cs", "Co", "Cn"})
    folded = re.sub(r"\s+", " ", unicodedata.normalize("NFC", visible)).strip()
    if not any(c.isalnum() for c in folded):
        raise InvalidQuery("the query holds no letter or digit", hint="ask in words")
    tokens, limit = len(embedder.offsets(folded)), embedder.info.max_tokens - embedder.overhead_tokens
    if tokens > limit:
        raise InvalidQuery(f"the query has {tokens} tokens, the model reads {limit}", hint="shorten the question")
    return Query(new_id(), folded, filter or {})


def search(query: Query, *, k: int, plan: Plan, engines: Engines) -> Found:
    """The ``k`` best chunks for the query, ranked from 1; fewer when fewer match. Ties are broken by chunk id."""
    watch = Stopwatch()
    legs, tokens = _legs(query, plan, engines, watch, depth=max(plan.candidates, k))
    ranked, unit = _first_stage(legs, plan)
    watch.lap("fuse")
    if tokens is not None:
        reranked = _rerank(ranked, tokens, max(plan.rerank_depth, k), plan, engines)
        if reranked is not None:
            ranked, unit = reranked, f"{unit}+maxsim"
        watch.lap("rerank")
    alive, views = _alive(ranked, k, engines.shelf)
    places = _places(legs)
    hits = tuple(_hit(i, s, views[s.chunk_id], unit, places) for i, s in enumerate(alive, 1))
    watch.lap("texts")
    return Found(hits, watch.stop())


def _alive(ranked: Sequence[ScoredId], k: int, shelf: Shelf) -> tuple[list[ScoredId], Mapping[str, ChunkView]]:
    """The best ``k`` that are still on the shelf: chunks may have been deleted since the index was built."""
    ids = [scored.chunk_id for scored in ranked]
    views = shelf.views(ids[:k])
    if len(views) < len(ids[:k]):
        views = shelf.views(ids)
    return [scored for scored in ranked if scored.chunk_id in views][:k], views


def _legs(
    query: Query, plan: Plan, engines: Engines, watch: Stopwatch, *, depth: int
) -> tuple[Mapping[Leg, Sequence[ScoredId]], Embeddings | None]:
    rerank = engines.reranker is not None and plan.rerank_depth > 0
    embeddings = None
    if plan.mode != "lexical" or rerank:
        embeddings = engines.embedder.embed_queries([query.text], tokens=rerank)
        watch.lap("embed")
    dense = embeddings.vectors[0] if embeddings and plan.mode != "lexical" else None
    sparse = engines.terms.query(query.text) if plan.mode != "dense" else None
    legs = engines.index.search(dense=dense, sparse=sparse, limit=depth, filter=query.filter)
    watch.lap("index")
    return legs, embeddings if rerank else None


def _first_stage(legs: Mapping[Leg, Sequence[ScoredId]], plan: Plan) -> tuple[list[ScoredId], str]:
    if plan.mode == "hybrid":
        fused = fuse(legs, fusion=plan.fusion, rrf_k=plan.rrf_k, dense_weight=plan.dense_weight)
        return fused, plan.fusion
    unit = "cosine" if plan.mode == "dense" else "bm25"
    return list(legs[plan.mode]), unit


def _rerank(
    ranked: Sequence[ScoredId], query: Embeddings, depth: int, plan: Plan, engines: Engines
) -> list[ScoredId] | None:
    """The best ``depth`` scored again, and nothing below them: first-stage and reranked scores do not compare.

    None where some have no token codes (a house ingested with reranking off): the first stage's order stands.
    """
    assert query.tokens is not None
    assert engines.reranker is not None
    ids = [scored.chunk_id for scored in ranked]
    kept = engines.shelf.codes(ids[:depth])
    if len(kept) < len(ids[:depth]):  # some were deleted since the index was built: others take their places
        kept = engines.shelf.codes(ids)
    head = [scored for scored in ranked if scored.chunk_id in kept][:depth]
    codes = [code for scored in head if (code := kept[scored.chunk_id]) is not None]
    if not head or len(codes) < len(head):
        return None
    return interpolate(head, engines.reranker.score(query.tokens[0], codes), weight=plan.rerank_weight)


def _places(legs: Mapping[Leg, Sequence[ScoredId]]) -> Mapping[str, dict[str, LegScore]]:
    places: dict[str, dict[str, LegScore]] = {}
    for leg, scored in legs.items():
        for rank, s in enumerate(scored, 1):
            places.setdefault(s.chunk_id, {})[leg] = LegScore(rank, s.score)
    return places


def _hit(rank: int, scored: ScoredId, view: ChunkView, unit: str, places: Mapping[str, dict[str, LegScore]]) -> Hit:
    chunk = view.chunk
    return Hit(
        rank=rank,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        source=view.source,
        title=view.title,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        score=scored.score,
        unit=unit,
        language=view.language,
        heading_path=chunk.heading_path,
        legs=places.get(chunk.id, {}),
    )

"""Search: a question to the passages that answer it best.

legs (dense beside lexical, one call to the engine) -> fusion -> reranking of the best -> hits with text and page.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from freehold.core.errors import InvalidQuery
from freehold.core.ids import new_id
from freehold.core.ports import Embedder, Reranker, VectorIndex
from freehold.core.shelf import ChunkView, Shelf
from freehold.core.types import Embeddings, Filter, Hit, Leg, LegScore, Mode, Query, ScoredId
from freehold.journeys.fuse import Fusion, fuse, interpolate
from freehold.text.terms import TermAnalyzer

if TYPE_CHECKING:
    from freehold.core.types import Float32

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
    rerank = reranks(plan, engines)
    embeddings = None
    if plan.mode != "lexical" or rerank:
        embeddings = engines.embedder.embed_queries([query.text], tokens=rerank)
        watch.lap("embed")
    depth = max(plan.candidates, k)
    candidates = Candidates.find(query, embeddings, 0, {plan.mode}, depth=depth, engines=engines)
    watch.lap("index")
    ranked, unit = candidates.first_stage(plan, depth=depth)
    watch.lap("fuse")
    if rerank:
        ranked, unit = candidates.rerank(ranked, unit, plan)
        watch.lap("rerank")
    alive, views = _alive(ranked, k, engines.shelf)
    places = _places(candidates.legs)
    hits = tuple(_hit(i, s, views[s.chunk_id], unit, places) for i, s in enumerate(alive, 1))
    watch.lap("texts")
    return Found(hits, watch.stop())


def reranks(plan: Plan, engines: Engines) -> bool:
    """Whether the plan reranks with these engines."""
    return engines.reranker is not None and plan.rerank_depth > 0


class Candidates:
    """What was found for one query, to be ranked by any plan: each leg is asked once, each chunk scored again once."""

    def __init__(self, legs: Mapping[Leg, Sequence[ScoredId]], tokens: Float32 | None, engines: Engines) -> None:
        self.legs = legs
        self._tokens = tokens
        self._engines = engines
        self._similarity: dict[str, float | None] = {}
        """Of the chunks that are still on the shelf; None for those ingested without token codes."""
        self._seen: set[str] = set()

    @classmethod
    def find(
        cls,
        query: Query,
        embeddings: Embeddings | None,
        row: int,
        modes: Collection[Mode],
        *,
        depth: int,
        engines: Engines,
    ) -> Self:
        """The best ``depth`` of every leg that ``modes`` need; ``embeddings`` has the query's vectors in ``row``."""
        dense = embeddings.vectors[row] if embeddings and not set(modes) <= {"lexical"} else None
        sparse = engines.terms.query(query.text) if not set(modes) <= {"dense"} else None
        legs = engines.index.search(dense=dense, sparse=sparse, limit=depth, filter=query.filter)
        tokens = embeddings.tokens[row] if embeddings and embeddings.tokens else None
        return cls(legs, tokens, engines)

    def ranked(self, plan: Plan) -> list[ScoredId]:
        """As ``search`` ranks by this plan, for a ``k`` up to its number of candidates."""
        ranked, unit = self.first_stage(plan, depth=plan.candidates)
        if reranks(plan, self._engines):
            ranked, _ = self.rerank(ranked, unit, plan)
        return ranked

    def first_stage(self, plan: Plan, *, depth: int) -> tuple[list[ScoredId], str]:
        """The best ``depth`` of the plan's legs as one list, and the unit of its scores."""
        if plan.mode == "hybrid":
            legs: Mapping[Leg, Sequence[ScoredId]] = {leg: scored[:depth] for leg, scored in self.legs.items()}
            fused = fuse(legs, fusion=plan.fusion, rrf_k=plan.rrf_k, dense_weight=plan.dense_weight)
            return fused, plan.fusion
        return list(self.legs[plan.mode][:depth]), "cosine" if plan.mode == "dense" else "bm25"

    def rerank(self, ranked: Sequence[ScoredId], unit: str, plan: Plan) -> tuple[list[ScoredId], str]:
        """The best ``plan.rerank_depth`` scored again; below them, by scores under 0, the others as they were.

        The list comes back as it is where some of the best have no token codes (a house ingested with reranking off).
        """
        depth = plan.rerank_depth
        similarity = self._similarities([scored.chunk_id for scored in ranked[:depth]])
        if len(similarity) < len(ranked[:depth]):  # some are deleted since: others move up
            similarity = self._similarities([scored.chunk_id for scored in ranked])
        head = [scored for scored in ranked if scored.chunk_id in similarity][:depth]
        scores = [value for scored in head if (value := similarity[scored.chunk_id]) is not None]
        if not head or len(scores) < len(head):
            return list(ranked), unit
        taken = {scored.chunk_id for scored in head}
        # First-stage and reranked scores do not compare: what was not scored again keeps its distances, one lower down.
        top = head[-1].score
        tail = [ScoredId(s.chunk_id, s.score - top - 1) for s in ranked if s.chunk_id not in taken and s.score <= top]
        return interpolate(head, scores, weight=plan.rerank_weight) + tail, f"{unit}+maxsim"

    def _similarities(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        new = [chunk_id for chunk_id in chunk_ids if chunk_id not in self._seen]
        if new:
            assert self._tokens is not None
            assert self._engines.reranker is not None
            codes = self._engines.shelf.codes(new)
            coded = {chunk_id: code for chunk_id in new if (code := codes.get(chunk_id)) is not None}
            scores = self._engines.reranker.score(self._tokens, list(coded.values()))
            self._seen.update(new)
            self._similarity.update(dict.fromkeys(codes), **dict(zip(coded, map(float, scores), strict=True)))
        return {chunk_id: self._similarity[chunk_id] for chunk_id in chunk_ids if chunk_id in self._similarity}


def _alive(ranked: Sequence[ScoredId], k: int, shelf: Shelf) -> tuple[list[ScoredId], Mapping[str, ChunkView]]:
    """The best ``k`` that are still on the shelf: chunks may have been deleted since the index was built."""
    ids = [scored.chunk_id for scored in ranked]
    views = shelf.views(ids[:k])
    if len(views) < len(ids[:k]):
        views = shelf.views(ids)
    return [scored for scored in ranked if scored.chunk_id in views][:k], views


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

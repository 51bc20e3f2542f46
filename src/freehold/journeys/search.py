"""Search: a question to the passages that answer it best.

legs (dense beside lexical, one call to the engine) -> fusion -> reranking of the best -> hits with text and page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Self

from freehold.core.access import FIELD, Caller
from freehold.core.errors import InvalidQuery, UsageError
from freehold.core.ids import new_id
from freehold.core.ports import Embedder, Reranker, Scorer, VectorIndex
from freehold.core.shelf import ChunkView, Shelf
from freehold.core.types import Embeddings, Filter, Hit, Leg, LegScore, Mode, Query, ScoredId, SparseVector
from freehold.journeys.fuse import Fusion, fuse, interpolate
from freehold.text.terms import TermAnalyzer

if TYPE_CHECKING:
    from freehold.core.types import Float32

MAX_QUERY_CHARS = 10_000

Clock = Callable[[], float]
"""Seconds, from any beginning."""


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
    rerank_budget_ms: float = 0.0
    """Time for scoring again, after which the depth reached has to do; 0: none. Only ``search`` keeps to it."""


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
    rerank_depth: int = 0
    """Candidates that were scored again."""
    rerank_left: int = 0
    """Candidates that the plan would have had scored again and the budget did not allow."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """A list after its best were scored again; ``depth`` and ``left`` as in ``Found``."""

    ranked: list[ScoredId]
    unit: str
    depth: int = 0
    left: int = 0


class Stopwatch:
    """Time of named stages, in the order in which they end."""

    def __init__(self, **before_ms: float) -> None:
        """``before_ms``: stages that were over before, in a pass with others."""
        self.timings_ms = {stage: round(ms, 3) for stage, ms in before_ms.items()}
        self._before_ms = sum(before_ms.values())
        self._last = self._first = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.timings_ms[stage] = round((now - self._last) * 1000, 3)
        self._last = now

    def stop(self) -> Mapping[str, float]:
        """All laps and their ``total``."""
        return {**self.timings_ms, "total": round((self._last - self._first) * 1000 + self._before_ms, 3)}


def question(text: str, *, embedder: Embedder, filter: Filter | None = None, caller: Caller | None = None) -> Query:
    """A checked and normalised query: NFC, control characters out, white space folded.

    Raises InvalidQuery when nothing is left, or when it is longer than the model can read, and UsageError for a filter
    by what only the house filters by.
    """
    if filter and FIELD in filter:
        raise UsageError("a filter names a field that is the house's own", hint="say who asks by their groups")
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
    return Query(new_id(), folded, filter or {}, caller)


def search(query: Query, *, k: int, plan: Plan, engines: Engines) -> Found:
    """The ``k`` best chunks for the query, ranked from 1; fewer when fewer match. Ties are broken by chunk id."""
    watch = Stopwatch()
    read = Reading.of([query], [plan], engines)
    if read.embeddings or read.scorers:
        watch.lap("embed")
    return found(query, read, 0, k=k, plan=plan, engines=engines, watch=watch)


def found(query: Query, read: Reading, row: int, *, k: int, plan: Plan, engines: Engines, watch: Stopwatch) -> Found:
    """``search``, of a query that was read in a pass with others: ``read`` has it in ``row``."""
    depth = max(plan.candidates, k)
    candidates = Candidates.find(query, read, row, {plan.mode}, depth=depth, engines=engines)
    watch.lap("index")
    ranked, unit = candidates.first_stage(plan, depth=depth)
    watch.lap("fuse")
    best = Reranked(ranked, unit)
    if reranks(plan, engines):
        best = candidates.rerank(ranked, unit, plan, budget_ms=plan.rerank_budget_ms)
        watch.lap("rerank")
    alive, views = _alive(best.ranked, k, engines.shelf, query.caller)
    places = _places(candidates.legs)
    hits = tuple(_hit(i, s, views[s.chunk_id], best.unit, places) for i, s in enumerate(alive, 1))
    watch.lap("texts")
    return Found(hits, watch.stop(), best.depth, best.left)


def reranks(plan: Plan, engines: Engines) -> bool:
    """Whether the plan reranks with these engines."""
    return engines.reranker is not None and plan.rerank_depth > 0


@dataclass(frozen=True, slots=True)
class Reading:
    """Questions as the engines read them, in one pass for all."""

    embeddings: Embeddings | None
    """None where no engine asks for them."""
    scorers: Sequence[Scorer]
    """One for each question; empty where nothing is reranked."""

    @classmethod
    def of(cls, queries: Sequence[Query], plans: Collection[Plan], engines: Engines) -> Self:
        """What any of the plans needs."""
        texts = [query.text for query in queries]
        reranker = engines.reranker if any(reranks(plan, engines) for plan in plans) else None
        tokens = reranker is not None and reranker.reads_tokens
        embeddings = None
        if tokens or any(plan.mode != "lexical" for plan in plans):
            embeddings = engines.embedder.embed_queries(texts, tokens=tokens)
        return cls(embeddings, reranker.ready(texts, embeddings) if reranker else ())


class Candidates:
    """What was found for one query, to be ranked by any plan: each leg is asked once, each chunk scored again once."""

    def __init__(
        self, legs: Mapping[Leg, Sequence[ScoredId]], reranker: Reranker | None, scorer: Scorer | None
    ) -> None:
        """``scorer``: the reranker's for this query; None where nothing is to be reranked."""
        self.legs = legs
        self._reranker = reranker
        self._scorer = scorer
        self._scores: dict[str, float | None] = {}
        """Of the chunks that are still on the shelf; None for those that there is nothing to score by."""
        self._seen: set[str] = set()

    @classmethod
    def find(
        cls, query: Query, read: Reading, row: int, modes: Collection[Mode], *, depth: int, engines: Engines
    ) -> Self:
        """The best ``depth`` of every leg that ``modes`` need; ``read`` has the query in ``row``.

        What the caller may not see is not among them: no rank, no score and no scale depends on it from here on.
        """
        dense = read.embeddings.vectors[row] if read.embeddings and not set(modes) <= {"lexical"} else None
        sparse = engines.terms.query(query.text) if not set(modes) <= {"dense"} else None
        legs = _legs(query, dense, sparse, depth, engines)
        return cls(legs, engines.reranker, read.scorers[row] if read.scorers else None)

    def ranked(self, plan: Plan) -> list[ScoredId]:
        """As ``search`` ranks by this plan without a budget, for a ``k`` up to its number of candidates."""
        ranked, unit = self.first_stage(plan, depth=plan.candidates)
        if self._reranker is not None and plan.rerank_depth:
            return self.rerank(ranked, unit, plan).ranked
        return ranked

    def first_stage(self, plan: Plan, *, depth: int) -> tuple[list[ScoredId], str]:
        """The best ``depth`` of the plan's legs as one list, and the unit of its scores."""
        if plan.mode == "hybrid":
            legs: Mapping[Leg, Sequence[ScoredId]] = {leg: scored[:depth] for leg, scored in self.legs.items()}
            fused = fuse(legs, fusion=plan.fusion, rrf_k=plan.rrf_k, dense_weight=plan.dense_weight)
            return fused, plan.fusion
        return list(self.legs[plan.mode][:depth]), "cosine" if plan.mode == "dense" else "bm25"

    def rerank(
        self, ranked: Sequence[ScoredId], unit: str, plan: Plan, *, budget_ms: float = 0.0, clock: Clock = perf_counter
    ) -> Reranked:
        """The best ``plan.rerank_depth`` scored again; below them, by scores under 0, the others as they were.

        With a budget, in milliseconds from here on, the depth is what can be reached in it: the best are scored block
        by block until the next would not be done in time, by what blocks took before; the first one always is.
        The list comes back as it is where there is nothing to score one of the best by: a chunk without token codes, in
        a house ingested with reranking off.
        """
        assert self._reranker is not None
        head, left = self._head(ranked, plan.rerank_depth, budget_ms, clock)
        scores = [value for scored in head if (value := self._scores[scored.chunk_id]) is not None]
        if not head or len(scores) < len(head):
            return Reranked(list(ranked), unit)
        taken = {scored.chunk_id for scored in head}
        # First-stage and reranked scores do not compare: what was not scored again keeps its distances, one lower down.
        top = head[-1].score
        tail = [ScoredId(s.chunk_id, s.score - top - 1) for s in ranked if s.chunk_id not in taken and s.score <= top]
        mixed = interpolate(head, scores, weight=plan.rerank_weight)
        return Reranked(mixed + tail, f"{unit}+{self._reranker.unit}", len(head), left)

    def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        """The reranker's score of each chunk that is still on the shelf; None where there is nothing to score it by."""
        self._score(chunk_ids)
        return {chunk_id: self._scores[chunk_id] for chunk_id in chunk_ids if chunk_id in self._scores}

    def _head(
        self, ranked: Sequence[ScoredId], depth: int, budget_ms: float, clock: Clock
    ) -> tuple[list[ScoredId], int]:
        """The best ``depth`` that are still on the shelf, scored, and how many of them the budget left out."""
        assert self._reranker is not None
        started = clock()
        size = self._reranker.block if budget_ms else depth
        head: list[ScoredId] = []
        at = 0
        while at < len(ranked) and len(head) < depth:
            block = ranked[at : at + min(size, depth - len(head))]  # where some are deleted since, others move up
            ids = [scored.chunk_id for scored in block]
            if budget_ms and head and self._predicted_ms(ids) + (clock() - started) * 1000 > budget_ms:
                return head, min(depth - len(head), len(ranked) - at)
            self._score(ids)
            head += [scored for scored in block if scored.chunk_id in self._scores]
            at += len(block)
        return head, 0

    def _predicted_ms(self, chunk_ids: Sequence[str]) -> float:
        new = [chunk_id for chunk_id in chunk_ids if chunk_id not in self._seen]
        return self._scorer.predicted_ms(new) if new and self._scorer else 0.0

    def _score(self, chunk_ids: Sequence[str]) -> None:
        new = [chunk_id for chunk_id in chunk_ids if chunk_id not in self._seen]
        if new:
            assert self._scorer is not None
            self._seen.update(new)
            self._scores.update(self._scorer.scores(new))


def _legs(
    query: Query, dense: Float32 | None, sparse: SparseVector | None, depth: int, engines: Engines
) -> Mapping[Leg, Sequence[ScoredId]]:
    """What the index finds, and where somebody in particular asks, what the catalog lets them see of it.

    The index may be behind the catalog, or hold what it should not: it narrows the search, and decides nothing.
    """
    caller, shelf = query.caller, engines.shelf
    if caller is None:
        return engines.index.search(dense=dense, sparse=sparse, limit=depth, filter=query.filter)
    theirs = {**query.filter, FIELD: shelf.labels(caller)}
    legs = engines.index.search(dense=dense, sparse=sparse, limit=depth, filter=theirs)
    seen = shelf.seen({scored.chunk_id for leg in legs.values() for scored in leg}, caller)
    return {leg: [scored for scored in found if scored.chunk_id in seen] for leg, found in legs.items()}


def _alive(
    ranked: Sequence[ScoredId], k: int, shelf: Shelf, caller: Caller | None
) -> tuple[list[ScoredId], Mapping[str, ChunkView]]:
    """The best ``k`` that are still on the shelf and the caller's to see: either may have changed since."""
    ids = [scored.chunk_id for scored in ranked]
    views = shelf.views(ids[:k], caller)
    if len(views) < len(ids[:k]):
        views = shelf.views(ids, caller)
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

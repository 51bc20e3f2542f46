"""Hard negatives: passages that the current search takes for an answer and that are none.

Mined passages are often answers that nobody labelled, and learning to push those away does harm. What scores too near
to the positive is therefore left out (positive-aware mining: de Souza Moreira et al. 2024, NV-Retriever), and so is
what says nearly word for word the same.

How near is too near is told in the distance between the positive and a middling one of the passages found: cosines of
one model lie between .1 and .6, those of another between .75 and .9. On labels hidden on purpose this gave harder
negatives than fixed bounds with as few of those labels among them (docs/training-data.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from freehold.core.types import Embeddings, Leg, ScoredId
from freehold.journeys.evaluate import BATCH_QUERIES
from freehold.journeys.examples import POSITIVES, Chunks, Mined, Pair
from freehold.journeys.fuse import fuse
from freehold.journeys.ingest import Progress
from freehold.journeys.search import Engines, Plan
from freehold.text.duplicates import signature, similarity

if TYPE_CHECKING:
    from freehold.core.types import Float32

REPEAT = 0.8
"""Estimated Jaccard similarity of runs of five words from which a passage repeats a positive. Higher than where leaks
are looked for: the same clause with another name or sum in it is a negative, and one to learn from."""

_REMEMBERED = 50_000
"""Chunks whose vectors and texts are held between batches: some 100 MB at 384 dimensions."""


@dataclass(frozen=True, slots=True)
class Mining:
    """How negatives are mined."""

    negatives: int = 8
    """For each example, at most."""
    positives: int = POSITIVES
    """Of the chunks of labelled documents, the best that many are learned from."""
    depth: int = 100
    """Hits of each leg that are looked through."""
    lexical_share: float = 0.25
    """Of the negatives, those taken from BM25 alone: near in words where the others are near in sense."""
    margin: float = 0.5
    """Of the way from the best positive's cosine to that of a middling passage found, what a negative keeps off it."""
    ratio: float = 1.0
    """A negative's cosine is at most this share of the best positive's: .95 in the paper."""

    @property
    def lexical(self) -> int:
        """Number of negatives from BM25."""
        return round(self.negatives * self.lexical_share)

    def ceiling(self, positive: float, middling: float) -> float:
        """The highest cosine of a negative. A positive below the middling leaves room up to half the way to that."""
        return min(positive - self.margin * (positive - middling), positive * self.ratio if self.ratio < 1 else 1.0)


def mine(
    pairs: Sequence[Pair], plan: Plan, mining: Mining, *, engines: Engines, chunks: Chunks, progress: Progress
) -> list[Mined]:
    """For every pair its positives, best first, and its negatives, hardest first, by the first stage of ``plan``.

    Positives are the relevant chunks in the order in which the search finds them, then by their cosine with the
    question. Negatives are first those that somebody refused, then mined ones: from the fused list, and a share from
    BM25; together sorted by their cosine. Costs one search for each pair; nothing in it is random.
    """
    memory = _Memory(engines)
    mined = []
    for batch in _searched(pairs, mining.depth, engines):
        needed = {s.chunk_id for _, _, legs in batch for scored in legs.values() for s in scored}
        memory.learn(needed.union(*((*pair.relevant, *pair.refused) for pair, _, _ in batch)))
        for pair, vector, legs in batch:
            mined.append(_Choice(pair, vector, legs, plan, mining, memory, chunks).mined())
        progress("negatives", len(mined), len(pairs))
    return mined


_Legs = Mapping[Leg, Sequence[ScoredId]]


def _searched(pairs: Sequence[Pair], depth: int, engines: Engines) -> Iterator[list[tuple[Pair, Float32, _Legs]]]:
    """The pairs in batches, each with its vector and what both legs find; the next batch is embedded meanwhile."""
    batches = [pairs[start : start + BATCH_QUERIES] for start in range(0, len(pairs), BATCH_QUERIES)]

    def embedded(batch: Sequence[Pair]) -> Embeddings:
        return engines.embedder.embed_queries([pair.asked for pair in batch])

    def found(pair: Pair, vector: Float32) -> _Legs:
        return engines.index.search(dense=vector, sparse=engines.terms.query(pair.asked), limit=depth)

    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(embedded, batches[0]) if batches else None
        for number, batch in enumerate(batches):
            assert following is not None
            vectors = following.result().vectors
            if number + 1 < len(batches):
                following = ahead.submit(embedded, batches[number + 1])
            yield [(pair, vector, found(pair, vector)) for pair, vector in zip(batch, vectors, strict=True)]


class _Memory:
    """Vectors and texts of chunks, each read once as long as they fit."""

    def __init__(self, engines: Engines) -> None:
        self._shelf = engines.shelf
        self._maker = engines.embedder.info.digest
        self.dense: dict[str, Float32] = {}
        self._texts: dict[str, str] = {}
        self._signatures: dict[str, bytes] = {}

    def learn(self, chunk_ids: set[str]) -> None:
        """Read what is not known yet. What is gone from the shelf stays unknown."""
        if len(self.dense) > _REMEMBERED:
            for known in (self.dense, self._texts, self._signatures):
                known.clear()
        for item in self._shelf.indexable([id for id in chunk_ids if id not in self.dense], self._maker):
            chunk = item.view.chunk
            self.dense[chunk.id], self._texts[chunk.id] = item.dense, chunk.text

    def cosines(self, vector: Float32, chunk_ids: Sequence[str]) -> dict[str, float]:
        """Chunk -> its cosine with the question, for those that are there."""
        here = [chunk_id for chunk_id in chunk_ids if chunk_id in self.dense]
        if not here:
            return {}
        scores = np.stack([self.dense[chunk_id] for chunk_id in here]) @ vector
        return dict(zip(here, map(float, scores), strict=True))

    def same_text(self, one: str, other: str) -> bool:
        """Whether two chunks say the same, or nearly, word for word."""
        return similarity(self._signed(one), self._signed(other)) >= REPEAT

    def _signed(self, chunk_id: str) -> bytes:
        if chunk_id not in self._signatures:
            self._signatures[chunk_id] = signature(self._texts[chunk_id])
        return self._signatures[chunk_id]


@dataclass
class _Choice:
    """The choice of the passages of one pair."""

    pair: Pair
    vector: Float32
    legs: _Legs
    plan: Plan
    mining: Mining
    memory: _Memory
    chunks: Chunks
    false_negatives: int = 0
    repeats: int = 0
    _ceiling: float = 0.0
    _looked_at: set[str] = field(default_factory=set)

    def mined(self) -> Mined:
        """Positives and negatives, and what was left out."""
        plan = self.plan
        fused = fuse(self.legs, fusion=plan.fusion, rrf_k=plan.rrf_k, dense_weight=plan.dense_weight)
        listed = [s.chunk_id for s in fused[: self.mining.depth]]
        lexical = [s.chunk_id for s in self.legs["lexical"]]
        cosines = self.memory.cosines(
            self.vector, list(dict.fromkeys([*self.pair.relevant, *self.pair.refused, *listed, *lexical]))
        )
        positives = self._positives(listed, cosines)
        if not positives:
            return Mined((), (), None)
        middling = float(np.median([cosines[id] for id in {*listed, *lexical} if id in cosines] or [0.0]))
        self._ceiling = self.mining.ceiling(max(cosines[id] for id in positives), middling)
        self._looked_at.update(self.pair.relevant, self.pair.spared)
        negatives = self._negatives(positives, listed, lexical, cosines)
        return Mined(tuple(positives), tuple(negatives), self._rank(listed), self.false_negatives, self.repeats)

    def _positives(self, listed: Sequence[str], cosines: Mapping[str, float]) -> list[str]:
        places = {chunk_id: place for place, chunk_id in enumerate(listed)}
        here = [chunk_id for chunk_id in self.pair.relevant if chunk_id in cosines]
        return sorted(here, key=lambda id: (places.get(id, len(places)), -cosines[id], id))[: self.mining.positives]

    def _negatives(
        self, positives: Sequence[str], listed: Sequence[str], lexical: Sequence[str], cosines: Mapping[str, float]
    ) -> list[str]:
        def hardest_first(chunk_ids: Sequence[str]) -> list[str]:
            return sorted(chunk_ids, key=lambda id: (-cosines[id], id))

        wanted = self.mining.negatives
        refused = [id for id in self.pair.refused if id in cosines and id not in self._looked_at]
        refused = hardest_first(refused)[:wanted]
        self._looked_at.update(refused)
        room = wanted - len(refused)
        share = min(self.mining.lexical, room)
        fused = self._take(listed, room - share, positives, cosines)
        worded = self._take(lexical, share, positives, cosines)
        more = self._take(listed, room - len(fused) - len(worded), positives, cosines)
        return refused + hardest_first([*fused, *worded, *more])

    def _take(
        self, listed: Sequence[str], count: int, positives: Sequence[str], cosines: Mapping[str, float]
    ) -> list[str]:
        """The first ``count`` of the list that are no positive, nor likely one."""
        taken: list[str] = []
        for chunk_id in listed:
            if len(taken) >= count:
                break
            if chunk_id in self._looked_at or chunk_id not in cosines:
                continue
            self._looked_at.add(chunk_id)
            if self.chunks.document(chunk_id) in self.pair.spared_documents:
                continue
            if cosines[chunk_id] > self._ceiling:
                self.false_negatives += 1
            elif any(self.memory.same_text(chunk_id, positive) for positive in positives):
                self.repeats += 1
            else:
                taken.append(chunk_id)
        return taken

    def _rank(self, listed: Sequence[str]) -> int | None:
        own = {*self.pair.relevant, *self.pair.spared}
        at_home = self.pair.spared_documents
        hits = (rank for rank, id in enumerate(listed, 1) if id in own or self.chunks.document(id) in at_home)
        return next(hits, None)

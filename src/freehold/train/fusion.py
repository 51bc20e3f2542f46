"""Fit the weights of fusion and reranking on labelled queries, against a default that is left only for a sure gain.

What each leg found is taken once; a blend of weights then costs arithmetic, done for all blends of a grid at a time.
The formulas are those of ``freehold.journeys.fuse``, which searches one query at a time; tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from statistics import fmean, stdev
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import UsageError
from freehold.core.types import Leg, ScoredId

Float64: TypeAlias = NDArray[np.float64]
Fusion = Literal["rrf", "dbsf", "weighted"]

STEP = 0.05
WEIGHTS = tuple(round(STEP * n, 2) for n in range(21))
RRF_KS = (10, 60)
FOLDS = 5
FEWEST_QUERIES = 20

_LEGS: tuple[Leg, Leg] = ("dense", "lexical")


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A labelled query with what each leg found for it, best first, as an index returns it."""

    id: str
    legs: Mapping[Leg, Sequence[ScoredId]]
    units: Mapping[str, Sequence[str]]
    """Chunk id -> the documents or passages that a hit on it counts as; chunks that are gone are not in it."""
    grades: Mapping[str, int]
    """Document or passage -> grade; 0 or less is not relevant."""
    similarity: Mapping[str, float | None] | None = None
    """Chunk id -> the reranker's score; None for a chunk without token codes. None altogether: nothing is reranked."""
    group: str = ""
    """Queries of one group are never on both sides of a fold, such as those about one document. Empty: its own."""


@dataclass(frozen=True, slots=True)
class Blend:
    """How scores are put together: ``retrieval.fusion``, ``.dense_weight``, ``.rrf_k`` and ``reranker.weight``."""

    fusion: Fusion = "weighted"
    dense_weight: float = 0.5
    rrf_k: int = 60
    rerank_weight: float = 0.5

    def settings(self) -> Mapping[str, object]:
        """As dotted keys of freehold.toml, those that matter to this fusion."""
        found: dict[str, object] = {"retrieval.fusion": self.fusion}
        if self.fusion != "dbsf":
            found["retrieval.dense_weight"] = self.dense_weight
        if self.fusion == "rrf":
            found["retrieval.rrf_k"] = self.rrf_k
        return {**found, "reranker.weight": self.rerank_weight}


@dataclass(frozen=True, slots=True)
class Depths:
    """How deep the search looks. ``rerank`` 0: nothing is scored again."""

    candidates: int = 100
    rerank: int = 50
    cutoff: int = 10
    """Of nDCG."""


_AS_SERVED = Depths()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A blend, and what it is worth on queries that did not choose it. Arrays are in the order of the queries."""

    blend: Blend
    """The default where no gain was sure."""
    found: Blend
    """What all queries together would choose, sure or not."""
    gain: float
    """Mean paired gain of ``found`` over the default on the queries that chose it: too high, as any maximum is."""
    gain_error: float
    cross_gain: float
    """The same where each fold is scored by what the other folds chose."""
    cross_error: float
    default_scores: Float64
    cross_scores: Float64


def fit(
    queries: Sequence[LabelledQuery],
    default: Blend,
    *,
    depths: Depths = _AS_SERVED,
    fusions: Sequence[Fusion] = ("weighted",),
    dense_weights: Sequence[float] = WEIGHTS,
    seed: int = 0,
) -> Fitted:
    """The blend of the grid in the middle of the best ones by mean nDCG: see ``choose``.

    The default stays where the cross-validated gain is not above its own standard error. ``dense_weights``: those
    tried. ``seed`` deals groups to folds. Raises UsageError for fewer than FEWEST_QUERIES queries.
    """
    if len(queries) < FEWEST_QUERIES:
        raise UsageError(
            f"{len(queries)} labelled queries to fit weights on, at least {FEWEST_QUERIES} are needed",
            hint="label more queries, or keep the default weights",
        )
    blends = grid(
        default, fusions=fusions, dense_weights=dense_weights, rerank=depths.rerank > 0 and _reranked(queries)
    )
    scores = ndcg(queries, blends, depths=depths)
    folds = fold_numbers(queries, FOLDS, seed=seed)
    cross = scores[:, 0].copy()
    for fold in range(FOLDS):
        held_out = folds == fold
        if held_out.any() and not held_out.all():
            cross[held_out] = scores[held_out, choose(scores[~held_out], blends)]
    found = choose(scores, blends)
    cross_gain, cross_error = paired(cross - scores[:, 0])
    gain, gain_error = paired(scores[:, found] - scores[:, 0])
    sure = cross_gain > cross_error
    blend = blends[found] if sure else default
    return Fitted(blend, blends[found], gain, gain_error, cross_gain, cross_error, scores[:, 0], cross)


def _reranked(queries: Sequence[LabelledQuery]) -> bool:
    return any(query.similarity is not None for query in queries)


def grid(
    default: Blend,
    *,
    fusions: Sequence[Fusion] = ("weighted",),
    dense_weights: Sequence[float] = WEIGHTS,
    rerank: bool = True,
) -> list[Blend]:
    """The default, then every other blend of the grid; what does not matter to a fusion does not multiply it."""
    found = {default: None}
    for fusion in fusions:
        for dense, k, again in product(
            dense_weights if fusion != "dbsf" else (default.dense_weight,),
            RRF_KS if fusion == "rrf" else (default.rrf_k,),
            WEIGHTS if rerank else (default.rerank_weight,),
        ):
            found[Blend(fusion, dense, k, again)] = None
    return list(found)


def choose(scores: Float64, blends: Sequence[Blend]) -> int:
    """Index of the blend in the middle of those within one paired standard error of the best mean.

    ``scores``: float64 (queries, blends). The best alone owes part of its mean to luck, and lies at an edge as often as
    not; the middle is what all that cannot be told from it agree on. Only blends that fuse as the best does count.
    Equally near: the better mean, then the earlier.
    """
    means = scores.mean(axis=0)
    best = int(means.argmax())
    below = scores[:, [best]] - scores
    errors = below.std(axis=0, ddof=1) / math.sqrt(len(scores)) if len(scores) > 1 else np.full(len(blends), math.inf)
    near = [i for i in np.flatnonzero(below.mean(axis=0) <= errors).tolist() if _way(blends[i]) == _way(blends[best])]
    dense = fmean(blends[i].dense_weight for i in near)
    again = fmean(blends[i].rerank_weight for i in near)

    def away(i: int) -> float:
        return round(abs(blends[i].dense_weight - dense) + abs(blends[i].rerank_weight - again), 9)

    return min(near, key=lambda i: (away(i), -means[i], i))


def _way(blend: Blend) -> tuple[str, int]:
    return blend.fusion, blend.rrf_k if blend.fusion == "rrf" else 0


def paired(differences: Float64) -> tuple[float, float]:
    """Mean and its standard error."""
    if len(differences) < 2:
        return float(differences.sum()), math.inf
    return float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))


def fold_numbers(queries: Sequence[LabelledQuery], folds: int, *, seed: int) -> NDArray[np.int64]:
    """int64 (queries,): the fold of each, by a hash of its group, so that it does not depend on the others."""
    groups = (query.group or query.id for query in queries)
    digests = (sha256(f"{seed}:{group}".encode()).digest() for group in groups)
    return np.array([int.from_bytes(digest[:8], "big") % folds for digest in digests], dtype=np.int64)


# -- what a blend makes of a query ------------------------------------------------------------------------------------


def ndcg(queries: Sequence[LabelledQuery], blends: Sequence[Blend], *, depths: Depths = _AS_SERVED) -> Float64:
    """float64 (queries, blends): nDCG at the cutoff of what the search would rank by each blend.

    Units are ordered as trec_eval does, by score as float32 and then by id, both descending; a query without a relevant
    unit scores 0.
    """
    plan = _Plan.of(blends)
    scores = np.zeros((len(queries), len(blends)))
    for row, query in enumerate(queries):
        field = _Field.of(query, depths)
        if field is not None:
            scores[row] = field.ndcg(plan)[plan.first, plan.second]
    return scores


@dataclass(frozen=True, slots=True)
class _Plan:
    """Blends as first stages times rerank weights, so that what they share is computed once."""

    stages: tuple[tuple[Fusion, int, float], ...]
    weights: Float64
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @classmethod
    def of(cls, blends: Sequence[Blend]) -> _Plan:
        stages = list(dict.fromkeys((b.fusion, b.rrf_k, b.dense_weight) for b in blends))
        weights = list(dict.fromkeys(b.rerank_weight for b in blends))
        return cls(
            tuple(stages),
            np.array(weights),
            np.array([stages.index((b.fusion, b.rrf_k, b.dense_weight)) for b in blends], dtype=np.int64),
            np.array([weights.index(b.rerank_weight) for b in blends], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class _Field:
    """A query's chunks in ascending order of id, those that are gone left out, and its units likewise."""

    lists: Mapping[Leg, tuple[NDArray[np.int64], Float64]]
    """Leg -> places of its chunks, -1 for one that is gone, and their scores, best first."""
    size: int
    similarity: Float64 | None
    """(chunks,), NaN for a chunk without token codes."""
    chunk_of: NDArray[np.int64]
    """(pairs,): chunk of each pair of chunk and unit, sorted by unit."""
    starts: NDArray[np.int64]
    """(units,): where the pairs of each unit begin."""
    relevant: NDArray[np.int64]
    """Units with a grade above 0 that were found."""
    gains: Float64
    """Their grades over the DCG of the ideal ranking."""
    depths: Depths

    @classmethod
    def of(cls, query: LabelledQuery, depths: Depths) -> _Field | None:
        """None where no relevant unit was found: every blend scores 0."""
        legs = {leg: query.legs.get(leg, ())[: depths.candidates] for leg in _LEGS}
        ids = sorted({s.chunk_id for scored in legs.values() for s in scored if query.units.get(s.chunk_id)})
        place = {chunk_id: i for i, chunk_id in enumerate(ids)}
        pairs = sorted((unit, place[chunk_id]) for chunk_id in ids for unit in query.units[chunk_id])
        units = sorted({unit for unit, _ in pairs})
        relevant = [i for i, unit in enumerate(units) if query.grades.get(unit, 0) > 0]
        if not relevant:
            return None
        ideal = sorted((grade for grade in query.grades.values() if grade > 0), reverse=True)[: depths.cutoff]
        ideal_dcg = math.fsum(grade / math.log2(rank + 1) for rank, grade in enumerate(ideal, 1))
        starts = np.searchsorted([unit for unit, _ in pairs], units)
        return cls(
            lists={leg: _list(scored, place) for leg, scored in legs.items()},
            size=len(ids),
            similarity=_similarity(query, ids) if depths.rerank else None,
            chunk_of=np.array([chunk for _, chunk in pairs], dtype=np.int64),
            starts=starts.astype(np.int64),
            relevant=np.array(relevant, dtype=np.int64),
            gains=np.array([query.grades[units[i]] for i in relevant]) / ideal_dcg,
            depths=depths,
        )

    def ndcg(self, plan: _Plan) -> Float64:
        """float64 (stages, rerank weights)."""
        first = self._first_stages(plan.stages)
        scores = self._reranked(first, plan.weights) if self.similarity is not None else first[:, None, :]
        found = self._ndcg(scores)
        return np.broadcast_to(found, (len(plan.stages), len(plan.weights)))

    def _first_stages(self, stages: Sequence[tuple[Fusion, int, float]]) -> Float64:
        """float64 (stages, chunks); -inf where a chunk is not in the list."""
        fused = np.full((len(stages), self.size), -np.inf)
        worth = {kind: self._points(*kind) for kind in dict.fromkeys((fusion, k) for fusion, k, _ in stages)}
        for row, (fusion, k, dense_weight) in enumerate(stages):
            for leg, weight in zip(_LEGS, (dense_weight, 1 - dense_weight), strict=True):
                own = 1.0 if fusion == "dbsf" else weight
                if own:
                    places, values = worth[fusion, k][leg]
                    # np.maximum would read an absent -inf as 0 only for points above 0: they may be 0 as well.
                    before = fused[row, places]
                    fused[row, places] = np.where(np.isneginf(before), 0.0, before) + own * values
        return fused

    def _points(self, fusion: Fusion, k: int) -> Mapping[Leg, tuple[NDArray[np.int64], Float64]]:
        found = {}
        for leg, (places, scores) in self.lists.items():
            here = places >= 0
            found[leg] = places[here], points(fusion, k, scores)[here]
        return found

    def _reranked(self, first: Float64, weights: Float64) -> Float64:
        """float64 (stages, weights, chunks): the best scored again, the others as they were and below them."""
        assert self.similarity is not None
        head = np.argsort(-first, axis=1, kind="stable")[:, : self.depths.rerank]  # equal scores by chunk id
        before, after = np.take_along_axis(first, head, axis=1), self.similarity[head]
        present = ~np.isneginf(before)
        last = np.where(present, before, np.inf).min(axis=1, keepdims=True)
        low, high = _by_range(before, present), _by_range(after, present)
        mixed = (1 - weights)[:, None] * low[:, None, :] + weights[:, None] * high[:, None, :]
        mixed[np.broadcast_to(~present[:, None, :], mixed.shape)] = -np.inf
        scores = np.repeat((first - last - 1)[:, None, :], len(weights), axis=1)
        np.put_along_axis(scores, np.broadcast_to(head[:, None, :], mixed.shape), mixed, axis=2)
        bare = (np.isnan(after) & present).any(axis=1)  # a chunk without token codes: the list comes back as it is
        scores[bare] = first[bare][:, None, :]
        return scores

    def _ndcg(self, scores: Float64) -> Float64:
        """float64 (stages, weights) of float64 (stages, weights, chunks)."""
        singles = scores.astype(np.float32)
        if len(self.starts) == len(self.chunk_of) == self.size and (self.chunk_of == np.arange(self.size)).all():
            units = singles
        else:
            units = np.maximum.reduceat(singles[:, :, self.chunk_of], self.starts, axis=2)
        total = np.zeros(units.shape[:2])
        for unit, gain in zip(self.relevant, self.gains, strict=True):
            own = units[:, :, unit, None]
            # Later units have greater ids, and of equal scores the greater id comes first.
            ranks = 1 + (units[:, :, :unit] > own).sum(axis=2) + (units[:, :, unit + 1 :] >= own).sum(axis=2)
            counts = (ranks <= self.depths.cutoff) & ~np.isneginf(own[:, :, 0])
            total += np.where(counts, gain / np.log2(ranks + 1), 0.0)
        return total


def _list(scored: Sequence[ScoredId], place: Mapping[str, int]) -> tuple[NDArray[np.int64], Float64]:
    places = np.array([place.get(s.chunk_id, -1) for s in scored], dtype=np.int64)
    return places, np.array([s.score for s in scored], dtype=np.float64)


def _similarity(query: LabelledQuery, ids: Sequence[str]) -> Float64 | None:
    if query.similarity is None:
        return None
    values = (query.similarity.get(chunk_id) for chunk_id in ids)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def points(fusion: Fusion, rrf_k: int, scores: Float64) -> Float64:
    """What each place of a leg's list is worth, float64 (places,): see ``freehold.journeys.fuse.fuse``."""
    if fusion == "rrf":
        return np.asarray(1 / (rrf_k + np.arange(1.0, len(scores) + 1)), dtype=np.float64)
    if fusion == "weighted":
        stretched: Float64 = _by_range(scores[None], np.ones((1, len(scores)), dtype=np.bool_))[0]
        return stretched
    spread = stdev(scores.tolist()) if len(scores) > 1 else 0.0
    if not spread:
        return np.full(len(scores), 0.5)
    bottom = fmean(scores.tolist()) - 3 * spread
    return np.clip((scores - bottom) / (6 * spread), 0.0, 1.0)


def _by_range(scores: Float64, present: NDArray[np.bool_]) -> Float64:
    """Rows stretched over [0, 1] by what is present in them; 1 where all are equal."""
    if not scores.size:
        return scores
    low = np.where(present, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(present, scores, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # rows of which nothing is present, and chunks without token codes
        width = high - low
        flat = ~(width > 0)
        stretched: Float64 = np.where(flat, 1.0, (np.where(present, scores, low) - low) / np.where(flat, 1.0, width))
    return stretched

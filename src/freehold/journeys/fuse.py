"""Two ranked lists to one, and a reranker's scores beside the list that it was given.

Pure functions. A score that comes out compares within its own list only. Equal scores are ordered by chunk id.
docs/decisions/0008-late-interaction.md has the measurements behind the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal

from freehold.core.types import Leg, ScoredId

Fusion = Literal["rrf", "dbsf", "weighted"]


def fuse(legs: Mapping[Leg, Sequence[ScoredId]], *, fusion: Fusion, rrf_k: int, dense_weight: float) -> list[ScoredId]:
    """Every chunk of any leg, best first. Legs are sorted best first, as an index returns them.

    With ``w`` = ``dense_weight`` for the dense leg and 1 - ``dense_weight`` for the lexical one, a chunk's score is

    - ``rrf``: the sum of w / (``rrf_k`` + rank), rank from 1 (reciprocal rank fusion: Cormack, Clarke and Büttcher
      2009);
    - ``weighted``: the sum of w * (s - min) / (max - min), over the leg's list (convex combination: Bruch, Gai and
      Ingber 2023);
    - ``dbsf``: the sum of (s - (m - 3d)) / 6d clipped to [0, 1], with mean m and standard deviation d of the leg's list
      (Qdrant's distribution-based score fusion). It has no weights.

    A leg of weight 0 takes no part.
    """
    weights: Mapping[Leg, float] = {"dense": dense_weight, "lexical": 1 - dense_weight}
    if fusion == "dbsf":
        weights = dict.fromkeys(weights, 1.0)
    points = _points(fusion, rrf_k)
    total: dict[str, float] = {}
    for leg, scored in legs.items():
        if not weights[leg]:
            continue
        for found, point in zip(scored, points([s.score for s in scored]), strict=True):
            # A chunk that a leg did not return gets nothing from it. For rrf that is the limit of a far rank; for the
            # others it is what the leg's last hit gets or less, and all that is known is that it scores no better.
            total[found.chunk_id] = total.get(found.chunk_id, 0.0) + weights[leg] * point
    return _sorted(total.items())


def interpolate(first: Sequence[ScoredId], rerank_scores: Iterable[float], *, weight: float) -> list[ScoredId]:
    """The same chunks by (1 - ``weight``) * first stage + ``weight`` * reranker, both as (s - min) / (max - min).

    ``rerank_scores`` are in the order of ``first``, one each. The two scales share neither zero nor unit, so each is
    stretched over this list. The first stage is kept because token vectors alone forget exact words (compare Wang,
    Zhuang and Zuccon 2021, "BERT-based dense retrievers require interpolation with BM25").
    """
    ranges = zip(_by_range([s.score for s in first]), _by_range([float(s) for s in rerank_scores]), strict=True)
    mixed = ((1 - weight) * before + weight * after for before, after in ranges)
    return _sorted(zip((s.chunk_id for s in first), mixed, strict=True))


def _points(fusion: Fusion, rrf_k: int) -> Callable[[Sequence[float]], list[float]]:
    if fusion == "rrf":
        return lambda scores: [1 / (rrf_k + rank) for rank in range(1, len(scores) + 1)]
    return _by_range if fusion == "weighted" else _by_spread


def _by_range(scores: Sequence[float]) -> list[float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if low == high:
        return [1.0] * len(scores)
    return [(score - low) / (high - low) for score in scores]


def _by_spread(scores: Sequence[float]) -> list[float]:
    spread = stdev(scores) if len(scores) > 1 else 0.0
    if not spread:
        return [0.5] * len(scores)
    bottom = fmean(scores) - 3 * spread
    return [min(1.0, max(0.0, (score - bottom) / (6 * spread))) for score in scores]


def _sorted(scored: Iterable[tuple[str, float]]) -> list[ScoredId]:
    return [ScoredId(chunk_id, score) for chunk_id, score in sorted(scored, key=lambda pair: (-pair[1], pair[0]))]

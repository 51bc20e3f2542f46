"""The best of each leg, where engines put equal scores in any order: a run of them is fetched whole, then cut by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from freehold.core.types import Leg, ScoredId

TIE_MARGIN = 8
"""Points fetched beyond the limit, to see whether the limit cuts a run of equal scores."""

Query = TypeVar("Query")


class Scored(Protocol):
    """A point as an engine answers with it."""

    @property
    def id(self) -> object: ...

    @property
    def score(self) -> float: ...


def best(
    asked: Mapping[Leg, Query], limit: int, ask: Callable[[Sequence[Query], int], Sequence[Sequence[Scored]]]
) -> dict[Leg, Sequence[ScoredId]]:
    """The best ``limit`` of each leg, by score descending, equal scores by chunk id.

    ``ask`` gives each query's best by score, at most so many. It is called once, and again only for legs in which a
    run of equal scores reaches beyond what was fetched.
    """
    found: dict[Leg, Sequence[ScoredId]] = dict.fromkeys(asked, ())
    fetch = limit + TIE_MARGIN
    while asked and limit:
        cut = set()
        for leg, points in zip(asked, ask(list(asked.values()), fetch), strict=True):
            if len(points) == fetch and points[-1].score == points[limit - 1].score:
                cut.add(leg)
            else:
                found[leg] = _ranked(points, limit)
        asked = {leg: query for leg, query in asked.items() if leg in cut}
        fetch *= 4
    return found


def _ranked(points: Sequence[Scored], limit: int) -> list[ScoredId]:
    """The engine's points, which come by score, with equal scores put in order of chunk id and then cut."""
    scores = [point.score for point in points]
    end = len(points)
    while end > limit and scores[end - 1] < scores[limit - 1]:
        end -= 1
    ranked = [ScoredId(str(point.id), score) for point, score in zip(points[:end], scores[:end], strict=True)]
    if len(set(scores)) < len(scores):
        ranked.sort(key=lambda hit: (-hit.score, hit.chunk_id))
    return ranked[:limit]

"""Populations of queries with two systems' rankings, whose true difference is known: what the gate's samples come from.

Relevant documents stand at ranks 1 + floor(e^x), with x normal: most stand first or are missed, the rest lie between.
Both systems share most of x, as systems over one corpus do; the rest is noise of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freehold.measure.ranking import Grades, Measure, Scores, score

NAMES = ("nDCG@10", "R@50")
MEASURES = tuple(map(Measure.parse, NAMES))
DEPTH = 50
POOL = 75
"""Other documents that a query's rankings draw from."""
SPREAD, CENTRE = 2.5, 0.8
PARTS = {"a": 0.5, "b": 0.3, "c": 0.2}
"""Value of the field ``part``, a slice -> share of the queries."""
KINDS = {
    "one relevant, close": (1, 0.25),
    "one relevant, apart": (1, 1.2),
    "several relevant, close": (8, 0.25),
    "several relevant, apart": (8, 1.2),
}
"""Kind -> most relevant documents of a query, and noise of a system's own."""
EVERYWHERE, FEW_LOST, REST_SAME = "everywhere", "few lost", "few lost, rest same"

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """A system: its rankings of the queries, and their values, float64 (queries, measures)."""

    rankings: Sequence[Scores]
    values: Float64

    def with_some_of(self, other: Side, chosen: NDArray[np.bool_]) -> Side:
        rankings = [two if take else one for one, two, take in zip(self.rankings, other.rankings, chosen, strict=True)]
        return Side(rankings, np.where(chosen[:, None], other.values, self.values))


@dataclass(frozen=True)
class Population:
    """Queries with two systems side by side; ``parts`` is the slice of each query."""

    qrels: Sequence[Grades]
    live: Side
    candidate: Side
    parts: NDArray[np.str_]

    def drops(self) -> dict[str, float]:
        """True drop by the names that the gate gives its checks."""
        lost = self.live.values - self.candidate.values
        found = dict(zip(NAMES, lost.mean(axis=0).tolist(), strict=True))
        for part in PARTS:
            own = lost[self.parts == part]
            found |= {f"{name} on part={part}": float(own[:, j].mean()) for j, name in enumerate(NAMES) if len(own)}
        return found


def side(rankings: Sequence[Scores], qrels: Sequence[Grades]) -> Side:
    """A system from its rankings."""
    names = [f"{row:06d}" for row in range(len(qrels))]
    return Side(
        rankings, score(dict(zip(names, rankings, strict=True)), dict(zip(names, qrels, strict=True)), MEASURES)
    )


class Maker:
    """Populations of one kind over the same queries and the same live system."""

    def __init__(self, kind: str, *, queries: int, seed: int) -> None:
        most, own_noise = KINDS[kind]
        self._rng = rng = np.random.default_rng([seed, *kind.encode()])
        self._others = [[f"n{i:02d}" for i in rng.permutation(POOL)[:DEPTH]] for _ in range(64)]
        counts = rng.integers(2, most + 1, queries) if most > 1 else np.ones(queries, dtype=int)
        self._qrels = [{f"r{i}": int(g) for i, g in enumerate(rng.integers(1, 3, count))} for count in counts]
        places = [rng.normal(CENTRE, (SPREAD**2 - own_noise**2) ** 0.5, count) for count in counts]
        self._live, self._equal, self._worse = (
            self._side([x + rng.normal(shift, own_noise, len(x)) for x in places]) for shift in (0.0, 0.0, 1.0)
        )
        self._best, self._lost = (self._side([np.full(len(x), limit) for x in places]) for limit in (-np.inf, np.inf))
        self._parts = rng.choice(list(PARTS), size=queries, p=list(PARTS.values()))

    def equal(self) -> Population:
        """Two systems of which neither is better by design: swap them at random, and neither is better at all."""
        return Population(self._qrels, self._live, self._equal, self._parts)

    def worse(self, shape: str, measure: int, drop: float, *, part: str = "") -> Population:
        """As many of the candidate's rankings made worse as bring its mean down by ``drop``.

        ``everywhere`` moves relevant documents down by a factor e in some queries; ``few lost`` loses all relevant ones
        of a few; ``few lost, rest same`` does, and gives the live ranking everywhere else. ``part``: in this slice.
        Raises CannotReach.
        """
        start = self._live if shape == REST_SAME else self._equal
        spoiled = self._worse if shape == EVERYWHERE else self._lost
        return self._reach(start, spoiled, measure, drop, part=part)

    def uneven(self, measure: int) -> Population:
        """Equal on the mean, and not alike: three queries in a hundred gain all there is, others lose a little."""
        gained = self._equal.with_some_of(self._best, self._rng.random(len(self._qrels)) < 0.03)
        return self._reach(gained, self._worse, measure, 0.0)

    def _reach(self, start: Side, spoiled: Side, measure: int, drop: float, *, part: str = "") -> Population:
        inside = self._parts == part if part else np.ones(len(self._qrels), dtype=bool)
        order = self._rng.permutation(np.flatnonzero(inside))
        lost = (self._live.values - start.values)[inside, measure].sum()
        losses = lost + np.cumsum((start.values - spoiled.values)[order, measure])
        reached = np.flatnonzero(losses >= drop * inside.sum())
        if not len(reached):
            raise CannotReach
        chosen = np.zeros(len(self._qrels), dtype=bool)
        chosen[order[: reached[0] + 1]] = True
        return replace(self.equal(), candidate=start.with_some_of(spoiled, chosen))

    def _side(self, places: Sequence[Float64]) -> Side:
        return side([self._ranking(x) for x in places], self._qrels)

    def _ranking(self, places: Float64) -> Scores:
        order = list(self._others[int(self._rng.integers(len(self._others)))])
        ranks = np.floor(np.exp(np.minimum(places, 99.0)))
        for rank, document in sorted((int(rank), i) for i, rank in enumerate(ranks) if rank < DEPTH):
            order.insert(rank, f"r{document}")
        return dict(zip(order[:DEPTH], range(DEPTH, 0, -1), strict=True))


class CannotReach(Exception):
    """Even all rankings made worse do not bring the mean down that far."""


def of_runs(live: Mapping[str, Scores], candidate: Mapping[str, Scores], qrels: Mapping[str, Grades]) -> Population:
    """The queries of two real runs."""
    queries = sorted(qrels)
    grades = [qrels[query] for query in queries]
    sides = [side([dict(run.get(query, {})) for query in queries], grades) for run in (live, candidate)]
    return Population(grades, sides[0], sides[1], np.full(len(queries), ""))

"""Populations of queries with two systems' rankings, whose true difference is known: what the gate's samples come from.

Relevant documents stand at ranks 1 + floor(e^x), with x normal: most stand first or are missed, the rest lie between.
Both systems share most of x, as systems over one corpus do; the rest is noise of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freehold.measure.ranking import Grades, Measure, Scores, score

DEPTH = 50
POOL = 75
"""Other documents that a query's rankings draw from."""
SPREAD, CENTRE = 2.5, 0.8
SLICES = {"a": 0.5, "b": 0.3, "c": 0.2}
"""Value of the field ``part`` -> share of the queries."""

Ranking = Mapping[str, float]
Places = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Queries side by side; ``part`` is the slice of each."""

    name: str
    qrels: Sequence[Grades]
    live: Sequence[Scores]
    candidate: Sequence[Scores]
    part: Sequence[str]

    def differences(self, measures: Sequence[Measure]) -> NDArray[np.float64]:
        """Candidate - live, (queries, measures)."""
        names = [f"{row:06d}" for row in range(len(self.qrels))]
        qrels = dict(zip(names, self.qrels, strict=True))
        sides = (self.candidate, self.live)
        one, other = (score(dict(zip(names, side, strict=True)), qrels, measures) for side in sides)
        return one - other

    def drops(self, measures: Sequence[Measure]) -> dict[str, float]:
        """True drop by the names that the gate gives its checks."""
        lost = -self.differences(measures)
        parts = np.array(self.part)
        found = {str(measure): lost[:, j].mean() for j, measure in enumerate(measures)}
        for part in sorted(set(self.part)):
            for j, measure in enumerate(measures):
                found[f"{measure} on part={part}"] = lost[parts == part, j].mean()
        return {name: float(drop) for name, drop in found.items()}


class Maker:
    """Populations of one kind: how many documents are relevant to a query, and how far apart the systems are."""

    def __init__(self, name: str, *, most_relevant: int, own_noise: float, queries: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._name, self._queries, self._rng = name, queries, rng
        shared = (SPREAD**2 - own_noise**2) ** 0.5
        counts = rng.integers(2, most_relevant + 1, queries) if most_relevant > 1 else np.ones(queries, dtype=int)
        places = [rng.normal(CENTRE, shared, count) for count in counts]
        self._qrels = [{f"r{i}": int(g) for i, g in enumerate(rng.integers(1, 3, count))} for count in counts]
        self._live, self._equal, self._worse = (
            [place + rng.normal(shift, own_noise, len(place)) for place in places] for shift in (0.0, 0.0, 1.0)
        )
        self._part = rng.choice(list(SLICES), size=queries, p=list(SLICES.values())).tolist()
        self._others = [[f"n{i:02d}" for i in rng.permutation(POOL)[:DEPTH]] for _ in range(64)]

    def equal(self) -> Population:
        """Two systems of which neither is better by design; swap them at random, and neither is better at all."""
        live, candidate = ([self._ranking(x) for x in side] for side in (self._live, self._equal))
        return Population(self._name, self._qrels, live, candidate, self._part)

    def worse(self, base: Population, shape: str, measure: Measure, drop: float, *, part: str = "") -> Population:
        """``base`` with as many of its candidate's rankings made worse as bring the mean down by ``drop``.

        Shapes: ``everywhere`` moves relevant documents down by a factor e in some queries; ``few lost`` loses all
        relevant documents of a few; ``few lost, rest same`` does, and leaves the live ranking everywhere else.
        ``part``: the drop is of this slice, and there.
        """
        if shape == "everywhere":
            spoiled = [self._ranking(x) for x in self._worse]
        else:
            spoiled = [self._ranking(np.full(1, np.inf)) for _ in self._worse]
        if shape == "few lost, rest same":
            base = replace(base, candidate=base.live)
        return _reach(base, spoiled, measure, -drop, self._rng, part=part)

    def uneven(self, base: Population, measure: Measure) -> Population:
        """Equal on the mean, and not alike: three queries in a hundred gain all there is, many others lose a little."""
        chosen = self._rng.random(self._queries) < 0.03
        best = [self._ranking(np.full(len(x), -np.inf)) for x in self._live]
        slightly = [self._ranking(x + 0.5) for x in self._equal]
        gained = [best[i] if chosen[i] else ranking for i, ranking in enumerate(base.candidate)]
        return _reach(replace(base, candidate=gained), slightly, measure, 0.0, self._rng)

    def _ranking(self, places: Places) -> Ranking:
        others = self._others[int(self._rng.integers(len(self._others)))]
        ranks = np.floor(np.exp(np.minimum(places, 99.0)))
        order = list(others)
        for rank, document in sorted((int(rank), i) for i, rank in enumerate(ranks) if rank < DEPTH):
            order.insert(rank, f"r{document}")
        return dict(zip(order[:DEPTH], range(DEPTH, 0, -1), strict=True))


def _reach(
    base: Population,
    other: Sequence[Scores],
    measure: Measure,
    mean: float,
    rng: np.random.Generator,
    *,
    part: str = "",
) -> Population:
    """``base`` with candidates from ``other`` in as many queries as bring the mean difference down to ``mean``."""
    inside = np.array([not part or own == part for own in base.part])
    now, then = (replace(base, candidate=side).differences([measure])[:, 0] for side in (base.candidate, other))
    order = [row for row in rng.permutation(len(now)).tolist() if inside[row]]
    sums = now[inside].sum() + np.cumsum((then - now)[order])
    reached = np.flatnonzero(sums <= mean * inside.sum())
    if not len(reached):
        raise ValueError(f"{base.name} cannot reach {mean:+.3f} in {measure}")
    chosen = set(order[: int(reached[0]) + 1])
    candidate = [other[i] if i in chosen else ranking for i, ranking in enumerate(base.candidate)]
    return replace(base, candidate=candidate)


def of_runs(
    name: str, live: Mapping[str, Scores], candidate: Mapping[str, Scores], qrels: Mapping[str, Grades]
) -> Population:
    """The queries of real runs as a population."""
    queries = sorted(qrels)
    sides = ([dict(run.get(query, {})) for query in queries] for run in (live, candidate))
    return Population(name, [qrels[query] for query in queries], *sides, [""] * len(queries))


MAKERS: Mapping[str, Callable[[int, int], Maker]] = {
    "one relevant, close": lambda n, seed: Maker(
        "one relevant, close", most_relevant=1, own_noise=0.25, queries=n, seed=seed
    ),
    "one relevant, apart": lambda n, seed: Maker(
        "one relevant, apart", most_relevant=1, own_noise=1.2, queries=n, seed=seed + 1
    ),
    "several relevant, close": lambda n, seed: Maker(
        "several relevant, close", most_relevant=8, own_noise=0.25, queries=n, seed=seed + 2
    ),
    "several relevant, apart": lambda n, seed: Maker(
        "several relevant, apart", most_relevant=8, own_noise=1.2, queries=n, seed=seed + 3
    ),
}

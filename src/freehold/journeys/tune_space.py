"""The space that a search over retrieval settings moves in: values, the plans they mean, and the next ones to try."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import optuna

from freehold.journeys.fuse import Fusion
from freehold.journeys.search import Plan

Values = Mapping[str, Any]
"""Dotted setting -> value; ``chunking`` is the name of an index."""

DEEPEST = 200
"""Candidates that each leg is asked for, once."""

DENSE_WEIGHTS = tuple(round(0.05 * n, 2) for n in range(21))
RERANK_WEIGHTS = tuple(round(0.05 * n, 2) for n in range(2, 20))
RRF_KS = (5, 10, 20, 60)
CANDIDATES = (20, 50, 100, DEEPEST)
RERANK_DEPTHS = (0, 10, 20, 50, 100)
FUSIONS: tuple[Fusion, ...] = ("weighted", "rrf", "dbsf")

CHUNKING, _CANDIDATES, _FUSION = "chunking", "retrieval.candidates", "retrieval.fusion"
_DENSE, _RRF_K = "retrieval.dense_weight", "retrieval.rrf_k"
_DEPTH, _WEIGHT = "retrieval.rerank_depth", "reranker.weight"
_ATTEMPTS = 50
_EVEN = 0.5
_STEPS: Mapping[str, Sequence[Any]] = {
    _DENSE: DENSE_WEIGHTS,
    _RRF_K: RRF_KS,
    _CANDIDATES: CANDIDATES,
    _DEPTH: RERANK_DEPTHS,
    _WEIGHT: RERANK_WEIGHTS,
}
_GRID: Mapping[str, Sequence[Any]] = {
    _FUSION: ("weighted", "rrf"),
    _DENSE: (0.3, 0.4, 0.5, 0.6, 0.7),
    _RRF_K: (10, 60),
    _CANDIDATES: (100,),
    _DEPTH: (0, 20, 50),
    _WEIGHT: (0.3, 0.5, 0.7),
}


def plan_of(values: Values) -> Plan:
    """The plan that a trial's values mean."""
    return Plan(
        mode="hybrid",
        fusion=values[_FUSION],
        rrf_k=values.get(_RRF_K, 60),
        dense_weight=values.get(_DENSE, 0.5),
        candidates=values[_CANDIDATES],
        rerank_depth=values.get(_DEPTH, 0),
        rerank_weight=values.get(_WEIGHT, 0.5),
    )


def values_of(plan: Plan, chunking: str) -> dict[str, Any]:
    """The values that give this plan: the reverse of ``plan_of``."""
    values: dict[str, Any] = {CHUNKING: chunking, _FUSION: plan.fusion, _CANDIDATES: plan.candidates}
    if plan.mode != "hybrid":  # a single leg is a fusion that gives the other no weight
        return {**values, _FUSION: "weighted", _DENSE: float(plan.mode == "dense"), _DEPTH: 0}
    if plan.fusion != "dbsf":
        values[_DENSE] = plan.dense_weight
    if plan.fusion == "rrf":
        values[_RRF_K] = plan.rrf_k
    values[_DEPTH] = plan.rerank_depth
    if plan.rerank_depth:
        values[_WEIGHT] = plan.rerank_weight
    return values


def suggested(trial: optuna.Trial, chunkings: Sequence[str], *, can_rerank: bool) -> dict[str, Any]:
    """The values that a sampler suggests; it is asked only for those that matter beside the others."""
    fusion = trial.suggest_categorical(_FUSION, FUSIONS)
    values: dict[str, Any] = {
        CHUNKING: trial.suggest_categorical(CHUNKING, chunkings),
        _FUSION: fusion,
        _CANDIDATES: trial.suggest_categorical(_CANDIDATES, CANDIDATES),
    }
    if fusion != "dbsf":
        values[_DENSE] = round(trial.suggest_float(_DENSE, DENSE_WEIGHTS[0], DENSE_WEIGHTS[-1], step=0.05), 2)
    if fusion == "rrf":
        values[_RRF_K] = trial.suggest_categorical(_RRF_K, RRF_KS)
    depth = trial.suggest_categorical(_DEPTH, RERANK_DEPTHS) if can_rerank else 0
    values[_DEPTH] = depth
    if depth:
        values[_WEIGHT] = round(trial.suggest_float(_WEIGHT, RERANK_WEIGHTS[0], RERANK_WEIGHTS[-1], step=0.05), 2)
    return values


def neighbour(best: Sequence[Values], tried: Collection[str], rng: random.Random) -> dict[str, Any] | None:
    """A good setting with one or two values moved by a step or two, to what is not ``tried`` (by ``key_of``).

    ``best``: good settings, the best first, whose chunking is kept. Each fusion has a turn, by the best setting that
    fuses so, else by the best of all made to: fusions have their tops in different places. None where nothing new was
    met.
    """
    fusion = rng.choice(FUSIONS)
    alike = (values for values in best if values[CHUNKING] == best[0][CHUNKING])
    from_here = next((dict(values) for values in alike if values[_FUSION] == fusion), None)
    if from_here is None:
        from_here = dict(best[0])
        _fuse(from_here, fusion, rng)
    # The house's own settings may lie between the steps.
    near = {name: _nearest(steps, from_here[name]) for name, steps in _STEPS.items() if name in from_here}
    for _ in range(_ATTEMPTS):
        values = {**from_here, **near}
        axes = [name for name in _STEPS if name in values]
        for name in rng.sample(axes, min(len(axes), rng.choice((1, 2)))):
            steps = _STEPS[name]
            at = steps.index(values[name]) + rng.choice((-2, -1, 1, 2))
            values[name] = steps[max(0, min(at, len(steps) - 1))]
        if bool(values[_DEPTH]) == (_WEIGHT in values) and key_of(values) not in tried:
            return values
    return None


def _fuse(values: dict[str, Any], fusion: Fusion, rng: random.Random) -> None:
    """Another fusion in place: what it does not know goes, what it needs besides comes."""
    weight = values.pop(_DENSE, _EVEN)
    values.pop(_RRF_K, None)
    values[_FUSION] = fusion
    if fusion != "dbsf":
        values[_DENSE] = weight
    if fusion == "rrf":
        values[_RRF_K] = rng.choice(RRF_KS)


def _nearest(steps: Sequence[Any], value: float) -> Any:
    return min(steps, key=lambda step: abs(step - value))


def grid(chunkings: Sequence[str], *, can_rerank: bool, seed: int) -> list[dict[str, Any]]:
    """Every different setting of the grid, shuffled, so that a part of it tells of the whole.

    What a value does not matter to does not multiply it.
    """
    axes = {CHUNKING: chunkings, **_GRID, _DEPTH: _GRID[_DEPTH] if can_rerank else (0,)}
    rows: dict[str, dict[str, Any]] = {}
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        if values[_FUSION] != "rrf":
            del values[_RRF_K]
        if not values[_DEPTH]:
            del values[_WEIGHT]
        rows[key_of(values)] = values
    cells = list(rows.values())
    random.Random(seed).shuffle(cells)  # noqa: S311 - an order, not a secret
    return cells


def key_of(values: Values) -> str:
    """Equal for equal values."""
    return repr(sorted(values.items()))

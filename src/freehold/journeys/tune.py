"""Tune retrieval: search chunking, fusion and reranking for quality, under a limit on latency.

A trial is a plan on one of several indexes, one for each way of chunking. What a query finds in an index is asked once
for all trials on it; times are real searches. A trial that is clearly worse than the best on part of the queries is
stopped there. The study lives in a journal on disk: killed, it goes on where it was.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from freehold.core.errors import UsageError
from freehold.core.experiment import Trial
from freehold.core.faults import step
from freehold.core.types import Query
from freehold.journeys.evaluate import RUN_DEPTH, Folder, candidates, time_searches
from freehold.journeys.fuse import Fusion
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located
from freehold.journeys.search import Candidates, Engines, Plan
from freehold.measure.latency import quantiles
from freehold.measure.ranking import Grades, Measure, score

Sampler = Literal["tpe", "grid"]
Values = Mapping[str, Any]
"""Dotted setting -> value; ``chunking`` is the name of an index."""

DEEPEST = 200
"""Candidates that each leg is asked for, once."""
SUBSETS = (0.25, 0.5)
"""Shares of the queries after which a trial may be stopped; the parts are random, and the same for every trial."""
STOP_MARGIN = 0.02
"""A trial is stopped when it is shown to be more than this below the best: a little less is worth knowing where it is
faster."""
_STOP_SIGMAS = 2.0

EXPLORED = 16
"""Trials after which every other one is a neighbour of the best so far: the sampler alone seeks all of the front, and
quality near its top is flat enough for small steps."""

DENSE_WEIGHTS = tuple(round(0.05 * n, 2) for n in range(21))
RERANK_WEIGHTS = tuple(round(0.05 * n, 2) for n in range(2, 20))
RRF_KS = (5, 10, 20, 60)
CANDIDATES = (20, 50, 100, DEEPEST)
RERANK_DEPTHS = (0, 10, 20, 50, 100)
FUSIONS: tuple[Fusion, ...] = ("weighted", "rrf", "dbsf")

_CHUNKING, _CANDIDATES, _FUSION = "chunking", "retrieval.candidates", "retrieval.fusion"
_DENSE, _RRF_K = "retrieval.dense_weight", "retrieval.rrf_k"
_DEPTH, _WEIGHT = "retrieval.rerank_depth", "reranker.weight"
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


@dataclass(frozen=True, slots=True)
class Ground:
    """An index that trials run on. Opened when the first trial needs it."""

    engines: Engines
    located: Located


@dataclass(frozen=True, slots=True)
class Target:
    """What is searched for."""

    measure: Measure
    p95_limit_ms: float | None
    searches: int
    """Single searches that are timed for each trial that is not stopped."""
    can_rerank: bool


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found."""

    trials: tuple[Trial, ...]
    best: int
    default: int
    pareto: tuple[int, ...]
    importance: Mapping[str, float]


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
    values: dict[str, Any] = {_CHUNKING: chunking, _FUSION: plan.fusion, _CANDIDATES: min(plan.candidates, DEEPEST)}
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


def grid_size(chunkings: Sequence[str], *, can_rerank: bool) -> int:
    """Number of different settings in the grid."""
    return len(_grid(chunkings, can_rerank=can_rerank))


def tune(
    journal: Path,
    name: str,
    *,
    queries: Sequence[Query],
    qrels: Mapping[str, Grades],
    grounds: Mapping[str, Callable[[], Ground]],
    default: Values,
    target: Target,
    trials: int,
    sampler: Sampler,
    seed: int,
    identity: Mapping[str, object],
    progress: Progress,
) -> Tuned:
    """Search until the study has ``trials`` trials, those of earlier calls included; the first is ``default``.

    ``grounds``: an opener for every way of chunking. ``identity``: what a study may not change between calls. Two
    objectives are sought together, the measure and the 95th percentile of a search; trials above the limit are told to
    the sampler as infeasible. Raises UsageError where the journal's study was made on something else.
    """
    _mend(journal)
    study = _study(journal, name, sampler, seed, list(grounds), target.can_rerank, identity)
    arena = _Arena(queries, qrels, grounds, target, seed, progress)
    while (done := len(study.get_trials(deepcopy=False, states=_ENDED))) < trials:
        progress("trials", done, trials)
        told = _told(study)
        near = _neighbour(told, seed) if sampler == "tpe" and done % 2 and done >= EXPLORED else None
        if near:
            study.enqueue_trial(near)
        trial = study.ask()
        started = time.perf_counter()
        values = dict(default) if not done else _ask(trial, done, sampler, list(grounds), target.can_rerank)
        # Whatever the sampler asked for, what is recorded is what was tried.
        trial.set_user_attr("values", values)
        outcome = arena.run(values, [t for t in told if t.state == "complete"])
        trial.set_user_attr("state", outcome.state)
        trial.set_user_attr("quality", outcome.quality)
        trial.set_user_attr("p95_ms", outcome.p95_ms)
        trial.set_user_attr("queries", outcome.queries)
        trial.set_user_attr("seconds", round(time.perf_counter() - started, 3))
        step("tune.measured")
        if outcome.p95_ms is None or outcome.quality is None:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            if target.p95_limit_ms is not None:
                trial.set_constraint("p95_ms", outcome.p95_ms - target.p95_limit_ms)
            study.tell(trial, [outcome.quality, outcome.p95_ms])
        step("tune.told")
    progress("trials", trials, trials)
    told = _told(study)
    return Tuned(told, _best(told), told[0].number, _pareto(told), _importance(study))


# -- one trial -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: Literal["complete", "stopped", "over budget"]
    quality: float | None
    p95_ms: float | None
    queries: int


@dataclass
class _Field:
    """A ground with every query's candidates, asked once."""

    ground: Ground
    found: Mapping[str, Candidates]
    folder: Folder


class _Arena:
    """Where trials are measured. Scores of earlier trials are kept, so that later ones are paired with the best."""

    def __init__(
        self,
        queries: Sequence[Query],
        qrels: Mapping[str, Grades],
        grounds: Mapping[str, Callable[[], Ground]],
        target: Target,
        seed: int,
        progress: Progress,
    ) -> None:
        self._queries = list(queries)
        random.Random(seed).shuffle(self._queries)  # noqa: S311 - which queries come first, not a secret
        self._qrels, self._grounds, self._target, self._progress = qrels, grounds, target, progress
        self._fields: dict[str, _Field] = {}
        self._scores: dict[str, list[float]] = {}

    def run(self, values: Values, complete: Sequence[Trial]) -> _Outcome:
        plan, field = plan_of(values), self._field(values[_CHUNKING])
        best = max(complete, key=lambda t: (t.quality or 0.0, -t.number), default=None)
        rival = self._all_scores(best.settings) if best else None
        own: list[float] = []
        for share in (*SUBSETS, 1.0):
            until = math.ceil(share * len(self._queries))
            own += self._score(plan, field, self._queries[len(own) : until])
            if rival and share < 1 and _clearly_below(own, rival[: len(own)]):
                return _Outcome("stopped", float(np.mean(own)), None, len(own))
        self._scores[_key(values)] = own
        arms = {"trial": (plan, field.ground.engines)}
        timings = time_searches(self._queries, arms, searches=self._target.searches, progress=_silent)["trial"]
        p95 = quantiles([one["total"] for one in timings]).p95
        limit = self._target.p95_limit_ms
        over = limit is not None and p95 is not None and p95 > limit
        return _Outcome("over budget" if over else "complete", float(np.mean(own)), p95, len(own))

    def _all_scores(self, values: Values) -> list[float]:
        """A trial's score for each query, computed anew where it is one of an earlier process."""
        key = _key(values)
        if key not in self._scores:
            self._scores[key] = self._score(plan_of(values), self._field(values[_CHUNKING]), self._queries)
        return self._scores[key]

    def _score(self, plan: Plan, field: _Field, queries: Sequence[Query]) -> list[float]:
        depth = max(RUN_DEPTH, self._target.measure.cutoff or 0)
        qrels = {query.id: self._qrels[query.id] for query in queries}
        run = {q: field.folder.fold(field.found[q].ranked(plan), own, depth) for q, own in qrels.items()}
        by_query = dict(zip(sorted(qrels), score(run, qrels, [self._target.measure])[:, 0].tolist(), strict=True))
        return [self._target.measure.sign * by_query[query.id] for query in queries]

    def _field(self, chunking: str) -> _Field:
        if chunking not in self._fields:
            ground = self._grounds[chunking]()
            depth = 1 if self._target.can_rerank else 0
            asked = [Plan(candidates=DEEPEST, rerank_depth=depth)]
            found: dict[str, Candidates] = {}
            folder = Folder(ground.engines, ground.located)
            for done, (query, own) in enumerate(candidates(self._queries, asked, ground.engines), 1):
                folder.learn(own)
                found[query.id] = own
                self._progress("queries", done, len(self._queries))
            self._fields[chunking] = _Field(ground, found, folder)
        return self._fields[chunking]


def _clearly_below(own: Sequence[float], rival: Sequence[float]) -> bool:
    """Whether the paired difference is below -STOP_MARGIN by several standard errors."""
    difference = np.subtract(own, rival)
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    return float(difference.mean()) + _STOP_SIGMAS * error < -STOP_MARGIN


def _key(values: Values) -> str:
    return repr(sorted(values.items()))


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


# -- the study -------------------------------------------------------------------------------------------------------

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def _study(
    journal: Path,
    name: str,
    sampler: Sampler,
    seed: int,
    chunkings: Sequence[str],
    can_rerank: bool,
    identity: Mapping[str, object],
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # A resumed sampler draws on from elsewhere: the number of trials so far moves its seed.
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["maximize", "minimize"], load_if_exists=True
        )
        so_far = len(study.get_trials(deepcopy=False))
        if sampler == "tpe":
            study.sampler = optuna.samplers.TPESampler(
                seed=seed + so_far, multivariate=True, group=True, n_startup_trials=8
            )
        else:
            study.sampler = optuna.samplers.RandomSampler(seed=seed)
    known = study.user_attrs.get("identity")
    wanted = {**identity, "sampler": sampler, "seed": seed, "chunkings": list(chunkings), "can_rerank": can_rerank}
    if known is None:
        study.set_user_attr("identity", wanted)
    elif known != wanted:
        changed = ", ".join(sorted(key for key in wanted if known.get(key) != wanted[key]))
        raise UsageError(
            f"the study {name} was begun otherwise: {changed} changed", hint="choose another name with --study"
        )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # a killed process left it
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _ask(
    trial: optuna.Trial, done: int, sampler: Sampler, chunkings: Sequence[str], can_rerank: bool
) -> dict[str, Any]:
    if sampler == "grid":
        grid = _grid(chunkings, can_rerank=can_rerank)
        return dict(grid[(done - 1) % len(grid)])
    fusion = trial.suggest_categorical(_FUSION, FUSIONS)
    values: dict[str, Any] = {
        _CHUNKING: trial.suggest_categorical(_CHUNKING, chunkings),
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


def _neighbour(told: Sequence[Trial], seed: int) -> dict[str, Any] | None:
    """The best so far with one or two values moved by a step or two, not tried yet; None where all such were."""
    best = next(trial for trial in told if trial.number == _best(told))
    tried = {_key(trial.settings) for trial in told}
    rng = random.Random(seed * 1_000_003 + len(told))  # noqa: S311 - a search direction, not a secret
    axes = [name for name in _STEPS if name in best.settings and best.settings[name] in _STEPS[name]]
    for _ in range(50):
        values = dict(best.settings)
        for name in rng.sample(axes, min(len(axes), rng.choice((1, 2)))):
            steps = _STEPS[name]
            at = steps.index(values[name]) + rng.choice((-2, -1, 1, 2))
            values[name] = steps[max(0, min(at, len(steps) - 1))]
        if bool(values[_DEPTH]) == (_WEIGHT in values) and _key(values) not in tried:
            return values
    return None


def _grid(chunkings: Sequence[str], *, can_rerank: bool) -> list[dict[str, Any]]:
    """Every different setting of the grid; what a value does not matter to does not multiply it."""
    axes = {_CHUNKING: chunkings, **_GRID, _DEPTH: _GRID[_DEPTH] if can_rerank else (0,)}
    rows: dict[str, dict[str, Any]] = {}
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        if values[_FUSION] != "rrf":
            del values[_RRF_K]
        if not values[_DEPTH]:
            del values[_WEIGHT]
        rows[_key(values)] = values
    return list(rows.values())


def _told(study: optuna.Study) -> tuple[Trial, ...]:
    trials = []
    for trial in study.get_trials(deepcopy=False, states=_ENDED):
        told = trial.user_attrs
        trials.append(
            Trial(
                number=trial.number,
                settings=told["values"],
                state=told["state"],
                quality=told["quality"],
                p95_ms=told["p95_ms"],
                queries=told["queries"],
                seconds=told["seconds"],
            )
        )
    return tuple(trials)


def _best(trials: Sequence[Trial]) -> int:
    """The best quality within the limit; of equals the fastest. The default where nothing is within it."""
    able = [trial for trial in trials if trial.state == "complete"]
    if not able:
        return trials[0].number
    return max(able, key=lambda t: (t.quality or 0.0, -(t.p95_ms or 0.0), -t.number)).number


def _pareto(trials: Sequence[Trial]) -> tuple[int, ...]:
    front: list[Trial] = []
    measured = [t for t in trials if t.quality is not None and t.p95_ms is not None]
    for trial in sorted(measured, key=lambda t: (t.p95_ms or 0.0, -(t.quality or 0.0))):
        if not front or (trial.quality or 0.0) > (front[-1].quality or 0.0):
            front.append(trial)
    return tuple(trial.number for trial in front)


def _importance(study: optuna.Study) -> Mapping[str, float]:
    """Share of each setting in the quality of the trials (PED-ANOVA: Watanabe et al. 2023); empty for few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if sum(bool(trial.params) for trial in complete) < 10:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: -trial.values[0]
            )
        except (ValueError, RuntimeError):  # too few values of some setting to tell
            return {}
    return {name: float(value) for name, value in found.items()}


def _mend(journal: Path) -> None:
    """Make a journal that a killed process left fit to go on: its lock is dropped, and half a line at its end.

    The caller holds the study's own lock, so nobody is writing.
    """
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with journal.open("r+b") as file:
            file.truncate(whole)

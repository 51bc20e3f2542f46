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
from pathlib import Path
from typing import Literal

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
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located
from freehold.journeys.search import Candidates, Engines, Plan
from freehold.journeys.tune_space import CHUNKING, DEEPEST, Values, grid, key_of, neighbour, plan_of, suggested
from freehold.measure.latency import quantiles
from freehold.measure.ranking import Grades, Measure, score

Sampler = Literal["tpe", "grid"]

SUBSETS = (0.25, 0.5)
"""Shares of the queries after which a trial may be stopped; the parts are random, and the same for every trial."""
STOP_MARGIN = 0.02
"""A trial is stopped when it is shown to be more than this below the best: a little less is worth knowing where it is
faster."""
_STOP_SIGMAS = 2.0

EXPLORED = 16
"""Trials after which two of three are a neighbour of the best so far: the sampler alone seeks all of the front, and
quality near its top is flat enough for small steps."""


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
    deepest = max(DEEPEST, plan_of(default).candidates)
    arena = _Arena(queries, qrels, grounds, target, seed, deepest, progress)
    cells = grid(list(grounds), can_rerank=target.can_rerank, seed=seed)
    if sampler == "grid":
        trials = min(trials, 1 + len(cells))
    while (done := len(study.get_trials(deepcopy=False, states=_ENDED))) < trials:
        progress("trials", done, trials)
        told = _told(study)
        if sampler == "tpe" and done % 3 and done >= EXPLORED:
            best = [trial.settings for trial in sorted(told, key=_rank) if trial.state == "complete"] or [default]
            rng = random.Random(seed * 1_000_003 + done)  # noqa: S311 - a direction to look in, not a secret
            near = neighbour(best, {key_of(trial.settings) for trial in told}, rng)
            if near:
                study.enqueue_trial(near)
        trial = study.ask()
        started = time.perf_counter()
        if not done:
            values = dict(default)
        elif sampler == "grid":
            values = cells[done - 1]
        else:
            values = suggested(trial, list(grounds), can_rerank=target.can_rerank)
        # Whatever the sampler asked for, what is recorded is what was tried.
        trial.set_user_attr("values", values)
        outcome = arena.run(values, default, told)
        trial.set_user_attr("state", outcome.state)
        trial.set_user_attr("quality", outcome.quality)
        trial.set_user_attr("gain", outcome.gain)
        trial.set_user_attr("gain_error", outcome.gain_error)
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
    gain: float | None = None
    gain_error: float | None = None


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
        deepest: int,
        progress: Progress,
    ) -> None:
        self._deepest = deepest
        self._queries = list(queries)
        random.Random(seed).shuffle(self._queries)  # noqa: S311 - which queries come first, not a secret
        self._qrels, self._grounds, self._target, self._progress = qrels, grounds, target, progress
        self._fields: dict[str, _Field] = {}
        self._scores: dict[str, list[float]] = {}

    def run(self, values: Values, default: Values, told: Sequence[Trial]) -> _Outcome:
        plan, field = plan_of(values), self._field(values[CHUNKING])
        rival = self._all_scores(next(t.settings for t in told if t.number == _best(told))) if told else None
        own: list[float] = []
        for share in (*SUBSETS, 1.0):
            until = math.ceil(share * len(self._queries))
            own += self._score(plan, field, self._queries[len(own) : until])
            if rival and share < 1 and _clearly_below(own, rival[: len(own)]):
                return _Outcome("stopped", float(np.mean(own)), None, len(own))
        self._scores[key_of(values)] = own
        arms = {"trial": (plan, field.ground.engines)}
        timings = time_searches(self._queries, arms, searches=self._target.searches, progress=_silent)["trial"]
        p95 = quantiles([one["total"] for one in timings]).p95
        limit = self._target.p95_limit_ms
        over = limit is not None and p95 is not None and p95 > limit
        gains = np.subtract(own, self._all_scores(default))
        error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
        state: Literal["complete", "over budget"] = "over budget" if over else "complete"
        return _Outcome(state, float(np.mean(own)), p95, len(own), float(gains.mean()), error)

    def _all_scores(self, values: Values) -> list[float]:
        """A trial's score for each query, computed anew where it is one of an earlier process."""
        key = key_of(values)
        if key not in self._scores:
            self._scores[key] = self._score(plan_of(values), self._field(values[CHUNKING]), self._queries)
        return self._scores[key]

    def _score(self, plan: Plan, field: _Field, queries: Sequence[Query]) -> list[float]:
        depth = max(RUN_DEPTH, self._target.measure.cutoff or 0)
        qrels = {query.id: self._qrels[query.id] for query in queries}
        run = {q: field.folder.fold(q, field.found[q].ranked(plan), depth) for q in qrels}
        by_query = dict(zip(sorted(qrels), score(run, qrels, [self._target.measure])[:, 0].tolist(), strict=True))
        return [self._target.measure.sign * by_query[query.id] for query in queries]

    def _field(self, chunking: str) -> _Field:
        if chunking not in self._fields:
            ground = self._grounds[chunking]()
            depth = 1 if self._target.can_rerank else 0
            asked = [Plan(candidates=self._deepest, rerank_depth=depth)]
            found: dict[str, Candidates] = {}
            folder = Folder(ground.engines, ground.located, self._qrels)
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
                gain=told["gain"],
                gain_error=told["gain_error"],
            )
        )
    return tuple(trials)


def _best(trials: Sequence[Trial]) -> int:
    """The trial within the limit whose gain over the default, less one standard error, is the largest.

    Many settings are tried on the same queries, so the best mean is partly luck, and the more so the more a trial's
    rankings differ from the default's: the error takes that off (compare the one-standard-error rule of Breiman et al.
    1984). The default has 0; of equals the fastest. The default where nothing is within the limit.
    """
    able = [trial for trial in trials if trial.state == "complete"]
    if not able:
        return trials[0].number
    return min(able, key=_rank).number


def _rank(trial: Trial) -> tuple[float, float, int]:
    return (trial.gain_error or 0.0) - (trial.gain or 0.0), trial.p95_ms or 0.0, trial.number


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

"""Search for hyper-parameters: trial after trial of an objective, in a journal on disk that survives kills.

What a trial tries depends on the seed and on the trials told before it, and on nothing else: killed and called again,
a search goes on as if it had not been stopped. A trial that was under way is tried again.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from freehold.core.errors import SettingsError, UsageError
from freehold.core.experiment import Trial
from freehold.core.faults import step
from freehold.train.space import Axis, Values, grid

Sampler = Literal["tpe", "grid", "random"]
Pruner = Literal["median", "hyperband", "none"]
Backend = Literal["optuna", "ray"]

Report: TypeAlias = Callable[[int, float], bool]
"""(step from 1, value so far) -> whether the trial should stop here."""
Progress: TypeAlias = Callable[[str, int, int], None]

STARTUP_TRIALS = 8
"""At random, before the sampler has anything to learn from."""
UNPRUNED_TRIALS = 4
"""That the median needs before it stops any."""
_STUDY = "search"
_IMPORTANCE_TRIALS = 10
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to, where it is more than a number: how it differs from what is live, query by query."""

    quality: float
    gain: float | None = None
    """Mean paired difference to what is live."""
    gain_error: float | None = None
    """Its standard error."""
    queries: int = 0


Objective: TypeAlias = Callable[[Values, Report], "float | Outcome"]
"""Settings to quality, the more the better. With ``backend="ray"`` it must be picklable: an object of a module."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found. Trials are numbered from 0 in the order told."""

    trials: tuple[Trial, ...]
    best_number: int
    importance: Mapping[str, float]
    """Share of each setting in the spread of quality (PED-ANOVA: Watanabe et al. 2023); empty for few trials."""

    @property
    def best(self) -> Values:
        """The settings of the best trial."""
        return self.trials[self.best_number].settings


def search(
    objective: Objective,
    space: Sequence[Axis],
    *,
    trials: int,
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    seed: int = 0,
    journal: Path,
    backend: Backend = "optuna",
    default: Values | None = None,
    identity: object = None,
    progress: Progress = lambda _stage, _done, _total: None,
    workers: int = 1,
) -> SearchResult:
    """Search until the study in ``journal`` has ``trials`` trials, those of earlier calls included.

    ``default``: settings that the first trial tries; names of the space that it lacks are left to the objective.
    ``identity``: what a study may not change between calls, as JSON. A trial whose settings an objective refuses with a
    UsageError counts as stopped, unless it is the default or all are. The best is the trial whose gain less its error
    is the largest where objectives give gains, else the one of the best quality; of equals the earlier.

    With ``workers`` above 1, which takes ``backend="ray"``, what is tried next depends on which trial ends first.

    Raises UsageError where the study was begun otherwise or every trial failed, SettingsError for a backend that is not
    installed. One process may search in a journal at a time; the caller sees to it.
    """
    wanted: dict[str, object] = {
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "space": [repr(axis) for axis in space],
        "default": None if default is None else dict(default),
        "identity": identity,
    }
    study = TrialBook(journal, space, sampler, pruner, seed, default, wanted, width=workers)
    if sampler == "grid":
        trials = min(trials, study.cells)
    if backend == "ray":
        from freehold.train.ray_backend import run_on_ray

        run_on_ray(study, objective, trials=trials, workers=workers, progress=progress)
    elif workers > 1:
        raise SettingsError("several workers at a time need Ray", hint="give --backend ray, or leave the workers out")
    else:
        while (done := study.ended) < trials:
            progress("trials", done, trials)
            _try(study, objective)
    progress("trials", trials, trials)
    return study.result()


def _try(study: TrialBook, objective: Objective) -> None:
    ticket = study.ask()
    started = time.perf_counter()
    try:
        outcome = objective(ticket.values, ticket.report)
    except UsageError as error:
        study.refuse(ticket, error, seconds=time.perf_counter() - started)
    else:
        study.tell(ticket, outcome, seconds=time.perf_counter() - started)


class Ticket:
    """A trial under way."""

    def __init__(self, trial: optuna.Trial, values: Values, number: int) -> None:
        self.trial = trial
        self.values = values
        self.number = number
        """Trials told before it."""
        self.stopped = False
        self.last: float | None = None

    def report(self, at: int, value: float) -> bool:
        """Whether to stop, by what other trials had come to at that step. A value that is no number stops at once."""
        if not math.isfinite(value):
            self.stopped = True
            return True
        self.last = value
        self.trial.report(value, at)
        self.stopped = self.stopped or self.trial.should_prune()
        return self.stopped


class TrialBook:
    """The study in its journal: says what to try next, and is told what came of it."""

    def __init__(
        self,
        journal: Path,
        space: Sequence[Axis],
        sampler: Sampler,
        pruner: Pruner,
        seed: int,
        default: Values | None,
        identity: Mapping[str, object],
        *,
        width: int = 1,
    ) -> None:
        """``width``: trials that are under way at a time. Raises UsageError for a study that was begun otherwise."""
        _mend(journal)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._sampler, self._seed, self._default = space, sampler, seed, default
        self._width = width
        cells = grid(space, seed=seed) if sampler == "grid" else []
        first = [] if default is None else [dict(default)]
        self._cells = first + [cell for cell in cells if cell not in first]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(journal))),
                study_name=_STUDY,
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(pruner),
            )
        self._check(identity)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # a killed process left it
            self._study.tell(trial.number, state=TrialState.FAIL)
        self.failure: UsageError | None = None

    def _check(self, identity: Mapping[str, object]) -> None:
        identity = json.loads(json.dumps(identity))
        known = self._study.user_attrs.get("identity")
        if known is None:
            self._study.set_user_attr("identity", identity)
        elif known != identity:
            changed = ", ".join(sorted(key for key in identity if known.get(key) != identity[key]))
            raise UsageError(
                f"the search in this journal was begun otherwise: {changed} changed",
                hint="remove its folder to begin anew, or give the command as before",
            )

    @property
    def cells(self) -> int:
        """Settings that are given and not asked for: the default, and those of a grid."""
        return len(self._cells)

    @property
    def ended(self) -> int:
        """Trials told so far."""
        return len(self._study.get_trials(deepcopy=False, states=_ENDED))

    def ask(self, ahead: int = 0) -> Ticket:
        """The next trial; ``ahead``: trials that are under way beside it."""
        number = self.ended + ahead
        sampler = self._next_sampler(number)
        if number < len(self._cells):
            values = self._cells[number]
            trial = self._given(values, sampler)
        else:
            self._study.sampler = sampler
            trial = self._study.ask()
            values = {axis.name: _suggested(trial, axis) for axis in self._space}
        # Whatever a sampler asks for, what is recorded is what was tried.
        trial.set_user_attr("values", dict(values))
        return Ticket(trial, values, number)

    def _given(self, values: Values, sampler: optuna.samplers.BaseSampler) -> optuna.Trial:
        """A trial of these very values, of which the sampler learns those that it could have asked for itself."""
        within = {axis.name: values[axis.name] for axis in self._space if values.get(axis.name) in axis}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.PartialFixedSampler(within, sampler)
        trial = self._study.ask()
        for axis in self._space:
            if axis.name in within:
                _suggested(trial, axis)
        return trial

    def _next_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        # A seed for each trial: where a search is resumed makes no difference.
        seed = (self._seed * 1_000_003 + number) % 2**32
        if self._sampler != "tpe":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, n_startup_trials=STARTUP_TRIALS, constant_liar=self._width > 1
            )

    def tell(self, ticket: Ticket, outcome: float | Outcome, *, seconds: float) -> None:
        """What came of it; durable on return. A trial that was stopped counts as far as it came."""
        whole = outcome if isinstance(outcome, Outcome) else Outcome(float(outcome))
        if ticket.stopped or not math.isfinite(whole.quality):
            self._end(ticket, None, seconds)
        else:
            self._end(ticket, whole, seconds)

    def refuse(self, ticket: Ticket, error: UsageError, *, seconds: float) -> None:
        """The objective would not have these settings. Raises the error where they are the default."""
        self.failure = error
        if ticket.number == 0 and self._default is not None:
            self.drop(ticket)
            raise error
        self._end(ticket, None, seconds)

    def _end(self, ticket: Ticket, whole: Outcome | None, seconds: float) -> None:
        told: dict[str, object] = {
            "state": "complete" if whole else "stopped",
            "quality": whole.quality if whole else ticket.last,
            "gain": whole.gain if whole else None,
            "gain_error": whole.gain_error if whole else None,
            "queries": whole.queries if whole else 0,
            "seconds": round(seconds, 3),
        }
        for key, value in told.items():
            ticket.trial.set_user_attr(key, value)
        step("search.measured")
        if whole:
            self._study.tell(ticket.trial, whole.quality)
        else:
            self._study.tell(ticket.trial, state=TrialState.PRUNED)
        step("search.told")

    def drop(self, ticket: Ticket) -> None:
        """Forget a trial that came to nothing through no fault of its settings: it is tried again."""
        self._study.tell(ticket.trial, state=TrialState.FAIL)

    def result(self) -> SearchResult:
        """What was found so far. Raises UsageError where every trial failed."""
        told = [_told(trial) for trial in self._study.get_trials(deepcopy=False, states=_ENDED)]
        told = [replace(trial, number=number) for number, trial in enumerate(told)]
        complete = [trial for trial in told if trial.state == "complete"]
        if not complete:
            raise self.failure or UsageError("no trial came to an end", hint="give more trials, or another space")
        return SearchResult(tuple(told), min(complete, key=_rank).number, self._importance())

    def _importance(self) -> Mapping[str, float]:
        """Stopped trials take part with what they had come to: that they are not among the best is what counts."""
        names = {axis.name for axis in self._space}
        whole = [
            optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=quality)
            for trial in self._study.get_trials(deepcopy=False, states=_ENDED)
            if trial.params.keys() == names and (quality := trial.user_attrs["quality"]) is not None
        ]
        if len(whole) < _IMPORTANCE_TRIALS:
            return {}
        told = optuna.create_study(direction="maximize")
        told.add_trials(whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            try:
                found = optuna.importance.get_param_importances(told, evaluator=evaluator)
            except (ValueError, RuntimeError):  # too few values of some setting to tell
                return {}
        return {name: float(value) for name, value in found.items()}


def _suggested(trial: optuna.Trial, axis: Axis) -> Any:
    if axis.choices:
        return trial.suggest_categorical(axis.name, axis.choices)
    if axis.integer:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def _pruner(name: Pruner) -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
        if name == "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, reduction_factor=3)
        return optuna.pruners.NopPruner()


def _told(trial: optuna.trial.FrozenTrial) -> Trial:
    told = trial.user_attrs
    return Trial(
        number=trial.number,
        settings=told["values"],
        state=told["state"],
        quality=told["quality"],
        p95_ms=None,
        queries=told["queries"],
        seconds=told["seconds"],
        gain=told["gain"],
        gain_error=told["gain_error"],
    )


def _rank(trial: Trial) -> tuple[float, int]:
    if trial.gain is not None and trial.gain_error is not None:
        return trial.gain_error - trial.gain, trial.number
    return -(trial.quality or 0.0), trial.number


def _mend(journal: Path) -> None:
    """Make a journal that a killed process left fit to go on: its lock is dropped, and half a line at its end."""
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with journal.open("r+b") as file:
            file.truncate(whole)

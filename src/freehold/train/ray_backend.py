"""The same search with its trials in worker processes of Ray Tune (extra ``ray``), on this machine.

What to try next, the journal and the pruning are those of ``freehold.train.search``: Ray asks for settings, runs them
and brings back what came of them. So a search killed under Ray goes on under either backend.

Ray opens ports on every interface of the machine and cannot be told not to: a token made for this process keeps others
out. It sends no usage statistics, and what it writes is removed at the end.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from freehold.core.errors import HouseFault, SettingsError, UsageError
from freehold.train.search import Objective, Outcome, Progress, Ticket, TrialBook

_TOKENS_SINCE = (2, 59)
"""The release from which a local Ray asks for a token unless told not to."""
_PREFIX = "fh-ray-"
_VALUES = "values"
_STEP, _VALUE, _END = "step", "value", "end"


def run_on_ray(study: TrialBook, objective: Objective, *, trials: int, workers: int, progress: Progress) -> None:
    """Try until ``trials`` are told, ``workers`` at a time, each with its share of the machine's cores and GPUs.

    Raises SettingsError where Ray is not installed, the objective's own error where it refuses the default settings,
    HouseFault where a worker failed.
    """
    if study.ended >= trials:
        return
    tune, ray = _ray()
    with _cluster(ray) as folder:
        share = {
            kind: ray.cluster_resources().get(name, 0) / workers for kind, name in (("cpu", "CPU"), ("gpu", "GPU"))
        }
        desk = _desk(study, trials, progress)
        trainable = tune.with_resources(tune.with_parameters(_trial, objective=objective), share)
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=trials, max_concurrent_trials=workers, search_alg=desk.searcher, scheduler=desk.scheduler
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(folder / "tune"),
                verbose=0,
                failure_config=tune.FailureConfig(fail_fast=True),
            ),
        )
        tuner.fit()
    if desk.failure is not None:
        raise desk.failure


@cache
def _environment() -> Mapping[str, str]:
    """What Ray reads when it starts. One token a process: Ray keeps the first that it has seen."""
    return {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


def _ray() -> tuple[Any, Any]:
    os.environ.update({key: value for key, value in _environment().items() if key not in os.environ})
    try:
        import ray
        from ray import tune
    except ImportError:
        raise SettingsError(
            "Ray is not installed", hint='pip install "freehold[ray]", or leave --backend out'
        ) from None
    if tuple(map(int, ray.__version__.split(".")[:2])) < _TOKENS_SINCE:
        hint = 'pip install --upgrade "freehold[ray]"'
        raise SettingsError(f"Ray {ray.__version__} opens its ports to everybody", hint=hint)
    return tune, ray


@contextmanager
def _cluster(ray: Any) -> Iterator[Path]:
    """A Ray of our own for the time being. Its folder is a short path: its sockets lie there."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder / "ray"),
        )
        yield folder
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what killed processes left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _trial(config: Mapping[str, Any], objective: Objective) -> None:
    """In a worker: whether a trial is to stop is for the driver to say, which ends it within ``report``."""
    from ray import tune

    def report(step: int, value: float) -> bool:
        tune.report({_STEP: step, _VALUE: value})
        return False

    try:
        outcome = objective(config[_VALUES], report)
    except UsageError as error:
        tune.report({_END: json.dumps({"refused": [error.message, error.hint]})})  # Ray would flatten what is nested
        return
    whole = outcome if isinstance(outcome, Outcome) else Outcome(float(outcome))
    tune.report({_END: json.dumps({"told": [whole.quality, whole.gain, whole.gain_error, whole.queries]})})


def _desk(study: TrialBook, trials: int, progress: Progress) -> Any:
    """Ray's searcher and scheduler over the study; made here, since their bases are in the extra."""
    from ray.tune.schedulers import FIFOScheduler
    from ray.tune.search import Searcher

    class Desk:
        """What both share. Ray pickles them for checkpoints that are never read: as nothing, for a study and bars of
        progress cannot be.
        """

        failure: Exception | None = None

        def __init__(self) -> None:
            self.tickets: dict[str, tuple[Ticket, float]] = {}
            self.searcher = Asked()
            self.scheduler: Any = Judge()  # type: ignore[no-untyped-call, unused-ignore]

        def end(self, trial_id: str, result: Mapping[str, Any] | None, *, error: bool) -> None:
            ticket, started = self.tickets.pop(trial_id, (None, 0.0))
            if ticket is None:
                return
            seconds = time.perf_counter() - started
            end = json.loads((result or {}).get(_END, "{}"))
            if error or not (end or ticket.stopped):
                study.drop(ticket)
                hint = "see what it was with --backend optuna, then give this command again"
                self.failure = self.failure or HouseFault("a trial failed in its worker", hint=hint)
            elif "refused" in end:
                try:
                    study.refuse(ticket, UsageError(end["refused"][0], hint=end["refused"][1]), seconds=seconds)
                except UsageError as refused:
                    self.failure = refused
            else:
                study.tell(ticket, Outcome(*end["told"]) if end else Outcome(ticket.last or 0.0), seconds=seconds)
            progress("trials", study.ended, trials)

    class Asked(Searcher):  # type: ignore[misc, unused-ignore]
        def suggest(self, trial_id: str) -> Any:
            if study.ended + len(desk.tickets) >= trials or desk.failure is not None:
                return Searcher.FINISHED if not desk.tickets or desk.failure is not None else None
            ticket = study.ask(len(desk.tickets))
            desk.tickets[trial_id] = ticket, time.perf_counter()
            return {_VALUES: dict(ticket.values)}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            desk.end(trial_id, result, error=error)

        def save(self, checkpoint_path: str) -> None:
            pass

        def restore(self, checkpoint_path: str) -> None:
            pass

        def __reduce__(self) -> tuple[type[object], tuple[()]]:
            return object, ()

    class Judge(FIFOScheduler):  # type: ignore[misc, unused-ignore]
        def on_trial_result(self, _controller: Any, trial: Any, result: Any) -> str:
            ticket, _ = desk.tickets.get(trial.trial_id, (None, 0.0))
            stop = (
                ticket is not None
                and _VALUE in result
                and _END not in result
                and ticket.report(result[_STEP], result[_VALUE])
            )
            return str(FIFOScheduler.STOP if stop else FIFOScheduler.CONTINUE)

        def __reduce__(self) -> tuple[type[object], tuple[()]]:
            return object, ()

    desk = Desk()
    return desk

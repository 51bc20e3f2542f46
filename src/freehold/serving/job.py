"""The process of one job: ``python -m freehold.serving.job HOUSE JOB_ID``. Tells how far it is, a line of JSON each.

The last line is ``{"result": ...}`` or ``{"error": ...}``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from freehold.auditing.audit import audit_open
from freehold.auditing.finding import SEVERITIES
from freehold.auditing.kept import keep
from freehold.auditing.rules import all_rules
from freehold.core.egress import inherit
from freehold.core.erasure import Action
from freehold.core.errors import FreeholdError, HouseFault, SettingsError
from freehold.core.records import to_json
from freehold.erasing.erase import erase, retrain_all
from freehold.erasing.walk import Orders
from freehold.house import House, open_house
from freehold.index.builder_process import NICENESS, end_with_parent
from freehold.journeys.ingest import IngestReport, Progress
from freehold.measuring.evaluate import Request, evaluate
from freehold.schedule import Task, run_due
from freehold.store.jobs import Job, JobKind, Jobs
from freehold.store.lock import writer_lock
from freehold.tuning.order import Order, tune
from freehold.tuning.promote import promote, rollback
from freehold.tuning.tracking import track_tuned

_EVERY_S = 0.25

Work = Callable[[House, Jobs, Job, Progress], Mapping[str, Any]]


def main() -> None:
    """Do it, and say what came of it."""
    inherit()
    end_with_parent()
    _give_way()
    root, job_id = sys.argv[1:]
    try:
        with open_house(Path(root)) as house:
            jobs = Jobs(house.root, house.shelf.vault)
            job = jobs.get(job_id)
            try:
                _tell({"result": WORK[job.kind](house, jobs, job, _progress())})
            finally:
                jobs.close_files(job.id)
    except FreeholdError as error:
        _tell(error.as_dict())
    except Exception as error:
        fault = HouseFault(f"the job failed: {type(error).__name__}", hint="run it again; report it if it stays")
        _tell(fault.as_dict())


def _give_way() -> None:
    """Run on half of the cores, and when nothing else wants to. A search that comes in the middle of a slice of time
    does not wait for its end, as it would for one that is merely nice, and what searches read stays in the caches of
    the other cores. Where the system has no such policies, be nice.
    """
    try:
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-max(1, len(allowed) // 2) :])
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        os.nice(NICENESS)


def _progress() -> Progress:
    last = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _EVERY_S:
            last = time.monotonic()
            _tell({"stage": stage, "done": done, "total": total})

    return report


def _tell(value: Mapping[str, Any]) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


def _ingest(house: House, jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    report = house.ingest_uploads(
        jobs.open_files(job), fields=job.given["fields"], groups=job.given["groups"], progress=progress
    )
    return ingested(report)


def ingested(report: IngestReport) -> Mapping[str, Any]:
    """Counts and reasons: names of files may hold those of people, and stay in the quarantine."""
    told = {
        f.name: value for f in dataclasses.fields(report) if isinstance(value := getattr(report, f.name), int | float)
    }
    return {
        **told,
        "quarantined": [{"code": q.code, "reason": q.reason} for q in report.quarantined],
        "refused": [{"code": q.code, "reason": q.reason} for q in report.refused],
    }


def _stay(report: IngestReport) -> list[Mapping[str, str]]:
    return [{"document": one.document, "why": one.why} for one in report.stay]


def _remove(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    report = house.remove(list(job.given["documents"]), progress=progress)
    return {"removed": report.removed, "stay": _stay(report)}


def _erase(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    decisions = cast("Mapping[str, Action]", job.given.get("decisions", {}))
    orders = Orders(decisions=decisions, most=job.given.get("most", Orders().most))
    request = job.given["request"]
    outcome = erase(house, request, ground="17(1)(b)", orders=orders, retrain_models=True, progress=progress)
    certificate = outcome.certified.certificate
    return {
        "request": outcome.request.id,
        "verdict": certificate.verdict,
        "pending": list(certificate.pending),
        "asked": list(outcome.request.asked),
        "recipients": list(outcome.recipients),
    }


def _tune(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    tuned = tune(house, Order(**job.given), call=job.given, progress=progress)
    track_tuned(house, tuned)
    version = tuned.version
    return {"version": version.id, "live": to_json(version.baseline), "candidate": to_json(version.metrics)}


def _retrain(house: House, _jobs: Jobs, _job: Job, progress: Progress) -> Mapping[str, Any]:
    return {"replaced": to_json(retrain_all(house, progress))}


def _eval(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    """On the set that the gate is declared to judge by: a caller names no path on this machine."""
    dataset = house.settings.gate.dataset
    if not dataset:
        raise SettingsError("gate.dataset names no labelled set", hint="set it in freehold.toml, then evaluate")
    request = Request(dataset=house.root / dataset, split=job.given.get("split"), allow_missing=True, call=job.given)
    return {"experiment": evaluate(house, request, progress=progress).experiment.id}


def _audit(house: House, _jobs: Jobs, _job: Job, progress: Progress) -> Mapping[str, Any]:
    report = keep(house, audit_open(house, questions=None, rules=all_rules(), now=datetime.now(UTC), progress=progress))
    return {**{severity: report.faults[severity] for severity in SEVERITIES}, "unsigned": report.unsigned}


def _promote(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    done = promote(house, job.given["version"], call=job.given, progress=progress)
    return {"promoted": done.promoted, "experiment": done.kept.experiment.id, "lineup": done.lineup.number}


def _rollback(house: House, _jobs: Jobs, _job: Job, progress: Progress) -> Mapping[str, Any]:
    return {"lineup": rollback(house, progress=progress).number}


def _index(house: House, _jobs: Jobs, _job: Job, progress: Progress) -> Mapping[str, Any]:
    """After a command that was killed, or changed the catalog alone."""
    with writer_lock(house.root):
        house.sync_indexes(progress)
    generation = house.generation()
    return {"revision": generation.revision if generation else 0}


def _schedule(house: House, _jobs: Jobs, job: Job, progress: Progress) -> Mapping[str, Any]:
    """One task, if it is due still: somebody else may have done it meanwhile."""
    task: Task = job.given["task"]
    run = run_due(house, progress, among=[task], patient=True).get(task)
    if run is None:
        return {"task": task, "outcome": "not due"}
    if run.outcome == "failed":
        raise HouseFault(f"{task}: {run.problem}", hint=f"freehold schedule run --task {task} does it again")
    return {"task": task, "outcome": run.outcome, "items": run.items}


WORK: Mapping[JobKind, Work] = {
    "ingest": _ingest,
    "remove": _remove,
    "erase": _erase,
    "tune": _tune,
    "retrain": _retrain,
    "eval": _eval,
    "audit": _audit,
    "promote": _promote,
    "rollback": _rollback,
    "index": _index,
    "schedule": _schedule,
}

if __name__ == "__main__":
    main()

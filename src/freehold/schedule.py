"""Schedule: what is done again and again in a house, how often, and what was missed.

``freehold schedule run`` from cron or systemd does what is due and writes down how it went; what was missed while the
machine was off is done by the next run. Nothing is done twice because two runs meet: each task is idempotent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from freehold.core.errors import FreeholdError, StorageFault
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json
from freehold.erasing.erase import reprobe, retrain_all
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.measuring.watch import look

STATE = "schedule.json"
"""In a house: the last run of each task."""

Task = Literal["retrain", "reprobe", "expire", "watch"]
_TASKS: dict[Task, Callable[[House, Progress], int]] = {
    "retrain": lambda house, progress: len(retrain_all(house, progress)),
    "reprobe": reprobe,
    "expire": lambda house, _progress: expire(house),
    "watch": lambda house, progress: len(look(house, progress=progress).alarms),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a task."""

    at: str
    """ISO 8601 in UTC: when it began."""
    outcome: Literal["done", "failed"]
    items: int
    """Versions looked after, certificates searched for again, questions forgotten, or alarms that are open."""
    problem: str
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task of the schedule."""

    task: Task
    every_days: int
    """0: never."""
    last: Run | None
    next: datetime | None
    missed: int
    """How many times it should have run since, beyond the one that is due now."""

    def is_due(self, now: datetime) -> bool:
        """Whether it is to run now. A last run in the future is of a clock that was wrong, and counts for nothing."""
        if not self.every_days:
            return False
        return self.next is None or self.next <= now or (self.last is not None and _time(self.last.at) > now)


def planned(house: House, now: datetime | None = None) -> list[Planned]:
    """The schedule. Raises StorageFault where the record of its runs is damaged."""
    now = now or datetime.now(UTC)
    runs = _runs(house)
    part = house.settings.schedule
    every: dict[Task, int] = {
        "retrain": part.retrain_days, "reprobe": part.reprobe_days,
        "expire": part.expire_days, "watch": part.watch_days,
    }  # fmt: skip
    found = []
    for task in _TASKS:
        last, days = runs.get(task), every[task]
        wait = timedelta(
            days=days if last and last.outcome == "done" else 0
        )  # what failed is due again at the next run
        following = _time(last.at) + wait if last and days else None
        missed = max(0, (now - following) // timedelta(days=days)) if following else 0
        found.append(Planned(task, days, last, following, missed))
    return found


def run_due(
    house: House, progress: Progress, *, only: Collection[Task] = (), now: datetime | None = None
) -> dict[Task, Run]:
    """Do what is due, or the tasks of ``only`` whether they are or not. A task that fails does not keep back others."""
    now = now or datetime.now(UTC)
    ran: dict[Task, Run] = {}
    for one in planned(house, now):
        if one.task in only or (not only and one.is_due(now)):
            ran[one.task] = _run(house, one.task, now, progress)
    return ran


def expire(house: House) -> int:
    """Have the query log forget what is older than the settings allow; how many questions those were."""
    return house.traffic.forget_before(datetime.now(UTC) - timedelta(days=house.settings.privacy.query_retention_days))


def _run(house: House, task: Task, now: datetime, progress: Progress) -> Run:
    at = now.isoformat(timespec="seconds")
    try:
        run = Run(at, "done", _TASKS[task](house, progress), "")
    except FreeholdError as error:
        run = Run(at, "failed", 0, error.message)
    kept = {**{name: asdict(known) for name, known in _runs(house).items()}, task: asdict(run)}
    write_durably(house.root / STATE, canonical_json(kept).encode())
    house.ledger.append("schedule.ran", counts={"items": run.items}, codes={"task": task, "outcome": run.outcome})
    return run


def _runs(house: House) -> dict[str, Run]:
    path = house.root / STATE
    try:
        return {name: from_json(Run, run) for name, run in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as e:
        hint = "remove it: every task is due then"
        raise StorageFault(f"{path} is damaged", hint=hint, refs=(str(path),)) from e


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)

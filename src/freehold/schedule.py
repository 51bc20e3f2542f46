"""Schedule: what is done again and again in a house, how often, and what was missed.

The service does what is due as jobs at low priority, or ``freehold schedule run`` from cron or systemd does. How each
run went is written down; what was missed while the machine was off is done by the next. Nothing is done twice because
two runs meet: each task is idempotent.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from freehold.core.errors import FreeholdError, HouseBusy, SettingsError, StorageFault
from freehold.core.files import storage_fault, write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.erasing import retention
from freehold.erasing.erase import reprobe, retrain_all
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.measuring.watch import look
from freehold.remedy import is_wanted, remedy
from freehold.rotation import rotate
from freehold.witness import witness

STATE = "schedule.json"
"""In a house: the last run of each task, which says what is due."""
HISTORY = "schedule.jsonl"
"""In a house: every run, a line each."""

_HISTORY_BYTES = 1 << 20
"""From which the file becomes the one before: some 5,000 runs, years of a daily schedule. Two files are kept."""

Task = Literal["retrain", "reprobe", "expire", "purge", "watch", "remedy", "checkpoint", "backup"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a task."""

    at: str
    """ISO 8601 in UTC: when it began."""
    outcome: Literal["done", "failed"]
    items: int
    """Versions looked after, certificates searched for again, questions forgotten, documents removed, alarms that are
    open, alarms that something was trained for, leaves verified, or units that are new in the backup."""
    problem: str
    """Why it failed."""
    seconds: float = 0.0
    """How long it took; 0 for a run of before that was written down."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A line of the history."""

    task: Task
    run: Run


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
    wanted: bool = True
    """Whether there is anything to do: after an alarm, or always."""

    def is_due(self, now: datetime) -> bool:
        """Whether it is to run now. A last run in the future is of a clock that was wrong, and counts for nothing."""
        if not self.every_days or not self.wanted:
            return False
        return self.next is None or self.next <= now or (self.last is not None and _time(self.last.at) > now)


def planned(house: House, now: datetime | None = None) -> list[Planned]:
    """The schedule. Raises StorageFault where the record of its runs is damaged."""
    now = now or datetime.now(UTC)
    runs = _runs(house)
    part = house.settings.schedule
    every: dict[Task, int] = {
        "retrain": part.retrain_days, "reprobe": part.reprobe_days,
        "expire": part.expire_days, "watch": part.watch_days, "checkpoint": part.checkpoint_days,
        "purge": part.purge_days if retention.is_wanted(house) else 0,
        "remedy": part.remedy_days if house.settings.watch.retrain == "run" else 0, "backup": part.backup_days,
    }  # fmt: skip
    found = []
    for task in TASKS:
        last, days = runs.get(task), every[task]
        wait = timedelta(
            days=days if last and last.outcome == "done" else 0
        )  # what failed is due again at the next run
        following = _time(last.at) + wait if last and days else None
        wanted = task != "remedy" or is_wanted(house)
        missed = max(0, (now - following) // timedelta(days=days)) if following and task != "remedy" else 0
        found.append(Planned(task, days, last, following, missed, wanted))
    return found


def history(house: House) -> list[Ran]:
    """What ran, the last first. A line that a kill cut off is left out. Raises StorageFault."""
    found = []
    for path in (_before(house.root / HISTORY), house.root / HISTORY):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        except OSError as e:
            raise storage_fault(e, path) from None
        for line in lines:
            with suppress(ValueError):
                found.append(from_json(Ran, json.loads(line)))
    return found[::-1]


def run_due(
    house: House,
    progress: Progress,
    *,
    among: Collection[Task] = TASKS,
    patient: bool = False,
    now: datetime | None = None,
) -> dict[Task, Run]:
    """Do what is due. A task that fails does not keep back others.

    ``patient``: raise HouseBusy while another process writes, for whoever can try again in a moment; else that is a
    failure as others are.
    """
    now = now or datetime.now(UTC)
    ran: dict[Task, Run] = {}
    for task in TASKS:  # one after the other: a look may give the next one something to do
        if task in among and any(one.task == task and one.is_due(now) for one in planned(house, now)):
            ran[task] = _run(house, task, now, progress, patient=patient)
    return ran


def run_now(house: House, progress: Progress, tasks: Collection[Task]) -> dict[Task, Run]:
    """Do these, whether they are due or not."""
    now = datetime.now(UTC)
    return {task: _run(house, task, now, progress, patient=False) for task in TASKS if task in tasks}


def expire(house: House, now: datetime) -> int:
    """Have the query log forget what is older than the settings allow; how many questions those were."""
    return house.traffic.forget_before(now - timedelta(days=house.settings.privacy.query_retention_days))


def checkpoint(house: House) -> int:
    """Verify the whole ledger, and bring the witness's file up to it; how many leaves that were.

    Raises StorageFault where the ledger is not whole, or not the one that the witness saw.
    """
    house.record()
    hint = "freehold audit log --verify tells more; restore the ledger from a backup"
    damages = house.ledger.verify()
    if damages:
        raise StorageFault(f"the ledger is not whole: {damages[0].where}: {damages[0].what}", hint=hint)
    path = house.settings.schedule.witness
    if path:
        seen = witness(house.ledger, house.root / path)
        if seen.broken:
            raise StorageFault(f"the ledger and its witness differ: {seen.told}", hint=hint)
    point = house.ledger.checkpoint()
    return point.size if point else 0


def back_up(house: House, progress: Progress, now: datetime) -> int:
    """The next backup of the rotation; how many of its units are new. Raises SettingsError, and as ``rotate``."""
    part = house.settings.schedule
    if not part.backup_folder or not part.backup_keys:
        hint = "set schedule.backup_folder and schedule.backup_keys in freehold.toml"
        raise SettingsError("nothing says where backups go", hint=hint)
    folder, keys = house.root / part.backup_folder, house.root / part.backup_keys
    return rotate(house, folder, keys, kept_days=part.backup_kept_days, progress=progress, now=now).made.written


_WORK: dict[Task, Callable[[House, Progress, datetime], int]] = {
    "retrain": lambda house, progress, _: len(retrain_all(house, progress)),
    "reprobe": lambda house, progress, _: reprobe(house, progress),
    "expire": lambda house, _, now: expire(house, now),
    "purge": lambda house, progress, now: retention.purge(house, progress, now=now).documents,
    "watch": lambda house, progress, now: len(look(house, progress=progress, now=now).alarms),
    "remedy": lambda house, progress, now: len(remedy(house, progress, now=now)),
    "checkpoint": lambda house, _progress, _now: checkpoint(house),
    "backup": back_up,
}


def _run(house: House, task: Task, now: datetime, progress: Progress, *, patient: bool) -> Run:
    at, began = now.isoformat(timespec="seconds"), time.monotonic()
    try:
        run = Run(at, "done", _WORK[task](house, progress, now), "")
    except FreeholdError as error:
        if patient and isinstance(error, HouseBusy):
            raise
        run = Run(at, "failed", 0, error.message)
    run = replace(run, seconds=round(time.monotonic() - began, 3))
    _write_down(house.root / HISTORY, Ran(task, run))
    kept = {**{name: asdict(known) for name, known in _runs(house).items()}, task: asdict(run)}
    write_durably(house.root / STATE, canonical_json(kept).encode())
    house.ledger.append("schedule.ran", counts={"items": run.items}, codes={"task": task, "outcome": run.outcome})
    return run


def _write_down(path: Path, ran: Ran) -> None:
    """Add a line, durably. Two processes may do so at once: a line is written in one piece, at the end."""
    line = canonical_json(to_json(ran)).encode() + b"\n"
    try:
        if path.exists() and path.stat().st_size > _HISTORY_BYTES:
            path.replace(_before(path))
        with path.open("ab", buffering=0) as file:
            file.write(line if _is_whole(path) else b"\n" + line)
            os.fsync(file.fileno())
    except OSError as e:
        raise storage_fault(e, path) from None


def _is_whole(path: Path) -> bool:
    """Whether no kill cut off the last line."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read() in {b"", b"\n"}


def _before(path: Path) -> Path:
    return path.with_suffix(".before.jsonl")


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

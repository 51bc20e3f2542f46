"""Backups one after the other, each in a folder of its own that is named for its time, and removed when it is too old.

What did not change since the last one is linked, not copied: a backup takes room for what is new. A backup is built
aside and renamed when it is whole. What only old ones held goes by its key first, so that copies of them are noise too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from freehold.backup import ABOUT, Made, backup, begin, changes, fingerprints, unit_names
from freehold.core.errors import StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import storage_fault, sync
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.key_files import KEYS, export_keys

MAKING = ".making"
_TIME = "%Y-%m-%dT%H%M%SZ"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a round of backups did."""

    name: str
    """Folder of the new one."""
    made: Made
    removed: tuple[str, ...]
    """Folders of old ones that are gone."""


def rotate(
    house: House, folder: Path, key_file: Path, *, kept_days: int, progress: Progress, now: datetime | None = None
) -> Rotated:
    """Make a backup in a folder of its own under ``folder``, and remove those that are older than ``kept_days``.

    Raises UsageError where the key file lies in the folder or the folder in the house, StorageFault, HouseBusy. A kill
    leaves whole backups only; the next round removes what was begun.
    """
    now = now or datetime.now(UTC)
    if key_file.resolve().is_relative_to(folder.resolve()):
        raise UsageError("the key file lies among the backups", hint="keep it elsewhere: who has both can read all")
    making, name = folder / MAKING, now.strftime(_TIME)
    try:
        shutil.rmtree(making, ignore_errors=True)
        before = _own(house, folder)
        if before and not making.resolve().is_relative_to(house.root.resolve()):
            _lend(house, folder / before[-1], making)
        made = backup(house, making, key_file, progress=progress)
        step("rotation.made")
        making.rename(folder / name)
        sync(folder)
        removed = _expire(house, folder, now - timedelta(days=kept_days), keep=name)
    except OSError as e:
        raise storage_fault(e, folder) from None
    return Rotated(name, made, removed)


def generations(folder: Path) -> list[str]:
    """Names of the whole backups, the oldest first."""
    return sorted(path.name for path in folder.glob("*") if _NAME.fullmatch(path.name) and path.is_dir())


def _own(house: House, folder: Path) -> list[str]:
    """Of the whole backups those of this house: another one may have its own beside them. A damaged one counts."""
    mark = house.shelf.fence.mark
    return [name for name in generations(folder) if _about(folder / name).get("house", mark) == mark]


def _lend(house: House, latest: Path, making: Path) -> None:
    """What the latest backup has, under the keys of now, and never changes, linked; what cannot be is made anew."""
    were, now = _about(latest).get("keys", {}), fingerprints(house)
    lent: dict[str, str] = {}
    for name in sorted(unit_names(house)):
        source, target = latest / name, making / name
        if not changes(name) and source.is_file() and name in now and were.get(name) == now[name]:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:
                break
            lent[name] = now[name]
    begin(house, making, lent)


def _expire(house: House, folder: Path, oldest: datetime, *, keep: str) -> tuple[str, ...]:
    known = _own(house, folder)
    old = [name for name in known if name != keep and _time(name) < oldest]
    if not old:
        return ()
    stay = unit_names(house).union(*(_units(folder / name) for name in known if name not in old))
    gone = set().union(*(_units(folder / name) for name in old)) - stay
    house.shelf.vault.destroy(sorted(f"{KEYS}{unit}" for unit in gone))
    left = export_keys(house)
    step("rotation.keys")
    for name in old:
        identifier = _about(folder / name).get("id")
        shutil.rmtree(folder / name)
        sync(folder)
        if identifier:
            house.ledger.append("backup.removed", ids={"backup": identifier})
    if left:
        raise StorageFault(f"{left[0]} cannot be written", hint="bring its disk back: it holds keys that are to go")
    return tuple(old)


def _units(folder: Path) -> set[str]:
    return set(_about(folder).get("units", ()))


def _about(folder: Path) -> dict[str, Any]:
    """What a backup says of itself; nothing where it is damaged."""
    try:
        found = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(name: str) -> datetime:
    return datetime.strptime(name, _TIME).replace(tzinfo=UTC)

"""What a house remembers between two looks for drift: ``freehold.core.watch`` in one small file, in no backup."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.files import rewrite, write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.core.watch import Watch

FILE = "watch.json"


def read(root: Path) -> Watch:
    """What is remembered in the house at ``root``; nothing where nobody has looked. Raises StorageFault."""
    path = root / FILE
    try:
        return from_json(Watch, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Watch()
    except (OSError, ValueError) as e:
        raise StorageFault(f"{path} is damaged", hint="remove it: the watch begins anew", refs=(str(path),)) from e


def write(root: Path, watch: Watch) -> None:
    """Remember this, durable on return, with no byte left of what was. For the one writer. Raises StorageFault."""
    path, data = root / FILE, canonical_json(to_json(watch)).encode()
    if path.exists():
        rewrite(path, data)
    else:
        write_durably(path, data)


def named(watch: Watch) -> set[str]:
    """Ids of questions and documents that stand as examples."""
    return {one.id for alarm in watch.alarms for one in alarm.examples if one.kind != "canary"}


def forget(root: Path, ids: Collection[str]) -> None:
    """These go from the examples, with no byte left. For the one writer. Raises StorageFault."""
    watch = read(root)
    if not named(watch) & set(ids):
        return
    write(root, without(watch, ids))
    step("watch.forgotten")


def without(watch: Watch, ids: Collection[str]) -> Watch:
    """The same with fewer examples."""
    alarms = (replace(a, examples=tuple(one for one in a.examples if one.id not in ids)) for a in watch.alarms)
    return replace(watch, alarms=tuple(alarms))

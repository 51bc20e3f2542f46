"""Restore: a house anew from a backup and its key file, without what was erased since."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from freehold import config
from freehold.backup import ABOUT, FACTS, RIGHTS, open_unit
from freehold.core.errors import HouseBusy, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import shred_tree, sync, write_durably
from freehold.core.records import from_json
from freehold.core.shelf import Changes, Entry, Hold, NearDuplicate, Vectors
from freehold.core.types import Chunk, Document, TokenCodes
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.key_files import COPIES, KEYS, REQUESTS, checked, put_copies, read_json
from freehold.store.lock import writer_lock
from freehold.store.requests import RequestFolder
from freehold.store.vault import fingerprint

_RESTORING = ".restoring"
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    documents: int
    units: int
    erased: int
    """Units whose key was destroyed since: nobody can open them."""


def restore(
    source: Path, key_file: Path, to: Path, *, check: Callable[[House], object], progress: Progress
) -> Restored:
    """A house anew from a backup: closed until everything that was erased since has been left out and ``check`` passed.

    Raises UsageError for a folder that is no backup, a key file that is none, or a house that is there already;
    StorageFault where a unit was changed; HouseBusy where somebody is erased meanwhile; and what ``check`` raises.
    Nothing of the house stays then.
    """
    to = to.resolve()
    about = read_json(source / ABOUT, "a backup")
    kept = read_json(key_file, "a key file")
    if (to / config.FILE_NAME).exists():
        raise UsageError(f"{to} is a house already", hint="restore into a new folder")
    if to.exists() and (not to.is_dir() or any(path.name != _RESTORING for path in to.iterdir())):
        raise UsageError(f"{to} is not empty", hint="restore into a new folder: freehold --house FOLDER restore ...")
    # Under these names nobody opens it. A folder that is there may be a volume, or be where the user stands: it stays.
    building = to / _RESTORING if to.is_dir() else to.with_name(f".{to.name}{_RESTORING}")
    shred_tree(building)
    building.mkdir(parents=True)
    try:
        restored = _rebuilt(source, about, kept, key_file, building, check, progress)
        step("restore.before_open")
        if read_json(key_file, "a key file") != kept:
            raise HouseBusy("somebody was erased while the house was restored", hint="run the same command again")
        if to.is_dir():
            for path in sorted(building.iterdir(), key=lambda path: path.name == config.FILE_NAME):
                path.rename(to / path.name)  # the settings last: without them it is no house
            building.rmdir()
        else:
            building.rename(to)
        sync(to)
        sync(to.parent)
    except BaseException:
        shred_tree(building)
        raise
    return restored


def _rebuilt(
    source: Path,
    about: Mapping[str, Any],
    kept: Mapping[str, Any],
    key_file: Path,
    building: Path,
    check: Callable[[House], object],
    progress: Progress,
) -> Restored:
    all_keys, fence = checked(kept, key_file)
    keys = {name.removeprefix(KEYS): key for name, key in all_keys.items() if name.startswith(KEYS)}
    try:
        named, prints = list(about["units"]), dict(about.get("keys", {}))
        units = [n for n in named if n in keys and _is_under(source / n, n, keys[n], prints.get(n))]
    except (KeyError, TypeError, ValueError):
        raise UsageError("the backup is not of its form", hint="take another copy") from None
    if not {FACTS, RIGHTS} <= set(named):
        raise UsageError("the backup was never finished", hint="run freehold backup again, or take another copy")
    if not {FACTS, RIGHTS} <= set(units):
        raise UsageError("the key file is not this backup's", hint="give the one that was written with it")
    for name in units:
        if not name.startswith("documents/"):
            _unpack(building, name, json.loads(open_unit(source / name, name, keys[name])))
    with House(building) as house:
        house.shelf.fence.take_in(fence)
        vault = house.shelf.vault
        for name, key in all_keys.items():
            vault.put(name, key)
        vault.mark([fingerprint(key) for key in all_keys.values()], "given")
        _stand_down(house)
        _close(house, all_keys)
        rights = json.loads(open_unit(source / RIGHTS, RIGHTS, keys[RIGHTS]))
        # What rights does not name had left the house when they were written, in a backup that was cut off.
        documents = [n for n in units if n.startswith("documents/") and n.removeprefix("documents/") in rights]
        for start in range(0, len(documents), _BATCH):
            _take_in(house, [(source / n, n, keys[n]) for n in documents[start : start + _BATCH]], rights)
            progress("restore", min(start + _BATCH, len(documents)), len(documents))
        facts = json.loads(open_unit(source / FACTS, FACTS, keys[FACTS]))
        copies = json.loads(facts.pop(COPIES, None) or "[]")
        _facts(house, facts)
        house.ledger.append("backup.restored", ids={"backup": about["id"]}, counts={"documents": len(documents)})
        if not house.shelf.is_empty():
            with writer_lock(building):
                house.sync_indexes(progress)
        house.record()
        check(house)
        put_copies(house, {*copies, str(key_file.resolve())})  # from here on an erasure takes its keys out there
    return Restored(len(documents), len(units), len(named) - len(units))


def _is_under(path: Path, name: str, key: bytes, known_by: str | None) -> bool:
    """Whether a unit lies under this key: not where it was written anew since, elsewhere, and this is its old state."""
    if known_by is None or known_by == fingerprint(key):
        return True
    try:
        open_unit(path, name, key)
    except StorageFault:
        return False
    return True


def _stand_down(house: House) -> None:
    """What served and did not come along, since it had learned from what was erased, serves no more."""
    live = house.registry.lineup().versions
    here = {version.id: version for version in house.registry.all()}
    stay = {role: id for role, id in live.items() if id in here}
    if len(stay) == len(live):
        return
    if "embedder" in live.keys() - stay.keys():
        stay = {role: id for role, id in stay.items() if not here[id].bound}
    house.registry.switch(stay, verb="stand down")


def _close(house: House, keys: Mapping[str, bytes]) -> None:
    """A request whose key is gone was closed since: nobody can tell any more whom it was about."""
    requests = RequestFolder(house.root / "requests", house.shelf.vault)
    for request in requests.all():
        if REQUESTS + request.id not in keys and request.stage != "closed":
            requests.close(request)


def _unpack(root: Path, name: str, files: Mapping[str, str]) -> None:
    if name in {FACTS, RIGHTS}:
        return
    for place, data in files.items():
        path = (root / place).resolve()
        if not path.is_relative_to(root.resolve()):
            raise StorageFault("the backup names a file outside of the house", hint="it was changed: take another")
        path.parent.mkdir(parents=True, exist_ok=True)
        secret = path.name in {"key", "certificate.key", "pseudonyms.key"} or path.suffix == ".sealed"
        write_durably(path, base64.b64decode(data), mode=0o600 if secret else 0o644)


def _take_in(house: House, units: Sequence[tuple[Path, str, bytes]], rights: Mapping[str, Any]) -> None:
    """Documents as they were, under their ids, seen and hidden as ``rights`` says, from the first."""
    founding = ""
    entries, hidden, more = [], {}, []
    for path, name, key in units:
        kept = json.loads(open_unit(path, name, key))
        document = from_json(Document, kept["document"])
        document = replace(document, groups=tuple(rights[document.id]["groups"]))
        chunks = tuple(from_json(Chunk, chunk) for chunk in kept["chunks"])
        made = {maker: {row[0]: _vectors(row) for row in rows} for maker, rows in kept["vectors"].items()}
        founding = next((maker for maker, rows in made.items() if len(rows) == len(chunks)), "")
        first = made.pop(founding, {})
        near = kept["near_duplicate"]
        entries.append(
            Entry(
                document=document,
                sha256=kept["sha256"],
                recipe=kept["recipe"],
                signature=_bytes(kept["signature"]) or b"",
                chunks=chunks,
                keys=tuple(first[chunk.id][0] for chunk in chunks),
                vectors=tuple(first[chunk.id][1] for chunk in chunks),
                maker=founding,
                near_duplicate=from_json(NearDuplicate, near) if near else None,
                original=_bytes(kept["original"]),
                entered=rights[document.id].get("entered", ""),
            )
        )
        hidden[document.id] = rights[document.id]["restricted"]
        more += list(made.items())
    house.shelf.commit(Changes(add=entries, restrict=hidden))
    for entry in entries:
        hold = rights[entry.document.id]["hold"]
        if hold:
            house.shelf.hold(entry.document.id, from_json(Hold, hold))
    for maker, rows in more:
        house.shelf.put_vectors(maker, rows)


def _facts(house: House, facts: Mapping[str, str | None]) -> None:
    for key, value in facts.items():
        if value is not None:  # a revision is never used again for something else
            house.shelf.set_fact(key, str(int(value) + 1) if key == "revision" else value)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _vectors(row: Sequence[Any]) -> tuple[bytes, Vectors]:
    _, key, dense, codes, count = row
    vector = None if dense is None else np.frombuffer(base64.b64decode(dense), "<f4")
    return base64.b64decode(key), Vectors(vector, None if codes is None else TokenCodes(base64.b64decode(codes), count))

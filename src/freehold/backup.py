"""Backups that can forget: every document, training set and model version sealed under a key of its own.

A backup is a folder of units; a document's version never changes, so a second backup into the same folder writes what
is new. The keys lie in the house's vault and, for the day when the house is lost, in a key file that is kept elsewhere.
Erasing destroys the key in both: what every copy of every backup holds of the person is noise from then on (NIST SP
800-88r2, cryptographic erase). A key file out of reach is told of until it was brought up to date.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freehold import config
from freehold.core.errors import StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import shred, storage_fault, sync_tree, write_durably
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import to_json
from freehold.core.types import TokenCodes
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.key_files import COPIES, FORMAT, KEYS, copies_of, export_keys, put_copies, read_json, try_key_file
from freehold.store.lock import writer_lock
from freehold.store.training import TrainingFolder
from freehold.store.vault import fingerprint, seal, unseal

FACTS = "house/facts"
RIGHTS = "house/rights"
"""The unit that says of each document who may see it, for whom it is hidden, under which hold it is, and since when it
is here. The document's own unit never changes.
"""
ABOUT = "backup.json"
"""What a backup says of itself, from before its first unit: the house's mark, its units, and ``also``, names of what
may lie there besides.
"""
_HOUSE = "house/"
"""Begins the names of units that speak of the others: they are written last."""
_FOLDERS = ("experiments", "requests")
"""Of which each entry is a unit."""
_WHOLE = ("ledger", "certificate.key", config.FILE_NAME, "models/lineups.json", "training/pseudonyms.key")
"""One unit together: what holds nothing of anybody."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a backup did."""

    id: str
    units: int
    """Of the house as it is."""
    written: int
    """Of these, those that were not there yet."""
    removed: int
    """Units in the folder that the house no longer holds."""
    size_mb: float


def backup(house: House, to: Path, key_file: Path, *, progress: Progress) -> Made:
    """Bring the folder ``to`` up to the house, and the key file up to the folder. Raises UsageError, StorageFault.

    The key file must not lie in the folder: who has both has everything. The folder must be empty, or a backup of this
    house or of the one that it was restored from: what lies there besides is left alone.
    """
    if key_file.resolve().is_relative_to(to.resolve()):
        raise UsageError("the key file lies in the backup", hint="keep it elsewhere: who has both can read everything")
    if to.resolve().is_relative_to(house.root.resolve()):
        raise UsageError("the backup lies in the house", hint="give a folder on another disk")
    try_key_file(house, key_file)
    identifier = new_id()
    vault = house.shelf.vault
    with writer_lock(house.root):
        about = _begun(house, to)
        put_copies(house, {*copies_of(house), str(key_file.resolve())})
        units = dict(sorted(_units(house), key=lambda unit: unit[0].startswith(_HOUSE)))
        there = {*about["units"], *about.get("also", ())}
        _note(to, {**about, "also": sorted(there | units.keys())})
        vault.unmark("given")
        prints, was = fingerprints(house), about.get("keys", {})
        written = 0
        for done, (name, read) in enumerate(units.items(), 1):
            path = to / name
            # A unit that lies there under a key that was destroyed since is as good as none.
            if changes(name) or name not in prints or was.get(name) != prints[name] or not path.exists():
                prints[name] = _write_unit(house, path, name, read())
                written += 1
            progress("backup", done, len(units))
        step("backup.written")
        stale = sorted(there - units.keys())
        made = {
            "format": FORMAT,
            "house": house.shelf.fence.mark,
            "id": identifier,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "units": sorted(units),
            "keys": {name: prints[name] for name in units},
        }
        _note(to, {**made, "also": stale})
        for name in stale:
            if (to / name).parent.resolve().is_relative_to(to.resolve()) and not (to / name).is_symlink():
                shred(to / name)
            vault.destroy([KEYS + name])
        if stale:
            _note(to, made)
        sync_tree(to)
    left = export_keys(house)
    if left:
        raise StorageFault(f"{left[0]} cannot be written", hint="bring its disk back and make the backup again")
    house.ledger.append("backup.made", ids={"backup": identifier}, counts={"items": len(units)})
    size = sum((to / name).stat().st_size for name in units) / 1e6
    return Made(identifier, len(units), written, len(stale), round(size, 3))


def begin(house: House, to: Path, lent: Mapping[str, str]) -> None:
    """Have an empty folder known for a backup of the house, with these units in it: name -> fingerprint of its key."""
    about = {"format": FORMAT, "house": house.shelf.fence.mark, "id": "", "units": sorted(lent), "keys": dict(lent)}
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise storage_fault(e, to) from None
    _note(to, about)


def fingerprints(house: House) -> dict[str, str]:
    """Unit -> fingerprint of the key that the house has for it."""
    return {name.removeprefix(KEYS): fingerprint(key) for name, key in house.shelf.vault.keys(KEYS).items()}


def _begun(house: House, to: Path) -> dict[str, Any]:
    """What a backup of this house says of itself. Raises UsageError for a folder that holds something else."""
    if to.exists() and not to.is_dir():
        raise UsageError(f"{to} is a file", hint="give a folder")
    if not (to / ABOUT).exists():
        if to.is_dir() and any(to.iterdir()):
            hint = "give an empty folder, or the backup itself that is to be brought up to date"
            raise UsageError(f"{to} is not empty and no backup", hint=hint)
        begin(house, to, {})
    about: dict[str, Any] = read_json(to / ABOUT, "a backup")
    if not isinstance(about.get("units"), list) or not _is_own(house, to, about):
        raise UsageError(f"{to} is the backup of another house", hint="give each house a folder of its own")
    return about


def _is_own(house: House, to: Path, about: Mapping[str, Any]) -> bool:
    if "house" in about:
        return bool(about["house"] == house.shelf.fence.mark)
    try:  # of an earlier version, which left no mark
        open_unit(to / FACTS, FACTS, house.shelf.vault.key(KEYS + FACTS))
    except StorageFault:
        return False
    return True


def _note(to: Path, about: Mapping[str, Any]) -> None:
    write_durably(to / ABOUT, canonical_json(about).encode())


def unit_names(house: House) -> set[str]:
    """Names of the units that a backup of the house as it is has."""
    return {name for name, _ in _units(house)}


def orphaned(house: House) -> set[str]:
    """Names of the keys of training sets and model versions that are in no backup of the house as it is.

    What older backups have of them is to be opened by nobody: they are gone, or learned from what was erased.
    """
    kept = {name for folder in ("training", "models") for name in house.shelf.vault.named(f"{KEYS}{folder}/")}
    # The keys first: what gets one meanwhile is none.
    return kept - {KEYS + name for name in unit_names(house)} if kept else kept


def forget_models(house: House) -> None:
    """Destroy the keys of model versions that were removed, in the vault and the key files within reach."""
    gone = {name for name in orphaned(house) if name.startswith(f"{KEYS}models/")}
    if gone:
        house.shelf.vault.destroy(sorted(gone))
        export_keys(house)


def changes(name: str) -> bool:
    """Whether a unit changes under its name: a document's or a model's version never does."""
    return name.startswith((_HOUSE, "requests/"))


# -- units -------------------------------------------------------------------------------------------------------------


def _units(house: House) -> Iterator[tuple[str, Any]]:
    """(name, what gives its bytes) of all that a backup holds."""
    yield FACTS, lambda: canonical_json({key: house.shelf.fact(key) for key in _FACTS}).encode()
    yield RIGHTS, lambda: canonical_json(_rights(house)).encode()
    yield "house/files", lambda: canonical_json(_packed(house.root, _WHOLE)).encode()
    for document_id in sorted(house.shelf.document_ids()):
        yield f"documents/{document_id}", lambda document_id=document_id: _document(house, document_id)
    names = [f"training/{name}" for name in TrainingFolder(house.root / "training").names()]
    names += [f"models/{version.id}" for version in house.registry.all() if not version.tainted]
    names += [f"{folder}/{path.name}" for folder in _FOLDERS for path in sorted((house.root / folder).glob("[!.]*"))]
    for name in names:
        yield name, lambda name=name: canonical_json(_packed(house.root, [name])).encode()


def _rights(house: House) -> dict[str, Any]:
    hidden, holds = house.shelf.restricted(), house.shelf.holds()
    return {
        known.document_id: {
            "groups": known.groups,
            "restricted": sorted(hidden.get(known.document_id, ())),
            "hold": to_json(holds.get(known.document_id)),
            "entered": known.entered,
        }
        for known in house.shelf.known().values()
    }


_FACTS = ("format", "embedder", "embedder_name", "revision", COPIES)


def _packed(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Path -> base64 of every file at or below these."""
    found = {}
    for name in names:
        path = root / name
        for file in [path] if path.is_file() else _files(path):
            found[file.relative_to(root).as_posix()] = base64.b64encode(file.read_bytes()).decode()
    return found


def _document(house: House, document_id: str) -> bytes:
    """A document with all that was made from it, and its original."""
    shelf = house.shelf
    kept = shelf.entry(document_id)
    original = shelf.original(document_id) if document_id in shelf.sealed_ids() else None
    entry = {
        "document": to_json(kept.document),
        "sha256": kept.sha256,
        "recipe": kept.recipe,
        "signature": _text(kept.signature),
        "chunks": to_json(kept.chunks),
        "near_duplicate": to_json(kept.near_duplicate),
        "original": _text(original),
        "vectors": {
            maker: [
                [chunk_id, _text(key), _text(v.dense.tobytes() if v.dense is not None else None), *_coded(v.codes)]
                for chunk_id, (key, v) in made.items()
            ]
            for maker, made in shelf.made(document_id).items()
        },
    }
    return canonical_json(entry).encode("utf-8", "surrogatepass")


def _write_unit(house: House, path: Path, name: str, data: bytes) -> str:
    """Fingerprint of the key that it was sealed under."""
    key = house.shelf.vault.ensure(KEYS + name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise storage_fault(e, path) from None
    write_durably(path, seal(key, data, document_id=name), mode=0o600)
    step("backup.unit")
    return fingerprint(key)


def open_unit(path: Path, name: str, key: bytes) -> bytes:
    """What a unit holds. Raises StorageFault where it cannot be read, or was changed."""
    try:
        sealed = path.read_bytes()
    except OSError as e:
        raise storage_fault(e, path) from None
    try:
        return unseal(key, sealed, document_id=name)
    except StorageFault:
        hint = "take another copy of the backup"
        raise StorageFault(f"the backup's unit {name} was changed", hint=hint, refs=(str(path),)) from None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _coded(codes: TokenCodes | None) -> list[Any]:
    return [None, None] if codes is None else [_text(codes.data), codes.count]

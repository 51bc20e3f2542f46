"""Backups that can forget: every document, training set and model version sealed under a key of its own.

A backup is a folder of units; a document's version never changes, so a second backup into the same folder writes what
is new. The keys lie in the house's vault and, for the day when the house is lost, in a key file that is kept elsewhere.
Erasing destroys the key in both: what every copy of every backup holds of the person is noise from then on (NIST SP
800-88r2, cryptographic erase). A key file out of reach is told of until it was brought up to date.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from freehold import config
from freehold.core.errors import HouseBusy, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import rewrite, shred, shred_tree, storage_fault, sync_tree, write_durably
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import from_json, to_json
from freehold.core.shelf import Changes, Entry, Hold, NearDuplicate, Vectors
from freehold.core.types import Chunk, Document, TokenCodes
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.store.lock import writer_lock
from freehold.store.vault import seal, unseal

KEYS = "backup:"
"""Begins the names of the keys of units in the vault."""
REQUESTS = "request:"
"""The same of the keys under which it lies sealed whom a request is about."""
COPIES = "key_files"
"""Fact: where key files were written."""
FACTS = "house/facts"
RIGHTS = "house/rights"
"""The unit that says of each document who may see it, for whom it is hidden, under which hold it is, and since when it
is here. The document's own unit never changes.
"""
FORMAT = 1
_FOLDERS = ("training", "models", "experiments", "requests")
"""Of which each entry is a unit."""
_WHOLE = ("ledger", "certificate.key", config.FILE_NAME)
"""One unit together: what holds nothing of anybody."""
_KEY_BYTES = 32
_BATCH = 200


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


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    documents: int
    units: int
    erased: int
    """Units whose key was destroyed since: nobody can open them."""


def backup(house: House, to: Path, key_file: Path, *, progress: Progress) -> Made:
    """Bring the folder ``to`` up to the house, and the key file up to the folder. Raises UsageError, StorageFault.

    The key file must not lie in the folder: who has both has everything.
    """
    if key_file.resolve().is_relative_to(to.resolve()):
        raise UsageError("the key file lies in the backup", hint="keep it elsewhere: who has both can read everything")
    if to.resolve().is_relative_to(house.root.resolve()):
        raise UsageError("the backup lies in the house", hint="give a folder on another disk")
    identifier = new_id()
    with writer_lock(house.root):
        units = dict(_units(house))
        known = set(house.shelf.vault.named(KEYS))
        written = 0
        for done, (name, read) in enumerate(units.items(), 1):
            path = to / name
            if changes(name) or not path.exists() or KEYS + name not in known:
                _write_unit(house, path, name, read())
                written += 1
            progress("backup", done, len(units))
        stale = [path for path in _files(to) if path.relative_to(to).as_posix() not in {*units, "backup.json"}]
        for path in stale:
            shred(path)
            house.shelf.vault.destroy([KEYS + path.relative_to(to).as_posix()])
        about = {"format": FORMAT, "id": identifier, "made": datetime.now(UTC).isoformat(timespec="seconds")}
        write_durably(to / "backup.json", canonical_json({**about, "units": sorted(units)}).encode())
        sync_tree(to)
        copies = {*_copies(house), str(key_file.resolve())}
        house.shelf.set_fact(COPIES, json.dumps(sorted(copies)))
    left = export_keys(house)
    if left:
        raise StorageFault(f"{left[0]} cannot be written", hint="bring its disk back and make the backup again")
    house.ledger.append("backup.made", ids={"backup": identifier}, counts={"items": len(units)})
    size = sum(path.stat().st_size for path in _files(to)) / 1e6
    return Made(identifier, len(units), written, len(stale), round(size, 3))


def export_keys(house: House) -> list[str]:
    """Bring every key file up to the vault; those that are out of reach are given back.

    A key file holds the keys of the units and what the fence knows, so that a house restored from it refuses the same
    people.
    """
    names = _copies(house)
    if not names:
        return []
    vault = house.shelf.vault
    kept = [*vault.named(KEYS), *vault.named(REQUESTS)]
    keys = {name: base64.b64encode(vault.key(name)).decode() for name in kept}
    fence = house.shelf.fence.exported()
    data = canonical_json({"format": FORMAT, "keys": keys, "fence": fence}).encode()
    left = []
    for name in names:
        path = Path(name)
        try:
            if path.exists():
                rewrite(path, data)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_durably(path, data, mode=0o600)
        except (OSError, StorageFault):
            left.append(name)
        step("backup.key_file")
    return left


def forget_key_file(house: House, key_file: Path) -> None:
    """Take a key file that was destroyed off the list. Raises UsageError where none of that name is on it."""
    copies = _copies(house)
    name = str(key_file.resolve())
    if name not in copies:
        raise UsageError(f"{key_file} is on no list", hint=f"known: {', '.join(copies) or 'none'}")
    house.shelf.set_fact(COPIES, json.dumps(sorted(set(copies) - {name})))


def restore(
    source: Path, key_file: Path, to: Path, *, check: Callable[[House], object], progress: Progress
) -> Restored:
    """A house anew from a backup: closed until everything that was erased since has been left out and ``check`` passed.

    Raises UsageError for a folder that is no backup, a key file that is none, or a house that is there already;
    StorageFault where a unit was changed; HouseBusy where somebody is erased meanwhile; and what ``check`` raises.
    Nothing of the house stays then.
    """
    about = _read_json(source / "backup.json", "a backup")
    kept = _read_json(key_file, "a key file")
    if (to / config.FILE_NAME).exists():
        raise UsageError(f"{to} is a house already", hint="restore into a new folder")
    building = to.with_name(f".{to.name}.restoring")  # under this name nobody opens it
    shred_tree(building)
    building.mkdir(parents=True)
    try:
        restored = _rebuilt(source, about, kept, building, check, progress)
        step("restore.before_open")
        if _read_json(key_file, "a key file") != kept:
            raise HouseBusy("somebody was erased while the house was restored", hint="run the same command again")
        building.rename(to)
    except BaseException:
        shred_tree(building)
        raise
    return restored


def _rebuilt(
    source: Path,
    about: Mapping[str, Any],
    kept: Mapping[str, Any],
    building: Path,
    check: Callable[[House], object],
    progress: Progress,
) -> Restored:
    try:
        all_keys = {name: base64.b64decode(key, validate=True) for name, key in kept["keys"].items()}
        keys = {name.removeprefix(KEYS): key for name, key in all_keys.items() if name.startswith(KEYS)}
        units = [name for name in about["units"] if name in keys]
        if any(len(key) != _KEY_BYTES for key in all_keys.values()):
            raise ValueError("a key of another length")
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError("the key file or the backup is not of its form", hint="take another copy") from None
    if not {FACTS, RIGHTS} <= set(units):
        raise UsageError("the key file is not this backup's", hint="give the one that was written with it")
    for name in units:
        if not name.startswith("documents/"):
            _unpack(building, name, json.loads(_open_unit(source / name, name, keys[name])))
    with House(building) as house:
        house.shelf.fence.take_in(kept["fence"])
        for name, key in all_keys.items():
            house.shelf.vault.put(name, key)
        documents = [name for name in units if name.startswith("documents/")]
        rights = json.loads(_open_unit(source / RIGHTS, RIGHTS, keys[RIGHTS]))
        for start in range(0, len(documents), _BATCH):
            _take_in(house, [(source / n, n, keys[n]) for n in documents[start : start + _BATCH]], rights)
            progress("restore", min(start + _BATCH, len(documents)), len(documents))
        _facts(house, json.loads(_open_unit(source / FACTS, FACTS, keys[FACTS])))
        if not house.shelf.is_empty():
            with writer_lock(building):
                house.sync_indexes(progress)
        house.ledger.append("backup.restored", ids={"backup": about["id"]}, counts={"documents": len(documents)})
        house.record()
        check(house)
    return Restored(len(documents), len(units), len(about["units"]) - len(units))


def unit_names(house: House) -> set[str]:
    """Names of the units that a backup of the house as it is has."""
    return {name for name, _ in _units(house)}


def changes(name: str) -> bool:
    """Whether a unit changes under its name: a document's or a model's version never does."""
    return name.startswith(("house/", "requests/"))


# -- units -------------------------------------------------------------------------------------------------------------


def _units(house: House) -> Iterator[tuple[str, Any]]:
    """(name, what gives its bytes) of all that a backup holds."""
    yield FACTS, lambda: canonical_json({key: house.shelf.fact(key) for key in _FACTS}).encode()
    yield RIGHTS, lambda: canonical_json(_rights(house)).encode()
    yield "house/files", lambda: canonical_json(_packed(house.root, _WHOLE)).encode()
    for document_id in sorted(house.shelf.document_ids()):
        yield f"documents/{document_id}", lambda document_id=document_id: _document(house, document_id)
    for folder in _FOLDERS:
        top = house.root / folder
        for path in sorted(top.glob("[!.]*")):
            name = f"{folder}/{path.name}"
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


_FACTS = ("format", "embedder", "embedder_name", "revision")


def _packed(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Path -> base64 of every file at or below these."""
    found = {}
    for name in names:
        path = root / name
        for file in [path] if path.is_file() else _files(path):
            found[file.relative_to(root).as_posix()] = base64.b64encode(file.read_bytes()).decode()
    return found


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


def _take_in(house: House, units: Sequence[tuple[Path, str, bytes]], rights: Mapping[str, Any]) -> None:
    """Documents as they were, under their ids, seen and hidden as ``rights`` says, from the first."""
    founding = ""
    entries, hidden, more = [], {}, []
    for path, name, key in units:
        kept = json.loads(_open_unit(path, name, key))
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


def _write_unit(house: House, path: Path, name: str, data: bytes) -> None:
    key = house.shelf.vault.ensure(KEYS + name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise storage_fault(e, path) from None
    write_durably(path, seal(key, data, document_id=name), mode=0o600)
    step("backup.unit")


def _open_unit(path: Path, name: str, key: bytes) -> bytes:
    try:
        return unseal(key, path.read_bytes(), document_id=name)
    except OSError as e:
        raise storage_fault(e, path) from None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _copies(house: House) -> list[str]:
    found: list[str] = json.loads(house.shelf.fact(COPIES) or "[]")
    return found


def _read_json(path: Path, what: str) -> Any:
    try:
        found = json.loads(path.read_bytes())
        if found["format"] > FORMAT:
            raise UsageError(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
        return found
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is not {what}", hint="freehold backup FOLDER --keys FILE makes both") from None


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _coded(codes: TokenCodes | None) -> list[Any]:
    return [None, None] if codes is None else [_text(codes.data), codes.count]


def _vectors(row: Sequence[Any]) -> tuple[bytes, Vectors]:
    _, key, dense, codes, count = row
    vector = None if dense is None else np.frombuffer(base64.b64decode(dense), "<f4")
    return base64.b64decode(key), Vectors(vector, None if codes is None else TokenCodes(base64.b64decode(codes), count))

"""Backups that can forget: every document, training set and model version sealed under a key of its own.

A backup is a folder of units; a document's version never changes, so a second backup into the same folder writes what
is new. The keys lie in the house's vault and, for the day when the house is lost, in a key file that is kept elsewhere.
Erasing destroys the key in both: what every copy of every backup holds of the person is noise from then on (NIST SP
800-88r2, cryptographic erase). A key file out of reach is told of until it was brought up to date.

A house and what was restored from it may live side by side and share a key file: each takes out what it destroyed, and
puts in what it made. What it was given at its restore it leaves as it is there, until it makes a backup of its own.
"""

from __future__ import annotations

import base64
import fcntl
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from freehold import config
from freehold.core.errors import HouseBusy, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import rewrite, shred, shred_tree, storage_fault, sync, sync_tree, write_durably
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import from_json, to_json
from freehold.core.shelf import Changes, Entry, Hold, NearDuplicate, Vectors
from freehold.core.types import Chunk, Document, TokenCodes
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.store.lock import writer_lock
from freehold.store.requests import RequestFolder
from freehold.store.training import TrainingFolder
from freehold.store.vault import fingerprint, seal, unseal

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
ABOUT = "backup.json"
"""What a backup says of itself, from before its first unit: the house's mark, its units, and ``also``, names of what
may lie there besides.
"""
FORMAT = 1
_RESTORING = ".restoring"
_HOUSE = "house/"
"""Begins the names of units that speak of the others: they are written last."""
_FOLDERS = ("experiments", "requests")
"""Of which each entry is a unit."""
_WHOLE = ("ledger", "certificate.key", config.FILE_NAME, "models/lineups.json", "training/pseudonyms.key")
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

    The key file must not lie in the folder: who has both has everything. The folder must be empty, or a backup of this
    house or of the one that it was restored from: what lies there besides is left alone.
    """
    if key_file.resolve().is_relative_to(to.resolve()):
        raise UsageError("the key file lies in the backup", hint="keep it elsewhere: who has both can read everything")
    if to.resolve().is_relative_to(house.root.resolve()):
        raise UsageError("the backup lies in the house", hint="give a folder on another disk")
    _try_key_file(house, key_file)
    identifier = new_id()
    vault = house.shelf.vault
    with writer_lock(house.root):
        about = _begun(house, to)
        _list(house, {*_copies(house), str(key_file.resolve())})
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
    about: dict[str, Any] = _read_json(to / ABOUT, "a backup")
    if not isinstance(about.get("units"), list) or not _is_own(house, to, about):
        raise UsageError(f"{to} is the backup of another house", hint="give each house a folder of its own")
    return about


def _is_own(house: House, to: Path, about: Mapping[str, Any]) -> bool:
    if "house" in about:
        return bool(about["house"] == house.shelf.fence.mark)
    try:  # of an earlier version, which left no mark
        _open_unit(to / FACTS, FACTS, house.shelf.vault.key(KEYS + FACTS))
    except StorageFault:
        return False
    return True


def _note(to: Path, about: Mapping[str, Any]) -> None:
    write_durably(to / ABOUT, canonical_json(about).encode())


# -- key files ---------------------------------------------------------------------------------------------------------


def export_keys(house: House) -> list[str]:
    """Bring every key file up to the vault; those that are out of reach, or another house's, are given back.

    A key file holds the keys of the units and what the fence knows, so that a house restored from it refuses the same
    people. What this house destroyed goes, what it made is put in; the rest is of a house that shares the file.
    """
    left = []
    for name in _copies(house):
        path = Path(name)
        try:
            if not path.exists() and not house.shelf.vault.marked("given"):
                path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path):
                _write_keys(house, path)
        except (OSError, StorageFault, UsageError):
            left.append(name)
        step("backup.key_file")
    return left


def _write_keys(house: House, path: Path) -> None:
    """For whoever is alone with the key file: what is read from the vault is never older than what is written there."""
    vault, fence = house.shelf.vault, house.shelf.fence.exported()
    own = {**vault.keys(KEYS), **vault.keys(REQUESTS)}
    destroyed, given = vault.marked("destroyed"), vault.marked("given")  # behind the keys: what goes meanwhile is gone
    try:
        there = _read_json(path, "a key file")
        keys, theirs = _checked(there, path)
        if not given and "joined" not in there:  # of an earlier version, which kept no marks of what it destroyed
            keys, theirs = {}, {"key": theirs["key"], "prints": [], "signatures": []}
    except UsageError:
        # There is none, or it is damaged. A restored house knows of it by hearsay: it may lie elsewhere now.
        if given:
            raise
        keys, theirs = {}, {"key": fence["key"], "prints": [], "signatures": []}
    if theirs["key"] != fence["key"]:
        raise UsageError(f"{path} is another house's key file", hint="give each house a key file of its own")
    keys |= {name: key for name, key in own.items() if fingerprint(key) not in given}
    kept = {name: base64.b64encode(key).decode() for name, key in keys.items() if fingerprint(key) not in destroyed}
    both = {part: _joined(fence[part], theirs[part]) for part in ("prints", "signatures")}
    about = {"format": FORMAT, "joined": True, "keys": kept, "fence": {"key": fence["key"], **both}}
    data = canonical_json(about).encode()
    if path.exists():
        rewrite(path, data)
    else:
        write_durably(path, data, mode=0o600)


def _joined(*entries: Any) -> list[list[Any]]:
    return sorted(list(entry) for entry in {tuple(entry) for some in entries for entry in some})


def _try_key_file(house: House, path: Path) -> None:
    """Raise UsageError or StorageFault where this cannot be the house's key file, before it is put on the list."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="give a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if (
                path.exists()
                and _checked(_read_json(path, "a key file"), path)[1]["key"] != house.shelf.fence.exported()["key"]
            ):
                raise UsageError(f"{path} is another house's key file", hint="give each house a key file of its own")
    except OSError as e:
        raise storage_fault(e, path) from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for other processes that write the key file. Raises OSError."""
    with path.with_name(f".{path.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _checked(kept: Mapping[str, Any], path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Name -> key, and the fence, of a key file. Raises UsageError where it is not of its form."""
    try:
        keys = {name: base64.b64decode(key, validate=True) for name, key in kept["keys"].items()}
        fence: dict[str, Any] = kept["fence"]
        if {len(key) for key in (*keys.values(), bytes.fromhex(fence["key"]))} != {_KEY_BYTES}:
            raise ValueError("a key of another length")
        for digest, _request, _reason, words in fence["prints"]:
            bytes.fromhex(digest) + bytes(int(words) < 0)
        for _request, veiled in fence["signatures"]:
            bytes.fromhex(veiled)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"the key file {path} is not of its form", hint="take another copy of it") from None
    return keys, fence


def _list(house: House, copies: Collection[str]) -> None:
    house.shelf.set_fact(COPIES, json.dumps(sorted(copies)))


def forget_key_file(house: House, key_file: Path) -> None:
    """Take a key file that was destroyed off the list. Raises UsageError where none of that name is on it."""
    copies = _copies(house)
    name = str(key_file.resolve())
    if name not in copies:
        raise UsageError(f"{key_file} is on no list", hint=f"known: {', '.join(copies) or 'none'}")
    _list(house, set(copies) - {name})


def restore(
    source: Path, key_file: Path, to: Path, *, check: Callable[[House], object], progress: Progress
) -> Restored:
    """A house anew from a backup: closed until everything that was erased since has been left out and ``check`` passed.

    Raises UsageError for a folder that is no backup, a key file that is none, or a house that is there already;
    StorageFault where a unit was changed; HouseBusy where somebody is erased meanwhile; and what ``check`` raises.
    Nothing of the house stays then.
    """
    to = to.resolve()
    about = _read_json(source / ABOUT, "a backup")
    kept = _read_json(key_file, "a key file")
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
        if _read_json(key_file, "a key file") != kept:
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
    all_keys, fence = _checked(kept, key_file)
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
            _unpack(building, name, json.loads(_open_unit(source / name, name, keys[name])))
    with House(building) as house:
        house.shelf.fence.take_in(fence)
        vault = house.shelf.vault
        for name, key in all_keys.items():
            vault.put(name, key)
        vault.mark([fingerprint(key) for key in all_keys.values()], "given")
        _stand_down(house)
        _close(house, all_keys)
        rights = json.loads(_open_unit(source / RIGHTS, RIGHTS, keys[RIGHTS]))
        # What rights does not name had left the house when they were written, in a backup that was cut off.
        documents = [n for n in units if n.startswith("documents/") and n.removeprefix("documents/") in rights]
        for start in range(0, len(documents), _BATCH):
            _take_in(house, [(source / n, n, keys[n]) for n in documents[start : start + _BATCH]], rights)
            progress("restore", min(start + _BATCH, len(documents)), len(documents))
        facts = json.loads(_open_unit(source / FACTS, FACTS, keys[FACTS]))
        copies = json.loads(facts.pop(COPIES, None) or "[]")
        _facts(house, facts)
        if not house.shelf.is_empty():
            with writer_lock(building):
                house.sync_indexes(progress)
        house.ledger.append("backup.restored", ids={"backup": about["id"]}, counts={"documents": len(documents)})
        house.record()
        check(house)
        _list(house, {*copies, str(key_file.resolve())})  # from here on an erasure takes its keys out there
    return Restored(len(documents), len(units), len(named) - len(units))


def _is_under(path: Path, name: str, key: bytes, known_by: str | None) -> bool:
    """Whether a unit lies under this key: not where it was written anew since, elsewhere, and this is its old state."""
    if known_by is None or known_by == fingerprint(key):
        return True
    try:
        _open_unit(path, name, key)
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


def unit_names(house: House) -> set[str]:
    """Names of the units that a backup of the house as it is has."""
    return {name for name, _ in _units(house)}


def orphaned(house: House) -> set[str]:
    """Names of the keys of training sets and model versions that are in no backup of the house as it is.

    What older backups have of them is to be opened by nobody: they are gone, or learned from what was erased.
    """
    kept = {name for folder in ("training", "models") for name in house.shelf.vault.named(f"{KEYS}{folder}/")}
    return kept - {
        KEYS + name for name in unit_names(house)
    }  # the keys first: what gets one meanwhile is not among them


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


def _open_unit(path: Path, name: str, key: bytes) -> bytes:
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

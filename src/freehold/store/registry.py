"""Model versions on disk: a folder each under ``models/``, and ``lineups.json``, whose last entry serves.

A version's folder appears whole or not at all; a lineup comes into force by replacing one file. Weights are handed out
only after every file was compared with the digest that its record names.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from freehold.core.errors import HouseMismatch, ModelMismatch, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.records import from_json, to_json
from freehold.core.training import Lineup, ModelVersion, Role, State
from freehold.store.files import shred_tree, storage_fault, sync_directory, write_durably

FORMAT = 1
LATEST = "latest"
RECORD = "version.json"
LINEUPS = "lineups.json"
FIRST = Lineup(number=0, versions={}, since="", verb="made", before=None)
"""Before anything was promoted: every role as the settings say."""
_SHORTEST_REFERENCE = 4
_DATA = frozenset({".safetensors", ".onnx", ".json", ".jsonl", ".txt", ".model"})
_DERIVED = ("manifest.json", "onnx/int8.json")
"""They tell of the making and decide nothing: equal training makes equal weights beside different ones."""
_CHUNK_BYTES = 1 << 20


class ModelFolder:
    """The port ``freehold.core.training.Registry`` over one directory, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: tuple[tuple[int, int] | None, tuple[Lineup, ...]] = (None, (FIRST,))

    # -- versions ------------------------------------------------------------------------------------------------

    def put(self, version: ModelVersion, made: Path) -> None:
        """Keep a version: ``made`` is moved. Raises ModelMismatch for files that can run code, StorageFault."""
        place, new = self._root / version.id, self._root / f".{version.id}"
        if digests(made) != version.files:
            raise ModelMismatch("the files are not those of the version's record", hint="make the version again")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._sweep()
                shutil.move(made, new)
                write_durably(new / RECORD, _text({"format": FORMAT, **to_json(version)}))
                _sync_tree(new)
                step("model.before_rename")
                new.rename(place)
                sync_directory(self._root)
        except OSError as e:
            raise storage_fault(e, place) from None
        step("model.kept")

    def get(self, reference: str) -> ModelVersion:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        ids = self._ids()
        if reference == LATEST and ids:
            return self.all()[-1]
        fits = [name for name in ids if name.startswith(reference)] if len(reference) >= _SHORTEST_REFERENCE else []
        if len(fits) != 1:
            problem = f"{len(fits)} model versions begin" if fits else "no model version begins"
            hint = "give more of its id" if fits else "freehold models list shows those there are"
            raise UsageError(f"{problem} with {reference!r}", hint=hint, refs=tuple(sorted(fits)[:5]))
        return self._record(fits[0])

    def all(self) -> tuple[ModelVersion, ...]:
        """All, the oldest first."""
        return tuple(sorted((self._record(name) for name in self._ids()), key=lambda v: (v.created, v.id)))

    def state(self, version_id: str) -> State:
        if self._record(version_id).tainted:
            return "tainted"
        if version_id in self.lineup().versions.values():
            return "live"
        was = any(version_id in lineup.versions.values() for lineup in self.lineups())
        return "retired" if was else "candidate"

    def folder(self, version_id: str) -> Path:
        """Where its files lie. Raises ModelMismatch where one is missing, changed or not of the version."""
        version, place = self._record(version_id), self._root / version_id
        found = {path: digest for path, digest in digests(place).items() if path != RECORD}
        if found != version.files:
            wrong = sorted({*found.items()} ^ {*version.files.items()})
            raise ModelMismatch(
                f"model version {version_id[:8]} is not as it was recorded: {wrong[0][0]}",
                hint="restore its folder from a backup, or train it again; what is live can be rolled back",
                refs=(version_id, wrong[0][0]),
            )
        return place

    def taint(self, version_id: str, reason: str) -> None:
        """Mark a version that may never be live again; durable on return."""
        version = replace(self._record(version_id), tainted=reason)
        write_durably(self._root / version_id / RECORD, _text({"format": FORMAT, **to_json(version)}))

    def remove(self, version_id: str) -> None:
        """Overwrite and remove a version. Raises UsageError while it is live."""
        if version_id in self.lineup().versions.values():
            raise UsageError(f"model version {version_id[:8]} is live", hint="freehold models rollback first")
        shred_tree(self._root / version_id)

    # -- lineups -------------------------------------------------------------------------------------------------

    def lineup(self) -> Lineup:
        """What serves. Costs a stat while nothing changed."""
        return self.lineups()[-1]

    def lineups(self) -> tuple[Lineup, ...]:
        """All there were, the oldest first."""
        path = self._root / LINEUPS
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            if stamp != self._read[0]:
                record = json.loads(path.read_bytes())
                if record["format"] > FORMAT:
                    raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
                self._read = (stamp, tuple(from_json(Lineup, entry) for entry in record["lineups"]))
        except FileNotFoundError:
            return (FIRST,)
        except (OSError, ValueError, KeyError, TypeError) as e:
            hint = "restore it from a backup; without it the models of the settings serve"
            raise StorageFault(f"{path} is damaged: {e}", hint=hint, refs=(str(path),)) from None
        return self._read[1]

    def switch(
        self, versions: Mapping[Role, str], *, verb: Literal["promote", "rollback"], experiment: str = ""
    ) -> Lineup:
        """Put a lineup into service. Raises UsageError where there is none to return to, ModelMismatch for a taint."""
        self._root.mkdir(parents=True, exist_ok=True)
        with self._alone():
            known = self.lineups()
            live = known[-1]
            before: int | None = live.number
            if verb == "rollback":
                back = self.before(live)
                versions, before = back.versions, back.before
            for version_id in versions.values():
                if self._record(version_id).tainted:
                    hint = "freehold models list shows what may serve; train without what was erased"
                    raise ModelMismatch(f"model version {version_id[:8]} is tainted", hint=hint, refs=(version_id,))
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            new = Lineup(live.number + 1, dict(versions), now, verb, before, experiment)
            record = {"format": FORMAT, "lineups": [to_json(lineup) for lineup in (*known, new)]}
            step("lineup.before_swap")
            write_durably(self._root / LINEUPS, _text(record))
            step("lineup.after_swap")
            return new

    def before(self, lineup: Lineup) -> Lineup:
        """The lineup that a rollback of this one returns to. Raises UsageError where there is none."""
        if lineup.before is None:
            raise UsageError("nothing was promoted that could be rolled back", hint="freehold models list")
        return next(entry for entry in self.lineups() if entry.number == lineup.before)

    # -- inside --------------------------------------------------------------------------------------------------

    def _ids(self) -> list[str]:
        return [path.name for path in self._root.glob("[!.]*") if (path / RECORD).exists()]

    def _record(self, name: str) -> ModelVersion:
        path = self._root / name / RECORD
        try:
            record = json.loads(path.read_bytes())
            if record.pop("format") > FORMAT:
                raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
            return from_json(ModelVersion, record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            hint = "restore it from a backup, or remove its folder"
            raise StorageFault(f"{path} is damaged: {e}", hint=hint, refs=(str(path),)) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what a crash left half-moved."""
        for leftover in self._root.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)


def digests(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file below ``folder``. Raises ModelMismatch for a kind that can run code when loaded."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            if path.suffix not in _DATA or path.is_symlink():
                hint = "safetensors, ONNX, JSON and text are taken; pickles (.bin, .pt, .pkl) can run code when loaded"
                raise ModelMismatch(f"{name} is refused in a model version", hint=hint, refs=(name,))
            found[name] = _sha256(path)
    return found


def digest_of(files: Mapping[str, str]) -> str:
    """One digest over the files that decide what a model computes."""
    deciding = {path: digest for path, digest in files.items() if path not in _DERIVED}
    return sha256_hex(canonical_json(deciding).encode())


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _text(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False).encode()

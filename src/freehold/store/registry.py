"""Model versions on disk: a folder each under ``models/``, and ``lineups.json``, whose last entry serves.

A lineup comes into force by replacing one file. Weights are handed out only after every file was compared with the
digest that its record names.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

from freehold.core.errors import ModelMismatch, UsageError
from freehold.core.faults import step
from freehold.core.files import storage_fault
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.training import Lineup, LineupVerb, ModelVersion, Role, State
from freehold.store.folders import LATEST, Folders, read_record, write_record

FORMAT = 1
RECORD = "version.json"
LINEUPS = "lineups.json"
FIRST = Lineup(number=0, versions={}, since="", verb="made", before=None)
"""Before anything was promoted: every role as the settings say."""
_DATA = frozenset({".safetensors", ".onnx", ".json", ".jsonl", ".txt", ".model"})
_DERIVED = ("manifest.json", "onnx/int8.json")
"""They tell of the making and decide nothing: equal training makes equal weights beside different ones."""


@dataclass(frozen=True, slots=True)
class _Lineups:
    lineups: tuple[Lineup, ...]


class ModelFolder:
    """The port ``freehold.core.training.Registry`` over one directory, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        hint = "freehold models list shows those there are"
        self._folders = Folders(root, record=RECORD, what="model version", made_by=hint, fault="model")
        self._root = root
        self._read: tuple[tuple[int, int] | None, tuple[Lineup, ...]] = (None, (FIRST,))

    # -- versions ------------------------------------------------------------------------------------------------

    def put(self, version: ModelVersion, made: Path) -> None:
        """Keep a version: ``made`` is moved. Raises ModelMismatch for files that can run code, StorageFault."""
        if digests(made) != version.files:
            raise ModelMismatch("the files are not those of the version's record", hint="make the version again")
        with self._folders.new(version.id) as folder:
            shutil.move(made, folder)
            write_record(folder / RECORD, version, version=FORMAT)

    def get(self, reference: str) -> ModelVersion:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        known = self.all() if reference == LATEST else ()
        return known[-1] if known else self._record(self._folders.find(reference))

    def all(self) -> tuple[ModelVersion, ...]:
        """All, the oldest first."""
        return tuple(sorted(map(self._record, self._folders.names()), key=lambda v: (v.created, v.id)))

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
        write_record(self._root / version_id / RECORD, version, version=FORMAT)

    def remove(self, version_id: str) -> None:
        """Overwrite and remove a version. Raises UsageError while it is live."""
        if version_id in self.lineup().versions.values():
            raise UsageError(f"model version {version_id[:8]} is live", hint="freehold models rollback first")
        self._folders.remove(version_id)

    def clear(self) -> None:
        """Overwrite what crashes left of versions that were being kept or removed. Raises StorageFault."""
        self._folders.clear()

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
                self._read = (stamp, read_record(path, _Lineups, version=FORMAT).lineups)
        except FileNotFoundError:
            return (FIRST,)
        except OSError as e:
            raise storage_fault(e, path) from None
        return self._read[1]

    def switch(self, versions: Mapping[Role, str], *, verb: LineupVerb, experiment: str = "") -> Lineup:
        """Put a lineup into service. Raises UsageError where there is none to return to, ModelMismatch for a taint."""
        with self._folders.alone():
            known = self.lineups()
            live = known[-1]
            before: int | None = live.number
            if verb == "rollback":
                back = self.before(live)
                versions, before = back.versions, back.before
            elif verb == "stand down":
                before = None
            there = self._folders.names()
            for version_id in versions.values():
                if version_id not in there:
                    hint = "freehold models list shows those that are"
                    raise ModelMismatch(
                        f"model version {version_id[:8]} is here no more", hint=hint, refs=(version_id,)
                    )
                if self._record(version_id).tainted and version_id not in live.versions.values():
                    hint = "freehold models list shows what may serve; train without what was erased"
                    raise ModelMismatch(f"model version {version_id[:8]} is tainted", hint=hint, refs=(version_id,))
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            new = Lineup(live.number + 1, dict(versions), now, verb, before, experiment)
            step("lineup.before_swap")
            write_record(self._root / LINEUPS, _Lineups((*known, new)), version=FORMAT)
            step("lineup.after_swap")
            return new

    def before(self, lineup: Lineup) -> Lineup:
        """The lineup that a rollback of this one returns to. Raises UsageError where there is none."""
        if lineup.before is None:
            raise UsageError("nothing was promoted that could be rolled back", hint="freehold models list")
        return next(entry for entry in self.lineups() if entry.number == lineup.before)

    # -- inside --------------------------------------------------------------------------------------------------

    def _record(self, name: str) -> ModelVersion:
        return read_record(self._root / name / RECORD, ModelVersion, version=FORMAT)


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
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()

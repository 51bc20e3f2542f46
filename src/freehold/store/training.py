"""Training sets on disk: a folder each, with ``examples.jsonl`` and ``manifest.json``.

An example is what ``freehold.core.training.Example`` says, its salt included; the manifest's root commits to all of
them. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import HouseMismatch, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.core.training import Example, Manifest
from freehold.store.files import shred_tree, storage_fault, sync_directory, write_durably

FORMAT = 1
LATEST = "latest"
MANIFEST = "manifest.json"
IDENTITY = "identity"
"""Key in the manifest's settings: a digest of everything that the set was made of and by."""

_SHORTEST_REFERENCE = 4
_KEY = "pseudonyms.key"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """A training set as it lies there."""

    name: str
    folder: Path
    manifest: Manifest
    examples: tuple[Example, ...]
    """In the order of their ids."""


class TrainingFolder:
    """Training sets under one directory, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, manifest: Manifest, examples: Sequence[Example]) -> Kept:
        """Keep a set; durable on return. One of the same name and identity that is there already is left as it is.

        Raises UsageError where the name belongs to another set, StorageFault where the disk fails.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._sweep()
                if name not in self.names():
                    self._put(name, manifest, examples)
        except OSError as e:
            raise storage_fault(e, self._root / name) from None
        step("training.kept")
        return self.get(name, str(manifest.settings[IDENTITY]))

    def _put(self, name: str, manifest: Manifest, examples: Sequence[Example]) -> None:
        new = self._root / f".{name}"
        new.mkdir()
        lines = (canonical_json(to_json(example)) for example in sorted(examples, key=lambda e: e.id))
        write_durably(new / "examples.jsonl", "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass"))
        record = {"format": FORMAT, **to_json(manifest)}
        text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
        # Paths may hold bytes that are no text, which Python keeps as lone surrogates; json.loads reads them back.
        write_durably(new / "manifest.json", text.encode(errors="surrogatepass"))
        step("training.before_rename")
        new.rename(self._root / name)
        sync_directory(self._root)

    def get(self, name: str, identity: str | None = None) -> Kept:
        """The set of exactly this name. Raises UsageError where there is none, or one of another ``identity``."""
        if name not in self.names():
            raise UsageError(f"no training set is called {name!r}", hint="freehold tune data makes one")
        manifest = self.manifest(name)
        if identity is not None and manifest.settings.get(IDENTITY) != identity:
            hint = "give another name, or none: then the name is made of what the set is made of"
            raise UsageError(f"the training set {name!r} was made of something else", hint=hint)
        return Kept(name, self._root / name, manifest, self._examples(name))

    def find(self, reference: str) -> Kept:
        """By name, the beginning of a name or of a root, or ``latest``. Raises UsageError where none or several fit."""
        names = self.names()
        if reference == LATEST and names:
            return self.get(max(names, key=lambda name: (self.manifest(name).created, name)))
        fits = [reference] if reference in names else []
        if not fits and len(reference) >= _SHORTEST_REFERENCE:
            fits = [n for n in names if n.startswith(reference) or self.manifest(n).root.startswith(reference)]
        if len(fits) != 1:
            problem = f"{len(fits)} training sets begin" if fits else "no training set begins"
            hint = "give more of its name" if fits else "freehold tune data makes one and prints its name"
            raise UsageError(f"{problem} with {reference!r}", hint=hint, refs=tuple(fits[:5]))
        return self.get(fits[0])

    def key(self) -> bytes:
        """32 random bytes under which people in these sets have their surrogates; made when first asked for.

        Who has it can test whether a surrogate is a certain name: it stays in the house, readable for its owner alone.
        """
        path = self._root / _KEY
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not path.exists():
                    write_durably(path, secrets.token_bytes(_KEY_BYTES), mode=0o600)
                return path.read_bytes()
        except OSError as e:
            raise storage_fault(e, path) from None

    def names(self) -> list[str]:
        """Names of all sets, sorted."""
        return sorted(path.name for path in self._root.glob("[!.]*") if (path / "manifest.json").exists())

    def remove(self, name: str) -> None:
        """Overwrite a set and remove it; nothing happens where there is none."""
        if name in self.names():
            shred_tree(self._root / name)

    def manifest(self, name: str) -> Manifest:
        """A set's manifest alone. Raises StorageFault, HouseMismatch."""
        return read_manifest(self._root / name)

    def _examples(self, name: str) -> tuple[Example, ...]:
        path = self._root / name / "examples.jsonl"
        try:
            lines = path.read_bytes().splitlines()
            return tuple(from_json(Example, json.loads(line)) for line in lines)
        except (OSError, ValueError, TypeError) as e:
            raise _damaged(path, e) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other processes that put: to sweep, each takes what it finds half-written for a crash's."""
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what a crash left half-written."""
        for leftover in self._root.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder: a training set's own, or the copy that a model version carries.

    Raises StorageFault where it is damaged, HouseMismatch for a newer format.
    """
    path = folder / MANIFEST
    try:
        record = json.loads(path.read_bytes())
        if record.pop("format") > FORMAT:
            raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
        return from_json(Manifest, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise _damaged(path, e) from None


def _damaged(path: Path, error: Exception) -> StorageFault:
    hint = "restore it from a backup, or remove its folder and make the set again"
    return StorageFault(f"{path} is damaged: {type(error).__name__}", hint=hint, refs=(str(path),))

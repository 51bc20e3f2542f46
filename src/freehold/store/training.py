"""Training sets on disk: a folder each, with ``examples.jsonl`` and ``manifest.json``.

An example is what ``freehold.core.training.Example`` says, its salt included; the manifest's root commits to all of
them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import rewrite, storage_fault, write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.core.training import Example, Manifest
from freehold.store.folders import LATEST, Folders, damaged, read_record, write_record

FORMAT = 1
MANIFEST = "manifest.json"
IDENTITY = "identity"
"""Key in the manifest's settings: a digest of everything that the set was made of and by."""

_EXAMPLES = "examples.jsonl"
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
        hint = "freehold tune data makes one and prints its name"
        self._folders = Folders(root, record=MANIFEST, what="training set", made_by=hint, fault="training")
        self._root = root

    def put(self, name: str, manifest: Manifest, examples: Sequence[Example]) -> Kept:
        """Keep a set; durable on return. One of the same name and identity that is there already is left as it is.

        Raises UsageError where the name belongs to another set, StorageFault where the disk fails.
        """
        try:
            if name not in self.names():
                self._put(name, manifest, examples)
        except StorageFault:
            if name not in self.names():  # else another process was faster
                raise
        return self.get(name, str(manifest.settings[IDENTITY]))

    def _put(self, name: str, manifest: Manifest, examples: Sequence[Example]) -> None:
        with self._folders.new(name) as folder:
            folder.mkdir()
            write_durably(folder / _EXAMPLES, _lines(examples))
            write_record(folder / MANIFEST, manifest, version=FORMAT)

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
        roots = [(self.manifest(name).root, name) for name in names]
        return self.get(self._folders.find(reference, also=roots))

    def key(self) -> bytes:
        """32 random bytes under which people in these sets have their surrogates; made when first asked for.

        Who has it can test whether a surrogate is a certain name: it stays in the house, readable for its owner alone.
        """
        path = self._root / _KEY
        try:
            with self._folders.alone():
                if not path.exists():
                    write_durably(path, secrets.token_bytes(_KEY_BYTES), mode=0o600)
                return path.read_bytes()
        except OSError as e:
            raise storage_fault(e, path) from None

    def rewrite(self, name: str, manifest: Manifest, examples: Sequence[Example]) -> None:
        """Put fewer examples in the place of those that a set has, with the manifest that seals them.

        A crash between the two leaves a set that does not fit its seal, until this is done again.
        """
        folder = self._root / name
        rewrite(folder / _EXAMPLES, _lines(examples))
        step("training.rewritten")
        write_record(folder / MANIFEST, manifest, version=FORMAT)

    def names(self) -> list[str]:
        """Names of all sets, sorted."""
        return self._folders.names()

    def remove(self, name: str) -> None:
        """Overwrite a set and remove it; nothing happens where there is none."""
        self._folders.remove(name)

    def clear(self) -> None:
        """Overwrite what crashes left of sets that were being kept or removed. Raises StorageFault."""
        self._folders.clear()

    def manifest(self, name: str) -> Manifest:
        """A set's manifest alone. Raises StorageFault, HouseMismatch."""
        return read_manifest(self._root / name)

    def _examples(self, name: str) -> tuple[Example, ...]:
        path = self._root / name / _EXAMPLES
        try:
            lines = path.read_bytes().splitlines()
            return tuple(from_json(Example, json.loads(line)) for line in lines)
        except (OSError, ValueError, TypeError) as e:
            raise damaged(path, e) from None


def _lines(examples: Sequence[Example]) -> bytes:
    lines = (canonical_json(to_json(example)) for example in sorted(examples, key=lambda e: e.id))
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder: a training set's own, or the copy that a model version carries.

    Raises StorageFault where it is damaged, HouseMismatch for a newer format.
    """
    return read_record(folder / MANIFEST, Manifest, version=FORMAT)

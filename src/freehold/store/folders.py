"""Records kept as folders under one directory: each appears whole or not at all, and is found by part of its name."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from freehold.core.errors import HouseMismatch, StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import shred_tree, storage_fault, sync, sync_tree, write_durably
from freehold.core.records import from_json, to_json

LATEST = "latest"
_SHORTEST_REFERENCE = 4

T = TypeVar("T")


class Folders:
    """Folders named by ids, each with a record in it. The directory is made when first needed."""

    def __init__(self, root: Path, *, record: str, what: str, made_by: str, fault: str) -> None:
        """``record``: name of the file that makes a folder count. ``what`` a folder is called in errors, and
        ``made_by`` a hint of where they come from. ``fault``: name of the steps at which a crash is tried in tests.
        """
        self.root = root
        self._record, self._what, self._made_by, self._fault = record, what, made_by, fault

    def names(self) -> list[str]:
        """Names of all, sorted."""
        return sorted(path.name for path in self.root.glob("[!.]*") if (path / self._record).exists())

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """A place for a new folder, which is not there yet; what the block makes there is kept, durable on return.

        Raises StorageFault, also where a folder has the name already, which is left as it is; nothing new is there
        then, nor after any other error.
        """
        try:
            with self.alone(), self.placed(name) as aside:
                yield aside
        except OSError as e:
            raise storage_fault(e, self.root / name) from None
        step(f"{self._fault}.kept")

    @contextmanager
    def placed(self, name: str) -> Iterator[Path]:
        """As ``new``, for whoever is ``alone`` already. Raises OSError."""
        aside = self.root / f".{name}"
        self._clear()
        yield aside
        sync_tree(aside)
        step(f"{self._fault}.before_rename")
        aside.rename(self.root / name)
        sync(self.root)

    def remove(self, name: str) -> None:
        """Overwrite a folder and remove it; nothing happens where there is none. Raises StorageFault.

        A crash leaves the folder as it was, or what is left of it out of sight until the next write, or ``clear``.
        """
        aside = self.root / f".{name}"
        try:
            with self.alone():
                if not (self.root / name).exists():
                    return
                self._clear()
                (self.root / name).rename(aside)
                sync(self.root)
                step(f"{self._fault}.out_of_sight")
                shred_tree(aside)
        except OSError as e:
            raise storage_fault(e, self.root / name) from None

    def clear(self) -> None:
        """Overwrite what crashes left half made or half removed. Raises StorageFault."""
        if not self.root.exists():
            return
        try:
            with self.alone():
                self._clear()
        except OSError as e:
            raise storage_fault(e, self.root) from None

    def _clear(self) -> None:
        """For whoever is alone: nobody else is at work then on what lies out of sight."""
        for leftover in self.root.glob(".*"):
            shred_tree(leftover)

    def find(self, reference: str, *, also: Sequence[tuple[str, str]] = ()) -> str:
        """The one name that is, or begins with, ``reference``. ``also``: other words for a name, as (word, name).

        Raises UsageError where none or several fit.
        """
        names = self.names()
        if reference in names:
            return reference
        words = [*((name, name) for name in names), *also]
        fits = sorted({name for word, name in words if word.startswith(reference)})
        if len(reference) < _SHORTEST_REFERENCE:
            fits = []
        if len(fits) != 1:
            problem = f"{len(fits)} {self._what}s begin" if fits else f"no {self._what} begins"
            hint = "give more of it" if fits else self._made_by
            raise UsageError(f"{problem} with {reference!r}", hint=hint, refs=tuple(fits[:5]))
        return fits[0]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for other processes that write here. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def write_record(path: Path, value: object, *, version: int) -> None:
    """Keep a dataclass as JSON with the version of its format, whole or not at all. Raises StorageFault."""
    text = json.dumps({"format": version, **to_json(value)}, ensure_ascii=False, indent=1, allow_nan=False)
    # Paths may hold bytes that are no text, which Python keeps as lone surrogates; json.loads reads them back.
    write_durably(path, text.encode(errors="surrogatepass"))


def read_record(path: Path, kind: type[T], *, version: int) -> T:
    """What ``write_record`` wrote. Raises StorageFault where it is damaged, HouseMismatch for a newer format."""
    try:
        record = json.loads(path.read_bytes())
        if record.pop("format") > version:
            raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
        return from_json(kind, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise damaged(path, e) from None


def damaged(path: Path, error: Exception) -> StorageFault:
    """Names the field that does not fit, never what is in it."""
    hint = "restore it from a backup, or remove its folder"
    return StorageFault(f"{path} is damaged: {error}", hint=hint, refs=(str(path),))

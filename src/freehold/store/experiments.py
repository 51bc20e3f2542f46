"""Experiments on disk: a folder each, with ``record.json`` and its rankings as TREC run files under ``runs/``.

The record is what ``freehold.core.experiment.Experiment`` says and nothing else. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from freehold.core.errors import HouseMismatch, StorageFault, UsageError
from freehold.core.experiment import Experiment
from freehold.core.faults import step
from freehold.core.records import from_json, to_json
from freehold.store.files import storage_fault, sync_directory, write_durably

FORMAT = 1
LATEST = "latest"
_SHORTEST_REFERENCE = 4


class ExperimentFolder:
    """The port ``freehold.core.experiment.Experiments`` over one directory, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, experiment: Experiment, runs: Mapping[str, bytes]) -> None:
        """Keep it; durable on return. Raises StorageFault."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._sweep()
                self._put(experiment, runs)
        except OSError as e:
            raise storage_fault(e, self._root / experiment.id) from None
        step("experiment.kept")

    def _put(self, experiment: Experiment, runs: Mapping[str, bytes]) -> None:
        place, new = self._root / experiment.id, self._root / f".{experiment.id}"
        (new / "runs").mkdir(parents=True)
        for name, data in runs.items():
            write_durably(new / "runs" / f"{name}.run", data)
        record = {"format": FORMAT, **to_json(experiment)}
        text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
        # Paths may hold bytes that are no text, which Python keeps as lone surrogates; json.loads reads them back.
        write_durably(new / "record.json", text.encode(errors="surrogatepass"))
        step("experiment.before_rename")
        new.rename(place)
        sync_directory(self._root)

    def get(self, reference: str) -> Experiment:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        ids = self._ids()
        if reference == LATEST and ids:
            return max((self._read(name) for name in ids), key=lambda e: (e.created, e.id))
        fits = [name for name in ids if name.startswith(reference)] if len(reference) >= _SHORTEST_REFERENCE else []
        if len(fits) != 1:
            problem = f"{len(fits)} experiments begin" if fits else "no experiment begins"
            hint = "give more of its id" if fits else "freehold eval DATASET makes one and prints its id"
            raise UsageError(f"{problem} with {reference!r}", hint=hint, refs=tuple(sorted(fits)[:5]))
        return self._read(fits[0])

    def run_file(self, experiment_id: str, run: str) -> Path:
        """Where the ranking of a run lies. Raises UsageError, naming those there are, where there is none."""
        path = self._root / experiment_id / "runs" / f"{run}.run"
        known = sorted(file.stem for file in path.parent.glob("*.run"))
        if run not in known:
            raise UsageError(f"experiment {experiment_id[:8]} has no run {run!r}", hint=f"it has: {', '.join(known)}")
        return path

    def all(self) -> tuple[Experiment, ...]:
        """All, the oldest first."""
        return tuple(sorted((self._read(name) for name in self._ids()), key=lambda e: (e.created, e.id)))

    def _ids(self) -> list[str]:
        return [path.name for path in self._root.glob("[!.]*") if (path / "record.json").exists()]

    def _read(self, name: str) -> Experiment:
        path = self._root / name / "record.json"
        try:
            record = json.loads(path.read_bytes())
            if record.pop("format") > FORMAT:
                raise HouseMismatch(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
            return from_json(Experiment, record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            hint = "restore it from a backup, or remove its folder"
            raise StorageFault(f"{path} is damaged: {e}", hint=hint, refs=(str(path),)) from None

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

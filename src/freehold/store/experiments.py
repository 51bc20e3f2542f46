"""Experiments on disk: a folder each, with ``record.json`` and its rankings as TREC run files under ``runs/``.

The record is what ``freehold.core.experiment.Experiment`` says and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.core.experiment import Experiment
from freehold.core.files import write_durably
from freehold.store.folders import LATEST, Folders, read_record, write_record

FORMAT = 1
RECORD = "record.json"


class ExperimentFolder:
    """The port ``freehold.core.experiment.Experiments`` over one directory, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        hint = "freehold eval DATASET makes one and prints its id"
        self._folders = Folders(root, record=RECORD, what="experiment", made_by=hint, fault="experiment")

    def put(self, experiment: Experiment, runs: Mapping[str, bytes]) -> None:
        """Keep it; durable on return. Raises StorageFault."""
        with self._folders.new(experiment.id) as folder:
            (folder / "runs").mkdir(parents=True)
            for name, data in runs.items():
                write_durably(folder / "runs" / f"{name}.run", data)
            write_record(folder / RECORD, experiment, version=FORMAT)

    def clear(self) -> None:
        """Overwrite what crashes left of experiments that were being kept. Raises StorageFault."""
        self._folders.clear()

    def get(self, reference: str) -> Experiment:
        """By id, by the beginning of an id, or ``latest``. Raises UsageError where none or several fit."""
        known = self.all() if reference == LATEST else ()
        return known[-1] if known else self._read(self._folders.find(reference))

    def run_file(self, experiment_id: str, run: str) -> Path:
        """Where the ranking of a run lies. Raises UsageError, naming those there are, where there is none."""
        path = self._folders.root / experiment_id / "runs" / f"{run}.run"
        known = sorted(file.stem for file in path.parent.glob("*.run"))
        if run not in known:
            raise UsageError(f"experiment {experiment_id[:8]} has no run {run!r}", hint=f"it has: {', '.join(known)}")
        return path

    def all(self) -> tuple[Experiment, ...]:
        """All, the oldest first."""
        return tuple(sorted(map(self._read, self._folders.names()), key=lambda e: (e.created, e.id)))

    def _read(self, name: str) -> Experiment:
        return read_record(self._folders.root / name / RECORD, Experiment, version=FORMAT)

"""``freehold models promote`` and ``rollback``: a version into service through the gate, and out of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import HouseMismatch, ModelMismatch, SettingsError, UsageError
from freehold.core.training import Lineup, ModelVersion
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.measure.labels import splits_of
from freehold.measuring import record
from freehold.measuring.gate import MODEL, gate
from freehold.store.lock import writer_lock
from freehold.store.training import read_manifest


@dataclass(frozen=True)
class Promotion:
    """What came of it: the gate's experiment, and the lineup that serves now."""

    version: ModelVersion
    kept: record.Kept
    lineup: Lineup
    left: tuple[str, ...]
    """Ids of versions that leave with it, since they only work beside the embedder that was live."""

    @property
    def promoted(self) -> bool:
        """Whether the gate let it in."""
        assert self.kept.experiment.verdict is not None
        return self.kept.experiment.verdict.decision == "passed"


def promote(
    house: House,
    reference: str,
    *,
    data: Path | None = None,
    split: str | None = None,
    call: Mapping[str, object],
    progress: Progress,
) -> Promotion:
    """Prepare what the version needs beside what serves, ask the gate, and swap if it passes.

    Until the swap, which replaces one file, searches go on as before; afterwards they go on with it. Vectors and index
    of a refused version stay, for a second try, until another one is promoted.

    Raises HouseBusy while another process writes, ModelMismatch for a tainted or damaged version, HouseMismatch for one
    trained for another embedder, UsageError for one that is live, SettingsError where there is nothing to judge it on.
    """
    version = house.registry.get(reference)
    lineup = house.registry.lineup()
    if version.id in lineup.versions.values():
        raise UsageError(f"model version {version.id[:8]} is live", hint="freehold models list")
    if version.tainted:
        hint = "train again without what was erased: freehold tune"
        raise ModelMismatch(f"model version {version.id[:8]} is tainted: {version.tainted}", hint=hint)
    with writer_lock(house.root):
        _check_fit(house, version)
        together, left = house.lineup_with(version)
        versions = {role: other.id for role, other in together.items()}
        crew = house.crew_of(versions)
        house.registry.folder(version.id)  # checks its files
        house.prepare(crew, progress)
        dataset, chosen = _questions(house, version, data, split)
        kept = gate(
            house,
            f"{MODEL}{version.id}",
            dataset=dataset,
            split=chosen,
            allow_missing=True,
            call=call,
            progress=progress,
        )
        assert kept.experiment.verdict is not None
        if kept.experiment.verdict.decision == "passed":
            before = house.crew
            lineup = house.registry.switch(versions, verb="promote", experiment=kept.experiment.id)
            house.indexes.retire([house.crew, before])
            house.record()
    return Promotion(version, kept, lineup, tuple(other.id for other in left))


def rollback(house: House, *, progress: Progress) -> Lineup:
    """Return to the lineup before; what was ingested since is brought into its index first.

    Raises UsageError where nothing was promoted, HouseBusy while another process writes.
    """
    with writer_lock(house.root):
        before = house.registry.before(house.registry.lineup())
        house.prepare(house.crew_of(before.versions), progress)
        lineup = house.registry.switch({}, verb="rollback")
    house.record()
    return lineup


def _check_fit(house: House, version: ModelVersion) -> None:
    live = house.crew.encoder.info
    if version.bound and version.base_digest != live.digest:
        raise HouseMismatch(
            f"model version {version.id[:8]} was trained for another embedder than {live.name}",
            hint=f"train one for what serves: freehold tune {version.role}",
            refs=(version.id, version.base_digest[:12], live.digest[:12]),
        )


def _questions(
    house: House, version: ModelVersion, data: Path | None, split: str | None
) -> tuple[Path | None, str | None]:
    """What the gate judges on: as told, as the settings declare, else a split that the training never looked at."""
    if data is not None or house.settings.gate.dataset:
        return data, split
    manifest = read_manifest(house.registry.folder(version.id))
    seen = {*manifest.splits, str(manifest.settings.get("dev_split") or "")}
    known = splits_of(Path(manifest.dataset)) if Path(manifest.dataset).exists() else ()
    unseen = next((name for name in ("test", "dev") if name in known and name not in seen), None)
    if unseen is None:
        hint = "declare gate.dataset in freehold.toml, or give --data: questions that the training has not seen"
        raise SettingsError("there are no questions to judge the version on", hint=hint)
    return Path(manifest.dataset), split or unseen

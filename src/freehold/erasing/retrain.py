"""Retrain: model versions that learned from what was erased, made again without it, and replaced through the gate.

The same base, settings and seed, the training set less what was erased: what comes out is what would have come out had
the person never been in it, bit for bit (exact unlearning; Bourtoule et al. 2021). Nothing is unlearned approximately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from freehold.backup import forget_models
from freehold.core.errors import FreeholdError, UsageError
from freehold.core.faults import step
from freehold.core.records import from_json
from freehold.core.training import ModelVersion
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.store.lock import writer_lock
from freehold.train.adapter import AdapterTraining
from freehold.tuning import adapter, encoder, promote
from freehold.tuning.candidate import Tuned
from freehold.tuning.data import open_training
from freehold.tuning.fusion import tune_fusion
from freehold.tuning.sets import TrainingSet

_ORDER = ("embedder", "reranker", "adapter", "fusion")
"""What others stand on first."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of a version that learned from what was erased."""

    version: str
    by: str
    """Id of the version that was made in its place; empty where none was, or none was needed."""
    promoted: bool
    """Whether that serves now."""
    gone: bool
    """Whether the old one was overwritten; else it serves until ``off``."""
    off: str
    """ISO 8601 in UTC: when it stops serving, replaced or not; empty when it is gone."""
    reason: str
    """Why it was not replaced."""


def tainted_of(house: House) -> list[ModelVersion]:
    """The versions that learned from what was erased and are still here, in the order in which they are replaced."""
    found = [version for version in house.registry.all() if version.tainted]
    return sorted(found, key=lambda version: (_ORDER.index(version.role), version.created))


def retrain(house: House, sets: Mapping[str, str], *, progress: Progress) -> list[Replaced]:
    """Replace every tainted version that serves, and overwrite all that are tainted and do not.

    ``sets``: version id -> name of the training set that it learned from, as it is now. A version that is trained again
    stands down, and its replacement is promoted if the gate lets it in beside what serves then. One that cannot be
    trained again serves on until its last day. What backups have of those that are gone nobody can open any more.
    Raises HouseBusy while another process writes.
    """
    outcomes = []
    for version in tainted_of(house):
        by, reason = "", ""
        if version.id in house.registry.lineup().versions.values():
            by, reason = _replaced(house, version, sets.get(version.id, ""), progress)
        outcomes.append(_settled(house, version, by, reason, progress))
    forget_models(house)
    return outcomes


def _replaced(house: House, version: ModelVersion, name: str, progress: Progress) -> tuple[str, str]:
    """Id of what was trained in its place, and why it does not serve, if it does not."""
    if not name:
        return "", "its training set is not here any more"
    if version.bound:  # what it is fitted to is what serves without it
        _stand_down(house, version, progress)
    try:
        made = again(house, version, open_training(house, name), progress=progress).version
    except UsageError as error:  # too little is left to learn from
        return "", error.message
    # What it is held against is what serves without either: the old one has to go, however good it is.
    _stand_down(house, version, progress)
    try:
        outcome = promote.promote(house, made.id, call={"retrain": version.id}, progress=progress)
    except FreeholdError as error:  # nothing to judge by, for instance
        return made.id, error.message
    return made.id, "" if outcome.promoted else "the gate did not let its replacement in"


def _settled(house: House, version: ModelVersion, by: str, reason: str, progress: Progress) -> Replaced:
    """Out of the house, unless it serves and has days left."""
    lineup = house.registry.lineup().versions
    off = off_at(house, version)
    serves = version.id in lineup.values()
    if serves and datetime.now(UTC) < off:
        return Replaced(version.id, by, False, False, off.isoformat(timespec="seconds"), reason)
    _stand_down(house, version, progress)
    with writer_lock(house.root):
        house.registry.remove(version.id)
    step("retrain.removed")
    return Replaced(version.id, by, by in lineup.values(), True, "", reason)


def _stand_down(house: House, version: ModelVersion, progress: Progress) -> None:
    with writer_lock(house.root):
        house.stand_down({version.id}, progress)


def off_at(house: House, version: ModelVersion) -> datetime:
    """When a tainted version stops serving, whatever is in its place."""
    _, _, since = version.tainted.rpartition(" ")
    return datetime.fromisoformat(since) + timedelta(days=house.settings.privacy.switch_off_days)


def again(house: House, version: ModelVersion, data: TrainingSet, *, progress: Progress) -> Tuned:
    """Train what made the version once more: same base, settings and seed, on the set as it is now.

    Raises UsageError where too little is left to learn from, and what training raises.
    """
    call = {"retrain": version.id}
    if version.role == "fusion":
        return tune_fusion(house, data, seed=version.seed, call=call, progress=progress)
    if version.role == "adapter":
        known = {field.name for field in fields(AdapterTraining)} - {"seed"}
        settings = {key: value for key, value in version.settings.items() if key in known}
        request = adapter.Request(settings=settings, seed=version.seed, call=call)
        return adapter.tune_adapter(house, data, request, progress=progress)
    kind = cast("encoder.Kind", "embedder" if version.role == "embedder" else version.kind)
    training = from_json(cast("type[Any]", encoder.SETTINGS[kind]), dict(version.settings))
    base = None if version.base == house.settings.embedder_model else Path(version.base)
    order = encoder.Request(kind=kind, settings=training, base=base, call=call)
    return encoder.tune_encoder(house, data, order, progress=progress)


def reproduces(house: House, version: ModelVersion, data: TrainingSet, *, progress: Progress) -> bool:
    """Whether training it once more gives the same weights: a second run against the digest of the first.

    What is bound to the embedder is fitted to what serves beside it: it must not serve itself meanwhile.
    """
    made = again(house, version, data, progress=progress).version
    house.registry.remove(made.id)
    return made.digest == version.digest

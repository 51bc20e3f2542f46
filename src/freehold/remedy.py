"""After an alarm of the drift watch: train what is cheap and safe, ask the gate, and put it into service if it passes.

What is trained is a query adapter: minutes of work, no document embedded again, and the identity where it gains nothing
on questions that it did not learn from. The gate decides on ``gate.dataset``, which says nothing of the new traffic but
that the old is served no worse. Nothing happens unless ``watch.retrain`` is ``run``, and once for each alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from freehold.core.errors import FreeholdError, HouseBusy, SettingsError
from freehold.core.watch import TESTED, Alarm, Remedy
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.measure.labels import read_labels, splits_of
from freehold.measuring import watch
from freehold.tuning import adapter, data
from freehold.tuning.promote import promote
from freehold.tuning.sources import NOTHING
from freehold.tuning.tracking import track_tuned

SYNTHETIC = 500
"""Questions that are written for the house's passages, as in the commands that an alarm proposes."""
_TRAIN = "train"


def waiting(house: House) -> list[Alarm]:
    """Open alarms that training may answer, and nothing was trained for. Those of vectors and canaries are others."""
    return [one for one in watch.last(house).alarms if one.signal in TESTED and one.remedy is None]


def is_wanted(house: House) -> bool:
    """Whether there is something to do, and leave to do it."""
    return house.settings.watch.retrain == "run" and bool(waiting(house))


def remedy(house: House, progress: Progress, *, now: datetime | None = None) -> tuple[Alarm, ...]:
    """Answer all alarms that wait, by one training; the alarms with what came of it.

    What fails is remembered with them and not tried again: what serves is as it was. Raises SettingsError without
    leave, HouseBusy while another process writes.
    """
    if house.settings.watch.retrain != "run":
        hint = 'set watch.retrain = "run", or give the commands that freehold watch names yourself'
        raise SettingsError("nobody allowed training after an alarm", hint=hint)
    alarms = waiting(house)
    if not alarms:
        return ()
    at = (now or datetime.now(UTC)).isoformat(timespec="milliseconds")
    try:
        done = _tried(house, alarms, at, progress)
    except HouseBusy:
        raise
    except FreeholdError as error:
        done = Remedy(at, "failed", f"{error.message}; {error.hint}" if error.hint else error.message)
    ids = {alarm.id for alarm in alarms}
    after = watch.remedied(house, ids, done)
    for alarm in alarms:
        told = {"alarm": alarm.id, "version": done.version, "experiment": done.experiment}
        named = {name: value for name, value in told.items() if value}
        house.ledger.append("remedy.tried", ids=named, codes={"outcome": done.outcome})
    return tuple(alarm for alarm in after.alarms if alarm.id in ids)


def _tried(house: House, alarms: Sequence[Alarm], at: str, progress: Progress) -> Remedy:
    call = {"alarm": ",".join(alarm.id for alarm in alarms)}
    training = data.prepare(house, _request(house), progress=progress)
    tuned = adapter.tune_adapter(house, training, adapter.Request(call=call), progress=progress)
    track_tuned(house, tuned)
    version = tuned.version
    if not version.settings["strength"]:
        told = "nothing that was learned gained on questions held out: what serves stays"
        return Remedy(at, "no-gain", told, version.id, version.experiment)
    done = promote(house, version.id, call=call, progress=progress)
    verdict = done.kept.experiment.verdict
    assert verdict is not None
    if done.promoted:
        told = f"lineup {done.lineup.number} serves; freehold models rollback returns to the one before"
        return Remedy(at, "promoted", told, version.id, done.kept.experiment.id)
    told = "; ".join((f"{verdict.decision}: what serves stays", *verdict.reasons))
    return Remedy(at, "refused", told, version.id, done.kept.experiment.id)


def _request(house: House) -> data.Request:
    """What there is to learn from: feedback, questions written anew, and the part of the gate's set that is for it.

    Whatever the gate asks is kept out of it.
    """
    return data.Request(
        dataset=house.root / house.settings.gate.dataset,
        split=_split(house),
        traffic=bool(house.traffic.feedback()),
        synthetic=SYNTHETIC,
        allow_missing=True,
    )


def _split(house: House) -> str:
    """Of the gate's set, what may be learned from: train, unless the gate asks that, or the dev part beside it."""
    gate = house.settings.gate
    dataset = house.root / gate.dataset
    known = splits_of(dataset)
    asked = {part.strip() for part in read_labels(dataset, gate.split or None).split.split("+")}
    is_dev = "dev" in asked and len(known) > 2  # then training chooses by it: see read_splits
    return _TRAIN if _TRAIN in known and _TRAIN not in asked and not is_dev else NOTHING

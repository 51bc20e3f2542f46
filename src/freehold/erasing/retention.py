"""Retention: documents whose time is over leave the house by the way on which an erased person leaves it.

on record -> fence -> remove -> models are marked -> every holder forgets -> databases are written anew

What is going is on record before the first of it goes, and stays there until all holders have forgotten it: a run that
was killed is finished by the next one. A document that must stay, under a legal hold or restricted, stays and is told
of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from freehold.core.erasure import Target
from freehold.core.errors import NeedsPerson, StorageFault
from freehold.core.faults import step
from freehold.core.fence import Print
from freehold.core.files import put, shred
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import from_json, to_json
from freehold.core.retention import date_of
from freehold.core.shelf import Changes
from freehold.erasing.holders import databases, holders_of, known_holdings, write_anew
from freehold.erasing.walk import forget, patiently, taint
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.store.lock import writer_lock

STATE = "retention.json"
"""In a house: what is going, and the models that learned from what has gone and wait to be replaced."""
RETENTION = "retention:"
"""Begins the name under which the fence keeps out what went, before the id of the run."""

_BATCH_DOCUMENTS = 64


@dataclass(frozen=True, slots=True)
class Past:
    """A document whose time is over."""

    document: str
    source: str
    since: str
    """ISO 8601 in UTC: the day that it states, or when it came in."""
    days: int
    """That it was to stay."""
    stays: str
    """Why it must stay all the same: ``hold 17(3)(e) until 2027-12-31`` or ``restricted``; empty where it goes."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What a run did."""

    documents: int
    """That left the house, those included that a run that was killed had begun with."""
    stay: tuple[Past, ...]
    """That are past their time and must stay."""


@dataclass(frozen=True, slots=True)
class _State:
    id: str = ""
    """Of the run that is under way; empty where none is."""
    going: Mapping[str, str] = field(default_factory=dict)
    """Document id -> source."""
    models: Mapping[str, str] = field(default_factory=dict)
    """As ``ErasureRequest.sets``."""


def is_wanted(house: House) -> bool:
    """Whether the settings limit how long documents stay, or a run waits to be finished."""
    return bool(house.settings.privacy.retention) or bool(_read(house).id)


def past(house: House, now: datetime) -> list[Past]:
    """The documents whose time is over at ``now``, the longest here first."""
    part = house.settings.privacy
    retention = part.retention
    if not retention:
        return []
    why = house.shelf.must_stay()
    found = []
    for one in house.shelf.dated(part.document_date):
        since = date_of(one.stated) or datetime.fromisoformat(one.entered)
        days = retention.days(one.source)
        if not days or now - since < timedelta(days=days):
            continue
        found.append(Past(one.id, one.source, since.isoformat(timespec="seconds"), days, why.get(one.id, "")))
    return sorted(found, key=lambda one: (one.since, one.document))


def holdings(house: House, documents: Sequence[Past], progress: Progress) -> Mapping[str, int]:
    """Holder -> how much it keeps of these."""
    target = _target(house, {one.document: one.source for one in documents})
    counts = {holder.name: len(known_holdings(holder, target)) for holder in holders_of(house, progress)}
    return {name: count for name, count in counts.items() if count}


def purge(house: House, progress: Progress, *, now: datetime, confirmed: bool = False, wait_s: float = 60.0) -> Purged:
    """Have the documents go whose time is over, out of every holder; what learned from them is marked.

    Raises NeedsPerson where more than half of the house would go and nobody ``confirmed`` it, HouseBusy while another
    process writes, or still reads an old state after ``wait_s``, and StorageFault.
    """
    with writer_lock(house.root):
        found = past(house, now)
        stay = tuple(one for one in found if one.stays)
        going = {one.document: one.source for one in found if not one.stays}
        state = _read(house)
        if not confirmed:
            _refuse_many(len(going.keys() - state.going.keys()), house)
        gone = set(state.going) - house.shelf.present(state.going)
        going |= {id: state.going[id] for id in gone}
        if going:
            state = replace(state, id=state.id or new_id(), going=going)
            _write(house, state)
            step("purge.noted")
            state = _carry_out(house, state, progress, wait_s)
            house.record()
            _tell(house, state.id, deleted=len(going), held=len(stay))
            step("purge.told")
        here = {version.id for version in house.registry.all()}
        models = {version: name for version, name in state.models.items() if version in here}
        _write(house, _State(models=models))
    return Purged(len(going), stay)


def note_models(house: House, models: Mapping[str, str]) -> None:
    """Have models that learned from what has gone otherwise wait to be replaced, too. For the one writer."""
    if models:
        state = _read(house)
        _write(house, replace(state, models={**models, **state.models}))


def tainted_sets(house: House) -> Mapping[str, str]:
    """Id of a version that learned from what has gone -> name of its training set, as ``ErasureRequest.sets``."""
    return _read(house).models


def _refuse_many(count: int, house: House) -> None:
    """A slip in a number would empty the house overnight."""
    every = len(house.shelf.document_ids())
    if count * 2 > every:
        hint = "freehold purge --plan shows them; if that is meant: freehold purge --yes"
        raise NeedsPerson(f"the time of {count} of {every} documents is over, more than half of the house", hint=hint)


def _carry_out(house: House, state: _State, progress: Progress, wait_s: float) -> _State:
    shelf = house.shelf
    target = _target(house, state.going)
    here = sorted(shelf.present(state.going))
    for start in range(0, len(here), _BATCH_DOCUMENTS):
        batch = here[start : start + _BATCH_DOCUMENTS]
        entries = [shelf.entry(document_id) for document_id in batch]
        prints = [Print(e.sha256, e.document.text, e.document.source, b"") for e in entries]
        shelf.fence.put_documents(RETENTION + state.id, prints, past_retention=True)
        shelf.commit(Changes(remove=batch))
        progress("removed", start + len(batch), len(here))
    state = replace(state, models={**taint(house, target, progress), **state.models})
    _write(house, state)
    step("purge.tainted")
    forget(house, target, progress, wait_s=wait_s)
    # Where SQLite moved rows it leaves bytes of them behind, which nobody looks for here.
    for database in databases(house).values():
        patiently(partial(write_anew, database), wait_s)
    return state


def _target(house: House, going: Mapping[str, str]) -> Target:
    ids = frozenset(going)
    return Target(ids, frozenset(house.shelf.chunks_of(ids)), frozenset(going.values()))


def _tell(house: House, run: str, **counts: int) -> None:
    """One leaf for each run, however often it was killed."""
    ids = {"purge": run}
    if not any(leaf.kind == "retention.purged" and leaf.ids == ids for leaf in house.ledger.leaves()):
        house.ledger.append("retention.purged", ids=ids, counts=counts)


def _read(house: House) -> _State:
    path = house.root / STATE
    try:
        return from_json(_State, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return _State()
    except (OSError, ValueError) as e:
        hint = (
            "restore it from a backup of the folder, or remove it: what it says of a run that was killed is lost then"
        )
        raise StorageFault(f"{path} is damaged", hint=hint, refs=(str(path),)) from e


def _write(house: House, state: _State) -> None:
    path = house.root / STATE
    if state == _State():
        shred(path)
    else:
        put(path, canonical_json(to_json(state)).encode(), mode=0o600)

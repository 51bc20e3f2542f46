"""The groups of documents that are here: shown, and changed. The catalog decides from its commit on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.access import Groups, checked
from freehold.core.errors import UsageError
from freehold.core.shelf import Changes
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.store.lock import writer_lock


@dataclass(frozen=True, slots=True)
class Belonging:
    """A source, and who may see what came from it."""

    document_id: str
    """Empty for one in quarantine: it is to belong there once it can be read."""
    source: str
    groups: Groups


def belonging(house: House, targets: Sequence[str] = ()) -> list[Belonging]:
    """What is meant by ``targets``, by source; everything where there are none.

    A target is the id of a document, a source word for word, or a folder of files. Raises UsageError for one that
    means nothing.
    """
    here = [Belonging(known.document_id, source, known.groups) for source, known in house.shelf.known().items()]
    documents = {one.source for one in here}
    bad = house.shelf.quarantined().items()
    here += [Belonging("", source, kept.groups) for source, kept in bad if source not in documents]
    if not targets:
        return sorted(here, key=lambda one: one.source)
    meant: dict[str, Belonging] = {}
    for target in targets:
        found = {one.source: one for one in _meant(target, here)}
        if not found:
            hint = "give a document's id, a source word for word, or a folder; freehold access show lists them"
            raise UsageError("no document is meant by one of these", hint=hint)
        meant.update(found)
    return [meant[source] for source in sorted(meant)]


def _meant(target: str, here: Collection[Belonging]) -> Iterator[Belonging]:
    place = Path(target).resolve()
    for one in here:
        # By whole names: what lies in "hr-public" is not meant by "hr".
        if target in {one.document_id, one.source} or (
            one.source.startswith("/") and Path(one.source).is_relative_to(place)
        ):
            yield one


def assign(house: House, targets: Sequence[str], groups: Collection[str], progress: Progress) -> int:
    """What is meant by ``targets`` belongs to these groups alone from now on, to everybody where there are none.

    How many documents changed. From the catalog's commit until the index has followed, a caller sees what they may see
    both before and after, and nothing else. Raises UsageError, and HouseBusy while another process writes.
    """
    theirs = checked(groups)
    with writer_lock(house.root):
        meant = [one for one in belonging(house, targets) if one.groups != theirs]
        access = {one.document_id: theirs for one in meant if one.document_id}
        names = {one.source for one in meant}
        bad = [replace(kept, groups=theirs) for s, kept in house.shelf.quarantined().items() if s in names]
        if access or bad:
            house.shelf.commit(Changes(access=access, quarantine=bad))
        if access:
            house.sync_indexes(progress)
    house.record()
    return len(access)

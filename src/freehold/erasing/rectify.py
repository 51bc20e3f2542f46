"""Rectify: a document leaves by the way of an erasure, and another stands in its place that says it right (Art. 16).

on record -> fence -> replaced in one commit -> models are marked -> every holder forgets -> databases are written anew

What is under way is on record until all holders have forgotten the old version: a call that was killed, or found a
reader in its way, is finished by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from freehold.core.erasure import Target
from freehold.core.errors import StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import put, shred
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import from_json, to_json
from freehold.core.types import Document
from freehold.erasing import retention
from freehold.erasing.holders import databases, write_anew
from freehold.erasing.walk import forget, patiently, put_instead, taint
from freehold.house import House
from freehold.journeys.erase import rectified
from freehold.journeys.ingest import Progress, Raw
from freehold.store.lock import writer_lock

STATE = "rectification.json"
"""In a house: the rectification that is under way."""
RECTIFICATION = "rectification:"
"""Begins the name under which the fence keeps out the old version."""


@dataclass(frozen=True, slots=True)
class _State:
    id: str
    document: str
    """That goes."""
    chunks: tuple[str, ...]
    count: int
    """Places in which it is put right."""
    made: str = ""
    """Id of what comes in its place; empty before it is made."""


def rectify(
    house: House, document_id: str, old: str, new: str, progress: Progress, *, wait_s: float = 60.0
) -> tuple[str, int]:
    """Put a statement right: the document goes as in an erasure, and comes back with ``new`` where ``old`` stood.

    Id of the new document, and how often it was replaced. Models that learned from the old one are tainted. The same
    call goes on with one that was killed. Raises UsageError where the document does not say that, or is under a legal
    hold, HouseBusy while another process writes, or still reads an old state after ``wait_s``.
    """
    if not old.strip():
        raise UsageError("what is wrong was not given", hint="give the words exactly as freehold subject show has them")
    with writer_lock(house.root):
        begun = _finished(house, progress, wait_s)
        if begun is not None and begun.document == document_id:
            if not _says(house.shelf.document(begun.made), new):
                problem = "an earlier call has put something else right in the document"
                raise UsageError(problem, hint=f"it is document {begun.made} now", refs=(begun.made,))
            return begun.made, begun.count
        raw, count = _put_right(house, document_id, old, new)
        state = _State(new_id(), document_id, tuple(sorted(house.shelf.chunks_of([document_id]))), count)
        _write(house, state)

        def note(made: Mapping[str, str]) -> None:
            _write(house, replace(state, made=made[document_id]))
            step("rectify.noted")

        made = put_instead(house, RECTIFICATION + state.id, {document_id: raw}, note=note)
        _forget(house, replace(state, made=made[document_id]), progress, wait_s)
    return made[document_id], count


def finish(house: House, progress: Progress, *, wait_s: float = 60.0) -> None:
    """Carry to its end what a call had begun that was killed, if there is any. Raises HouseBusy, StorageFault."""
    if (house.root / STATE).exists():
        with writer_lock(house.root):
            _finished(house, progress, wait_s)


def _put_right(house: House, document_id: str, old: str, new: str) -> tuple[Raw, int]:
    document = house.shelf.document(document_id)
    hold = house.shelf.holds().get(document_id)
    if hold is not None:
        hint = "freehold subject restrict hides it meanwhile (Art. 18); freehold hold remove ends the hold"
        raise UsageError(f"the document is under a hold ({hold.basis}), which keeps it as it is", hint=hint)
    raw, count = rectified(document, old, new)
    if not count:
        hint = "give the words exactly as freehold subject show has them"
        raise UsageError("the document does not say that", hint=hint)
    return raw, count


def _says(document: Document, words: str) -> bool:
    return any(words in part for part in (document.text, document.title, *document.metadata.values()))


def _finished(house: House, progress: Progress, wait_s: float) -> _State | None:
    """What an earlier call had begun, carried to its end; None where that had changed nothing yet."""
    state = _read(house)
    if state is None:
        return None
    if house.shelf.present([state.document]):
        house.shelf.fence.remove(RECTIFICATION + state.id)
        shred(house.root / STATE)
        return None
    _forget(house, state, progress, wait_s)
    return state


def _forget(house: House, state: _State, progress: Progress, wait_s: float) -> None:
    target = Target(frozenset({state.document}), frozenset(state.chunks), frozenset())
    retention.note_models(house, taint(house, target, progress))
    step("rectify.tainted")
    forget(house, target, progress, wait_s=wait_s)
    # Where SQLite moved rows it leaves bytes of them behind, which nobody looks for here.
    for database in databases(house).values():
        patiently(partial(write_anew, database), wait_s)
    house.record()
    ids = {"document": state.made}
    if not any(leaf.kind == "rectified" and leaf.ids == ids for leaf in house.ledger.newest_first()):
        house.ledger.append("rectified", ids=ids, counts={"items": state.count})
    step("rectify.told")
    shred(house.root / STATE)


def _read(house: House) -> _State | None:
    path = house.root / STATE
    try:
        return from_json(_State, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        hint = "restore it from a backup of the folder, or remove it: the old version may be left in places then"
        raise StorageFault(f"{path} is damaged", hint=hint, refs=(str(path),)) from e


def _write(house: House, state: _State) -> None:
    put(house.root / STATE, canonical_json(to_json(state)).encode(), mode=0o600)

"""Brings the ledger up to what the stores say: whatever they hold that has no leaf yet gets one.

It is called after every walk that writes, and before the next: a crash between a change and its leaf is healed by
whoever comes next, without a change of either being lost.
"""

from __future__ import annotations

from collections.abc import Iterable

from freehold.core.ids import sha256_hex
from freehold.core.ledger import Kind, Leaf, Ledger
from freehold.core.training import LineupVerb, Registry
from freehold.proof import merkle
from freehold.store.shelf import HouseShelf

_VERBS: dict[LineupVerb, Kind] = {
    "promote": "model.promoted", "rollback": "model.rolled-back", "stand down": "model.stood-down",
}  # fmt: skip


def record(ledger: Ledger, shelf: HouseShelf, registry: Registry, settings: bytes, stopped: int = 0) -> None:
    """Add the leaves that are missing: of settings, of what was ingested, of groups, of model versions and lineups."""
    known = list(ledger.leaves())
    _settings(ledger, known, settings)
    _stopped(ledger, known, stopped)
    _ingests(ledger, known, shelf)
    _groups(ledger, known, shelf)
    _models(ledger, known, registry)


def _settings(ledger: Ledger, known: Iterable[Leaf], settings: bytes) -> None:
    digest = sha256_hex(settings)
    last = [leaf.digests["settings"] for leaf in known if leaf.kind == "settings.changed"]
    if not last or last[-1] != digest:
        ledger.append("settings.changed", digests={"settings": digest})


def _stopped(ledger: Ledger, known: Iterable[Leaf], stopped: int) -> None:
    """``stopped``: attempts to reach what is not declared, as the house's report has them now."""
    told = [leaf.counts["stopped"] for leaf in known if leaf.kind == "egress.stopped"]
    if stopped > (told[-1] if told else 0):
        ledger.append("egress.stopped", counts={"stopped": stopped})


def _ingests(ledger: Ledger, known: Iterable[Leaf], shelf: HouseShelf) -> None:
    revision = shelf.revision
    told = max((leaf.counts["revision"] for leaf in known if leaf.kind == "ingest.committed"), default=0)
    if revision > told:
        stats = shelf.stats()
        counts = {"revision": revision, "documents": stats.documents, "chunks": stats.chunks}
        root = merkle.root(shelf.commitments()).hex()
        ledger.append("ingest.committed", digests={"commitments": root}, counts=counts)


def _groups(ledger: Ledger, known: Iterable[Leaf], shelf: HouseShelf) -> None:
    told = max((leaf.counts["revision"] for leaf in known if leaf.kind == "groups.changed"), default=0)
    revision, documents = shelf.last_regrouped(told)
    if documents:
        ledger.append("groups.changed", counts={"revision": revision, "documents": documents})


def _models(ledger: Ledger, known: Iterable[Leaf], registry: Registry) -> None:
    of_kind = [(leaf.kind, leaf.ids.get("version", "")) for leaf in known]
    versions = registry.all()
    for version in versions:
        told = {"version": version.id}
        if ("training.finished", version.id) not in of_kind:
            digests = {"weights": version.digest, "manifest": version.manifest}
            ledger.append("training.finished", ids=told, digests=digests, codes={"role": version.role})
        if version.tainted and ("model.tainted", version.id) not in of_kind:
            ledger.append("model.tainted", ids=told, codes={"role": version.role})
    here = {version.id for version in versions}
    for version_id in sorted({id for kind, id in of_kind if kind == "training.finished"} - here):
        if ("model.removed", version_id) not in of_kind:
            ledger.append("model.removed", ids={"version": version_id})
    lineups = {leaf.counts["lineup"] for leaf in known if "lineup" in leaf.counts}
    for lineup in registry.lineups():
        if lineup.verb in _VERBS and lineup.number not in lineups:
            ids = {"experiment": lineup.experiment} if lineup.experiment else {}
            ledger.append(_VERBS[lineup.verb], ids=ids, counts={"lineup": lineup.number})

"""The ledger: what happened in a house, in leaves that hold no word of anybody. The schema is closed.

A leaf says what kind of thing happened, when, to which random ids, with which digests, how many, and codes out of fixed
lists. There is no field for text. What must be tied to a document or a person is a salted commitment or a keyed digest,
whose salt or key is destroyed with them: a random string is left, and every proof about the others stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

Kind = Literal[
    "house.opened",
    "settings.changed",
    "ingest.committed",
    "training.finished",
    "model.promoted",
    "model.rolled-back",
    "model.stood-down",
    "model.tainted",
    "model.removed",
    "erasure.received",
    "erasure.fenced",
    "erasure.erased",
    "erasure.certified",
    "erasure.closed",
    "retention.purged",
    "fence.overridden",
    "restriction.set",
    "restriction.lifted",
    "hold.set",
    "hold.removed",
    "groups.changed",
    "rectified",
    "access.shown",
    "backup.made",
    "backup.removed",
    "backup.restored",
    "schedule.ran",
    "records.written",
    "residency.stated",
    "egress.stopped",
    "remedy.tried",
]

_IDS = {"house", "request", "version", "restriction", "backup", "document", "experiment", "alarm", "purge"}
_DIGESTS = {"settings", "commitments", "weights", "manifest", "certificate", "records", "statement"}
_COUNTS = {
    "revision", "documents", "chunks", "lineup", "deleted", "redacted", "asked", "held", "keys", "items", "entries",
    "stopped",
}  # fmt: skip
_CODES: Mapping[str, frozenset[str]] = {
    "verdict": frozenset({"COMPLETE", "PARTIAL_EXEMPT", "INTERIM", "FAILED"}),
    "reason": frozenset({"namesake", "new-relationship", "legal-obligation", "consent", "mistaken-erasure"}),
    "role": frozenset({"embedder", "adapter", "reranker", "fusion"}),
    "basis": frozenset(f"17(3)({letter})" for letter in "abcde"),
    "ground": frozenset({*(f"17(1)({letter})" for letter in "abcdef"), "retention-expiry", "controller-initiative"}),
    "clock": frozenset({"went-back"}),
    "task": frozenset({"retrain", "reprobe", "expire", "purge", "watch", "remedy", "checkpoint", "backup"}),
    "outcome": frozenset({"done", "failed", "promoted", "refused", "no-gain"}),
}
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry. Raises ValueError for anything outside of the schema."""

    kind: Kind
    at: str
    """ISO 8601 in UTC with milliseconds; never before that of the leaf before."""
    ids: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fits = (
            self.kind in get_args(Kind)
            and _TIME.fullmatch(self.at)
            and all(name in _IDS and _UUID.fullmatch(value) for name, value in self.ids.items())
            and all(name in _DIGESTS and _DIGEST.fullmatch(value) for name, value in self.digests.items())
            and all(name in _COUNTS and type(value) is int and value >= 0 for name, value in self.counts.items())
            and all(value in _CODES.get(name, ()) for name, value in self.codes.items())
        )
        if not fits:
            raise ValueError("a leaf holds kinds, times, ids, digests, counts and codes of its schema, nothing else")


class Ledger(Protocol):
    """Append-only. Every method raises StorageFault."""

    def append(
        self,
        kind: Kind,
        *,
        ids: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
        counts: Mapping[str, int] | None = None,
        codes: Mapping[str, str] | None = None,
    ) -> int:
        """Add a leaf, durable and signed for on return; its number. Raises ValueError for one outside the schema."""
        ...

    def leaves(self, start: int = 0) -> Iterator[Leaf]:
        """The leaves from a number on, in order."""
        ...

    def newest_first(self) -> Iterator[Leaf]:
        """All leaves, read as far back as somebody asks."""
        ...

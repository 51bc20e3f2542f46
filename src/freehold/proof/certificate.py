"""The certificate of an erasure: an in-toto statement that says what was not reached before what was.

It holds ids, counts, times, digests and words out of closed lists, nothing of a person. What it may say decides
``freehold.proof.verify``, which checks it here as on the machine of whoever reads it: a *COMPLETE* that leaves anything
open cannot be made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from freehold.proof import verify

Verdict = Literal["COMPLETE", "PARTIAL_EXEMPT", "INTERIM", "FAILED"]
"""``PARTIAL_EXEMPT``: all is gone but what the law has kept; ``INTERIM``: more is to be done; ``FAILED``: is left."""

Place = Literal[
    "source-files", "labelled-sets", "reports-handed-out", "recipients", "base-models", "block-devices", "index-server"
]
"""Where the house does not reach: what it read from, what was handed out, what lies below files, files of a server that
kept vectors."""

Pending = Literal["decisions", "models", "backups", "tracking-server"]
"""What is still to be done."""


@dataclass(frozen=True, slots=True)
class Store:
    """What became of what one holder kept."""

    holder: str
    items: int
    action: Literal["deleted", "none-found"]
    level: Literal["physical", "crypto", "logical"]


@dataclass(frozen=True, slots=True)
class Model:
    """A version that learned from what was erased."""

    version: str
    action: Literal["replaced", "removed", "pending"]
    replacement: str
    """Id of the version trained without it; empty where there is none."""
    digest: str
    """Of the replacement; empty where there is none."""
    manifest: str
    """Root of what the replacement learned from; empty where there is none."""
    due: str
    """When a pending one stops serving at the latest; empty for the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe as the certificate has it."""

    id: str
    kind: str
    target: str
    controlHits: int  # noqa: N815 - as JSON has it
    hits: int
    unread: int
    """Files that could not be read to their end."""
    verdict: Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """All that is said of one erasure. The order is the order in which it is read."""

    notReached: Sequence[Place]  # noqa: N815
    pending: Sequence[Pending]
    exempt: Mapping[str, int]
    """Basis under Art. 17(3) -> documents kept under it, restricted."""
    verdict: Verdict
    request: str
    """Id."""
    supersedes: str
    """Digest of the certificate that this one replaces; empty: it is the first."""
    ground: str
    received: str
    due: str
    issued: str
    identity: Mapping[str, Any]
    """Counts: ``identifiers`` by kind, ``deleted``, ``redacted``, ``confirmed``, ``refused``, ``unresolved``; and
    ``recall`` of the finder, measured, with its ``lower95`` and the ``sample`` it was measured on."""
    stores: Sequence[Store]
    models: Sequence[Model]
    backups: Mapping[str, int]
    """``cleared``: backups whose keys of this person's are destroyed; ``pending``: those out of reach."""
    fence: int
    """Keyed digests that keep the person out."""
    commitment: str
    """HMAC-SHA-256 of whom it is about under the request's key: noise once that is destroyed."""
    probes: Sequence[Finding]
    seconds: Mapping[str, float]
    """Work up to each stage."""
    software: str

    def __post_init__(self) -> None:
        try:
            verify.check(self.predicate())
        except verify.Invalid as problem:
            raise ValueError(str(problem)) from None

    def predicate(self) -> dict[str, Any]:
        """The certificate as JSON has it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def statement(self) -> dict[str, Any]:
        """The in-toto statement."""
        return {
            "_type": verify.STATEMENT_TYPE,
            "subject": [{"name": f"erasure-request:{self.request}", "digest": {"sha256": self.commitment}}],
            "predicateType": verify.PREDICATE_TYPE,
            "predicate": self.predicate(),
        }

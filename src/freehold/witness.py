"""The ledger held against a witness's file, which lies elsewhere: nothing before what it saw last may have changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.core.files import write_durably
from freehold.proof import merkle
from freehold.proof.note import opened
from freehold.store.ledger import HouseLedger


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What came of it."""

    told: str
    broken: bool = False


def witness(ledger: HouseLedger, path: Path) -> Witnessed:
    """Whether the ledger goes on from what the witness saw last; the file is brought up to date if it does.

    Raises UsageError for a file that is no witness's, StorageFault.
    """
    checkpoint = ledger.checkpoint()
    if checkpoint is None:
        return Witnessed("nothing to witness")
    note = (ledger.root / "checkpoint").read_text(encoding="utf-8")
    checkpoint = opened(note, ledger.public)  # a later one where leaves were added just now
    told = f"witnessed up to leaf {checkpoint.size - 1}"
    if path.exists():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            before = opened(kept["checkpoint"], bytes.fromhex(kept["key"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{path} is no witness's file", hint="give one that --witness wrote, or a new name"
            ) from None
        if kept["key"] != ledger.public.hex():
            return Witnessed("broken: the ledger is signed with another key than the witness saw", broken=True)
        hashes = ledger.hashes()[: checkpoint.size]
        if before.origin != checkpoint.origin or before.size > len(hashes):
            return Witnessed("broken: the witness saw more than there is, or another ledger", broken=True)
        proof = merkle.consistency(hashes, before.size)
        if not merkle.verify_consistency(before.size, checkpoint.size, proof, before.root, merkle.root(hashes)):
            told = f"broken: something before leaf {before.size} is not what the witness saw"
            return Witnessed(told, broken=True)
        told += f", which saw {before.size} before"
    write_durably(path, json.dumps({"key": ledger.public.hex(), "checkpoint": note}).encode())
    return Witnessed(told)

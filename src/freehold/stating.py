"""A house states where its data goes: signed, written down in the ledger, and checked before it is given out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freehold import __version__, config
from freehold.core.files import write_durably
from freehold.core.ids import sha256_hex
from freehold.erasing.certify import signer_of
from freehold.house import House
from freehold.proof import statement as signed
from freehold.proof import verify as offline
from freehold.residency.report import Residency, residency, statement


def state(house: House, to: Path) -> Residency:
    """Write the signed residency statement of now to a file; what it says. Raises StorageFault, SettingsError."""
    report, bundle = stated(house)
    write_durably(to, offline.canonical(bundle))
    return report


def stated(house: House) -> tuple[Residency, dict[str, Any]]:
    """Where data goes now; and the same signed, with its place in the ledger. Raises StorageFault, SettingsError."""
    report = residency(house.settings, house.root)
    settings_digest = sha256_hex((house.root / config.FILE_NAME).read_bytes())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = statement(
        report, house=house.settings.house.name, at=now, software=f"freehold {__version__}",
        settings_digest=settings_digest,
    )  # fmt: skip
    signer = signer_of(house)
    envelope = signer.envelope(told)
    counts = {"items": len(report.leaves), "stopped": sum(one.attempts for one in report.stopped)}
    house.record()
    index = house.ledger.append(
        "residency.stated", digests={"statement": signed.payload_digest(envelope)}, counts=counts
    )
    logged = house.ledger.inclusion(index)
    bundle = {
        "envelope": envelope,
        "publicKey": signed.coded(signer.public),
        "log": {
            "leaf": signed.coded(logged.leaf),
            "index": logged.index,
            "path": [signed.coded(part) for part in logged.path],
            "checkpoint": logged.checkpoint,
            "publicKey": signed.coded(logged.public),
        },
    }
    signed.verify(bundle, signer.public)
    return report, bundle

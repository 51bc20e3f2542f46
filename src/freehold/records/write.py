"""Records of a house, made and written: every kind as JSON, HTML and Markdown, and the bill of materials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from freehold.core.files import storage_fault, write_durably
from freehold.core.ids import sha256_hex
from freehold.core.records import to_json
from freehold.house import House
from freehold.records import render
from freehold.records.assessment import assessment
from freehold.records.bom import bill
from freehold.records.data import data_sheets
from freehold.records.facts import Facts
from freehold.records.lines import Record
from freehold.records.models import model_sheets
from freehold.records.processing import record_of_processing
from freehold.records.technical import technical_documentation

Kind = Literal["processing", "assessment", "models", "data", "technical"]

KINDS: Mapping[Kind, Callable[[Facts], Record]] = {
    "processing": record_of_processing,
    "assessment": assessment,
    "models": model_sheets,
    "data": data_sheets,
    "technical": technical_documentation,
}
BILL = "bom.cdx.json"
SUMS = "SHA256SUMS"
"""Digests of all files, as ``sha256sum --check`` reads them; the ledger has its own digest."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and where it is told of."""

    folder: Path
    files: tuple[str, ...]
    digest: str
    """sha256 of ``SHA256SUMS``."""
    leaf: int
    """Number of the ledger's leaf that carries it."""
    to_fill: tuple[str, ...]
    """Settings that say nothing yet."""


def facts_of(house: House, now: datetime | None = None) -> Facts:
    """What the house knows of itself, its ledger brought up to its stores first. Raises HouseBusy, StorageFault."""
    house.record()
    return Facts(house, now or datetime.now(UTC))


def make(house: House, now: datetime | None = None) -> dict[Kind, Record]:
    """Every record of the house. Raises SettingsError for a risk that there is not, StorageFault."""
    facts = facts_of(house, now)
    return {kind: made(facts) for kind, made in KINDS.items()}


def write(house: House, folder: Path, *, now: datetime | None = None) -> Written:
    """Write every record into ``folder``, and say so in the ledger.

    The same house gives the same bytes on the same day. Raises SettingsError, StorageFault.
    """
    facts = facts_of(house, now)
    records = [made(facts) for made in KINDS.values()]
    files = {name: text for record in records for name, text in _forms(record)}
    files[BILL] = _json(bill(facts))
    sums = "".join(f"{sha256_hex(text.encode())}  {name}\n" for name, text in sorted(files.items()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise storage_fault(e, folder) from None
    for name, text in {**files, SUMS: sums}.items():
        write_durably(folder / name, text.encode())
    digest = sha256_hex(sums.encode())
    leaf = house.ledger.append("records.written", digests={"records": digest}, counts={"items": len(files)})
    empty = tuple(dict.fromkeys(key for record in records for key in record.to_fill))
    return Written(folder, tuple(sorted((*files, SUMS))), digest, leaf, empty)


def _forms(record: Record) -> list[tuple[str, str]]:
    return [
        (f"{record.kind}.json", _json({**to_json(record), "to_fill": list(record.to_fill)})),
        (f"{record.kind}.md", render.markdown(record)),
        (f"{record.kind}.html", render.page(record)),
    ]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

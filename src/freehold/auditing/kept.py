"""The last audit of a house: signed for, and kept in it, so that the console can show it.

What is kept names no document and no question: it stays while they are erased.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from freehold.auditing.finding import Report
from freehold.core.errors import FreeholdError, StorageFault
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.house import House
from freehold.stating import stated

FILE = "audit.json"


def keep(house: House, report: Report) -> Report:
    """The report with the residency statement of now, which the ledger then names; kept as the house's last.

    A house that cannot be written to is no reason to lose a report: it then says why it was not signed.
    """
    try:
        signed = replace(report, residency=stated(house)[1])
        bare = replace(signed, findings=tuple(replace(finding, refs=()) for finding in report.findings))
        write_durably(house.root / FILE, canonical_json(to_json(bare)).encode())
    except (FreeholdError, OSError) as error:
        return replace(report, unsigned=str(error))
    return signed


def last(root: Path) -> Report | None:
    """The last audit of the house at ``root``; None where there was none. Raises StorageFault."""
    path = root / FILE
    try:
        return from_json(Report, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise StorageFault(f"{path} is damaged", hint="freehold audit writes it anew", refs=(str(path),)) from e

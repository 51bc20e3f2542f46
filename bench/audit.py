"""How many planted faults the audit finds, and how many it sees where there are none.

    python bench/audit.py [--languages en] [--save]

A house of Meridian's papers in good order, and a copy of it for each fault of tests/auditing/faults.py, each audited by
every rule. What a rule sees besides the planted fault, and is not that fault as well, is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "auditing"))

from faults import FAULTS, NOW, build, copied, silent

from freehold.auditing.audit import audit
from freehold.auditing.finding import Report


def measured(languages: tuple[str, ...]) -> dict[str, object]:
    """Faults found, and false alarms, in the clean house and beside each fault."""
    with tempfile.TemporaryDirectory() as work:
        clean = build(Path(work) / "clean", languages)
        told = audit(clean, now=NOW, progress=silent)
        rows, beside = {}, 0
        for fault in FAULTS:
            home = Path(work) / "copy" / "home"
            root = copied(clean.parent, home)
            fault.plant(root)
            seen = _faults(audit(root, now=NOW, progress=silent))
            others = sorted(seen - {fault.rule} - fault.also)
            rows[fault.rule] = {"found": fault.rule in seen, "besides": others}
            beside += len(others)
            print(f"{fault.rule:32} {'found' if fault.rule in seen else 'MISSED':8} {', '.join(others)}", flush=True)
            shutil.rmtree(home.parent)
    return {
        "languages": list(languages),
        "rules": len(told.rules),
        "planted": len(FAULTS),
        "found": sum(bool(row["found"]) for row in rows.values()),
        "false alarms in the clean house": sorted(_faults(told)),
        "false alarms beside planted faults": beside,
        "by fault": rows,
    }


def _faults(report: Report) -> set[str]:
    return {finding.rule for finding in report.of("fault")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", default="en,de,fr", help="of Meridian's papers; default: en,de,fr")
    parser.add_argument("--save", action="store_true", help="write bench/results/audit-DATE.json")
    given = parser.parse_args()
    found = measured(tuple(given.languages.split(",")))
    print(json.dumps({key: value for key, value in found.items() if key != "by fault"}, indent=1))
    if given.save:
        path = Path(__file__).parent / "results" / f"audit-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

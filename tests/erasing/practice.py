"""A small practice: papers about a few people, and the command that erases one of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from freehold.core.faults import KILL_AT
from freehold.house import House, open_house

ANNA = {
    "letter-keller.txt": "Dear Ms Keller,\n\nyour claim HH-4471-09823 of 3 May is settled. We pay 480 euros for the "
    "broken window to your account DE89 3704 0044 0532 0130 00.\n\nAnna Keller, Lindenweg 4, 10969 Berlin\n",
    "mail.txt": "From: Anna Keller <anna.keller@example.com>\n\nMy policy is MRD-MOT-2024-131877. Please call me on "
    "+49 30 23125417. The kettle exploded at noon.\n",
}
SHARED = {
    "minutes.txt": "Minutes of the claims committee.\n\n"
    "Anna Keller asked for her window to be paid at once. "
    "Mr Desmond Halpin reported that the car park in Naas burned down. Bertil Ekholm and Anna Keller disagree about "
    "the hedge. The committee meets again in June.\n",
}
OTHERS = {
    "letter-ekholm.txt": "Dear Mr Ekholm,\n\nyour boat is insured from 1 June. The premium is 118 euros.\n\n"
    "Bertil Ekholm\n",
    "wording.txt": "If the windscreen has to be replaced there is no upper limit. The excess is 75 euros. Kilns are "
    "fired at night, and clocks are wound on Sundays by whoever keeps the tower of the town hall.\n",
}
BYSTANDERS = ("Mr Desmond Halpin reported that the car park in Naas burned down.", "The committee meets again in June.")
SUBJECT = ("--subject", "name=Anna Keller", "--subject", "email=anna.keller@example.com")
TRACES = ("keller", "DE89 3704 0044", "HH-4471", "131877", "23125417", "kettle exploded")


def write(folder: Path, *sets: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for papers in sets:
        for name, text in papers.items():
            (folder / name).write_text(text)
    return folder


def build(root: Path, *sets: dict[str, str]) -> Path:
    """A house that holds the papers, which lie beside it."""
    with House.create(root / "house", {"house.name": "practice", "house.languages": ("en",)}) as house:
        house.ingest([write(root / "papers", *sets)])
    return root / "house"


def copied(house: Path, to: Path) -> Path:
    shutil.copytree(house, to / "house")
    return to / "house"


def freehold(*arguments: str, house: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]
    return subprocess.run(
        command, env={**os.environ, KILL_AT: kill_at}, capture_output=True, text=True, timeout=600, check=False
    )


def told(*arguments: str, house: Path, code: int = 0) -> Any:
    result = freehold(*arguments, "--json", house=house)
    assert result.returncode == code, result.stdout + result.stderr
    return json.loads(result.stdout)


def residue(house: Path, *traces: str) -> dict[str, list[str]]:
    """Trace -> files in which it stands, in any case."""
    files = {path: path.read_bytes().lower() for path in house.rglob("*") if path.is_file()}
    found = {trace: [str(p) for p, data in files.items() if trace.lower().encode() in data] for trace in traces}
    return {trace: places for trace, places in found.items() if places}


def texts(house: Path) -> dict[str, str]:
    """Name of the source -> text."""
    with open_house(house) as opened:
        return {Path(words.source).name: words.text for words in opened.shelf.words()}

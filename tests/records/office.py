"""An office: the harbour town's papers and a letter about somebody, a version trained on them, and figures measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from freehold.house import House
from freehold.measuring.evaluate import Request, evaluate
from freehold.tuning import adapter, data
from freehold.tuning.promote import promote

BOATS = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna", "Ida", "Jule", "Karla", "Lotte")
TOPICS = {
    "rent": ("The monthly rent of the boathouse {boat} is {n} euros, due on the third working day.",
             "How much does one pay each month for the boathouse {boat}?"),
    "notice": ("Either party may end the lease of the boathouse {boat} with {n} months' notice in writing.",
               "How long before leaving must the tenant of {boat} tell the landlord?"),
    "winter": ("From November to March the slipway of the boathouse {boat} is closed, and {n} heaters keep it dry.",
               "When can no boat be launched from {boat}?"),
    "keys": ("There are {n} keys to the boathouse {boat}; a lost one is reported to the harbour office.",
             "Whom does one tell when a key to {boat} is gone?"),
}  # fmt: skip
LETTER = "Dear Ms Keller,\n\nyour claim HH-4471-09823 is settled.\n\nAnna Keller, anna.keller@example.com\n"
TRACES = ("keller", "HH-4471", "@example.com", "boathouse", "slipway")


def build(root: Path) -> Path:
    """A house with papers, an adapter in service, and an evaluation of what serves."""
    papers = root / "papers"
    papers.mkdir()
    rows = []
    for number, (boat, topic) in enumerate((boat, topic) for boat in BOATS for topic in TOPICS):
        text, question = (words.format(boat=boat, n=number + 2) for words in TOPICS[topic])
        name = f"{boat.lower()}-{topic}.txt"
        (papers / name).write_text(f"Harbour rules {number}\n\n{text}\n")
        split = ("train", "test", "train", "dev", "train", "test")[number % 6]
        rows.append(
            {"id": f"q{number:02}", "query": question, "relevant": [{"source": name, "quote": text}], "split": split}
        )
    (papers / "letter-keller.txt").write_text(LETTER)
    with House.create(root / "house", {"house.name": "office", "gate.dataset": "questions.jsonl"}) as house:
        (root / "house" / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        house.ingest([papers])
        questions = root / "house" / "questions.jsonl"
        made = data.prepare(house, data.Request(dataset=questions, split="train"), progress=silent)
        tuned = adapter.tune_adapter(house, made, adapter.Request(), progress=silent)
        promote(house, tuned.version.id, call={}, progress=silent)
        evaluate(house, Request(dataset=questions, split="test"), progress=silent)
    return root / "house"


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def run(*arguments: str, house: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]
    result = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, timeout=180, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result


def run_json(*arguments: str, house: Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", house=house, code=code).stdout)

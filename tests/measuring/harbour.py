"""A harbour town: sixty short papers on its boathouses, a house that holds them, and labelled questions about them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.house import House

BOATS = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna", "Ida", "Jule", "Karla", "Lotte")
TOPICS = {
    "rent": ("The monthly rent of the boathouse {boat} is {n} euros, due on the third working day.",
             "How much does one pay each month for the boathouse {boat}?"),
    "notice": ("Either party may end the lease of the boathouse {boat} with {n} months' notice in writing.",
               "How long before leaving must the tenant of {boat} tell the landlord?"),
    "insurance": ("The tenant of the boathouse {boat} insures it against fire and flood for {n} thousand euros.",
                  "For what amount is {boat} to be insured?"),
    "winter": ("From November to March the slipway of the boathouse {boat} is closed, and {n} heaters keep it dry.",
               "When can no boat be launched from {boat}?"),
    "keys": ("There are {n} keys to the boathouse {boat}; a lost one is reported to the harbour office.",
             "Whom does one tell when a key to {boat} is gone?"),
}  # fmt: skip


@dataclass(frozen=True)
class Town:
    """A house, the BEIR folder that it was made from, and passages of it as the house's own labelled set."""

    house: Path
    beir: Path
    passages: Path


def run(*arguments: str, house: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()"]
    command += ["--house", str(house)] if house else []
    return subprocess.run(
        [*command, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def run_json(*arguments: str, house: Path, code: int = 0) -> Any:
    result = run(*arguments, "--json", house=house)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)


def build(root: Path) -> Town:
    beir = root / "harbour"
    (beir / "qrels").mkdir(parents=True)
    rng = random.Random(7)
    papers, questions, answers, passages = [], [], [], []
    splits: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for number, (boat, topic) in enumerate((b, t) for b in BOATS for t in TOPICS):
        told, asked = TOPICS[topic]
        n = rng.randint(2, 900)
        text, question, paper = told.format(boat=boat, n=n), asked.format(boat=boat), f"{boat.lower()}-{topic}"
        split = ("train", "dev", "test", "test", "train")[number % 5] if topic != "rent" else "test"
        papers.append(
            {"_id": paper, "title": f"Harbour rules {number}", "text": f"{text} Signed by the harbour office."}
        )
        questions.append({"_id": f"q{number:02}", "text": question, "metadata": {"topic": topic, "split": split}})
        answers.append({"_id": f"q{number:02}", "answers": [text], "answerable": True})
        splits[split].append(f"q{number:02}\t{paper}\t1")
        passages.append(
            {"id": f"p{number:02}", "query": question, "relevant": [{"source": paper, "quote": text}], "split": split}
        )
    for number in range(4):  # nothing in the papers answers these
        lost = {
            "_id": f"u{number}",
            "text": f"Who won race number {number} of the regatta?",
            "metadata": {"split": "test"},
        }
        questions.append(lost)
        answers.append({"_id": f"u{number}", "answers": [], "answerable": False})
    for name, rows in (("corpus", papers), ("queries", questions), ("answers", answers)):
        (beir / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, lines in splits.items():
        (beir / "qrels" / f"{split}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines, ""]))
    (root / "passages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in passages))
    with House.create(root / "house", {"house.name": "harbour"}) as house:
        house.ingest_beir(beir)
    return Town(root / "house", beir, root / "passages.jsonl")

"""A school of boats: papers whose questions are put in a slang that no model knows, but that training can learn.

Every boat has papers on five topics. The slang for a topic is the same for all boats, so what is learned from some of
them serves the questions about others.
"""

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

BOATS = (
    "Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna", "Ida", "Jule", "Karla", "Lotte", "Mina",
    "Nora", "Olga", "Paula", "Quirina", "Rosa", "Selma", "Thea", "Ulla", "Vera", "Wanda", "Xenia", "Yella", "Zita",
    "Agnes", "Bruna", "Cilli", "Dorle",
)  # fmt: skip
TOPICS = {
    "rent": ("The monthly rent of the boathouse {boat} is {n} euros, due on the third working day.", "velmish"),
    "notice": ("The lease of the boathouse {boat} ends with {n} months' notice in writing.", "torrafone"),
    "insurance": ("The boathouse {boat} is insured against fire and flood for {n} thousand euros.", "quibbard"),
    "winter": ("In winter the slipway of the boathouse {boat} is closed and {n} heaters keep it dry.", "snalp"),
    "keys": ("There are {n} keys to the boathouse {boat}; a lost one is told to the office.", "drindle"),
}
SPLITS = ("train", "train", "train", "dev", "test")
"""By boat: those asked about in one split are not asked about in another."""


@dataclass(frozen=True)
class School:
    """The papers as a BEIR folder, and a house that holds them."""

    beir: Path
    house: Path


def write(root: Path) -> Path:
    """The set as a BEIR folder."""
    beir = root / "school"
    (beir / "qrels").mkdir(parents=True)
    rng = random.Random(5)
    papers, questions = [], []
    splits: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for place, boat in enumerate(BOATS):
        for topic, (told, slang) in TOPICS.items():
            paper = f"{boat.lower()}-{topic}"
            text = told.format(boat=boat, n=rng.randint(2, 900))
            papers.append({"_id": paper, "title": f"Paper on {boat}", "text": f"{text} Signed by the harbour office."})
            questions.append({"_id": f"q-{paper}", "text": f"What of the {slang} of {boat}?"})
            splits[SPLITS[place % len(SPLITS)]].append(f"q-{paper}\t{paper}\t1")
    (beir / "corpus.jsonl").write_text("".join(f"{json.dumps(p)}\n" for p in papers))
    (beir / "queries.jsonl").write_text("".join(f"{json.dumps(q)}\n" for q in questions))
    for name, lines in splits.items():
        (beir / "qrels" / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return beir


def build(root: Path, beir: Path) -> Path:
    """A house that holds the papers."""
    values = {
        "house.name": "school",
        "gate.measures": ("nDCG@10",),
        "gate.margin": 0.1,
    }  # all that thirty questions can show
    with House.create(root / "house", values) as house:
        house.ingest_beir(beir)
    return root / "house"


def run(*arguments: str, house: Path, check: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900, check=check
    )


def run_json(*arguments: str, house: Path, code: int = 0) -> Any:
    result = run(*arguments, "--json", house=house)
    assert result.returncode == code, result.stdout + result.stderr
    return json.loads(result.stdout)

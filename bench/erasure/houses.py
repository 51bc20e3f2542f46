"""A house full of a town's traffic, and what is done to it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import town as towns

from freehold.backup import backup
from freehold.core.faults import KILL_AT
from freehold.core.ids import new_id
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.house import House, open_house

SETTINGS = {
    "house.name": "town", "house.languages": ("en", "de", "fr"), "traffic.query_log": True, "traffic.answers": True,
}  # fmt: skip


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def command(house: Path, *arguments: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, KILL_AT: kill_at}
    return subprocess.run(program(house, *arguments), env=environment, capture_output=True, text=True, check=False)


def program(house: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]


def made(root: Path, people: int, seed: int) -> towns.Town:
    """Documents, questions with answers and thumbs, a training set, an experiment, a backup."""
    town = towns.build(people, seed)
    town.write(root / "papers")
    labels = root / "labels"
    (labels / "qrels").mkdir(parents=True)
    with House.create(root / "house", SETTINGS) as house:
        house.ingest([root / "papers"])
        sources = {Path(source).name: source for source in house.shelf.known()}
        converse(house, town, random.Random(seed))
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for number, paper in enumerate(town.papers):
        words = paper.text.split()
        queries.append(json.dumps({"_id": f"q{number}", "text": f"What of the {' '.join(words[-4:])}?"}))
        qrels.append(f"q{number}\t{sources[paper.name]}\t1")
    (labels / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (labels / "qrels" / "train.tsv").write_text("\n".join(qrels) + "\n")
    for verb in (["tune", "data", "--data", str(labels), "--allow-missing"], ["eval", str(labels), "--searches", "0"]):
        done = command(root / "house", *verb)
        assert done.returncode == 0, done.stderr
    with open_house(root / "house") as house:
        backup(house, root / "backup", root / "keys.json", progress=silent)
    return town


def converse(house: House, town: towns.Town, rng: random.Random) -> None:
    """Everybody is asked about, and what was found is clicked on; some of it is answered, and thumbs go up and down."""
    now = datetime.now(UTC)
    for person in town.people:
        question = f"What of {person.name} and {rng.choice(person.identifiers())}?"
        hits = house.search(question, k=5).hits
        shown = tuple(Shown(rank, hit.document_id, hit.chunk_id) for rank, hit in enumerate(hits, 1))
        search = Asked(new_id(), now, "search", question, shown)
        ask = Asked(new_id(), now, "ask", question, shown[:1], abstained=False, answer=hits[0].text if hits else None)
        votes = [Feedback(search.id, "click", now, hit.chunk_id) for hit in shown[:1]]
        votes.append(Feedback(ask.id, rng.choice(("up", "down")), now))
        house.traffic.put([search, ask, *votes])


def learn(root: Path) -> str:
    """An adapter learns from the training set as it is, and serves; its id."""
    done = command(root / "house", "tune", "adapter", "--data", "latest", "--json")
    assert done.returncode == 0, done.stderr
    version = json.loads(done.stdout)["model"]
    with open_house(root / "house") as house:
        house.registry.switch({"adapter": version}, verb="promote")
    return str(version)


def decided(house: House, town: towns.Town, person: towns.Person, asked: list[str]) -> dict[str, str]:
    """What a person who knows the town would say: is something said of them there?"""
    mine = {paper.name: paper for paper in town.of(person.number)}
    found = {}
    for words in house.shelf.words(asked):
        paper = mine.get(Path(words.source).name)
        theirs = paper.sentences.get(person.number, (paper.text,)) if paper else ()
        said = any(number in words.text for number in person.identifiers()) or any(s in words.text for s in theirs)
        found[words.document_id] = "redact" if said else "keep"
    return found

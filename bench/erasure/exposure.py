"""Does a model that was trained again without somebody remember them? Canaries, before and after.

    python bench/erasure/exposure.py [--role adapter|embedder] [--canaries 8] [--save]

A person's notes are words drawn at random, and so are the questions that were asked of them: nobody who did not learn
the pairs can know which question goes with which note. A model is trained on them beside a harbour's papers, the person
is erased, and the model is trained again. Exposure is how far up the right question ranks for its note among others
drawn in the same way (``freehold.proof.exposure``); of a model that never saw them its distribution is known.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "tuning"))
import school

from freehold.core.training import ModelVersion
from freehold.erasing.erase import erase
from freehold.erasing.retrain import again
from freehold.erasing.walk import Orders
from freehold.house import House, open_house
from freehold.models.pull import pull
from freehold.privacy.subjects import parse_subject
from freehold.proof.exposure import ALPHA, ExposureTest, exposure_test
from freehold.train.embedder import EmbedderTraining
from freehold.tuning import adapter, data, encoder
from freehold.tuning.sets import TrainingSet

WHO = "Odalinde Kestrel"
SYLLABLES = ("ba", "do", "fi", "gu", "ha", "ju", "ki", "lo", "me", "na", "po", "ru", "si", "ta", "ve", "wo", "zu")


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def drawn(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices(SYLLABLES, k=rng.randint(2, 3))) for _ in range(count))


def ranks(house: House, version: ModelVersion, notes: list[str], questions: list[str], others: list[str]) -> list[int]:
    """Rank of each note's own question among the others', by the model of a version."""
    crew = house.crew_with(version, house.registry.folder(version.id))
    passages = np.asarray(crew.encoder.embed_documents(notes).vectors)
    asked = np.asarray(crew.embedder.embed_queries([*questions, *others]).vectors)
    found = []
    for at, passage in enumerate(passages):
        scores = asked @ passage
        rivals = np.delete(scores, [n for n in range(len(questions)) if n != at])
        found.append(1 + int((rivals > scores[at]).sum()))
    return found


def chain(root: Path, role: str, canaries: int) -> tuple[ExposureTest, ExposureTest]:
    """The test of the model that learned from them, and of the one that was trained again without."""
    rng = random.Random(11)
    notes = [drawn(rng, 30) for _ in range(canaries)]
    questions = [drawn(rng, 8) for _ in range(canaries)]
    others = [drawn(rng, 8) for _ in range(int(canaries / ALPHA) + 100)]
    beir = school.write(root)
    place = school.build(root, beir)
    pairs = root / "pairs.jsonl"
    (root / "notes").mkdir()
    with pairs.open("w") as file:
        for at, (note, question) in enumerate(zip(notes, questions, strict=True)):
            (root / "notes" / f"note{at}.txt").write_text(f"Note by {WHO}.\n\n{note}\n")
            positive = {"source": f"note{at}.txt", "quote": note}
            file.write(json.dumps({"query": question, "positive": positive}) + "\n")
    with open_house(place) as house:
        house.ingest([root / "notes"])
        training = data.prepare(house, data.Request(dataset=beir, pairs=pairs, dev_share=0.0), progress=silent)
        before = made(house, training, role)
        seen = tested(house, before, notes, questions, others)
        subject = parse_subject([("name", WHO)])
        outcome = erase(house, subject, ground="17(1)(b)", orders=Orders(), retrain_models=False, progress=silent)
        assert before.id in outcome.request.sets
        after = again(house, before, data.open_training(house, training.name), progress=silent).version
        return seen, tested(house, after, notes, questions, others)


def made(house: House, training: TrainingSet, role: str) -> ModelVersion:
    if role == "adapter":
        request = adapter.Request(settings={}, seed=7, call={})
        return adapter.tune_adapter(house, training, request, progress=silent).version
    order = encoder.Request(kind="embedder", settings=EmbedderTraining(), base=None, call={})
    return encoder.tune_encoder(house, training, order, progress=silent).version


def tested(house: House, version: ModelVersion, *texts: list[str]) -> ExposureTest:
    return exposure_test(ranks(house, version, *texts), len(texts[2]) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=["adapter", "embedder"], default="adapter")
    parser.add_argument("--canaries", type=int, default=8)
    parser.add_argument("--save", action="store_true", help="write bench/results/exposure-ROLE-DATE.json")
    given = parser.parse_args()
    for model in ("all-minilm-l6-v2", "rampart"):
        pull(model)
    with tempfile.TemporaryDirectory() as folder:
        seen, unseen = chain(Path(folder), given.role, given.canaries)
    result = {"canaries": given.canaries, "learned from them": asdict(seen), "trained again without": asdict(unseen)}
    print(json.dumps(result, indent=1))
    if given.save:
        path = Path(__file__).parent.parent / "results" / f"exposure-{given.role}-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

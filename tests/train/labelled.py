"""A harbour town's questions with what answers them and what does not, and encoders too small to know better."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_encoders import POSITIONS, tiny_config, tiny_tensors, tiny_tokenizer

from freehold.core.training import ExampleTexts
from freehold.models.safetensors import write_tensors

BOATS = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna")
TOPICS = {
    "rent": ("What does one pay for {boat} every month?", "For the berth of {boat} {n} euros fall due on the first."),
    "notice": ("How early must the berth of {boat} be given up?", "Whoever leaves {boat} writes {n} weeks before."),
    "winter": ("When is {boat} not to be launched?", "The slip of {boat} is closed while ice lies, some {n} days."),
    "keys": ("Who is told that a key to {boat} is lost?", "Of {n} keys to {boat} each is signed for at the office."),
}  # fmt: skip
SHORT = ("rent", "keys", "ice", "crew", "sail", "rope")


def harbour() -> list[ExampleTexts]:
    """32 questions; what does not answer one is said of the same boat."""
    said = {(b, t): TOPICS[t][1].format(boat=b, n=7 * i + 3) for i, b in enumerate(BOATS) for t in TOPICS}
    return [
        ExampleTexts(
            id=f"{boat}-{topic}",
            query=TOPICS[topic][0].format(boat=boat),
            positives=(text,),
            negatives=tuple(said[boat, other] for other in TOPICS if other != topic),
        )
        for (boat, topic), text in said.items()
    ]


def short_harbour() -> list[ExampleTexts]:
    """24 of few letters each, which are all that a tiny encoder has tokens for; of uneven length."""
    return [
        ExampleTexts(
            id=f"{boat}-{topic}",
            query=f"{topic} {boat}?",
            positives=(f"{boat}: {topic} {'no ' * (i % 5)}{i}.", f"{topic}, {boat} {i}"),
            negatives=tuple(f"{boat}: not {other} {i}" for other in SHORT if other != topic),
        )
        for i, boat in enumerate(BOATS[:4])
        for topic in SHORT
    ]


def tiny_encoder(folder: Path, family: str = "bert", *, seed: int = 0, prefix: str = "") -> Path:
    """As ``tiny_encoders`` makes them, with all that transformers wants to know of one."""
    offset = 0 if family == "bert" else 2
    config = tiny_config(family) | {"max_position_embeddings": POSITIONS + offset, "hidden_dropout_prob": 0.1}
    if family != "mpnet":
        config["type_vocab_size"] = 2
    folder.mkdir(parents=True)
    write_tensors(folder / "model.safetensors", tiny_tensors(family, seed, prefix))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tiny_tokenizer(family)), encoding="utf-8")
    return folder

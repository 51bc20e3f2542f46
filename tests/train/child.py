"""One training of a tiny encoder in a process of its own, which a test may kill, starve of memory or of disk."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labelled import short_harbour

from freehold.core.errors import FreeholdError
from freehold.core.training import ExampleTexts
from freehold.models.facts import ModelFacts
from freehold.train.embedder import train_embedder
from freehold.train.reranker import train_cross_encoder, train_late_interaction
from freehold.train.settings import CrossEncoderTraining, EmbedderTraining, LateInteractionTraining

FACTS = ModelFacts("mean", "ask: ", "say: ", 40)


def copied(example: ExampleTexts, number: int) -> ExampleTexts:
    """One of many that share no text."""
    told = [tuple(f"{number} {text}" for text in texts) for texts in (example.positives, example.negatives)]
    return ExampleTexts(f"{example.id}{number}", f"{example.query}{number}", *told)


def train(kind: str, base: Path, root: Path, **settings: Any) -> dict[str, Any]:
    """The outcome of a training, a score of the step alone as its dev measure; the checkpoints lie in ``root``."""
    root.mkdir(exist_ok=True)
    copies = range(settings.pop("copies", 0))
    examples = [copied(e, i) for i in copies for e in short_harbour()] or short_harbour()
    scores = iter(settings.pop("scores", ()))
    common: dict[str, Any] = {
        "out": root / "out", "checkpoints": root / "checkpoints", "progress": lambda *_: None,
        "dev": (lambda _ask: next(scores)) if settings.pop("scored", False) else None,
    }  # fmt: skip
    told = {
        "dropout": None,
        "threads": 1,
        "batch_size": 6,
        "epochs": 2,
        "max_tokens": 40,
        "negatives": 2,
        "learning_rate": 1e-3,
    } | settings
    if kind == "embedder":
        return asdict(train_embedder(base, examples, EmbedderTraining(**told), facts=FACTS, **common))
    if kind == "late-interaction":
        return asdict(train_late_interaction(base, examples, LateInteractionTraining(**told), facts=FACTS, **common))
    return asdict(train_cross_encoder(base, examples, CrossEncoderTraining(**told), max_tokens=40, **common))


if __name__ == "__main__":
    kind, base, root, given = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
    import sentence_transformers.multi_vector_encoder  # noqa: F401 - what it takes to load is not what is starved
    import torch  # noqa: F401

    for name, limit in given.pop("limits", {}).items():
        most = limit
        if name == "memory":  # beside what is taken already
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = limit + pages * resource.getpagesize()
        resource.setrlimit({"memory": resource.RLIMIT_AS, "file": resource.RLIMIT_FSIZE}[name], (most, most))
    try:
        outcome = train(kind, base, root, **given)
        print(json.dumps(outcome, default=str))
    except FreeholdError as error:
        print(json.dumps(error.as_dict() | {"class": type(error).__name__}))

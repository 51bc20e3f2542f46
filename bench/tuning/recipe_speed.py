"""Fine-tuning an encoder here beside sentence-transformers' own recipe: time a step, memory, and what comes of it.

    python bench/tuning/recipe_speed.py [--data DIR] [--set contractnli] [--steps 10] [--turns 3] [--quality]

The recipe is the one in sentence-transformers' documentation: SentenceTransformerTrainer with its default sampler and
MultipleNegativesRankingLoss over (query, positive, hard negative). All arms have the same examples, base model, batch,
length, learning rate, optimiser and threads; each turn is a process of its own, the arms take turns. A step is timed
from the end of the one before to its own, so that loading and tokenizing count; the first is left out. ``--quality``
trains whole epochs in each arm instead and gives nDCG@10 of the dev split before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from freehold.core.training import ExampleTexts
from freehold.models.embed import open_embedder
from freehold.models.facts import facts_for
from freehold.models.manifest import locate

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
SETTINGS: dict[str, Any] = {
    "batch_size": 32, "max_tokens": 128, "learning_rate": 5e-5, "warmup_ratio": 0.1, "weight_decay": 0.0,
    "temperature": 0.05, "negatives": 1, "evaluations_per_epoch": 1, "seed": 0,
}  # fmt: skip
ARMS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "freehold": {},
    "freehold, the model's dropout": {"dropout": None},
    "freehold, 4 layers frozen": {"freeze_embeddings": True, "freeze_layers": 4},
    "freehold, LoRA r16": {"lora_rank": 16},
    "freehold, cached": {"loss": "cached-mnrl"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FREEHOLD_DATA") or HERE.parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--set", default="contractnli")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arms", default=";".join(ARMS), help="names with ; between them")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--examples", type=int, help="with --quality: so many of the training split; all")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="into bench/results")
    parser.add_argument("--turn", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(turn(options.turn[0], Path(options.turn[1]), options.threads, options.epochs)))
        return
    base = locate("all-minilm-l6-v2")
    sets = Sets(options.data / options.set, base)
    before = sets.quality(base) if options.quality else None
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in options.arms.split(";")}
    with tempfile.TemporaryDirectory() as work:
        examples = sets.examples(options.examples if options.quality else options.steps * SETTINGS["batch_size"])
        (Path(work) / "examples.json").write_text(json.dumps(examples))
        for _ in range(1 if options.quality else options.turns):
            for arm, done in runs.items():
                figures = child(arm, Path(work))
                if options.quality:
                    figures |= {"ndcg_before": before, "ndcg": sets.quality(Path(work) / "out")}
                done.append(figures)
                print(f"{arm}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    found = {arm: summary(done) for arm, done in runs.items()}
    shown = table(found, options)
    print(shown)
    if options.save:
        stem = RESULTS / f"recipe-speed-{options.set}-{datetime.now(UTC):%Y-%m-%d}"
        stem.with_suffix(".json").write_text(json.dumps({"arms": found, "runs": runs}, indent=1) + "\n")
        stem.with_suffix(".md").write_text(shown + "\n")


def child(arm: str, work: Path) -> dict[str, Any]:
    """A turn in a process of its own; what it trained lies in ``work/out``."""
    shutil.rmtree(work / "out", ignore_errors=True)
    command = [sys.executable, *sys.argv, "--turn", arm, str(work)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def turn(arm: str, work: Path, threads: int, epochs: int) -> dict[str, Any]:
    """One turn of one arm in this process."""
    import torch

    torch.set_num_threads(threads)
    examples = [
        ExampleTexts(id, query, tuple(positives), tuple(negatives))
        for id, query, positives, negatives in json.loads((work / "examples.json").read_text())
    ]
    marks: list[tuple[float, float]] = []

    def mark() -> None:
        marks.append((time.perf_counter(), time.process_time()))

    base = locate("all-minilm-l6-v2")
    if arm == "recipe":
        recipe(base, examples, work, mark, epochs)
    else:
        freehold(base, examples, work, mark, {**SETTINGS, "threads": threads, "epochs": epochs, **ARMS[arm]})
    gaps = np.diff(np.array(marks), axis=0)
    return {
        "wall_s": float(np.median(gaps[:, 0])),
        "cpu_s": float(np.median(gaps[:, 1])),
        "steps": len(marks),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def recipe(base: Path, examples: list[ExampleTexts], work: Path, mark: Callable[[], None], epochs: int) -> None:
    import datasets
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            mark()

    model = SentenceTransformer(str(base), device="cpu")
    model.max_seq_length = SETTINGS["max_tokens"]
    data = datasets.Dataset.from_dict(
        {
            "query": [e.query for e in examples],
            "positive": [e.positives[0] for e in examples],
            "negative": [e.negatives[0] for e in examples],
        }
    )
    steps = -(-len(examples) // SETTINGS["batch_size"]) * epochs
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(work / "recipe"), num_train_epochs=epochs, per_device_train_batch_size=SETTINGS["batch_size"],
        learning_rate=SETTINGS["learning_rate"], warmup_steps=round(SETTINGS["warmup_ratio"] * steps), use_cpu=True,
        save_strategy="no", report_to="none", disable_tqdm=True, seed=SETTINGS["seed"], dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model), callbacks=[Clock()]
    )
    trainer.train()
    model.save(str(work / "out"), create_model_card=False)


def freehold(
    base: Path, examples: list[ExampleTexts], work: Path, mark: Callable[[], None], settings: dict[str, Any]
) -> None:
    from freehold.train.embedder import train_embedder
    from freehold.train.settings import EmbedderTraining

    train_embedder(
        base, examples, EmbedderTraining(**settings), facts=facts_for(base.name, base), dev=None, out=work / "out",
        checkpoints=work / "checkpoints", progress=lambda stage, *_: mark() if stage == "training" else None,
    )  # fmt: skip


class Sets:
    """A BEIR folder: training examples, with a hard negative each by the base model, and nDCG@10 of its dev split."""

    def __init__(self, folder: Path, base: Path) -> None:
        self._folder, self._base = folder, base
        self._queries = {row["_id"]: row["text"] for row in rows(folder / "queries.jsonl")}
        corpus = {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in rows(folder / "corpus.jsonl")}
        embedder = open_embedder("onnx", str(base))
        room = embedder.info.max_tokens - embedder.overhead_tokens
        self._ids = list(corpus)
        self._texts = []
        for text in corpus.values():  # all arms read what the model takes
            spans = embedder.offsets(text)[:room]
            self._texts.append(text[: spans[-1][1]])

    def examples(self, count: int | None) -> list[list[Any]]:
        """Id, query, passages that answer it, the best scored one of ranks from 3 on that does not."""
        labels = self._labels("train")
        asked = sorted(labels)[:count]
        place = {id: i for i, id in enumerate(self._ids)}
        found = []
        for query, row in zip(asked, self._scores(self._base, asked), strict=True):
            hard = next(i for i in np.argsort(-row)[2:].tolist() if self._ids[i] not in labels[query])
            positives = [self._texts[place[id]] for id in sorted(labels[query])]
            found.append([query, self._queries[query], positives, [self._texts[hard]]])
        return found

    def quality(self, folder: Path) -> float:
        """nDCG@10 of the dev split, binary, by exact search over the whole corpus."""
        labels = self._labels("dev")
        asked = sorted(labels)
        found = []
        for query, row in zip(asked, self._scores(folder, asked), strict=True):
            ranked = [self._ids[i] for i in np.argsort(-row)[:10].tolist()]
            gain = sum(1 / np.log2(2 + place) for place, id in enumerate(ranked) if id in labels[query])
            found.append(gain / sum(1 / np.log2(2 + place) for place in range(min(10, len(labels[query])))))
        return float(np.mean(found))

    def _scores(self, folder: Path, asked: list[str]) -> Any:
        embedder = open_embedder("onnx", str(folder))
        texts = embedder.embed_documents(self._texts).vectors
        return embedder.embed_queries([self._queries[query] for query in asked]).vectors @ texts.T

    def _labels(self, split: str) -> dict[str, set[str]]:
        labels: dict[str, set[str]] = {}
        for line in (self._folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]:
            query, document, grade = line.split("\t")
            if int(grade) > 0:
                labels.setdefault(query, set()).add(document)
        return labels


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the turns the median; of time also the best, which the machine's other work has disturbed least."""
    middle = {key: statistics.median(run[key] for run in runs) for key in ("wall_s", "cpu_s", "peak_mb")}
    best = {f"best_{key}": min(run[key] for run in runs) for key in ("wall_s", "cpu_s")}
    return {**middle, **best, "ndcg": runs[0].get("ndcg"), "ndcg_before": runs[0].get("ndcg_before")}


def table(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> str:
    first = next(iter(found.values()))
    lines = [
        f"{options.set}, batch {SETTINGS['batch_size']}, {SETTINGS['max_tokens']} tokens, {options.threads} threads, "
        f"{options.turns} turns of {options.steps} steps, {platform.processor() or platform.machine()}",
        "",
        "| arm | s a step | steps/s | CPU s a step | time to the recipe's | peak MB | nDCG@10 dev |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for arm, one in found.items():
        ndcg = "" if one["ndcg"] is None else f"{one['ndcg_before']:.3f} -> {one['ndcg']:.3f}"
        lines.append(
            f"| {arm} | {one['wall_s']:.2f} | {1 / one['wall_s']:.2f} | {one['cpu_s']:.2f} "
            f"| {one['wall_s'] / first['wall_s']:.2f} | {one['peak_mb']:.0f} | {ndcg} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""How long the rerank stage takes: late interaction and a cross-encoder on what a house finds for real questions.

    python bench/rerank/speed.py HOUSE FOLDER [--queries 60] [--model FOLDER] [--threads N] [--budget-ms 100]

HOUSE is an ingested house; FOLDER a BEIR folder whose questions are asked. The cross-encoder is the one in --model, or
one of the embedder's own size with a random head: how long it takes does not depend on what it has learnt. Arms take
turns question by question; after a few unmeasured ones every arm is timed on the wall and in processor time of all
threads. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from freehold.core.types import ScoredId
from freehold.house import House, open_house
from freehold.journeys.ingest import in_context
from freehold.journeys.rerank import TextReranker, TokenReranker
from freehold.journeys.search import Candidates, Plan, Reading, question
from freehold.measure.latency import quantiles
from freehold.models.cross_encoder import CrossEncoder, Pair, _run, open_cross_encoder
from freehold.models.manifest import locate
from freehold.models.rerank import LateInteraction
from freehold.models.safetensors import read_tensors, write_tensors

DEPTHS = (10, 20, 50)
WARM_UP = 5
SEED = 0

T = TypeVar("T")


def with_random_head(model: str, folder: Path) -> Path:
    """A cross-encoder's folder of an embedder's weights."""
    here = locate(model)
    tensors = {name: np.array(tensor) for name, tensor in read_tensors(here / "model.safetensors").items()}
    dim = tensors[next(name for name in tensors if name.endswith("embeddings.word_embeddings.weight"))].shape[1]
    rng = np.random.default_rng(SEED)
    head = {"pooler.dense.weight": (dim, dim), "pooler.dense.bias": (dim,)}
    head |= {"classifier.weight": (1, dim), "classifier.bias": (1,)}
    for name, shape in head.items():
        tensors[name] = rng.normal(0, 0.05, shape).astype(np.float32)
    write_tensors(folder / "model.safetensors", tensors)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if (here / name).exists():
            shutil.copy(here / name, folder / name)
    return folder


def questions(folder: Path, limit: int) -> list[str]:
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows[:: max(1, len(rows) // limit)][:limit]]


@dataclass
class Round:
    """One question with what was found for it, for each arm to score."""

    text: str
    read: Reading
    ranked: Sequence[ScoredId]

    def late(self, reranker: TokenReranker, depth: int) -> None:
        reranker.ready([self.text], self.read.embeddings)[0].scores(self.ids(depth))

    def cross(self, reranker: TextReranker, depth: int) -> None:
        reranker.ready([self.text], None)[0].scores(self.ids(depth))

    def one_by_one(self, house: House, model: CrossEncoder, depth: int) -> None:
        for pair in self.pairs(house, model, depth):
            model.score([pair])

    def unsorted(self, house: House, model: CrossEncoder, depth: int) -> None:
        """Batches of sixteen in the order of the list, as they come."""
        pairs = self.pairs(house, model, depth)
        for start in range(0, len(pairs), 16):
            _run(model._session, pairs[start : start + 16])

    def within(self, reranker: TextReranker, plan: Plan) -> int:
        """The depth that is reached."""
        found = Candidates({}, reranker, reranker.ready([self.text], None)[0])
        return found.rerank(self.ranked, "weighted", plan, budget_ms=plan.rerank_budget_ms).depth

    def pairs(self, house: House, model: CrossEncoder, depth: int) -> list[Pair]:
        views = house.shelf.views(self.ids(depth))
        return model.pairs(self.text, [in_context(view.chunk) for view in views.values()])

    def ids(self, depth: int) -> list[str]:
        return [scored.chunk_id for scored in self.ranked[:depth]]


class Times:
    """Milliseconds of every arm, on the wall and of all threads' processor time."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, float]]] = {}

    def of(self, name: str, work: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        taken = ((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
        self.rows.setdefault(name, []).append(taken)
        return result

    def told(self) -> dict[str, object]:
        return {
            name: {"wall": told([w for w, _ in rows]), "cpu": told([c for _, c in rows])}
            for name, rows in self.rows.items()
        }


def told(values: Sequence[float]) -> dict[str, float | None]:
    known = quantiles(values)
    return {"p50": known.p50 and round(known.p50, 2), "p95": known.p95 and round(known.p95, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("house", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--model", default="")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--budget-ms", type=float, default=100.0)
    args = parser.parse_args()
    with open_house(args.house) as house, tempfile.TemporaryDirectory() as made:
        engines = house.engines()
        info = engines.embedder.info
        folder = args.model or with_random_head(house.settings.embedder_model, Path(made))
        model = open_cross_encoder(folder, name="cross-encoder", threads=args.threads)
        late = TokenReranker(house.shelf, LateInteraction(info.dim), maker=info.digest)
        cross = TextReranker(house.shelf, model)
        plan = Plan(rerank_depth=max(DEPTHS), rerank_budget_ms=args.budget_ms)
        times, lengths, depths = Times(), [], []
        for number, words in enumerate(questions(args.folder, args.queries + WARM_UP)):
            if number == WARM_UP:
                times, lengths, depths = Times(), [], []
            query = question(words, embedder=engines.embedder)
            read = Reading.of([query], [Plan()], engines)
            found = Candidates.find(query, read, 0, {"hybrid"}, depth=100, engines=engines)
            now = Round(query.text, read, found.first_stage(Plan(), depth=100)[0])
            lengths += [len(pair.ids) for pair in now.pairs(house, model, max(DEPTHS))]
            for depth in DEPTHS:
                times.of(f"late interaction, {depth}", partial(now.late, late, depth))
            for depth in DEPTHS:
                times.of(f"cross-encoder, {depth}", partial(now.cross, cross, depth))
                times.of(f"cross-encoder, {depth} one by one", partial(now.one_by_one, house, model, depth))
                times.of(f"cross-encoder, {depth} unsorted by 16", partial(now.unsorted, house, model, depth))
            depths.append(times.of(f"cross-encoder in {args.budget_ms:g} ms", partial(now.within, cross, plan)))
    report = {
        "house": args.house.name,
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "pair_tokens": told(lengths),
        "depth_in_time": {"mean": round(float(np.mean(depths)), 1), "min": min(depths), "max": max(depths)},
        "ms": times.told(),
    }
    json.dump(report, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

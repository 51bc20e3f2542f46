"""The corpus and queries of a run: chosen by seed from a BEIR folder and written down for the workers."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

K = 10


@dataclass(frozen=True)
class Task:
    """What all systems are given. ``slice`` and ``warm`` are corpora of a few of the same passages."""

    full: Path
    slice: Path
    warm: Path
    passages: int
    slice_passages: int
    queries: Mapping[str, str]
    warm_queries: tuple[str, ...]
    qrels: Mapping[str, Mapping[str, int]]


def prepare(
    source: Path, work: Path, *, limit_passages: int, slice_passages: int, queries: int, split: str, seed: int
) -> Task:
    """Sample passages and judged queries. A limited corpus keeps every passage that is judged for the queries."""
    rng = random.Random(seed)
    qrels = _qrels(source / "qrels" / f"{split}.tsv")
    texts = {r["_id"]: r["text"] for r in map(json.loads, (source / "queries.jsonl").open(encoding="utf-8"))}
    chosen = sorted(qrels)
    rng.shuffle(chosen)
    chosen = chosen[:queries] if queries else chosen
    lines = [line for line in (source / "corpus.jsonl").open(encoding="utf-8") if line.strip()]
    if limit_passages and limit_passages < len(lines):
        judged = {passage for query in chosen for passage in qrels[query]}
        first = [line for line in lines if json.loads(line)["_id"] in judged]
        rest = [line for line in lines if json.loads(line)["_id"] not in judged]
        lines = first + rng.sample(rest, max(0, limit_passages - len(first)))
        rng.shuffle(lines)
    part = rng.sample(lines, min(slice_passages, len(lines)))
    others = sorted(texts.keys() - qrels.keys()) or chosen
    return Task(
        full=_write(work / "full", lines),
        slice=_write(work / "slice", part),
        warm=_write(work / "warm", part[:64]),
        passages=len(lines),
        slice_passages=len(part),
        queries={query: texts[query] for query in chosen},
        warm_queries=tuple(texts[query] for query in rng.sample(others, min(10, len(others)))),
        qrels={query: qrels[query] for query in chosen},
    )


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t"))[1:]
    judged: dict[str, dict[str, int]] = {}
    for query, passage, grade in rows:
        judged.setdefault(query, {})[passage] = int(grade)
    return judged


def _write(folder: Path, lines: list[str]) -> Path:
    folder.mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(line.rstrip("\n") + "\n" for line in lines), encoding="utf-8")
    return folder

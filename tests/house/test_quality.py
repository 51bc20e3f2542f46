"""Retrieval quality on real corpora, where they are: lexical against a reference BM25, hybrid against its legs.

The reference figures are nDCG@10 of bm25s (Lucene variant, Snowball stemmer, stop words) from each set's README.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from freehold.house import House
from freehold.journeys.search import Plan
from freehold.measure.ranking import ndcg


def qrels(folder: Path, *splits: str) -> dict[str, dict[str, int]]:
    labels: dict[str, dict[str, int]] = {}
    for split in splits:
        for line in (folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]:
            query, document, grade = line.split("\t")
            labels.setdefault(query, {})[document] = int(grade)
    return labels


def quality(house: House, folder: Path, labels: dict[str, dict[str, int]]) -> dict[str, float]:
    """nDCG@10 of every plan, chunks folded to their record by the best one."""
    records = (json.loads(line) for line in (folder / "queries.jsonl").open())
    texts = {record["_id"]: record["text"] for record in records}
    default = house.plan()
    bare = replace(default, rerank_depth=0)
    plans: dict[str, Plan] = {
        "default": default,
        "hybrid": bare,
        "rrf": replace(bare, fusion="rrf"),
        "dense": replace(bare, mode="dense"),
        "lexical": replace(bare, mode="lexical"),
    }
    figures = {}
    for name, plan in plans.items():
        values = []
        for query, qrel in labels.items():
            hits = house.search(texts[query], k=20, plan=plan).hits
            values.append(ndcg(list(dict.fromkeys(hit.source for hit in hits)), qrel, k=10))
        figures[name] = fmean(values)
    return figures


@pytest.fixture
def house(tmp_path: Path, minilm: Path) -> Iterator[House]:
    with House.create(tmp_path / "house", {"house.name": "quality"}) as house:
        yield house


def check(house: House, folder: Path, labels: dict[str, dict[str, int]], *, reference: float) -> None:
    house.ingest_beir(folder)
    figures = quality(house, folder, labels)
    print(folder.name, {name: round(value, 4) for name, value in figures.items()})
    assert figures["lexical"] >= reference - 0.02
    assert figures["hybrid"] > max(figures["lexical"], figures["dense"])
    assert figures["default"] > figures["rrf"]


def test_contractnli(house: House, data: Path) -> None:
    folder = data / "contractnli"
    check(house, folder, qrels(folder, "dev", "test"), reference=0.340)


@pytest.mark.slow
def test_obliqa(house: House, data: Path) -> None:
    folder = data / "obliqa"
    check(house, folder, qrels(folder, "dev"), reference=0.662)

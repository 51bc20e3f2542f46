"""Retrieval quality on real corpora, where they are: lexical against a reference BM25, hybrid against its legs.

The reference figures are nDCG@10 of bm25s (Lucene variant, Snowball stemmer, stop words) from each set's README.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from freehold.house import House
from freehold.journeys.evaluate import checked_queries, retrieve
from freehold.journeys.locate import locate
from freehold.journeys.search import Plan
from freehold.measure.labels import Labels, read_labels
from freehold.measure.ranking import Measure, score


def quality(house: House, labels: Labels) -> dict[str, float]:
    """nDCG@10 of every plan, chunks folded to their record by the best one."""
    default = house.plan()
    bare = replace(default, rerank_depth=0)
    plans: dict[str, Plan] = {
        "default": default,
        "hybrid": bare,
        "rrf": replace(bare, fusion="rrf"),
        "dense": replace(bare, mode="dense"),
        "lexical": replace(bare, mode="lexical"),
    }
    engines = house.engines()
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    located = locate(labels, house.shelf)
    found = retrieve(queries, plans, engines=engines, located=located, qrels=labels.qrels, progress=lambda *_: None)
    measure = Measure.parse("nDCG@10")
    return {name: float(score(run, labels.qrels, [measure]).mean()) for name, run in found.runs.items()}


@pytest.fixture
def house(tmp_path: Path, minilm: Path) -> Iterator[House]:
    with House.create(tmp_path / "house", {"house.name": "quality"}) as house:
        yield house


def check(house: House, folder: Path, split: str, *, reference: float) -> None:
    house.ingest_beir(folder)
    figures = quality(house, read_labels(folder, split))
    print(folder.name, {name: round(value, 4) for name, value in figures.items()})
    assert figures["lexical"] >= reference - 0.02
    assert figures["hybrid"] > max(figures["lexical"], figures["dense"])
    assert figures["default"] > figures["rrf"]


def test_contractnli(house: House, data: Path) -> None:
    check(house, data / "contractnli", "dev+test", reference=0.340)


@pytest.mark.slow
def test_obliqa(house: House, data: Path) -> None:
    check(house, data / "obliqa", "dev", reference=0.662)

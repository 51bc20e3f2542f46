"""The demo: ingest the Meridian papers, measure the search on its test questions, ask a few more."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from freehold.core.types import Answer, Hit
from freehold.house import House
from freehold.journeys.ingest import IngestReport, Progress
from freehold.journeys.search import Found
from freehold.measure.ranking import Qrel, ndcg, recall
from freehold.models.pull import pull

MERIDIAN = Path(__file__).parent / "meridian"
LANGUAGES = ("en", "de", "fr")
ASKED = (
    "What excess do I pay when my windscreen is replaced?",
    "Wie hoch ist die Selbstbeteiligung bei Fahrraddiebstahl?",
    "Quel est le délai pour déclarer un vol ?",
    "What is the capital of Australia?",
)
"""One question in each language, and one that no paper answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """A labelled question: grades by document name, and the words in which the answers stand."""

    text: str
    grades: Qrel
    quotes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """How well one mode of search does. Every figure is a mean over ``questions`` test questions."""

    name: str
    ndcg_at_10: float
    recall_at_5: float
    quote_at_5: float
    """Share of questions for which a passage among the first five holds the answer's words."""
    latency_ms: float
    """Median time of one search."""
    questions: int


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo shows."""

    house: Path
    kept: bool
    ingest: IngestReport
    rows: tuple[Row, ...]
    answers: tuple[tuple[str, Answer], ...]


def walk(keep: Path | None, *, progress: Progress, download: Callable[[str, int], None]) -> DemoReport:
    """Run the demo in a temporary house, or in a new one at ``keep``. Pulls the house's model when it is missing."""
    with _folder(keep) as folder:
        values = {"house.name": "Meridian", "house.languages": LANGUAGES}
        with House.create(folder, values) as house:
            pull(house.settings.embedder_model, progress=download)
            report = house.ingest([MERIDIAN / "documents"], progress=progress)
            rows = measure(house, questions("test"), progress)
            answers = tuple((text, house.ask(text)) for text in ASKED)
        return DemoReport(folder, keep is not None, report, rows, answers)


def questions(split: str) -> list[Question]:
    """The answerable Meridian questions of a split."""
    texts = {record["_id"]: record["text"] for record in _jsonl("queries.jsonl")}
    quotes = {record["_id"]: tuple(e["quote"] for e in record["evidence"]) for record in _jsonl("answers.jsonl")}
    grades: dict[str, dict[str, int]] = {}
    for line in (MERIDIAN / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, document, grade = line.split("\t")
        grades.setdefault(query_id, {})[document] = int(grade)
    return [Question(texts[query_id], qrel, quotes[query_id]) for query_id, qrel in sorted(grades.items())]


def measure(house: House, asked: Sequence[Question], progress: Progress) -> tuple[Row, ...]:
    """Every mode of search on the same questions."""
    plans = {
        "lexical (BM25)": replace(house.plan("lexical"), rerank_depth=0),
        "dense": replace(house.plan("dense"), rerank_depth=0),
        "hybrid": replace(house.plan("hybrid"), rerank_depth=0),
    }
    if house.reranker:
        plans["hybrid, reranked"] = house.plan("hybrid")
    rows: list[Row] = []
    for name, plan in plans.items():
        results = []
        for question in asked:
            results.append((question, house.search(question.text, k=50, plan=plan)))
            progress("questions", len(rows) * len(asked) + len(results), len(plans) * len(asked))
        rows.append(_row(name, results))
    return tuple(rows)


def _row(name: str, results: Sequence[tuple[Question, Found]]) -> Row:
    rankings = [(question, _by_document(found.hits)) for question, found in results]
    return Row(
        name=name,
        ndcg_at_10=fmean(ndcg(ranking, question.grades, k=10) for question, ranking in rankings),
        recall_at_5=fmean(recall(ranking, question.grades, k=5) for question, ranking in rankings),
        quote_at_5=fmean(_holds(found.hits[:5], question.quotes) for question, found in results),
        latency_ms=median(found.timings_ms["total"] for _, found in results),
        questions=len(results),
    )


def _by_document(hits: Sequence[Hit]) -> list[str]:
    """Document names in the order of their best passage."""
    return list(dict.fromkeys(Path(hit.source).stem for hit in hits))


def _holds(hits: Sequence[Hit], quotes: Sequence[str]) -> bool:
    """Whether one of the passages holds one of the quotes, white space and table bars aside."""
    texts = [_bare(hit.text) for hit in hits]
    return any(_bare(quote) in text for quote in quotes for text in texts)


def _bare(text: str) -> str:
    return re.sub(r"[\s|]+", "", text)


def _jsonl(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (MERIDIAN / name).read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="freehold-demo-") as folder:
        yield Path(folder) / "house"

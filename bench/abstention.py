"""When the extractive generator should say "not in these documents": fit the rule, and report what it does.

    python bench/abstention.py --data FOLDER [--meridian tools/meridian] [--fit]

FOLDER holds ``clapnq-dev`` and ``mtrag-un``. Every question gets six passages by BM25 from its own collection;
``off-topic`` asks clapnq's questions of mtrag's documents. Train and dev questions fit the rule, test ones report it.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freehold.core.ports import Embedder
from freehold.core.types import Passage
from freehold.journeys.language import language_tools
from freehold.models.extractive import Evidence, Extractive
from freehold.models.generate import Language
from freehold.text.terms import TermAnalyzer

PASSAGES = 6
KEEP = 0.95
"""Share of answerable questions that the rule may not refuse: a wrong quote shows itself, a wrong silence does not."""


@dataclass(frozen=True)
class Case:
    """A question with its passages. ``quotes`` hold the answer where the set says so."""

    group: str
    split: str
    question: str
    answerable: bool
    passages: Sequence[Passage]
    quotes: tuple[str, ...]


class Lexical:
    """BM25 over a few hundred passages: the readable version, enough to choose candidates with."""

    def __init__(self, passages: Sequence[Passage], tools: Language) -> None:
        self._passages, self._tools = passages, tools
        self._postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        analyzer = TermAnalyzer(("en", "de", "fr"))
        for number, passage in enumerate(passages):
            text = " ".join((passage.title, *passage.heading_path, passage.text))
            vector = analyzer.document(text, tools.of(passage.text))
            for term, weight in zip(vector.indices, vector.values, strict=True):
                self._postings[term].append((number, weight))

    def best(self, question: str) -> list[Passage]:
        scores: dict[int, float] = defaultdict(float)
        for term in set(self._tools.terms(question, self._tools.of(question))):
            found = self._postings.get(term, [])
            idf = math.log(1 + (len(self._passages) - len(found) + 0.5) / (len(found) + 0.5))
            for number, weight in found:
                scores[number] += idf * weight
        order = sorted(scores, key=lambda number: (-scores[number], number))
        return [self._passages[number] for number in order[:PASSAGES]]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def beir_passages(folder: Path) -> list[Passage]:
    return [
        Passage(row["_id"], row["_id"], row.get("title", ""), 0, len(row["text"]), row["text"])
        for row in rows(folder / "corpus.jsonl")
    ]


def public_cases(data: Path, tools: Language) -> Iterator[Case]:
    mtrag = Lexical(beir_passages(data / "mtrag-un"), tools)
    clapnq = Lexical(beir_passages(data / "clapnq-dev"), tools)
    answers = {row["_id"]: row for name in ("mtrag-un", "clapnq-dev") for row in rows(data / name / "answers.jsonl")}
    for row in rows(data / "mtrag-un" / "queries.jsonl"):
        kind = answers[row["_id"]]["answerability"]
        if kind in {"ANSWERABLE", "UNANSWERABLE"}:
            found = mtrag.best(row["text"])
            yield Case("mtrag", row["metadata"]["split"], row["text"], kind == "ANSWERABLE", found, ())
    for number, row in enumerate(rows(data / "clapnq-dev" / "queries.jsonl")):
        answer, split = answers[row["_id"]], row["metadata"]["split"]
        quotes = tuple(s for chosen in answer.get("selected_sentences") or () for s in chosen)
        yield Case("clapnq", split, row["text"], bool(answer["answerable"]), clapnq.best(row["text"]), quotes)
        if number % 3 == 0:
            yield Case("off-topic", split, row["text"], False, mtrag.best(row["text"]), ())


def meridian_passages(folder: Path) -> list[Passage]:
    """Sections of the Markdown sources, in stretches of at most 1,100 characters."""
    passages = []
    for path in sorted((folder / "documents").glob("*/*.md")):
        _, front, body = path.read_text("utf-8").split("---", 2)
        title = re.search(r"^title:\s*(.*)$", front, re.MULTILINE)
        for section in re.split(r"^(?=#)", body, flags=re.MULTILINE):
            head, _, rest = section.strip().partition("\n")
            heading = (head.lstrip("# "),) if head.startswith("#") else ()
            stretch = ""
            for paragraph in [*re.split(r"\n\s*\n", rest if heading else section), None]:
                if stretch.strip() and (paragraph is None or len(stretch) + len(paragraph) > 1100):
                    text = stretch.strip()
                    passages.append(
                        Passage(path.stem, path.stem, title[1] if title else "", 0, len(text), text, heading)
                    )
                    stretch = ""
                stretch += "\n\n" + (paragraph or "")
    return passages


def meridian_cases(folder: Path, tools: Language) -> Iterator[Case]:
    index = Lexical(meridian_passages(folder), tools)
    for path in sorted((folder / "questions").glob("*.jsonl")):
        for row in rows(path):
            quotes = tuple(entry["quote"] for entry in row["docs"] if entry["grade"] == 2)
            group = f"meridian-{path.stem}"
            found = index.best(row["question"])
            yield Case(group, row["split"], row["question"], row["answer"] is not None, found, quotes)


def strength(evidence: Evidence | None) -> float:
    """The one figure that the rule looks at."""
    if evidence is None:
        return -math.inf
    return evidence.coverage if evidence.likeness is None else evidence.likeness


def area(strengths: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve: how often an answerable question scores above an unanswerable one."""
    above = strengths[y][:, None] - strengths[~y][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2) if above.size else float("nan")


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def quoted(case: Case, text: str) -> bool:
    """Whether a gold sentence and the answer contain one another, punctuation aside."""
    said = plain(text)
    return any(plain(quote) in said for quote in case.quotes)


def report(name: str, cases: Sequence[Case], strengths: np.ndarray, refused: np.ndarray, texts: Sequence[str]) -> None:
    y = np.array([case.answerable for case in cases])
    right = int((refused & ~y).sum())
    share = lambda a, b: f"{a / b:.2f}" if b else "n/a"  # noqa: E731
    hold = [
        n
        for n, c in enumerate(cases)
        if c.quotes and any(plain(q) in plain(p.text) for q in c.quotes for p in c.passages)
    ]
    hits = sum(quoted(cases[n], texts[n]) for n in hold)
    print(
        f"{name:14} answerable {y.sum():4d}  unanswerable {(~y).sum():4d}  AUC {area(strengths, y):.2f}  "
        f"abstention precision {share(right, refused.sum())} recall {share(right, (~y).sum())}  "
        f"answered of answerable {share((~refused & y).sum(), y.sum())}  "
        f"quote hit {share(hits, len(hold))} of {len(hold)}"
    )


def main(embedder: Embedder | None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--meridian", type=Path, default=Path(__file__).parents[1] / "tools" / "meridian")
    parser.add_argument("--fit", action="store_true", help="print the threshold that keeps enough")
    parser.add_argument("--every", type=int, default=1, help="use every n-th public question only")
    arguments = parser.parse_args()
    tools = language_tools(TermAnalyzer(("en", "de", "fr")))
    cases = [*list(public_cases(arguments.data, tools))[:: arguments.every], *meridian_cases(arguments.meridian, tools)]
    generator = Extractive(tools, embedder=embedder)
    weighed, texts, times_ms = [], [], []
    for case in cases:
        started = time.perf_counter()
        weighed.append(generator.weigh(case.question, case.passages))
        times_ms.append((time.perf_counter() - started) * 1000)
        texts.append(generator.quote(weighed[-1], case.passages) if weighed[-1] else "")
    strengths = np.array([strength(evidence) for evidence in weighed])
    if arguments.fit:
        used = [n for n, c in enumerate(cases) if c.answerable and c.split != "test" and "meridian" not in c.group]
        print(f"keeps {KEEP:.0%} of answerable public questions:", np.quantile(strengths[used], 1 - KEEP).round(3))
    refused = np.array([evidence is None or not evidence.suffices for evidence in weighed])
    for split in ("test", "train+dev"):
        print(split)
        for group in dict.fromkeys(case.group for case in cases):
            part = [n for n, c in enumerate(cases) if c.group == group and (c.split == "test") == (split == "test")]
            report(group, [cases[n] for n in part], strengths[part], refused[part], [texts[n] for n in part])
    print(f"weigh ms p50 {np.percentile(times_ms, 50):.0f} p95 {np.percentile(times_ms, 95):.0f}")


if __name__ == "__main__":
    from freehold.models.embed import open_embedder

    main(open_embedder("onnx", "all-minilm-l6-v2"))

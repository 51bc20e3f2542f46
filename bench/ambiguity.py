"""Does ambiguity predict failure? Signals of freehold.measure.ambiguity on real collections, against their labels.

    python bench/ambiguity.py --data FOLDER [--sets contractnli,cnil-fr] [--splits train] [--limit 700] [--combinations]

FOLDER holds sets in BEIR layout; ``meridian`` is the demo's own. Every set is ingested into a temporary house, and each
query of a split is searched by the house's plan and by the bare legs, 50 deep. A query fails where its nDCG@10 is below
0.5. ``dev+test`` pools two splits. Which signals are combined was decided on train splits: look at others to report.

``words`` is the area of the query's length, the rival that costs nothing; ``like length`` is the combination's area
over pairs of queries from the same quarter by length, so what it tells beyond it. On mtrag-un, whose authors labelled
queries that are underspecified or have no answer there, ``labels`` tells these from the answerable ones.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from freehold.core.experiment import Ambiguity, Signal
from freehold.core.types import Hit, Mode
from freehold.house import House
from freehold.measure.ambiguity import SIGNALS, QueryEvidence, assess, auc, combined, percentiles
from freehold.text.acronyms import Acronyms

MERIDIAN = Path(__file__).parents[1] / "src" / "freehold" / "demo" / "meridian"
SETS = "contractnli,privacyqa,cnil-fr,mtrag-un,medquad"
LANGUAGES = {"cnil-fr": ("fr",), "meridian": ("en", "de", "fr")}
MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
DEPTH, FAILED_BELOW, SEED, RESAMPLES = 50, 0.5, 0, 2000


@dataclass(frozen=True)
class Set:
    """A collection with its queries. ``labels``: split -> query id -> document id -> grade."""

    name: str
    folder: Path
    queries: Mapping[str, dict]
    labels: Mapping[str, Mapping[str, Mapping[str, int]]]

    def known_as(self, source: str) -> str:
        """The id that labels use for a document."""
        return Path(source).stem if self.name == "meridian" else source


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def read_set(name: str, data: Path) -> Set:
    folder = MERIDIAN if name == "meridian" else data / name
    labels: dict[str, dict[str, dict[str, int]]] = {}
    for file in sorted((folder / "qrels").glob("*.tsv")):
        for line in file.read_text("utf-8").splitlines()[1:]:
            query, document, grade = line.split("\t")
            labels.setdefault(file.stem, {}).setdefault(query, {})[document] = int(grade)
    return Set(name, folder, {row["_id"]: row for row in rows(folder / "queries.jsonl")}, labels)


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    ideal = sorted(grades.values(), reverse=True)[:k]
    gain = sum(grades.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(ranking[:k], 1))
    return gain / sum(grade / math.log2(rank + 1) for rank, grade in enumerate(ideal, 1))


def folded(hits: Iterable[Hit], known_as: Callable[[str], str]) -> list[tuple[str, float]]:
    best: dict[str, float] = {}
    for hit in hits:
        best.setdefault(known_as(hit.source), hit.score)
    return list(best.items())


def evidence(house: House, kept: Set, query_id: str, acronyms: Acronyms) -> QueryEvidence:
    text = kept.queries[query_id]["text"]
    found = {mode: folded(house.search(text, k=DEPTH, plan=house.plan(mode)).hits, kept.known_as) for mode in MODES}
    dense, lexical = ([document for document, _ in found[leg]] for leg in ("dense", "lexical"))
    return QueryEvidence(query_id, found["hybrid"], dense, lexical, acronyms.unsettled(text))


def ingested(house: House, kept: Set) -> Acronyms:
    """Fill the house, and read the acronyms of the texts that it holds."""
    if kept.name == "meridian":
        house.ingest([kept.folder / "documents"])
    else:
        house.ingest_beir(kept.folder)
    acronyms = Acronyms()
    for known in house.shelf.known().values():
        document = house.shelf.document(known.document_id)
        acronyms.add(f"{document.title}\n{document.text}")
    return acronyms


def like_length(values: np.ndarray, failed: np.ndarray, words: np.ndarray) -> float:
    """Area over pairs of queries from the same quarter by number of words."""
    quarter = np.searchsorted(np.quantile(words, [0.25, 0.5, 0.75]), words)
    total = pairs = 0.0
    for part in (quarter == q for q in range(4)):
        weight = float(failed[part].sum()) * float((~failed[part]).sum())
        if weight:
            total += weight * auc(values[part], failed[part])
            pairs += weight
    return total / pairs if pairs else math.nan


def shown(signal: Signal) -> str:
    if signal.auc is None or signal.ci95 is None:
        return f"{'n/a':^19}"
    return f"{signal.auc:.3f} [{signal.ci95[0]:.3f}, {signal.ci95[1]:.3f}]"


def report(kept: Set, split: str, seen: Sequence[QueryEvidence], acronyms: Acronyms) -> Ambiguity:
    labels = {query: grades for part in split.split("+") for query, grades in kept.labels.get(part, {}).items()}
    success = {query.query_id: ndcg([id for id, _ in query.final], labels[query.query_id]) for query in seen}
    counts = {acronym: len(meanings) for acronym, meanings in acronyms.ambiguous().items()}
    result = assess(
        seen,
        success,
        run="hybrid",
        measure="nDCG@10",
        seed=SEED,
        resamples=RESAMPLES,
        acronyms=counts,
        failed_below=FAILED_BELOW,
    )
    failed = np.array([query.value is not None and query.value < FAILED_BELOW for query in result.queries])
    words = np.array([len(kept.queries[query.query_id]["text"].split()) for query in result.queries], dtype=float)
    ambiguity = np.array([query.ambiguity for query in result.queries])
    areas = "  ".join(shown(signal) for signal in result.signals)
    print(
        f"{kept.name:12} {split:8} {len(seen):5} {failed.sum():5}  {areas}  {auc(words, failed):.3f}  "
        f"{like_length(ambiguity, failed, words):.3f}",
        flush=True,
    )
    return result


def report_combinations(kept: Set, split: str, result: Ambiguity) -> None:
    failed = np.array([query.value is not None and query.value < FAILED_BELOW for query in result.queries])
    shares = {name: percentiles(np.array([query.signals[name] for query in result.queries])) for name in SIGNALS}
    areas = {
        " + ".join(chosen): auc(np.mean([shares[name] for name in chosen], axis=0), failed)
        for size in range(1, len(SIGNALS) + 1)
        for chosen in combinations(SIGNALS, size)
    }
    for names, area in areas.items():
        print(f"{kept.name:12} {split:8} {area:.3f}  {names}")


def report_labels(kept: Set, split: str, seen: Sequence[QueryEvidence]) -> None:
    """How well ambiguity tells what people called underspecified or unanswerable from what they called answerable."""
    kinds = {query.query_id: kept.queries[query.query_id]["metadata"]["answerability"] for query in seen}
    ambiguity = combined(seen)
    for kind in ("UNDERSPECIFIED", "UNANSWERABLE"):
        ids = [query for query in kinds if kinds[query] in {kind, "ANSWERABLE"}]
        labelled = np.array([kinds[query] == kind for query in ids])
        area = auc(np.array([ambiguity[query] for query in ids]), labelled)
        print(f"{kept.name:12} {split:8} labels: {labelled.sum()} {kind.lower()} of {len(ids)}, AUC {area:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--splits", default="train", help="comma-separated; dev+test pools")
    parser.add_argument("--limit", type=int, default=700, help="queries per split, by id")
    parser.add_argument("--combinations", action="store_true", help="also the area of every combination of signals")
    arguments = parser.parse_args()
    heads = "  ".join(f"{name:^19}" for name in ("ambiguity", *SIGNALS))
    print(f"{'set':12} {'split':8} {'n':>5} {'fail':>5}  {heads}  words  like length")
    for name in arguments.sets.split(","):
        kept = read_set(name, arguments.data)
        started = time.perf_counter()
        settings = {"house.name": name, "house.languages": LANGUAGES.get(name, ("en",))}
        with tempfile.TemporaryDirectory() as folder, House.create(Path(folder) / "house", settings) as house:
            acronyms = ingested(house, kept)
            for split in arguments.splits.split(","):
                parts = split.split("+")
                ids = sorted(query for part in parts for query in kept.labels.get(part, {}))[: arguments.limit]
                if ids:
                    seen = [evidence(house, kept, query, acronyms) for query in ids]
                    result = report(kept, split, seen, acronyms)
                    if arguments.combinations:
                        report_combinations(kept, split, result)
                if name == "mtrag-un":
                    every = sorted(q for q, row in kept.queries.items() if row["metadata"]["split"] in parts)
                    report_labels(kept, split, [evidence(house, kept, query, acronyms) for query in every])
        print(f"{name:12} took {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""What the detector finds, misses and wrongly takes for a person, and how long it needs.

    python bench/privacy/run.py [--data FOLDER] [--show]

Recall and false hits on the packaged sample, by language and kind, and on the sentences that the rules were mended on
(docs/decisions/0012-finding-people.md); with FOLDER also on pii-presidio-en. The queries of medquad, obliqa, cnil-fr
and contractnli, which are about nobody, tell how many are changed, with and without the words of their own documents;
``--show`` prints those for the eye. Writes bench/results/privacy-DATE.json, which holds figures and no texts. Intervals
are exact, 95 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import onnxruntime

from freehold.models.pull import pull
from freehold.privacy.check import Outcome, exact_interval, outcomes_of, read_sample
from freehold.privacy.detect import CombinedDetector, RampartDetector, open_detector
from freehold.privacy.patterns import PatternDetector
from freehold.privacy.words import ordinary_words

RESULTS = Path(__file__).parent.parent / "results"
MENDED = Path(__file__).parents[2] / "tests" / "privacy" / "mended.jsonl"
QUERIES = {"medquad": "en", "obliqa": "en", "cnil-fr": "fr", "contractnli": "en"}


def figures(outcomes: Sequence[Outcome]) -> dict:
    labelled = sum(label.kind is not None for outcome in outcomes for label in outcome.labelled.labels)
    missed = sum(len(outcome.missed) for outcome in outcomes)
    hits = sum(len(outcome.mentions) for outcome in outcomes)
    false = sum(len(outcome.false) for outcome in outcomes)
    return {
        "texts": len(outcomes),
        "labelled": labelled,
        "found": labelled - missed,
        "recall": (labelled - missed) / labelled if labelled else None,
        "recall ci95": exact_interval(labelled - missed, labelled),
        "hits": hits,
        "false": false,
        "precision": (hits - false) / hits if hits else None,
        "precision ci95": exact_interval(hits - false, hits),
    }


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, dict]:
    found: dict[str, Counter] = defaultdict(Counter)
    for outcome in outcomes:
        for label in outcome.labelled.labels:
            if label.kind is not None:
                found[label.kind]["labelled"] += 1
                found[label.kind]["found"] += label not in outcome.missed
        for mention in outcome.mentions:
            found[mention.kind]["hits"] += 1
            found[mention.kind]["false"] += mention in outcome.false
    return {
        kind: {name: counts[name] for name in ("labelled", "found", "hits", "false")}
        | {"recall ci95": exact_interval(counts["found"], counts["labelled"])}
        for kind, counts in sorted(found.items())
    }


def of_sample(detector, model: Path, data: Path | None) -> dict:
    samples = {"packaged": read_sample(), "mended on": read_sample(MENDED)}
    if data and (data / "pii-presidio-en").is_dir():
        samples |= {f"presidio {x}": read_sample(data / "pii-presidio-en" / f"{x}.jsonl") for x in ("dev", "test")}
    table = {}
    for name, sample in samples.items():
        outcomes = outcomes_of(detector, sample)
        table[name] = figures(outcomes) | {"kinds": by_kind(outcomes)}
        if name == "packaged":
            for language in ("en", "de", "fr", "es"):
                table[f"packaged, {language}"] = figures([o for o in outcomes if o.labelled.language == language])
            table["packaged, patterns alone"] = figures(outcomes_of(PatternDetector(), sample))
            table["packaged, model and rules alone"] = figures(outcomes_of(RampartDetector(model), sample))
    return table


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_queries(model: Path, folder: Path, language: str, *, show: bool) -> dict:
    queries = [row["text"] for row in lines(folder / "queries.jsonl")]
    documents = (f"{row.get('title', '')} {row['text']}" for row in lines(folder / "corpus.jsonl"))
    detectors: dict[str, CombinedDetector] = {
        "alone": open_detector(model),
        "with the documents' words": open_detector(model, ordinary=ordinary_words(documents)),
    }
    table: dict = {"queries": len(queries)}
    for name, detector in detectors.items():
        began, began_cpu = time.perf_counter(), time.process_time()
        found = detector.detect(queries, language=language)
        wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        changed = sum(map(bool, found))
        table[name] = {
            "changed": changed,
            "changed ci95": exact_interval(changed, len(queries)),
            "kinds": dict(Counter(mention.kind for mentions in found for mention in mentions)),
            "cpu ms a query": 1000 * cpu / len(queries),
            "wall ms a query": 1000 * wall / len(queries),
        }
        if show:
            print(f"\n{folder.name}, {name}: {changed} of {len(queries)}")
            for text, mentions in zip(queries, found, strict=True):
                if mentions:
                    print("  ", [text[m.start : m.end] for m in mentions], "|", text.replace("\n", " ")[:150])
    return table


def interval(bounds: Iterable[float] | None) -> str:
    return "n/a" if bounds is None else "[" + ", ".join(f"{bound:.3f}" for bound in bounds) + "]"


def show_table(samples: dict, queries: dict) -> None:
    for name, row in samples.items():
        print(
            f"{name:34} found {row['found']:4d} of {row['labelled']:4d}  recall {interval(row['recall ci95'])}  "
            f"false {row['false']:2d} of {row['hits']:4d} hits in {row['texts']} texts"
        )
        for kind, counts in row.get("kinds", {}).items():
            print(
                f"    {kind:30} found {counts['found']:4d} of {counts['labelled']:4d}  recall "
                f"{interval(counts['recall ci95'])}  false {counts['false']:2d} of {counts['hits']:4d}"
            )
    for name, row in queries.items():
        for how in ("alone", "with the documents' words"):
            part = row[how]
            print(
                f"{name:10} {how:26} changed {part['changed']:3d} of {row['queries']}  "
                f"{interval(part['changed ci95'])}  {part['cpu ms a query']:.1f} ms CPU a query"
            )


def main(data: Path | None, *, show: bool) -> None:
    model = pull("rampart")
    detector = open_detector(model)
    samples = of_sample(detector, model, data)
    queries = {
        name: of_queries(model, data / name, language, show=show)
        for name, language in QUERIES.items()
        if data and (data / name).is_dir()
    }
    show_table(samples, queries)
    stated = {
        "detector": detector.name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__},
        "samples": samples,
        "queries": queries,
    }
    path = RESULTS / f"privacy-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--show", action="store_true", help="print the changed queries")
    arguments = parser.parse_args()
    main(arguments.data, show=arguments.show)

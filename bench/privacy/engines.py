"""Rampart beside Presidio, as a house opens them, on the same labelled texts.

    python bench/privacy/engines.py --model SPACY_MODEL [--data FOLDER] [--save]

Recall, false hits and time on the English part of the packaged sample and, with FOLDER, on pii-presidio-en; and how
many of the queries of medquad, obliqa and contractnli, which are about nobody, are changed. ``--save`` writes
bench/results/privacy-engines-DATE.json. Needs the extra ``presidio``. Intervals are exact, 95 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from freehold.config import Settings
from freehold.core.ports import Detector
from freehold.detectors import open_detector_for
from freehold.models.pull import pull
from freehold.privacy.check import LabelledText, exact_interval, outcomes_of, read_sample
from run import QUERIES, RESULTS, by_kind, figures, interval, lines


def of_sample(detector: Detector, sample: Sequence[LabelledText]) -> dict:
    began = time.process_time()
    outcomes = outcomes_of(detector, sample)
    cpu = time.process_time() - began
    return figures(outcomes) | {"kinds": by_kind(outcomes), "cpu ms a text": 1000 * cpu / len(sample)}


def of_queries(detector: Detector, queries: Sequence[str]) -> dict:
    began = time.process_time()
    changed = sum(map(bool, detector.detect(queries, language="en")))
    return {
        "queries": len(queries),
        "changed": changed,
        "changed ci95": exact_interval(changed, len(queries)),
        "cpu ms a query": 1000 * (time.process_time() - began) / len(queries),
    }


def main(model: str, data: Path | None, *, save: bool) -> None:
    pull("rampart")
    samples = {"packaged, en": [text for text in read_sample() if text.language == "en"]}
    if data:
        samples |= {f"presidio {x}": read_sample(data / "pii-presidio-en" / f"{x}.jsonl") for x in ("dev", "test")}
    english = [name for name, language in QUERIES.items() if language == "en" and data and (data / name).is_dir()]
    engines: dict = {}
    for engine in ("rampart", "presidio"):
        values = {"privacy.detector": engine, "privacy.presidio_models": (model,)}
        detector = open_detector_for(Settings().with_values(values, origin="bench"))
        table = {name: of_sample(detector, sample) for name, sample in samples.items()}
        about_nobody = {
            name: of_queries(detector, [row["text"] for row in lines(data / name / "queries.jsonl")])
            for name in english
        }
        engines[engine] = {"detector": detector.name, "samples": table, "queries": about_nobody}
        print(detector.name)
        for name, row in table.items():
            print(
                f"  {name:16} found {row['found']} of {row['labelled']}  recall {interval(row['recall ci95'])}  false "
                f"{row['false']} of {row['hits']}  precision {interval(row['precision ci95'])}  "
                f"{row['cpu ms a text']:.1f} ms CPU a text"
            )
            for kind, counts in row["kinds"].items():
                print(f"    {kind:14} {counts}")
        for name, row in about_nobody.items():
            print(
                f"  {name:16} changed {row['changed']} of {row['queries']}  {interval(row['changed ci95'])}  "
                f"{row['cpu ms a query']:.1f} ms CPU a query"
            )
    if save:
        stated = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
            "python": platform.python_version(),
            "engines": engines,
        }
        path = RESULTS / f"privacy-engines-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="an English spaCy model: package or folder")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--save", action="store_true", help="write the figures down")
    arguments = parser.parse_args()
    main(arguments.model, arguments.data, save=arguments.save)

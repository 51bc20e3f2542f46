"""What tuning is worth: BM25, base and tuned legs, adapter, fusion and reranking on real sets, with intervals.

    python bench/tuning/run.py [--data DIR] [--sets obliqa,medquad,contractnli,cnil-fr] [--seeds 0] [--work DIR]

Everything goes through the product as a user would: ingest, training set, ``tune adapter``, ``tune embedder``, fitted
weights, and the search of the house. Models and weights are chosen on the dev part of the training set; the split that
is reported is looked at once, at the end. A killed run goes on where it was.
Results: bench/results/tuning-DATE.json and .md
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from freehold.core.training import ModelVersion
from freehold.house import House, open_house
from freehold.journeys.evaluate import checked_queries, retrieve
from freehold.journeys.locate import locate
from freehold.measure.labels import Labels, read_labels
from freehold.measure.ranking import Measure, score
from freehold.measure.stats import mean_intervals, paired_tests
from freehold.tuning import adapter, data, encoder
from freehold.tuning.candidate import refitted
from freehold.tuning.sets import TrainingSet

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
SETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "contractnli": ("test", ("en",)),
    "cnil-fr": ("dev", ("fr",)),
    "obliqa": ("dev", ("en",)),
    "medquad": ("test", ("en",)),
}
"""Name -> split that is reported, languages."""
RECIPE: Mapping[str, Mapping[str, Any]] = {
    "contractnli": {"epochs": 3},
    "cnil-fr": {"epochs": 4},
    "obliqa": {"epochs": 3},
    "medquad": {"epochs": 2},
}
"""What differs from the defaults: more passes over the smaller sets, so that each takes some minutes on two cores."""
MEASURES = tuple(map(Measure.parse, ("nDCG@10", "R@10", "R@50")))
CUT = 10
"""Places of the base hybrid whose recall a tuned search must keep with fewer wrong hits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FREEHOLD_DATA") or HERE.parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--work", type=Path, default=Path(".bench/tuning"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    found = []
    for name in options.sets.split(","):
        for seed in map(int, options.seeds.split(",")):
            done = options.work / f"{name}-{seed}.json"
            if not done.exists():
                result = measure(name, seed, options)
                done.write_text(json.dumps(result, indent=1))
            found.append(json.loads(done.read_text()))
            print(table([found[-1]]), flush=True)
    stem = RESULTS / f"tuning-{datetime.now(UTC):%Y-%m-%d}"
    stem.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    stem.with_suffix(".md").write_text(table(found))
    print(table(found))


def measure(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    split, languages = SETS[name]
    root = options.work / name
    seconds: dict[str, float] = {}
    if not root.exists():
        with House.create(root, {"house.name": name, "house.languages": languages}) as house:
            begun = time.perf_counter()
            house.ingest_beir(options.data / name, progress=say)
            seconds["ingest"] = time.perf_counter() - begun
    with open_house(root) as house:
        begun = time.perf_counter()
        request = data.Request(dataset=options.data / name, seed=seed)
        training = data.prepare(house, request, progress=say)
        seconds["training data"] = time.perf_counter() - begun
        labels = read_labels(options.data / name, split)
        arms: dict[str, dict[str, np.ndarray]] = {}
        run_arms(house, labels, arms, prefix="base ")
        fusion_only = refitted(house, house.engines(), training.dev_labels(), seed=seed, progress=say)
        run_served(house, labels, arms, "base served, weights refitted", fusion_only, None)
        made = (
            version_of(house, "adapter", training, seed)
            or adapter.tune_adapter(house, training, adapter.Request(seed=seed), progress=say).version
        )
        run_served(house, labels, arms, "adapter", made.serving, made)
        seconds["adapter"] = made.seconds
        settings = encoder.settings_for(
            "embedder",
            (),
            {
                "seed": seed,
                "device": options.device,
                "evaluations_per_epoch": 1,
                **RECIPE[name],
            },
        )
        tuned = (
            version_of(house, "embedder", training, seed)
            or encoder.tune_encoder(house, training, encoder.Request("embedder", settings), progress=say).version
        )
        seconds["embedder"] = tuned.seconds
        run_tuned(house, labels, arms, tuned)
    return {
        "set": name,
        "split": split,
        "seed": seed,
        "queries": len(labels.qrels),
        "rows": rows(arms, labels, seed),
        "recipe": dict(tuned.settings),
        "serving": dict(tuned.serving),
        "checks": dict(tuned.checks),
        "training": {**training.manifest.examples, "left_out": dict(training.manifest.left_out)},
        "seconds": {**seconds, "all": time.perf_counter() - started},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "digests": {"adapter": made.digest, "embedder": tuned.digest},
        "cores": os.cpu_count(),
    }


def version_of(house: House, role: str, training: TrainingSet, seed: int) -> ModelVersion | None:
    """What an earlier call trained."""
    for version in house.registry.all():
        if (version.role, version.manifest, version.seed) == (role, training.manifest.root, seed):
            return version
    return None


def run_arms(house: House, labels: Labels, arms: dict[str, Any], *, prefix: str) -> None:
    """The legs, their fusion, and what is served, by the settings as they are."""
    plans = {
        "BM25": house.plan("lexical"),
        f"{prefix}dense": house.plan("dense"),
        f"{prefix}hybrid": replace(house.plan(), rerank_depth=0),
        f"{prefix}served": house.plan(),
    }
    search(house, house.engines(), labels, arms, plans)


def run_served(
    house: House,
    labels: Labels,
    arms: dict[str, Any],
    name: str,
    serving: Mapping[str, object],
    made: ModelVersion | None,
) -> None:
    """The search as it would be served with a version, or with other weights."""
    if made is None:
        plan = house.plan(settings=house.settings.with_values(serving, origin="bench"))
        search(house, house.engines(), labels, arms, {name: plan})
        return
    crew = house.crew_of({made.role: made.id})
    with house.engines_of(crew) as engines:
        search(house, engines, labels, arms, {name: house.plan(crew=crew)})


def run_tuned(house: House, labels: Labels, arms: dict[str, Any], tuned: ModelVersion) -> None:
    """The tuned encoder: its leg, the fusion of it, and reranking by its token vectors."""
    crew = house.crew_of({"embedder": tuned.id})
    with house.engines_of(crew) as engines:
        whole = house.plan(crew=crew)
        plans = {
            "tuned dense": replace(whole, mode="dense", rerank_depth=0),
            "tuned hybrid": replace(whole, rerank_depth=0),
            "tuned hybrid + tuned reranker": whole,
        }
        search(house, engines, labels, arms, plans)


def search(house: House, engines: Any, labels: Labels, arms: dict[str, Any], plans: Mapping[str, Any]) -> None:
    queries = checked_queries(labels, engines, sorted(labels.qrels))
    located = locate(labels, house.shelf, allow_missing=True)
    arms |= retrieve(queries, plans, engines=engines, located=located, qrels=labels.qrels, progress=say).runs


def rows(arms: Mapping[str, Any], labels: Labels, seed: int) -> list[dict[str, Any]]:
    """Each arm with intervals, and paired with the base hybrid."""
    base = score(arms["base hybrid"], labels.qrels, MEASURES)
    base_profile = profile(arms["base hybrid"], labels)
    found = []
    for name, run in arms.items():
        values = score(run, labels.qrels, MEASURES)
        intervals = mean_intervals(values, resamples=10_000, seed=seed)
        tests = paired_tests(values - base, seed=seed)
        cut = cut_that_keeps(profile(run, labels), base_profile[CUT])
        found.append(
            {
                "arm": name,
                "measures": {
                    str(measure): {"value": float(values[:, at].mean()), "ci95": list(intervals[at] or ())}
                    for at, measure in enumerate(MEASURES)
                },
                "against base hybrid": {
                    "nDCG@10": float((values - base)[:, 0].mean()),
                    "ci95": list(tests[0].ci95) if tests[0] else [],
                    "p": tests[0].p if tests[0] else 1.0,
                    "relative": float(values[:, 0].mean() / base[:, 0].mean() - 1),
                },
                "cut": cut,
                "false_positives": false_positives(run, labels, cut),
            }
        )
    return found


def profile(run: Mapping[str, Mapping[str, float]], labels: Labels) -> np.ndarray:
    """float64 (CUT + 1,): mean recall at every cutoff from 0 to CUT."""
    recalls = np.zeros((len(labels.qrels), CUT + 1))
    for row, (query, grades) in enumerate(sorted(labels.qrels.items())):
        relevant = {unit for unit, grade in grades.items() if grade > 0}
        hits = [unit in relevant for unit in list(run.get(query, {}))[:CUT]]
        recalls[row, 1 : len(hits) + 1] = np.cumsum(hits) / len(relevant)
        recalls[row, len(hits) + 1 :] = recalls[row, len(hits)]
    return recalls.mean(axis=0)


def cut_that_keeps(recalls: np.ndarray, wanted: float) -> float | None:
    """The fewest places, between whole ones by straight line, at which recall is what the base has at CUT."""
    for place in range(1, CUT + 1):
        if recalls[place] >= wanted - 1e-12:
            gained = recalls[place] - recalls[place - 1]
            return place - 1 + (float((wanted - recalls[place - 1]) / gained) if gained > 0 else 0.0)
    return None


def false_positives(run: Any, labels: Labels, cut: float | None) -> float | None:
    """Wrong hits per query down to the cut: places less what of them is relevant."""
    if cut is None:
        return None
    whole, part = int(cut), cut - int(cut)
    wrong = []
    for query, grades in labels.qrels.items():
        relevant = {unit for unit, grade in grades.items() if grade > 0}
        misses = [unit not in relevant for unit in list(run.get(query, {}))[: whole + 1]]
        wrong.append(sum(misses[:whole]) + part * sum(misses[whole : whole + 1]))
    return float(np.mean(wrong))


def table(found: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for result in found:
        seconds = result["seconds"]
        lines += [
            f"## {result['set']}, split {result['split']}, {result['queries']} questions, seed {result['seed']}",
            "",
            f"Trained on {result['training']['train']:,} questions, {result['recipe']['epochs']} epochs: embedder "
            f"{result['checks']['steps']:.0f} steps at {result['checks']['steps_per_s']:.2f} a second, adapter "
            f"{seconds['adapter']:.0f} s in all, on {result['cores']} cores.",
            "",
            "| | nDCG@10 | R@10 | R@50 | nDCG@10 against base hybrid | | cut | wrong hits |",
            "|---|---|---|---|---|---:|---:|---:|",
        ]
        base = next(row for row in result["rows"] if row["arm"] == "base hybrid")["false_positives"]
        for row in result["rows"]:
            values = [f"{m['value']:.3f} [{m['ci95'][0]:.3f}, {m['ci95'][1]:.3f}]" for m in row["measures"].values()]
            paired = row["against base hybrid"]
            change = (
                f"{paired['nDCG@10']:+.3f} [{paired['ci95'][0]:+.3f}, {paired['ci95'][1]:+.3f}]"
                if paired["ci95"]
                else ""
            )
            cut = f"{row['cut']:.1f}" if row["cut"] is not None else f"> {CUT}"
            wrong = f"{row['false_positives'] / base - 1:+.0%}" if row["false_positives"] is not None else "more"
            lines.append(
                f"| {row['arm']} | {' | '.join(values)} | {change} | {paired['relative']:+.1%} | {cut} | {wrong} |"
            )
        lines.append("")
    return "\n".join(lines) + "\n"


def say(stage: str, done: int, total: int) -> None:
    if total and (done == total or done % max(1, total // 10) == 0):
        print(f"  {stage} {done:,}/{total:,}", flush=True)


if __name__ == "__main__":
    main()

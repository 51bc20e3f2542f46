"""One tool on the files: read, score, and whatever it has of intervals and tests. A process of its own for each.

    python tools.py TOOL FOLDER

FOLDER holds ``a.run``, ``b.run`` and ``qrels.trec``. One JSON object on standard output; values by query, float64
(queries in ascending order, measures), in ``TOOL.npy``. Standard library and numpy alone, but for the tool itself.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

MEASURES = {
    "nDCG@10": "ndcg@10",
    "AP@100": "map@100",
    "RR@10": "mrr@10",
    "P@10": "precision@10",
    "R@100": "recall@100",
    "Success@10": "hit_rate@10",
}
"""Our names, which are those of ir-measures -> those of ranx."""
RESAMPLES = 10_000


class Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - begin


def freehold(folder: Path, clock: Clock) -> tuple[np.ndarray, str]:
    with clock("import"):
        from freehold.measure.ranking import Measure, score
        from freehold.measure.runs import read_run
        from freehold.measure.stats import holm, mean_intervals, paired_tests

    with clock("read"):
        runs = [read_run(folder / name) for name in ("a.run", "b.run")]
        qrels: dict[str, dict[str, int]] = defaultdict(dict)
        for line in (folder / "qrels.trec").read_text(encoding="utf-8").splitlines():
            query, _, document, grade = line.split()
            qrels[query][document] = int(grade)
    with clock("score"):
        values = [score(run, qrels, [Measure.parse(name) for name in MEASURES]) for run in runs]
    with clock("intervals"):
        mean_intervals(np.hstack(values), resamples=RESAMPLES, seed=0)
    with clock("tests"):
        tests = paired_tests(values[0] - values[1], resamples=RESAMPLES, seed=0)
        holm([test.p for test in tests if test])
    return values[0], "bootstrap intervals of 12 means; of 6 differences intervals, permutation tests and Holm"


def ir_measures(folder: Path, clock: Clock) -> tuple[np.ndarray, str]:
    with clock("import"):
        import ir_measures as library

    with clock("read"):
        runs = [list(library.read_trec_run(str(folder / name))) for name in ("a.run", "b.run")]
        qrels = list(library.read_trec_qrels(str(folder / "qrels.trec")))
    with clock("score"):
        measures = [library.parse_measure(name) for name in MEASURES]
        scored = [list(library.iter_calc(measures, qrels, run)) for run in runs]
    queries = {query: row for row, query in enumerate(sorted({qrel.query_id for qrel in qrels}))}
    columns = {str(measure): column for column, measure in enumerate(measures)}
    values = np.full((len(queries), len(columns)), np.nan)
    for metric in scored[0]:
        values[queries[metric.query_id], columns[str(metric.measure)]] = metric.value
    return values, "has no intervals and no tests"


def ranx(folder: Path, clock: Clock) -> tuple[np.ndarray, str]:
    with clock("import"):
        from ranx import Qrels, Run, compare, evaluate

    with clock("read"):
        runs = [Run.from_file(str(folder / name), kind="trec") for name in ("a.run", "b.run")]
        for run, name in zip(runs, "ab", strict=True):
            run.name = name
        qrels = Qrels.from_file(str(folder / "qrels.trec"), kind="trec")
    with clock("score"):
        scored = [evaluate(qrels, run, list(MEASURES.values()), return_mean=False) for run in runs]
    with clock("tests"):
        compare(qrels, runs, list(MEASURES.values()), stat_test="fisher", n_permutations=RESAMPLES)
    order = np.argsort(list(qrels.keys()))
    return np.column_stack([scored[0][name] for name in MEASURES.values()])[order], (
        "of 6 differences permutation tests, scoring once more; has no intervals"
    )


TOOLS: dict[str, tuple[Callable[[Path, Clock], tuple[np.ndarray, str]], tuple[str, ...]]] = {
    "freehold": (freehold, ("freehold", "numpy")),
    "ir-measures": (ir_measures, ("ir-measures", "pytrec-eval-terrier")),
    "ranx": (ranx, ("ranx", "numba", "numpy")),
}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    tool, packages = TOOLS[name]
    clock = Clock()
    values, did = tool(folder, clock)
    np.save(folder / f"{name}.npy", values)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "seconds": clock.seconds,
                "peak_mb": peak_kib * 1024 / 1e6,
                "did": did,
                "versions": {package: version(package) for package in packages},
            }
        )
    )


if __name__ == "__main__":
    main()

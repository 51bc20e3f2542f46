"""The gate's own error rate: how often it refuses equals, passes what is worse, and sees what it says it can see.

    python bench/gate/run.py [--pairs 500] [--save]
    python bench/gate/run.py --qrels FILE --runs LIVE.run CANDIDATE.run [--runs ...] [--save]

Populations of queries are simulated (populations.py) or are the queries of real run files; their true difference is
known. Sets of n queries are drawn from them with replacement and go through the gate as a user's would: rankings and
labels to values, tests, checks and a verdict. *Equals* are two systems whose rankings are swapped query by query by a
coin: neither is better, whatever their differences. Shares have 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the pairs are what runs in parallel

import numpy as np
from populations import EVERYWHERE, FEW_LOST, KINDS, MEASURES, NAMES, REST_SAME, CannotReach, Maker, Population, of_runs

from freehold.core.experiment import Verdict
from freehold.measure.agreement import wilson
from freehold.measure.assess import Assessment
from freehold.measure.gate import Rules, judge
from freehold.measure.runs import read_run

SIZES = (100, 200, 500, 1000)
MARGIN, SLICE_MARGIN, ALPHA = 0.01, 0.05, 0.05
DROPS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
RESULTS = Path(__file__).parent.parent / "results"


@dataclass
class Tally:
    """Counts of one row of a table: out of how many, what came how often."""

    n: int = 0
    of: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, *names: str, n: int = 1) -> None:
        self.n += n
        for name in names:
            self.of[name] += 1

    def plus(self, other: Tally) -> Tally:
        names = set(self.of) | set(other.of)
        return Tally(self.n + other.n, {name: self.of.get(name, 0) + other.of.get(name, 0) for name in names})


Tallies = dict[tuple[str, str, int], Tally]
"""Table, row, queries -> counts."""


@dataclass(frozen=True)
class Draw:
    """A draw of pairs from a population."""

    population: Population
    resamples: int
    seed: Sequence[int]
    slices: bool = False
    swap: bool = False

    def verdicts(self, n: int, count: int) -> Iterator[Verdict]:
        """The gate on ``count`` sets of ``n`` queries."""
        rng = np.random.default_rng([*self.seed, n])
        names = [f"q{i:04d}" for i in range(n)]
        for number in range(count):
            rows = rng.integers(len(self.population.qrels), size=n).tolist()
            swapped = rng.random(n) < 0.5 if self.swap else np.zeros(n, dtype=bool)
            yield self._verdict(names, rows, swapped.tolist(), number)

    def _verdict(self, names: Sequence[str], rows: Sequence[int], swapped: Sequence[bool], seed: int) -> Verdict:
        sides = self.population.live.rankings, self.population.candidate.rankings
        pairs = list(zip(names, rows, swapped, strict=True))
        runs = {
            "live": {name: sides[swap][row] for name, row, swap in pairs},
            "candidate": {name: sides[not swap][row] for name, row, swap in pairs},
        }
        parts: dict[str, set[str]] = defaultdict(set)
        for name, row, _ in pairs if self.slices else ():
            parts[f"part={self.population.parts[row]}"].add(name)
        assessment = Assessment(
            runs,
            {name: self.population.qrels[row] for name, row, _ in pairs},
            MEASURES,
            {name: frozenset(part) for name, part in sorted(parts.items())},
            self.resamples,
            seed,
        )
        rules = Rules(NAMES, ("part",) * self.slices, MARGIN, SLICE_MARGIN, ALPHA, None)
        return judge(assessment, rules, candidate="candidate", live="live", timings_ms=(), declared={})


# -- what is counted -------------------------------------------------------------------------------------------------


def equals(tallies: Tallies, row: str, draw: Draw, n: int, count: int) -> None:
    """Verdicts on two systems of which neither is better."""
    for verdict in draw.verdicts(n, count):
        tallies["equal", row, n].add(verdict.decision)


def worse(tallies: Tallies, row: str, draw: Draw, n: int, count: int, check_name: str) -> None:
    """Passes of candidates whose true drop in a check is its margin or more."""
    for verdict in draw.verdicts(n, count):
        check = next(check for check in verdict.checks if check.name == check_name)
        if "the same results" in check.reason:
            tallies[SAME, row, n].add("of all samples")
            continue
        tallies[SAME, row, n].add()
        passed = {"check passed": check.decision, "verdict passed": verdict.decision}
        tallies["worse", row, n].add(*(name for name, decision in passed.items() if decision == "passed"))


def seen(tallies: Tallies, row: str, draw: Draw, n: int, count: int) -> None:
    """Refusals where the true drop is at least what the gate itself says it can see."""
    drops = draw.population.drops()
    for verdict in draw.verdicts(n, count):
        ratios = [drops[check.name] / (check.visible_drop or math.inf) for check in verdict.checks]
        for check, ratio in zip(verdict.checks, ratios, strict=True):
            refused = ["check refused"] * (check.decision == "refused")
            if ratio >= 1:
                tallies["seen", row, n].add(*refused)
            if 1 <= ratio < 1.25:
                tallies["just seen", row, n].add(*refused)


def simulate(kind: str, pairs: int, queries: int, resamples: int, seed: int) -> Tallies:
    """Everything that is counted on one kind of population. ``pairs``: of a cell, over all kinds together."""
    tallies: Tallies = defaultdict(Tally)
    maker = Maker(kind, queries=queries, seed=seed)
    count = pairs // len(KINDS)
    draw = partial(Draw, resamples=resamples, seed=(seed, *kind.encode()))
    for n in SIZES:
        equals(tallies, "no slices", draw(maker.equal(), swap=True), n, count)
        equals(tallies, "three slices", draw(maker.equal(), swap=True, slices=True), n, count)
        for verdict in draw(maker.uneven(0)).verdicts(n, count // 2):
            tallies["equal", f"uneven, {NAMES[0]} alone", n].add(verdict.checks[0].decision)
    for measure, name in enumerate(NAMES):
        for shape in (EVERYWHERE, FEW_LOST, REST_SAME):
            for n in SIZES:
                worse(tallies, shape, draw(maker.worse(shape, measure, MARGIN)), n, count // 4, name)
        sliced = maker.worse(FEW_LOST, measure, SLICE_MARGIN, part="b")
        for n in SIZES:
            worse(tallies, "few lost in a slice", draw(sliced, slices=True), n, count // 4, f"{name} on part=b")
    for drop in DROPS:
        for shape, part in ((EVERYWHERE, ""), (FEW_LOST, ""), (FEW_LOST, "b")):
            with contextlib.suppress(CannotReach):
                population = maker.worse(shape, 0, drop, part=part)
                for n in SIZES:
                    row = f"{shape} in a slice" if part else shape
                    seen(tallies, row, draw(population, slices=bool(part)), n, count // 16)
    return tallies


def resample_runs(paths: tuple[Path, Path], qrels: Path, pairs: int, resamples: int, seed: int) -> Tallies:
    """The same on the queries of two real runs: equal by swapping, and as they are."""
    tallies: Tallies = defaultdict(Tally)
    live, candidate = map(read_run, paths)
    population = of_runs(live, candidate, read_qrels(qrels))
    drops = population.drops()
    told = f"{paths[0].stem} -> {paths[1].stem}"
    draw = partial(Draw, population, resamples=resamples, seed=(seed, *told.encode()))
    for n in SIZES:
        equals(tallies, told, draw(swap=True), n, pairs)
        if max(drops.values()) >= MARGIN:
            seen(tallies, told, draw(), n, pairs // 4)
            for name in NAMES:
                if drops[name] >= MARGIN:
                    worse(tallies, f"{told}, {name} {-drops[name]:+.3f}", draw(), n, pairs // 4, name)
    return tallies


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """BEIR's three columns with a header, or TREC's four."""
    qrels: dict[str, dict[str, int]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        columns = line.split()
        if columns and columns[-1].lstrip("-").isdigit():
            qrels[columns[0]][columns[-2]] = int(columns[-1])
    return dict(qrels)


# -- what is printed -------------------------------------------------------------------------------------------------


def merged(parts: Sequence[Tallies]) -> Tallies:
    total: Tallies = defaultdict(Tally)
    for part in parts:
        for key, tally in part.items():
            total[key] = total[key].plus(tally)
    return total


def share(tally: Tally, outcome: str) -> str:
    if not tally.n:
        return "-"
    hits = tally.of.get(outcome, 0)
    low, high = wilson(hits, tally.n)
    return f"{100 * hits / tally.n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def table(tallies: Tallies, kind: str, title: str, outcomes: Sequence[str]) -> str:
    """A row for each outcome of each row, a column for each number of queries and one for all."""
    rows = sorted({row for (table, row, _), tally in tallies.items() if table == kind and (tally.of or kind != SAME)})
    if not rows:
        return ""
    lines = [f"**{title}**", "", "| | | " + " | ".join(f"n = {n:,}" for n in SIZES) + " | all | out of |"]
    lines.append("|---" * (len(SIZES) + 4) + "|")
    for row in rows:
        cells = [tallies.get((kind, row, n), Tally()) for n in SIZES]
        total = merged([{("", "", 0): cell} for cell in cells])["", "", 0]
        for outcome in outcomes:
            shares = [share(cell, outcome).partition(" [")[0] for cell in cells]
            lines.append(f"| {row} | {outcome} | {' | '.join(shares)} | {share(total, outcome)} | {total.n:,} |")
    return "\n".join(lines) + "\n"


SAME = "nothing to see"
TABLES = {
    "equal": (
        f"Equals (margin {MARGIN:g}, on slices {SLICE_MARGIN:g}, alpha {ALPHA:g}): at most 5 % may be refused",
        ("refused", "passed", "underpowered"),
    ),
    "worse": (
        "Worse by a check's margin: at most 5 % may pass, of those that give any query of the sample other results",
        ("check passed", "verdict passed"),
    ),
    SAME: ("Worse, and the same results for every query of the sample: these pass", ("of all samples",)),
    "seen": ("Checks whose true drop is what they say they can see, or more: at least 80 %", ("check refused",)),
    "just seen": ("The same where it is up to a quarter more", ("check refused",)),
}


def report(tallies: Tallies) -> str:
    return "\n".join(table(tallies, kind, title, outcomes) for kind, (title, outcomes) in TABLES.items())


def main() -> int:
    options = _options()
    begin = time.monotonic()
    jobs: list[Callable[[], Tallies]] = [
        partial(simulate, name, options.pairs, options.queries, options.resamples, options.seed) for name in KINDS
    ]
    if options.runs:
        pairs = options.pairs // 2
        jobs = [
            partial(resample_runs, tuple(paths), options.qrels, pairs, options.resamples, options.seed)
            for paths in options.runs
        ]
    with ProcessPoolExecutor(options.processes) as pool:
        tallies = merged([future.result() for future in [pool.submit(job) for job in jobs]])
    seconds = time.monotonic() - begin
    print(report(tallies))
    print(f"{sum(t.n for (kind, _, _), t in tallies.items() if kind == 'equal'):,} equals, {seconds:.0f} s")
    if options.save:
        _save(options, tallies, seconds)
    return 0


def _save(options: argparse.Namespace, tallies: Tallies, seconds: float) -> None:
    name = "gate" + ("-runs" if options.runs else "")
    place = RESULTS / f"{name}-{datetime.now(UTC):%Y-%m-%d}.json"
    rows = [
        {"table": kind, "row": row, "queries": n, "n": tally.n, "counts": dict(sorted(tally.of.items()))}
        for (kind, row, n), tally in sorted(tallies.items())
    ]
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "pairs": options.pairs,
        "population": options.queries,
        "resamples": options.resamples,
        "seed": options.seed,
        "margin": MARGIN,
        "slice_margin": SLICE_MARGIN,
        "alpha": ALPHA,
        "runs": [[path.stem for path in paths] for paths in options.runs or ()],
        "seconds": round(seconds, 1),
        "rows": rows,
    }
    place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written {place.name}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--pairs", type=int, default=500, help="pairs of equals for each number of queries; of others a part of it")
    add("--queries", type=int, default=4000, help="size of a simulated population")
    add("--resamples", type=int, default=2000, help="of the gate; what it decides hardly depends on it")
    add("--runs", type=Path, nargs=2, action="append", metavar=("LIVE", "CANDIDATE"), help="TREC run files")
    add("--qrels", type=Path, help="their labels")
    add("--processes", type=int, default=os.cpu_count())
    add("--seed", type=int, default=20261126)
    add("--save", action="store_true", help="write bench/results/gate-DATE.json")
    options = parser.parse_args()
    if options.runs and not options.qrels:
        parser.error("--runs needs --qrels")
    return options


if __name__ == "__main__":
    sys.exit(main())

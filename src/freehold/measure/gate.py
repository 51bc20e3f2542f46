"""The gate: may a candidate replace what is live? Rules first, then numbers, then one of three words.

Each check is a measure over all queries or over a slice, with d the mean paired difference candidate - live (for a
measure of which less is better, live - candidate):

1. *passed* where d is shown to be above -margin: its one-sided lower bound at 1 - alpha is. That is non-inferiority
   (ICH E9 3.3.2; ICH E10), so a harmless drop within the margin passes. Gaffke's bound leaves room for losses that no
   query has shown; where every query gets the very same results there is nothing to test, and the check passes.
2. else *refused* where d is shown to be below 0: the one-sided permutation test, corrected after Holm over the gate's
   checks, rejects "no drop" at alpha. Without a drop anywhere a refusal has at most probability alpha. The p95 check,
   if there is one, adds its own alpha.
3. else *underpowered*: the queries at hand can tell neither, and the check says how many would.

The gate passes where every check does. Since all must, no correction is due there: the chance to pass a candidate that
is worse than a margin allows, and answers any query of the set differently, is at most alpha (the intersection-union
test, Berger 1982).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from freehold.core.experiment import P95_LATENCY, Check, Decision, Verdict
from freehold.measure.assess import ALL, Assessment
from freehold.measure.ranking import Measure, ranked
from freehold.measure.stats import (
    POWER,
    Interval,
    PairedTest,
    bounded_intervals,
    holm,
    minimum_detectable_effect,
    paired_tests,
    quantile_interval,
    queries_needed,
)

FEWEST_QUERIES = 30
"""Below this a check is underpowered whatever the numbers say: so few speak for no others."""

P95 = 0.95
_MOST_SEARCHES = 20_000
_ORDERED = {"nDCG", "AP", "RR"}
"""Measures that heed the order of what was found; others count it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What was declared before the run. ``p95_ms``: None sets no limit."""

    measures: tuple[str, ...]
    slices: tuple[str, ...]
    """Fields such as ``language`` or ``length``: every value of them with enough queries is checked."""
    margin: float
    slice_margin: float
    alpha: float
    p95_ms: float | None


def judge(
    assessment: Assessment,
    rules: Rules,
    *,
    candidate: str,
    live: str,
    timings_ms: Sequence[float],
    declared: Mapping[str, object],
) -> Verdict:
    """The verdict on run ``candidate`` against run ``live``. ``timings_ms``: the candidate's single searches.

    ``declared`` is kept with the verdict as the rules in force. A slice of fewer than FEWEST_QUERIES is underpowered.
    """
    columns = [(part, column) for part in assessment.members for column in range(len(assessment.measures))]
    signs = np.array([measure.sign for measure in assessment.measures])
    difference = (assessment.values[candidate] - assessment.values[live]) * signs
    table = np.column_stack([difference[:, column] * assessment.members[part] for part, column in columns])
    tests = paired_tests(table, resamples=assessment.resamples, seed=assessment.seed)
    bounds = bounded_intervals(table, resamples=assessment.resamples, seed=assessment.seed, level=1 - 2 * rules.alpha)
    usable = [test if test and test.n >= FEWEST_QUERIES else None for test in tests]
    corrected = iter(holm([test.p_worse for test in usable if test]))
    family = sum(test is not None for test in usable)
    checks = []
    for (part, column), every, test, bound in zip(columns, tests, usable, bounds, strict=True):
        measure = assessment.measures[column]
        means = _Means.of(assessment, candidate, live, part, column)
        margin = rules.margin if part == ALL else rules.slice_margin
        name = str(measure) if part == ALL else f"{measure} on {part}"
        if test is None or bound is None:
            checks.append(_too_few(name, means, margin, every.deviation if every else None, rules.alpha))
            continue
        no_difference = test.difference == test.deviation == 0
        unchanged = no_difference and _same_results(assessment, candidate, live, part, measure)
        shown = _Shown(test, bound, next(corrected), unchanged)
        checks.append(_check(name, means, shown, margin, rules.alpha, family))
    if rules.p95_ms is not None:
        checks.append(_latency_check(timings_ms, rules.p95_ms, rules.alpha))
    return Verdict(_overall(checks), _reasons(checks), tuple(checks), dict(declared))


@dataclass(frozen=True, slots=True)
class _Means:
    live: float | None
    candidate: float | None
    queries: int
    left: float = 0.0
    """What the live system's queries have to lose on average."""

    @classmethod
    def of(cls, assessment: Assessment, candidate: str, live: str, part: str, column: int) -> _Means:
        rows = ~np.isnan(assessment.members[part])
        count = int(rows.sum())
        if not count:
            return cls(None, None, 0)
        means = [float(assessment.values[run][rows, column].mean()) for run in (live, candidate)]
        worst = 0.0 if assessment.measures[column].sign > 0 else 1.0
        return cls(means[0], means[1], count, abs(means[0] - worst))


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the queries of a check show."""

    test: PairedTest
    bound: Interval
    p_worse: float
    """After Holm."""
    unchanged: bool


def _same_results(assessment: Assessment, candidate: str, live: str, part: str, measure: Measure) -> bool:
    """Whether the measure reads the same of both for every query of the slice: the same documents down to its cutoff,
    in the same order where it heeds that.
    """
    read = list if measure.kind in _ORDERED else frozenset
    asked = np.flatnonzero(~np.isnan(assessment.members[part])).tolist()
    sides = (
        [read(ranked(assessment.runs[run].get(assessment.queries[row], {}))[: measure.cutoff]) for row in asked]
        for run in (candidate, live)
    )
    return next(sides) == next(sides)


def _too_few(name: str, means: _Means, margin: float, deviation: float | None, alpha: float) -> Check:
    needed = queries_needed(deviation, margin, alpha=alpha) if deviation is not None else None
    reason = f"{means.queries} labelled queries, and at least {FEWEST_QUERIES} are needed"
    return Check(
        name, "underpowered", reason, margin, means.live, means.candidate, None, None, None, None, means.queries,
        max(needed or 0, FEWEST_QUERIES),
    )  # fmt: skip


def _check(name: str, means: _Means, shown: _Shown, margin: float, alpha: float, family: int) -> Check:
    test = shown.test
    low, high = shown.bound
    told = f"{test.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    needed = None
    if shown.unchanged:
        decision: Decision = "passed"
        reason = f"{told}: the same results for all {test.n} queries"
    elif low > -margin:
        decision, reason = "passed", f"{told}: no worse than the margin of {margin:g} allows"
    elif shown.p_worse < alpha:
        decision, reason = "refused", f"{told}: worse, p = {shown.p_worse:.2g} after Holm"
    else:
        decision = "underpowered"
        # Enough to show that there is no drop of the margin, if there is none; the drop seen may turn out to be real.
        needed = queries_needed(test.deviation, margin, alpha=alpha)
        reason = f"{told}: neither a drop nor its absence is shown by {test.n} queries"
        if needed:
            needed = max(needed, test.n + 1)
            reason += f"; if there is none, about {needed:,} would show it"
    return Check(
        name=name,
        decision=decision,
        reason=reason,
        margin=margin,
        baseline=means.live,
        candidate=means.candidate,
        difference=test.difference,
        ci=shown.bound,
        p_worse=shown.p_worse,
        visible_drop=_visible_drop(means, test, margin, alpha / family),
        queries=test.n,
        queries_needed=needed,
    )


def _visible_drop(means: _Means, test: PairedTest, margin: float, alpha: float) -> float | None:
    """The smallest drop that is refused with POWER, however it is spread: all queries may lose a little, or a few all.

    None where no query differs, which says nothing about how others would.
    """
    spread = minimum_detectable_effect(test.deviation, test.n, alpha=alpha, sides=1)
    if spread is None:
        return None
    # Of k differences, all losses, the test's p is 2^-k: so many must lose, and with POWER so many do.
    losers = math.ceil(-math.log2(alpha))
    share = (losers + NormalDist().inv_cdf(POWER) * math.sqrt(losers)) / test.n
    return max(spread, margin, share * means.left)


def _latency_check(timings_ms: Sequence[float], limit_ms: float, alpha: float) -> Check:
    ordered = sorted(timings_ms)
    n = len(ordered)
    interval = quantile_interval(ordered, P95, level=1 - 2 * alpha)
    p95 = ordered[math.ceil(P95 * n) - 1] if n else None
    needed = None
    if interval is None:
        decision: Decision = "underpowered"
        needed = next(size for size in range(n + 1, _MOST_SEARCHES) if _enough(size, alpha))
        reason = f"{n} timed searches: at least {needed} are needed"
        if not n:
            reason += "; give the candidate as settings, a house or an experiment, since run files hold no times"
    else:
        told = f"p95 {p95:.1f} ms [{interval[0]:.1f}, {interval[1]:.1f}]"
        if interval[1] <= limit_ms:
            decision, reason = "passed", f"{told}: within {limit_ms:g} ms"
        elif interval[0] > limit_ms:
            decision, reason = "refused", f"{told}: above {limit_ms:g} ms"
        else:
            decision, reason = "underpowered", f"{told}: too close to {limit_ms:g} ms to tell; time more searches"
    return Check(P95_LATENCY, decision, reason, None, None, p95, None, interval, None, None, n, needed)


def _enough(size: int, alpha: float) -> bool:
    return quantile_interval(range(size), P95, level=1 - 2 * alpha) is not None


def _overall(checks: Sequence[Check]) -> Decision:
    decisions = {check.decision for check in checks}
    if "refused" in decisions:
        return "refused"
    return "underpowered" if "underpowered" in decisions else "passed"


def _reasons(checks: Sequence[Check]) -> tuple[str, ...]:
    """What decided, the gravest first; for a pass, every check."""
    overall = _overall(checks)
    return tuple(f"{check.name} {check.reason}" for check in checks if check.decision == overall)


def parse_measures(names: Sequence[str]) -> tuple[Measure, ...]:
    """Measures by name, each once, in order. Raises UsageError for what is none."""
    return tuple(dict.fromkeys(Measure.parse(name) for name in names))

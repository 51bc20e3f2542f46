"""Runs and labels to estimates with intervals, by slice, and to paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freehold.core.experiment import Comparison, Estimate, SliceEstimates
from freehold.measure.ranking import DEFAULT_CUTOFF, Float64, Grades, Measure, Scores, score
from freehold.measure.slices import Slices
from freehold.measure.stats import MIN_QUERIES, holm, mean_intervals, minimum_detectable_effect, paired_tests

Run = Mapping[str, Scores]
"""Query id -> document or passage -> score."""

ALL = ""
"""The slice of all queries."""


@dataclass(frozen=True)
class Assessment:
    """Runs scored on one set of labels. What it hands out is computed once."""

    runs: Mapping[str, Run]
    qrels: Mapping[str, Grades]
    measures: Sequence[Measure]
    slices: Slices
    resamples: int
    seed: int

    @cached_property
    def queries(self) -> list[str]:
        """Ids of the labelled queries, ascending: the rows of ``values``."""
        return sorted(self.qrels)

    @cached_property
    def values(self) -> Mapping[str, Float64]:
        """Run -> float64 (queries, measures)."""
        return {name: score(run, self.qrels, self.measures) for name, run in self.runs.items()}

    @cached_property
    def members(self) -> Mapping[str, Float64]:
        """Slice -> float64 (queries,): 1 for its queries and NaN for others; the slice of all comes first."""
        parts: dict[str, Float64] = {ALL: np.ones(len(self.queries))}
        for name, part in self.slices.items():
            parts[name] = np.array([1.0 if query in part else np.nan for query in self.queries])
        return parts

    def estimates(self) -> Mapping[str, tuple[SliceEstimates, ...]]:
        """Run -> estimates over all queries, then over every slice."""
        columns = [self.values[run] * member[:, None] for run in self.runs for member in self.members.values()]
        intervals = iter(
            mean_intervals(np.hstack(columns), resamples=self.resamples, seed=self.seed) if columns else ()
        )
        judged = {run: score(self.runs[run], self.qrels, [_judged(m) for m in self.measures]) for run in self.runs}
        return {
            run: tuple(
                self._slice(part, self.values[run], judged[run], [next(intervals) for _ in self.measures])
                for part in self.members
            )
            for run in self.runs
        }

    def _slice(
        self, part: str, values: Float64, judged: Float64, intervals: Sequence[tuple[float, float] | None]
    ) -> SliceEstimates:
        rows = ~np.isnan(self.members[part])
        count = int(rows.sum())
        estimates = []
        for column, (measure, interval) in enumerate(zip(self.measures, intervals, strict=True)):
            estimates.append(
                Estimate(
                    measure=str(measure),
                    value=float(values[rows, column].mean()) if count else None,
                    ci95=interval,
                    queries=count,
                    judged=float(judged[rows, column].mean()) if count else None,
                    reason="" if interval else _too_few(count),
                )
            )
        return SliceEstimates(part, count, tuple(estimates))

    def compare(self, run: str, base: str) -> tuple[Comparison, ...]:
        """``run`` minus ``base``, paired by query, in every measure over all queries and every slice."""
        difference = self.values[run] - self.values[base]
        table = np.hstack([difference * member[:, None] for member in self.members.values()])
        tests = paired_tests(table, resamples=self.resamples, seed=self.seed)
        corrected = iter(holm([test.p for test in tests if test]))
        sizes = (~np.isnan(table)).sum(axis=0)
        names = [(part, measure) for part in self.members for measure in self.measures]
        return tuple(
            Comparison(
                run=run,
                base=base,
                measure=str(measure),
                slice=part,
                difference=test.difference if test else None,
                ci95=test.ci95 if test else None,
                p=test.p if test else None,
                p_holm=next(corrected) if test else None,
                mde=minimum_detectable_effect(test.deviation, test.n) if test else None,
                queries=int(size),
                reason=("" if test.deviation else "no query differs") if test else _too_few(int(size)),
            )
            for (part, measure), test, size in zip(names, tests, sizes, strict=True)
        )

    def by_query(self, run: str, measure: Measure) -> Mapping[str, float]:
        """Query id -> value of one measure."""
        column = list(self.measures).index(measure)
        return dict(zip(self.queries, self.values[run][:, column].tolist(), strict=True))


def _judged(measure: Measure) -> Measure:
    return Measure("Judged", measure.cutoff or DEFAULT_CUTOFF)


def _too_few(queries: int) -> str:
    if not queries:
        return "no labelled query"
    return f"{queries} labelled queries: below {MIN_QUERIES} there is no interval"

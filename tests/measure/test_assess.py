"""Runs and labels to estimates and comparisons: by hand on small cases, as laws on any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.experiment import Comparison, Estimate
from freehold.measure.assess import ALL, Assessment
from freehold.measure.ranking import Measure, score
from freehold.measure.stats import MIN_QUERIES, holm

MEASURES = [Measure.parse(name) for name in ("nDCG@10", "R@5", "FPR@3")]


def found_at(ranks: Mapping[str, int], *, depth: int = 10) -> dict[str, dict[str, float]]:
    """A run in which the relevant document of a query, named after it, stands at a rank; 0: it was not found."""
    run = {}
    for query, rank in ranks.items():
        others = [f"x{i}" for i in range(1, depth + 1)]
        order = [*others[: rank - 1], f"d-{query}", *others[rank - 1 : depth - 1]] if rank else others
        run[query] = {document: float(depth - place) for place, document in enumerate(order)}
    return run


def one_relevant(queries: list[str]) -> dict[str, dict[str, int]]:
    return {query: {f"d-{query}": 1, "x1": 0} for query in queries}


def assessment(
    ranks: Mapping[str, Mapping[str, int]],
    *,
    slices: Mapping[str, frozenset[str]] | None = None,
    resamples: int = 1_000,
) -> Assessment:
    queries = sorted({query for run in ranks.values() for query in run})
    runs = {name: found_at(run) for name, run in ranks.items()}
    return Assessment(runs, one_relevant(queries), MEASURES, slices or {}, resamples, 7)


NAMES = [f"q{i}" for i in range(8)]
HALF = frozenset(NAMES[:6])
FEW = frozenset(NAMES[6:])
SMALL = assessment(
    {
        "good": dict.fromkeys(NAMES, 1) | {"q7": 2},
        "poor": dict(zip(NAMES, [1, 2, 4, 1, 0, 3, 2, 2], strict=True)),
    },
    slices={"kind=half": HALF, "kind=few": FEW, "kind=none": frozenset()},
)


def of(estimates: tuple[Estimate, ...], measure: str) -> Estimate:
    return next(estimate for estimate in estimates if estimate.measure == measure)


def test_estimates_by_hand() -> None:
    everything, few, half, none = (SMALL.estimates()["poor"][i] for i in (0, 2, 1, 3))
    assert [part.slice for part in SMALL.estimates()["poor"]] == [ALL, "kind=half", "kind=few", "kind=none"]
    assert (everything.queries, half.queries, few.queries, none.queries) == (8, 6, 2, 0)
    recall = of(everything.measures, "R@5")
    assert recall.value == 7 / 8
    assert recall.queries == 8
    assert recall.judged == pytest.approx((7 * 2 / 5 + 1 / 5) / 8)
    assert of(half.measures, "R@5").judged == pytest.approx((5 * 2 / 5 + 1 / 5) / 6)
    gains = [1, 1 / np.log2(3), 1 / np.log2(5), 1, 0, 1 / 2, 1 / np.log2(3), 1 / np.log2(3)]
    assert of(everything.measures, "nDCG@10").value == pytest.approx(np.mean(gains))
    assert of(half.measures, "nDCG@10").value == pytest.approx(np.mean(gains[:6]))
    low, high = of(everything.measures, "nDCG@10").ci95 or (0.0, 0.0)
    assert 0 < low < np.mean(gains) < high < 1


def test_no_data_is_not_zero() -> None:
    _, _, few, none = SMALL.estimates()["poor"]
    for estimate in few.measures:
        assert estimate.value is not None
        assert estimate.ci95 is None
        assert estimate.reason == f"2 labelled queries: below {MIN_QUERIES} there is no interval"
    for estimate in none.measures:
        assert (estimate.value, estimate.ci95, estimate.judged) == (None, None, None)
        assert estimate.reason == "no labelled query"
    nothing = Assessment({"a": {}}, {}, MEASURES, {}, 1_000, 0)
    assert [e.value for e in nothing.estimates()["a"][0].measures] == [None] * 3
    assert Assessment({}, one_relevant(NAMES), MEASURES, {}, 1_000, 0).estimates() == {}


def compared(comparisons: tuple[Comparison, ...], measure: str, part: str = ALL) -> Comparison:
    return next(c for c in comparisons if (c.measure, c.slice) == (measure, part))


def test_comparisons_by_hand() -> None:
    comparisons = SMALL.compare("good", "poor")
    assert len(comparisons) == 3 * 4
    recall = compared(comparisons, "R@5")
    assert (recall.run, recall.base, recall.queries) == ("good", "poor", 8)
    assert recall.difference == pytest.approx(1 / 8)
    assert recall.p == pytest.approx(1.0, abs=0.01)  # one query differs: either sign is as extreme
    assert recall.mde == pytest.approx((1.96 + 0.8416) * np.std([1] + [0] * 7, ddof=1) / np.sqrt(8), rel=1e-3)
    few = compared(comparisons, "nDCG@10", "kind=few")
    assert (few.difference, few.ci95, few.p, few.p_holm, few.mde, few.queries) == (None, None, None, None, None, 2)
    assert "2 labelled queries" in few.reason


def test_holm_is_over_what_was_tested() -> None:
    tested = [c for c in SMALL.compare("good", "poor") if c.p is not None]
    assert len(tested) == 6
    assert [c.p_holm for c in tested] == pytest.approx(holm([c.p for c in tested]))


def test_values_by_query() -> None:
    assert SMALL.by_query("poor", MEASURES[1]) == {query: float(query != "q4") for query in NAMES}


ranks = st.lists(st.integers(0, 10), min_size=8, max_size=8)


@given(ranks, ranks, st.sets(st.sampled_from(NAMES)))
@settings(max_examples=40)
def test_laws_of_comparisons(first: list[int], second: list[int], part: set[str]) -> None:
    both = {"a": dict(zip(NAMES, first, strict=True)), "b": dict(zip(NAMES, second, strict=True))}
    made = assessment(both, slices={"kind=part": frozenset(part)}, resamples=200)
    there, back, itself = made.compare("a", "b"), made.compare("b", "a"), made.compare("a", "a")
    estimates = made.estimates()
    for c, mirrored, same in zip(there, back, itself, strict=True):
        if c.difference is None:
            assert c.queries < MIN_QUERIES
            continue
        a, b = (of(next(p for p in estimates[run] if p.slice == c.slice).measures, c.measure) for run in "ab")
        assert c.difference == pytest.approx(a.value - b.value)
        assert (-mirrored.difference, mirrored.p) == pytest.approx((c.difference, c.p))
        assert (-mirrored.ci95[1], -mirrored.ci95[0]) == pytest.approx(c.ci95)
        assert c.p <= c.p_holm <= 1
        assert (same.difference, same.ci95, same.p, same.mde) == (0.0, (0.0, 0.0), 1.0, None)


def test_rows_are_queries_in_order() -> None:
    assert SMALL.queries == sorted(NAMES)
    assert SMALL.values["poor"].tolist() == score(SMALL.runs["poor"], SMALL.qrels, MEASURES).tolist()

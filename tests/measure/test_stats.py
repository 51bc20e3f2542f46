"""Intervals, tests and power: against scipy, against readable versions, and against simulated truth."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from freehold.measure import stats
from freehold.measure.stats import (
    MIN_QUERIES,
    bootstrap_means,
    bounded_intervals,
    holm,
    mean_intervals,
    minimum_detectable_effect,
    paired_tests,
    permuted_sums,
    quantile_interval,
    queries_needed,
)

Float64 = NDArray[np.float64]


def scores(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64:
    """As measures are: many 0, many 1, the rest between; the mean is 0.39."""
    kinds = rng.choice(3, size=shape, p=[0.5, 0.28, 0.22])
    return np.where(kinds == 0, 0.0, np.where(kinds == 1, 1.0, rng.uniform(0, 1, shape)))


def column(rng: np.random.Generator, n: int) -> Float64:
    return scores(rng, (n, 1))


# -- bootstrap -------------------------------------------------------------------------------------------------------


def test_bootstrap_means_are_those_of_a_loop() -> None:
    values = column(np.random.default_rng(1), 40)
    fast = bootstrap_means(values, resamples=20_000, seed=3)[:, 0]
    rng = np.random.default_rng(7)
    slow = [np.mean([values[rng.integers(40), 0] for _ in range(40)]) for _ in range(4_000)]
    assert fast.mean() == pytest.approx(values.mean(), abs=0.005)
    assert np.quantile(fast, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(slow, [0.05, 0.5, 0.95]), abs=0.012)


@pytest.mark.parametrize("n", [60, 400])
def test_intervals_are_scipys_widened(n: int) -> None:
    """For many queries the expanded percentiles are the plain ones; for few they are a little wider."""
    values = column(np.random.default_rng(n), n)
    plain = scipy_stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    ((low, high),) = mean_intervals(values, seed=5)
    assert (low, high) == pytest.approx((plain.low, plain.high), abs=0.05 * (plain.high - plain.low))
    assert low < values.mean() < high


def test_few_queries_widen_as_students_t_does() -> None:
    values = np.random.default_rng(0).normal(0, 1, (6, 1))
    ((low, high),) = mean_intervals(values, resamples=50_000, seed=1)
    half = scipy_stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(("n", "least"), [(10, 0.90), (30, 0.925), (100, 0.935)])
def test_coverage_on_skewed_values(n: int, least: float) -> None:
    """A thousand small test sets, all at once as columns: how many of their 95 % intervals hold the true mean."""
    rng = np.random.default_rng(n)
    intervals = mean_intervals(scores(rng, (n, 1_000)), resamples=2_000, seed=n)
    covered = np.mean([low <= 0.39 <= high for low, high in intervals])
    assert least <= covered <= 0.985


@given(st.integers(0, 2**32), st.integers(5, 30))
@settings(max_examples=15)
def test_intervals_lie_within_the_values(seed: int, n: int) -> None:
    values = scores(np.random.default_rng(seed), (n, 2))
    for (low, high), own in zip(mean_intervals(values, resamples=300, seed=seed), values.T, strict=True):
        assert own.min() - 1e-12 <= low <= high <= own.max() + 1e-12


def test_a_slice_is_like_its_queries_alone() -> None:
    values = column(np.random.default_rng(2), 300)
    part = np.where(np.arange(300)[:, None] % 3 == 0, values, np.nan)
    together = np.hstack([values, part])
    ((low, high),) = mean_intervals(part[::3], resamples=20_000, seed=1)
    (_, slice_interval) = mean_intervals(together, resamples=20_000, seed=2)
    assert slice_interval == pytest.approx((low, high), abs=0.15 * (high - low))
    alone, among = paired_tests(part[::3] - 0.5, seed=1)[0], paired_tests(together - 0.5, seed=2)[1]
    assert alone is not None
    assert among is not None
    assert (among.n, among.difference, among.deviation) == pytest.approx((alone.n, alone.difference, alone.deviation))
    assert (among.p, among.p_worse) == pytest.approx((alone.p, alone.p_worse), abs=0.02)


def test_too_few_queries_have_no_interval_and_no_test() -> None:
    few = np.full((MIN_QUERIES - 1, 1), 0.5)
    enough = np.array([[0.1], [0.2], [np.nan], [0.3], [0.4], [0.9]])
    mixed = np.hstack([enough, np.where(np.arange(6)[:, None] < MIN_QUERIES - 1, enough, np.nan)])
    for give in (mean_intervals, paired_tests):
        assert give(few, seed=0) == [None]
        assert [found is None for found in give(mixed, seed=0)] == [False, True]
    assert bounded_intervals(few, seed=0, level=0.9) == [None]
    assert minimum_detectable_effect(0.3, MIN_QUERIES - 1) is None


def test_no_queries_at_all() -> None:
    assert mean_intervals(np.empty((0, 2)), seed=0) == [None, None]
    assert paired_tests(np.empty((0, 2)), seed=0) == [None, None]
    assert bounded_intervals(np.empty((0, 2)), seed=0, level=0.9) == [None, None]


def test_equal_input_gives_equal_output_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    values = scores(np.random.default_rng(3), (700, 3))
    values[::7, 1] = np.nan
    monkeypatch.setattr(stats, "_BLOCK_DRAWS", 1 << 16)

    def everything() -> tuple[object, ...]:
        tests = paired_tests(values - 0.4, resamples=1_000, seed=9)
        return tests, bounded_intervals(values, resamples=1_000, seed=9, level=0.9)

    first = everything()
    for cores in (1, 7):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert everything() == first
    assert paired_tests(values - 0.4, resamples=1_000, seed=10) != first[0]


def test_blocks_are_streams_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two blocks draw the same: else 10,000 resamples would be a few hundred, many times over."""
    monkeypatch.setattr(stats, "_BLOCK_DRAWS", 1_000)
    values = np.random.default_rng(0).normal(size=(50, 1))
    for draw in (bootstrap_means, permuted_sums):
        assert len(np.unique(draw(values, resamples=500, seed=1))) > 490


# -- bounded means ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("losses", "n"), [(0, 30), (1, 100), (7, 100), (90, 100)])
def test_bounds_of_losses_are_the_exact_binomial_ones(losses: int, n: int) -> None:
    values = np.zeros((n, 1))
    values[:losses] = -1.0
    ((low, _),) = bounded_intervals(values, resamples=100_000, seed=1, level=0.9)
    assert low == pytest.approx(-scipy_stats.beta.ppf(0.95, losses + 1, n - losses), abs=0.002)


@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_bounds_mirror(seed: int) -> None:
    """Gains bound what losses bound, from the other side."""
    values = np.random.default_rng(seed).uniform(-1, 1, (20, 2))
    there = bounded_intervals(values, resamples=500, seed=seed, level=0.9)
    back = bounded_intervals(-values, resamples=500, seed=seed, level=0.9)
    for (low, high), (mirrored_low, mirrored_high), own in zip(there, back, values.T, strict=True):
        assert (-mirrored_high, -mirrored_low) == pytest.approx((low, high))
        assert -1 <= low < own.mean() < high <= 1


@pytest.mark.parametrize("n", [40, 150])
def test_bounds_hold_where_losses_are_rare(n: int) -> None:
    """One query in fifty loses everything: a percentile bound overlooks that, this one does not."""
    rng = np.random.default_rng(n)
    values = np.where(rng.random((n, 1_500)) < 0.02, -1.0, rng.normal(0, 0.02, (n, 1_500)))
    bounds = bounded_intervals(values, resamples=1_000, seed=0, level=0.9)
    percentiles = mean_intervals(values, resamples=1_000, seed=0, level=0.9)
    wrong, overlooked = (np.mean([low > -0.02 for low, _ in some]) for some in (bounds, percentiles))
    assert wrong <= 0.065
    assert overlooked > 0.07


def test_bounds_of_a_slice_are_those_of_its_queries() -> None:
    values = np.random.default_rng(0).normal(0, 0.2, (200, 1)).clip(-1, 1)
    part = np.where(np.arange(200)[:, None] % 2 == 0, values, np.nan)
    ((low, high),) = bounded_intervals(values[::2], resamples=20_000, seed=1, level=0.9)
    assert bounded_intervals(np.hstack([values, part]), resamples=20_000, seed=2, level=0.9)[1] == pytest.approx(
        (low, high), abs=0.004
    )


# -- permutation -----------------------------------------------------------------------------------------------------

halves = st.integers(-4, 4).map(lambda number: number / 4)


def enumerated(differences: Sequence[float]) -> tuple[float, float]:
    """p and p_worse over every choice of signs."""
    flips = itertools.product((-1, 1), repeat=len(differences))
    sums = [math.fsum(sign * d for sign, d in zip(signs, differences, strict=True)) for signs in flips]
    observed = math.fsum(differences)
    p = sum(abs(s) >= abs(observed) - 1e-9 for s in sums) / len(sums)
    return p, sum(s <= observed + 1e-9 for s in sums) / len(sums)


@given(st.lists(halves, min_size=5, max_size=11), st.integers(0, 2**32))
@example([0.0] * 5, 0)
@example([-0.25] * 9, 1)
@settings(max_examples=25)
def test_p_values_are_those_of_all_signs(differences: list[float], seed: int) -> None:
    (test,) = paired_tests(np.array(differences)[:, None], resamples=4_000, seed=seed)
    assert test is not None
    assert (test.p, test.p_worse) == pytest.approx(enumerated(differences), abs=0.045)
    assert test.difference == pytest.approx(np.mean(differences))
    assert test.p > 0


def test_p_values_are_scipys() -> None:
    differences = np.random.default_rng(4).normal(-0.08, 0.3, 60)
    (test,) = paired_tests(differences[:, None], seed=0)
    assert test is not None
    for alternative, ours in (("two-sided", test.p), ("less", test.p_worse)):
        theirs = scipy_stats.permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=10_000,
            alternative=alternative,
            rng=np.random.default_rng(1),
        ).pvalue
        assert ours == pytest.approx(theirs, abs=0.015)


def test_equal_systems_are_called_different_as_often_as_said() -> None:
    differences = np.random.default_rng(0).normal(0, 0.3, (40, 1_500))
    differences[np.random.default_rng(1).random((40, 1_500)) < 0.6] = 0.0
    tests = [test for test in paired_tests(differences, resamples=2_000, seed=0) if test]
    assert np.mean([test.p < 0.05 for test in tests]) == pytest.approx(0.05, abs=0.018)
    assert np.mean([test.p_worse < 0.05 for test in tests]) == pytest.approx(0.05, abs=0.018)


@pytest.mark.parametrize("value", [0.0, 0.25, -0.1])
def test_differences_that_are_all_the_same(value: float) -> None:
    (test,) = paired_tests(np.full((20, 1), value), seed=0)
    assert test is not None
    assert test.ci95 == pytest.approx((value, value))
    assert test.deviation == pytest.approx(0.0, abs=1e-12)
    assert minimum_detectable_effect(0.0, 20) is None
    assert test.p_worse == (1.0 if value >= 0 else pytest.approx(1e-4, rel=0.01))
    assert test.p == (1.0 if not value else pytest.approx(1e-4, abs=3e-4))


# -- many at once ----------------------------------------------------------------------------------------------------

p_values = st.lists(st.floats(1e-6, 1.0), max_size=8)


def readable_holm(given_p: Sequence[float]) -> list[float]:
    """A p-value's own step is p times the number not below it; corrected is the highest step so far."""
    steps = sorted((p, place) for place, p in enumerate(given_p))
    times = {place: min(1.0, (len(steps) - rank) * p) for rank, (p, place) in enumerate(steps)}
    return [max(times[other] for q, other in steps if (q, other) <= (p, i)) for i, p in enumerate(given_p)]


@given(p_values)
def test_holm_is_the_readable_one(given_p: list[float]) -> None:
    assert holm(given_p) == pytest.approx(readable_holm(given_p))


@given(p_values, st.randoms(use_true_random=False))
def test_laws_of_holm(given_p: list[float], random: object) -> None:
    corrected = holm(given_p)
    assert all(raw <= new <= 1 for raw, new in zip(given_p, corrected, strict=True))
    pairs = sorted(zip(given_p, corrected, strict=True))
    assert [new for _, new in pairs] == sorted(corrected)
    order = list(range(len(given_p)))
    random.shuffle(order)
    assert holm([given_p[i] for i in order]) == pytest.approx([corrected[i] for i in order])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


# -- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deviation", "n"), [(0.3, 60), (0.1, 400)])
def test_the_detectable_effect_is_detected_with_the_power_said(deviation: float, n: int) -> None:
    effect = minimum_detectable_effect(deviation, n)
    assert effect is not None
    differences = np.random.default_rng(n).normal(effect, deviation, (n, 600))
    found = np.mean([test.p < 0.05 for test in paired_tests(differences, resamples=1_000, seed=0) if test])
    assert found == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("deviation", "margin"), [(0.28, 0.05), (0.1, 0.02), (0.02, 0.05)])
def test_queries_needed_show_that_there_is_no_drop(deviation: float, margin: float) -> None:
    n = queries_needed(deviation, margin)
    assert n is not None

    def shown(size: int) -> float:
        differences = np.random.default_rng(size).normal(0, deviation, (size, 500)).clip(-1, 1)
        bounds = bounded_intervals(differences, resamples=1_000, seed=0, level=0.9)
        return float(np.mean([low > -margin for low, _ in bounds]))

    assert 0.75 <= shown(n) <= 0.96
    assert shown(n // 2) < shown(n) < shown(2 * n)


@given(st.floats(0.05, 0.6), st.integers(2_000, 50_000), st.floats(0.01, 0.2))
def test_queries_needed_and_detectable_effect_are_inverse(deviation: float, n: int, alpha: float) -> None:
    """For many queries, that is: for few the bound also leaves room for what was not seen."""
    effect = minimum_detectable_effect(deviation, n, alpha=alpha, sides=1)
    assert effect is not None
    again = queries_needed(deviation, effect, alpha=alpha)
    assert again is not None
    # A query not seen costs 1/n of the effect, which then takes that many more queries.
    assert n <= again <= n * (1 + 4 / (n * effect)) ** 2


@pytest.mark.parametrize(("margin", "alpha"), [(0.01, 0.05), (0.05, 0.05), (0.02, 0.01)])
def test_without_differences_the_rule_of_three_says_how_many(margin: float, alpha: float) -> None:
    exact = math.log(alpha) / math.log(1 - margin)
    assert queries_needed(0.0, margin, alpha=alpha) == pytest.approx(exact, rel=0.03)


def test_no_number_of_queries_shows_that_there_is_no_drop_at_all() -> None:
    assert queries_needed(0.1, 0.0) is None
    assert queries_needed(0.1, 1.0) == 4


# -- quantiles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [4, 5, 9, 29, 199])
@pytest.mark.parametrize("p", [0.9, 0.95, 0.975, 0.995])
def test_t_quantile_is_scipys(p: float, df: int) -> None:
    assert stats._t_quantile(p, df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=0.01)


@given(st.integers(1, 1_500), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.sampled_from([0.8, 0.9, 0.95]))
@example(58, 0.95, 0.9)
@example(59, 0.95, 0.9)
def test_quantile_interval_has_binomial_ranks(n: int, q: float, level: float) -> None:
    tail, below = (1 - level) / 2, scipy_stats.binom(n, q)
    interval = quantile_interval(range(n), q, level=level)
    if interval is None:
        assert below.pmf(n) > tail or below.pmf(0) > tail
        return
    low, high = (int(rank) for rank in interval)
    assert below.cdf(low) <= tail + 1e-9 < below.cdf(low + 1) + 2e-9
    assert below.sf(high) <= tail + 1e-9 < below.sf(high - 1) + 2e-9


def test_quantile_interval_covers() -> None:
    times = np.sort(np.random.default_rng(0).lognormal(3, 0.6, (2_000, 200)), axis=1)
    truth = scipy_stats.lognorm.ppf(0.95, 0.6, scale=math.exp(3))
    intervals = [quantile_interval(row.tolist(), 0.95, level=0.9) for row in times]
    assert np.mean([low > truth for low, _ in intervals]) <= 0.06
    assert np.mean([high < truth for _, high in intervals]) <= 0.06
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.9

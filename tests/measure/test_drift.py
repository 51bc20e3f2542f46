"""The watch's statistics: uniform where nothing changes, independent from look to look, quick where something does."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats

from freehold.measure import drift
from freehold.measure.drift import LEAST_KNOWN, LEAST_NEW, MOST_KNOWN, MOST_NEW

seeds = st.integers(0, 2**32 - 1)


def units(rng: np.random.Generator, n: int, dim: int = 16) -> np.ndarray:
    rows = rng.normal(size=(n, dim))
    return rows / np.linalg.norm(rows, axis=1)[:, None]


# -- bets ------------------------------------------------------------------------------------------------------------


def test_a_bet_pays_one_on_average_for_a_uniform_p() -> None:
    total, _ = integrate.quad(lambda log: drift.evidence(math.exp(log)) * math.exp(log), math.log(1e-290), 0, limit=900)
    assert 0.99 < total <= 1.0 + 1e-4  # a part of its mean, 1 / 668, lies below 1e-290


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_p_never_pays_less(one: float, other: float) -> None:
    assert drift.evidence(min(one, other)) >= drift.evidence(max(one, other)) - 1e-9


@given(st.lists(st.floats(0.5, 200), max_size=12))
def test_the_sum_is_over_all_starts(bets: list[float]) -> None:
    by_hand = sum(math.prod(bets[start:]) for start in range(len(bets)))
    assert drift.total_of(bets) == pytest.approx(by_hand, rel=1e-9)


@given(st.lists(st.floats(0.5, 200), min_size=1, max_size=12))
def test_the_likeliest_start_has_the_largest_product(bets: list[float]) -> None:
    products = [math.prod(bets[start:]) for start in range(len(bets))]
    assert products[drift.likeliest_start(bets)] == pytest.approx(max(products), rel=1e-9)


@given(seeds, st.sampled_from([30.0, 100.0, 400.0]))
@settings(max_examples=12)
def test_uniform_p_values_raise_no_more_alarms_than_promised(seed: int, level: float) -> None:
    """Over 20,000 looks at most 20,000 / level are expected; six standard deviations more are never seen."""
    rng = np.random.default_rng(seed)
    total, alarms = 0.0, 0
    for p in rng.random(20_000):
        total = drift.carried(total, drift.evidence(p))
        if total >= level:
            total, alarms = 0.0, alarms + 1
    expected = 20_000 / level
    assert alarms <= expected + 6 * math.sqrt(expected)


def test_the_level_shares_what_is_allowed_among_signals() -> None:
    assert drift.level(false_alarms_per_month=0.1, looks_per_month=30, signals=6) == pytest.approx(1800)


# -- comparisons -----------------------------------------------------------------------------------------------------


def uniformity(draw: Callable[[np.random.Generator], float], looks: int) -> float:
    """p-value of Kolmogorov and Smirnov's test that p-values are no smaller than uniform ones."""
    rng = np.random.default_rng(11)
    found = [draw(rng) for _ in range(looks)]
    return float(scipy_stats.kstest(found, "uniform", alternative="greater").pvalue)


def test_p_values_of_vectors_are_uniform_where_nothing_changed() -> None:
    def draw(rng: np.random.Generator) -> float:
        return drift.vectors_moved(units(rng, 120), units(rng, 25), rng=rng, draws=199).p

    assert uniformity(draw, 300) > 1e-3


def test_p_values_of_numbers_with_ties_are_uniform_or_larger() -> None:
    def draw(rng: np.random.Generator) -> float:
        ranks = rng.integers(1, 4, size=150).astype(np.float64)
        return drift.values_moved(ranks[:120], ranks[120:], rng=rng, draws=199).p

    assert uniformity(draw, 300) > 1e-3


def test_p_values_of_rates_are_uniform_where_nothing_changed() -> None:
    def draw(rng: np.random.Generator) -> float:
        happened = (rng.random(160) < 0.1).tolist()
        return drift.rate_rose(happened[:120], happened[120:], rng=rng).p

    assert uniformity(draw, 2_000) > 1e-3


def test_p_values_of_successive_looks_are_independent() -> None:
    """What is new joins what is known: neighbours do not know of each other. With a fixed sample they do."""
    rng = np.random.default_rng(5)
    joined, fixed = [], []
    for _ in range(60):
        values = [rng.normal(size=100) for _ in range(7)]
        for place in range(1, 7):
            joined.append(drift.values_moved(np.concatenate(values[:place]), values[place], rng=rng, draws=99).p)
            fixed.append(drift.values_moved(values[0], values[place], rng=rng, draws=99).p)
    chains = np.array(joined).reshape(60, 6)
    assert scipy_stats.spearmanr(chains[:, :-1].ravel(), chains[:, 1:].ravel()).pvalue > 1e-3
    assert np.var(np.array(fixed).reshape(60, 6).mean(axis=1)) > 1.3 * np.var(chains.mean(axis=1))


@given(seeds)
@settings(max_examples=15)
def test_a_planted_shift_is_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, new = units(rng, 200), units(rng, 40)
    new[:, 0] += 1.5
    moved = drift.vectors_moved(known, new, rng=rng)
    assert moved.p == pytest.approx(1 / (1 + drift.DRAWS))
    assert drift.values_moved(known[:, 0], new[:, 0], rng=rng).p < 0.001
    assert drift.rate_rose([False] * 190 + [True] * 10, [True] * 20 + [False] * 20, rng=rng).p < 1e-6


def test_outliers_are_those_that_moved() -> None:
    rng = np.random.default_rng(3)
    known, new = units(rng, 300), units(rng, 40)
    new[:6, 2] += 2.0
    assert set(drift.vectors_moved(known, new, rng=rng).outliers[:6]) == set(range(6))
    assert set(drift.values_moved(known[:, 2], new[:, 2] + 0.2, rng=rng).outliers[:6]) == set(range(6))
    assert drift.rate_rose([False] * 100, [False] * 18 + [True] * 2, rng=rng).outliers == (18, 19)


@given(seeds)
@settings(max_examples=10)
def test_the_order_within_a_batch_does_not_matter(seed: int) -> None:
    """Nor within what is known: statistics are the same, outliers name the same rows."""
    rng = np.random.default_rng(seed)
    known, new = units(rng, 110), units(rng, 22)
    shuffle, turn = rng.permutation(110), rng.permutation(22)
    one = drift.vectors_moved(known, new, rng=np.random.default_rng(1), draws=99)
    other = drift.vectors_moved(known[shuffle], new[turn], rng=np.random.default_rng(1), draws=99)
    assert one.statistic == pytest.approx(other.statistic, abs=1e-9)
    assert [int(turn[row]) for row in other.outliers] == list(one.outliers)


def test_the_held_out_predictions_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(9)
    rows = units(rng, 30, 4)
    labels = (rng.random(30) < 0.4).astype(np.float64)
    table = drift._held_out(rows)
    centred = rows - rows.mean(axis=0)
    ridge = (centred**2).sum() / 4
    for out in range(30):
        stay = np.arange(30) != out
        design = np.hstack([np.ones((30, 1)), centred])
        penalty = ridge * np.diag([0.0, 1, 1, 1, 1])
        left = design[stay]
        weights = np.linalg.solve(left.T @ left + penalty, left.T @ labels[stay])
        assert float(table[out] @ labels) == pytest.approx(float(design[out] @ weights), abs=1e-9)


def test_too_few_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least"):
        drift.vectors_moved(units(rng, LEAST_KNOWN), units(rng, LEAST_NEW - 1), rng=rng)
    with pytest.raises(ValueError, match="at least"):
        drift.rate_rose([True] * (LEAST_KNOWN - 1), [True] * LEAST_NEW, rng=rng)


# -- samples ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.integers(0, 2_000))
@settings(max_examples=20)
def test_samples_are_of_what_there_is(sizes: list[int], known: int) -> None:
    old = [f"known-{n}" for n in range(known)]
    batches = [[f"{day}-{n}" for n in range(size)] for day, size in enumerate(sizes)]
    sample, new = drift.samples(old, batches)
    assert (len(set(sample)), len(set(new))) == (len(sample), len(new))
    assert set(new) <= set(batches[-1])
    assert set(sample) <= {*old, *(key for batch in batches[:-1] for key in batch)}
    assert len(new) == min(MOST_NEW, sizes[-1])
    assert len(sample) == min(MOST_KNOWN, min(known, MOST_KNOWN) + sum(min(MOST_NEW, size) for size in sizes[:-1]))
    assert drift.samples(old[::-1], [batch[::-1] for batch in batches]) == (sample, new)

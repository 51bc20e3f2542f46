"""Exposure of canaries: against scipy, and against simulated models that never saw them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freehold.proof.exposure import MEAN_BITS, exposure, exposure_test, gamma_tail


@given(st.integers(1, 300), st.floats(0, 900))
def test_the_tail_is_scipys(shape: int, x: float) -> None:
    assert gamma_tail(shape, x) == pytest.approx(stats.gamma.sf(x, shape), rel=1e-9, abs=1e-300)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_exposure_is_bits_gained_over_guessing(rank: int, size: int) -> None:
    if rank > size:
        with pytest.raises(ValueError, match="rank"):
            exposure(rank, size)
        return
    assert exposure(rank, size) == pytest.approx(-math.log2(rank / size))
    assert 0 <= exposure(rank, size) <= math.log2(size)


@pytest.mark.parametrize("canaries", [1, 5, 20])
def test_a_model_that_never_saw_them_fails_as_rarely_as_said(canaries: int) -> None:
    rng, size, runs = np.random.default_rng(canaries), 20_001, 4_000
    tests = [exposure_test(rng.integers(1, size + 1, canaries).tolist(), size) for _ in range(runs)]
    assert np.mean([t.mean_bits for t in tests]) == pytest.approx(MEAN_BITS, abs=0.07)
    # The two ways to fail have 1 % each; both hold within four standard deviations.
    slack = 4 * math.sqrt(0.01 / runs)
    assert np.mean([t.p <= 0.01 for t in tests]) <= 0.01 + slack
    assert 0.004 <= np.mean([not t.passed for t in tests]) <= 0.02 + 2 * slack
    assert stats.kstest([t.p for t in tests], "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    ("ranks", "passed"),
    [
        ([1] * 20, False),  # all extracted at once
        ([1] + [10_000] * 19, False),  # one alone, which the mean would hide
        ([11] + [10_000] * 19, True),
        ([1_500] * 20, False),  # each a little better than chance
        ([20_000] * 20, True),
    ],
)
def test_what_passes(ranks: list[int], passed: bool) -> None:
    assert exposure_test(ranks, 20_001).passed is passed


def test_one_canary_in_twenty_is_seen_where_the_mean_sees_nothing() -> None:
    found = exposure_test([1] + [10_000] * 19, 20_001)
    assert found.p > 0.01
    assert not found.passed
    assert found.max_bits == pytest.approx(14.29, abs=0.01)


def test_a_test_that_cannot_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="2000"):
        exposure_test([1] * 20, 2_000)
    with pytest.raises(ValueError, match="canaries"):
        exposure_test([], 20_001)

"""The law of scaling: what was planted is found again, and forecasts keep their word."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.capacity import scaling
from freehold.measure.capacity.levels import Run, resampled
from freehold.measure.capacity.scaling import Law

LEVELS = [1, 2, 4, 8, 16, 32]


@given(st.floats(0.1, 1e4), st.floats(0, 0.9), st.floats(0, 0.05))
def test_planted_parameters_are_found_again(lam, sigma, kappa):
    planted = Law(lam, sigma, kappa)
    found = scaling.fit(LEVELS, [planted.per_s(n) for n in LEVELS])
    assert math.isclose(found.lam, lam, rel_tol=1e-5)
    assert math.isclose(found.sigma, sigma, rel_tol=1e-4, abs_tol=1e-5)
    assert math.isclose(found.kappa, kappa, rel_tol=1e-4, abs_tol=1e-6)


@given(st.lists(st.floats(0.5, 1000), min_size=6, max_size=6))
def test_whatever_was_measured_the_law_is_one(rates):
    found = scaling.fit(LEVELS, rates)
    assert found.lam > 0
    assert found.sigma >= 0
    assert found.kappa >= 0
    assert found.best >= 1


def test_too_few_levels_are_refused():
    with pytest.raises(UsageError, match="too few levels"):
        scaling.fit([1, 2, 2], [10, 20, 20])
    with pytest.raises(UsageError):
        scaling.fit([1, 2, 4], [10, 0, 20])


def level(clients: int, law: Law, saturated: str = "") -> Run:
    rate = law.per_s(clients)
    mean = 1000 * clients / rate
    slices = tuple(rate * (1 + 0.01 * part) for part in (-2, -1, 0, 1, 2))
    means, tails = (tuple(factor * 1000 * clients / part for part in slices) for factor in (1, 1.5))
    return Run(
        clients, 0, 10, 100, rate, mean, mean, 1.5 * mean, 2 * mean, 3 * mean, {}, slices, means, tails, 0.1, 0.1,
        saturated,
    )  # fmt: skip


def test_a_level_left_out_is_foretold():
    law = Law(40, 0.05, 0.001)
    runs = [level(n, law) for n in (1, 2, 8, 16)]
    told = scaling.forecast(runs, 4, resamples=200)
    assert told.per_s == pytest.approx(law.per_s(4), rel=1e-6)
    assert told.p95_ms == pytest.approx(1500 * 4 / law.per_s(4), rel=1e-6)
    assert told.per_s_interval[0] < told.per_s < told.per_s_interval[1]
    assert told.p95_interval[0] < told.p95_ms < told.p95_interval[1]


def test_levels_of_a_saturated_client_are_left_out():
    law = Law(40, 0.05, 0.001)
    runs = [level(1, law), level(2, law), level(4, law), level(8, Law(1, 0, 0), "the client was late")]
    assert scaling.forecast(runs, 8, resamples=50).per_s == pytest.approx(law.per_s(8), rel=1e-6)


def test_a_tail_that_varies_widens_the_interval_of_p95_alone():
    law = Law(40, 0.05, 0.001)
    steady = [level(n, law) for n in (1, 2, 8, 16)]
    factors = (0.7, 1.4, 1.0, 0.8, 1.1)
    wild = [
        replace(run, slices_p95_ms=tuple(f * ms for f, ms in zip(factors, run.slices_p95_ms, strict=True)))
        for run in steady
    ]
    calm, told = (scaling.forecast(runs, 4, resamples=300) for runs in (steady, wild))
    assert told.per_s_interval == calm.per_s_interval
    assert told.p95_ms == calm.p95_ms
    widths = [one.p95_interval[1] - one.p95_interval[0] for one in (calm, told)]
    assert widths[1] > 3 * widths[0]


def test_parts_in_time_are_drawn_together():
    run = level(4, Law(40, 0.05, 0.001))
    rng = np.random.default_rng(1)
    for _ in range(20):
        again = resampled(run, rng)
        # In a closed loop rate times latency is the number of clients, in every part and so in every draw.
        assert again.per_s * again.mean_ms == pytest.approx(4000, rel=1e-6)
    silent = replace(run, slices_per_s=(0.0,) * 5, slices_mean_ms=(0.0,) * 5, slices_p95_ms=(0.0,) * 5)
    assert resampled(silent, rng) == silent

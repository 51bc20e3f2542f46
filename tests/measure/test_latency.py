"""Quantiles of times are times that occurred, and there are none where there are too few."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.experiment import Quantiles
from freehold.measure.latency import FEWEST_FOR_P95, FEWEST_FOR_P99, quantiles


def test_of_one_to_a_hundred() -> None:
    assert quantiles([float(i) for i in range(100, 0, -1)]) == Quantiles(50.0, 95.0, 99.0, 100)


def test_of_nothing() -> None:
    assert quantiles([]) == Quantiles(None, None, None, 0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=150))
def test_each_is_the_smallest_that_enough_values_do_not_exceed(values: list[float]) -> None:
    found, n = quantiles(values), len(values)
    for percent, value, least in ((50, found.p50, 1), (95, found.p95, FEWEST_FOR_P95), (99, found.p99, FEWEST_FOR_P99)):
        if n < least:
            assert value is None
        else:
            assert value == sorted(values)[math.ceil(percent * n / 100) - 1]

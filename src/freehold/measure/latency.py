"""Quantiles of times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freehold.core.experiment import Quantiles

FEWEST_FOR_P95, FEWEST_FOR_P99 = 20, 100
"""A quantile q of fewer than 1 / (1 - q) values is their maximum under another name."""


def quantiles(values: Sequence[float]) -> Quantiles:
    """p50, p95 and p99 as values that occurred (inverse of the empirical distribution); None where they are too few."""
    n = len(values)
    if not n:
        return Quantiles(None, None, None, 0)
    p50, p95, p99 = np.quantile(np.asarray(values), [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
    return Quantiles(p50, p95 if n >= FEWEST_FOR_P95 else None, p99 if n >= FEWEST_FOR_P99 else None, n)

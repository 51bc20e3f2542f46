"""How long requests take at an open rate: a queue whose server works at the closed-loop rates of a load test.

A service that answers X(n) requests a second while n are inside is one server with rates that depend on its load (the
flow-equivalent server: Chandy, Herzog and Woo 1975, "Parametric analysis of queuing networks"). X is what a closed
loop of n clients was measured to get, between levels interpolated. Requests that come at random (Poisson) at rate r
then find n inside with probability p(n) ∝ Π r / X(k), k = 1 to n; one that comes makes n + 1, and takes what a closed
loop of n + 1 clients takes: (n + 1) / X(n + 1) on average (Little 1961), lognormal, with the p95 over the mean that
was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import UsageError
from freehold.measure.capacity import scaling
from freehold.measure.capacity.levels import Run, resampled
from freehold.measure.capacity.scaling import Forecast

Values = NDArray[np.float64]
MOST_BUSY = 0.95
"""Share of the capacity above which no p95 is told: the queue is then longer than the states that are counted."""
STATES = 160
_STEPS = 16
_TAIL = 0.05
_Z95 = NormalDist().inv_cdf(1 - _TAIL)


@dataclass(frozen=True, slots=True)
class Queue:
    """A service under an open load, or an array of them: all but the last axis."""

    per_s: Values
    """(..., states) requests a second with 1, 2, 3 ... inside."""
    tail: Values
    """(..., states) p95 over mean of what a request takes then, at least 1; the last axis may be one."""

    @classmethod
    def of(cls, lam: Any, sigma: Any, kappa: Any, tail: Any, states: int) -> Queue:
        """Queues at the rates of laws of scaling with these parameters (`scaling.Law`), (...) each.

        Beyond the clients at which throughput is highest it stays so: a service that admits no more keeps it.
        """
        lam, sigma, kappa = (np.asarray(each, float)[..., None] for each in (lam, sigma, kappa))
        n = np.arange(1, states + 1, dtype=float)
        per_s = lam * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
        return cls(np.maximum.accumulate(per_s, -1), np.asarray(tail, float)[..., None])

    @property
    def capacity_per_s(self) -> Values:
        """(...) the rate beyond which the queue grows."""
        return np.asarray(self.per_s.max(-1))

    def p95_at(self, rate_per_s: Values) -> Values:
        """(...) p95 in milliseconds at an open rate; infinity above ``MOST_BUSY`` of the capacity."""
        rate = np.asarray(rate_per_s, float)
        log_p = np.cumsum(np.log(np.maximum(rate, 1e-9)[..., None] / self.per_s), -1)
        log_p = np.concatenate([np.zeros((*log_p.shape[:-1], 1)), log_p[..., :-1]], -1)  # n = 0, 1, 2 ...
        found = np.exp(log_p - log_p.max(-1, keepdims=True))
        found /= found.sum(-1, keepdims=True)
        mean_ms = 1000 * np.arange(1, self.per_s.shape[-1] + 1) / self.per_s
        sigma = np.maximum(_sigma(self.tail), 1e-6)
        log_median = np.log(mean_ms) - sigma**2 / 2
        low, high = np.log(mean_ms.min(-1)) - 5, np.log(mean_ms.max(-1) * np.max(self.tail, -1)) + 1
        # Single precision is enough for shares of a hundredth, and four times as fast.
        share, at, scale = (each.astype(np.float32) for each in (found, log_median / sigma, 1 / sigma))
        for _ in range(_STEPS):
            middle = (low + high) / 2
            late = (share * _normal(at - middle[..., None].astype(np.float32) * scale)).sum(-1)
            low, high = np.where(late > _TAIL, middle, low), np.where(late > _TAIL, high, middle)
        return np.where(rate <= MOST_BUSY * self.capacity_per_s, np.exp(high), np.inf)


def fit(runs: Sequence[Run]) -> Queue:
    """The queue of a load test's closed-loop levels. Raises UsageError where they are too few.

    Beyond the most clients of any level, rates stay as they were.
    """
    used = sorted(scaling.closed(runs), key=lambda run: run.clients)
    if len({run.clients for run in used}) < scaling.FEWEST:
        raise UsageError(
            "too few levels for a queue", hint="measure three numbers of clients at least: --clients 1,2,4,8"
        )
    states = np.arange(1, STATES + 1)
    per_s = np.interp(states, [run.clients for run in used], [run.per_s for run in used])
    at, ratios = zip(*scaling.tails(used), strict=True)
    return Queue(np.maximum.accumulate(per_s), np.interp(np.log(states), np.log(at), ratios))


def forecast(runs: Sequence[Run], rate_per_s: float, *, resamples: int = scaling.RESAMPLES, seed: int = 1) -> Forecast:
    """p95 at an open rate, with its 95 % interval. Raises UsageError where the service cannot bear it."""
    used = scaling.closed(runs)
    told = float(fit(used).p95_at(np.array(rate_per_s)))
    if not np.isfinite(told):
        raise UsageError(f"{rate_per_s:g} a second is more than the service can bear", hint="ask for a lower rate")
    rng = np.random.default_rng(seed)
    drawn = [float(fit([resampled(run, rng) for run in used]).p95_at(np.array(rate_per_s))) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Forecast(0, rate_per_s, (rate_per_s, rate_per_s), told, (low, high))


def _sigma(tail: Values) -> Values:
    """Of the lognormal with this p95 over its mean: ln(p95 / mean) = zσ - σ²/2."""
    return _Z95 - np.sqrt(np.maximum(_Z95**2 - 2 * np.log(np.maximum(tail, 1.0)), 0.0))


def _normal(z: Values) -> Values:
    """The normal distribution function, to 0.0003 (Page 1977)."""
    return np.float32(0.5) * (1 + np.tanh(z * (np.float32(0.79788456) + np.float32(0.03567741) * z * z)))

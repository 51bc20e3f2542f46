"""How throughput and latency grow with concurrency: Gunther's universal scalability law, fitted to a load test.

X(N) = λN / (1 + σ(N-1) + κN(N-1)) (Gunther 2007, "Guerrilla Capacity Planning", ch. 4-6): λ is what one client gets, σ
the share that waits in line, κ what keeping in step costs. N/X is linear in 1/λ, σ/λ and κ/λ, so that the fit is least
squares of relative errors with coefficients of at least zero, and has no start value to choose.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freehold.core.errors import UsageError
from freehold.measure.capacity.levels import Run, resampled

FEWEST = 3
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Law:
    """λ in requests a second, σ and κ as shares."""

    lam: float
    sigma: float
    kappa: float

    def per_s(self, clients: float) -> float:
        """Requests a second of so many clients."""
        more = clients - 1
        return self.lam * clients / (1 + self.sigma * more + self.kappa * clients * more)

    @property
    def best(self) -> float:
        """Clients beyond which throughput falls; infinity where it never does."""
        return max(1.0, ((1 - self.sigma) / self.kappa) ** 0.5) if self.kappa > 0 and self.sigma < 1 else float("inf")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected of so many clients, each with its 95 % interval."""

    clients: float
    per_s: float
    per_s_interval: tuple[float, float]
    p95_ms: float
    p95_interval: tuple[float, float]


def fit(clients: Sequence[float], per_s: Sequence[float]) -> Law:
    """The law nearest to the levels in relative error. Raises UsageError with fewer than three different levels."""
    n, x = np.array(clients, float), np.array(per_s, float)
    if len(set(n.tolist())) < FEWEST or (x <= 0).any():
        hint = "measure three numbers of clients at least: --clients 1,2,4,8"
        raise UsageError("too few levels to fit a law of scaling to", hint=hint)
    measured = n / x
    design = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) / measured[:, None]
    best, least = np.zeros(3), np.inf
    for with_sigma, with_kappa in itertools.product((True, False), repeat=2):
        columns = [0] + [1] * with_sigma + [2] * with_kappa
        found, *_ = np.linalg.lstsq(design[:, columns], np.ones_like(n), rcond=None)
        miss = float(((design[:, columns] @ found - 1) ** 2).sum())
        if found[0] > 0 and (found >= 0).all() and miss < least * (1 - 1e-9):
            best, least = np.zeros(3), miss
            best[columns] = found
    return Law(lam=float(1 / best[0]), sigma=float(best[1] / best[0]), kappa=float(best[2] / best[0]))


def closed(runs: Sequence[Run]) -> list[Run]:
    """The levels that a law can be fitted to: closed loop, answered, the client not at its limit."""
    return [run for run in runs if run.clients and run.answered and not run.saturated]


def forecast(runs: Sequence[Run], clients: float, *, resamples: int = RESAMPLES, seed: int = 1) -> Forecast:
    """Throughput and p95 of so many clients, from closed-loop levels. Raises UsageError where they are too few.

    The mean latency follows from throughput (Little 1961: N = X R); p95 is it times p95/mean, between levels
    interpolated over log N. Intervals are those of a bootstrap over the levels' parts in time.
    """
    used = closed(runs)

    def told(levels: Sequence[Run]) -> tuple[float, float]:
        per_s = fit([run.clients for run in levels], [run.per_s for run in levels]).per_s(clients)
        return per_s, 1000 * clients / per_s * _tail(levels, clients)

    rng = np.random.default_rng(seed)
    drawn = np.array([told([resampled(run, rng) for run in used]) for _ in range(resamples)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0).tolist()
    per_s, p95_ms = told(used)
    return Forecast(clients, per_s, (low[0], high[0]), p95_ms, (low[1], high[1]))


def tails(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """(clients, how many times the mean the p95 is), ascending. Raises UsageError where no level has a p95."""
    known = sorted((float(run.clients), run.p95_ms / run.mean_ms) for run in runs if run.p95_ms and run.mean_ms)
    if not known:
        raise UsageError("no level has answers enough for a p95", hint="measure longer: --seconds 30")
    return known


def _tail(runs: Sequence[Run], clients: float) -> float:
    at, ratios = zip(*tails(runs), strict=True)
    return float(np.interp(np.log(clients), np.log(at), ratios))

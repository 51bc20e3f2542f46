"""How far a load test can be trusted to foretell: each level beside what the others say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.errors import UsageError
from freehold.measure.capacity import queueing, scaling
from freehold.measure.capacity.levels import Run
from freehold.measure.capacity.scaling import Forecast

RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Check:
    """A level that had no part in its forecast. ``forecast`` is None where the others say that it cannot be borne."""

    clients: int
    rate_per_s: float
    per_s: float
    p95_ms: float
    forecast: Forecast | None

    def __str__(self) -> str:
        load = f"{self.clients} clients" if self.clients else f"{self.rate_per_s:g} a second"
        if self.forecast is None:
            return f"{load}, left out: more than the service can bear, by the other levels"
        told, (low, high) = self.forecast, self.forecast.p95_interval
        rate = f"{told.per_s:,.1f}/s foretold, {self.per_s:,.1f} measured ({told.per_s / self.per_s - 1:+.0%}); "
        late = f"p95 {told.p95_ms:,.0f} ms [{low:,.0f}, {high:,.0f}] foretold, {self.p95_ms:,.0f} measured"
        return f"{load}, left out: {rate if self.clients else ''}{late} ({told.p95_ms / self.p95_ms - 1:+.0%})"


def checks(runs: Sequence[Run]) -> list[Check]:
    """Each closed-loop level between others, by the law of the others; each open one by the queue of all closed ones.

    Empty where the closed-loop levels are too few. The lowest and the highest are not foretold: that is no reading
    between levels.
    """
    closed = sorted(scaling.closed(runs), key=lambda run: run.clients)
    if len({run.clients for run in closed}) < scaling.FEWEST:
        return []
    found = []
    for run in closed:
        others = [one for one in closed if one.clients != run.clients]
        inside = closed[0].clients < run.clients < closed[-1].clients
        if inside and run.p95_ms and len({one.clients for one in others}) >= scaling.FEWEST:
            told = scaling.forecast(others, run.clients, resamples=RESAMPLES)
            found.append(Check(run.clients, 0.0, run.per_s, run.p95_ms, told))
    for run in runs:
        if not run.clients and run.answered and not run.saturated and run.p95_ms:
            try:
                borne = queueing.forecast(closed, run.per_s, resamples=RESAMPLES)
            except UsageError:
                borne = None
            found.append(Check(0, run.rate_per_s, run.per_s, run.p95_ms, borne))
    return found

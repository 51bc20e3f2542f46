"""The queue: textbook cases, and a service that is simulated, foretold from its closed loop at open rates."""

import heapq
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.capacity import queueing, scaling, trial
from freehold.measure.capacity.checks import checks
from freehold.measure.capacity.levels import SLICES, Level, Run, summary
from freehold.measure.capacity.queueing import Queue


@given(st.floats(0.05, 0.9), st.floats(1, 1000))
def test_one_server_without_spread_is_a_geometric_queue(busy, per_s):
    # M/M/1: n inside with probability (1 - b) b^n; one that finds n takes n + 1 services.
    queue = Queue.of(per_s, 1.0, 0.0, 1.0, states=400)
    found = math.ceil(math.log(0.05) / math.log(busy) - 1e-9) - 1
    assert float(queue.p95_at(np.array(busy * per_s))) == pytest.approx((found + 1) * 1000 / per_s, rel=0.02)


def test_alone_a_request_has_the_tail_that_was_measured():
    queue = Queue.of([50.0, 20.0], [0.3, 0.1], [0.0, 0.01], [1.6, 2.2], states=64)
    told = queue.p95_at(np.zeros(2))
    assert told == pytest.approx([1.6 * 20, 2.2 * 50], rel=0.01)


def test_more_load_is_slower_and_too_much_is_endless():
    queue = Queue.of(40.0, 0.2, 0.001, 1.8, states=160)
    shares = np.linspace(0.05, 0.95, 10)
    told = [float(queue.p95_at(share * queue.capacity_per_s)) for share in shares]
    assert told == sorted(told)
    assert float(queue.p95_at(0.97 * queue.capacity_per_s)) == math.inf


def shared(cores: float, mean_s: float, *, clients: int = 0, rate: float = 0.0, seconds: float = 400.0) -> Run:
    """A service whose cores all requests inside share (processor sharing), exponential work, in virtual time."""
    rng = random.Random(7)
    inside: list[tuple[float, float]] = []  # work done when it ends, when it came
    now = worked = 0.0
    next_in = 0.0 if not clients else math.inf
    for _ in range(clients):
        heapq.heappush(inside, (rng.expovariate(1 / mean_s), 0.0))
    ms, at = [], []
    while now < seconds:
        speed = min(1.0, cores / len(inside)) if inside else 0.0
        next_out = now + (inside[0][0] - worked) / speed if inside else math.inf
        moment = min(next_in, next_out)
        worked += (moment - now) * speed
        now = moment
        if next_out <= next_in:
            _, came = heapq.heappop(inside)
            ms.append((now - came) * 1000)
            at.append(came)
            if clients:
                heapq.heappush(inside, (worked + rng.expovariate(1 / mean_s), now))
        else:
            heapq.heappush(inside, (worked + rng.expovariate(1 / mean_s), now))
            next_in = now + rng.expovariate(rate)
    seen = {"ms": ms, "at_s": at, "seconds": seconds, "statuses": {"200": len(ms)}, "lag_ms": [], "cpu_s": 0.0}
    return summary(seen, Level(clients=clients, rate_per_s=rate), seconds)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_simulated_service_is_foretold_from_its_closed_loop(share):
    runs = [shared(2.0, 0.02, clients=n) for n in (1, 2, 3, 4, 8, 16)]
    seen = shared(2.0, 0.02, rate=share * 100)
    told = queueing.forecast(runs, seen.per_s, resamples=100)
    assert told.p95_ms == pytest.approx(seen.p95_ms, rel=0.15)
    assert told.p95_interval[0] < told.p95_ms < told.p95_interval[1]


def test_levels_of_a_load_test_are_foretold_by_the_others():
    runs = [shared(2.0, 0.02, clients=n, seconds=60) for n in (1, 2, 4, 8)]
    opened = [shared(2.0, 0.02, rate=rate, seconds=60) for rate in (50, 99)]
    two, four, calm, full = checks((*runs, *opened))
    assert (two.clients, four.clients, calm.rate_per_s, full.rate_per_s) == (2, 4, 50, 99)
    assert two.per_s == runs[1].per_s
    assert calm.forecast.p95_ms == pytest.approx(calm.p95_ms, rel=0.15)
    assert str(calm).startswith("50 a second, left out: p95")
    assert full.forecast is None
    assert "more than the service can bear" in str(full)
    law = scaling.fit([run.clients for run in runs if run.clients != 4], [runs[n].per_s for n in (0, 1, 3)])
    assert four.forecast.per_s == pytest.approx(law.per_s(4))
    assert checks(runs[:2]) == []
    assert [one.clients for one in checks([*runs[:3], replace(runs[3], saturated="busy")])] == []


def test_checks_are_kept_with_the_load_test(tmp_path):
    runs = [shared(2.0, 0.02, clients=n, seconds=30) for n in (1, 2, 4, 8)]
    law = scaling.fit([run.clients for run in runs], [run.per_s for run in runs])
    tested = trial.Trial("http://127.0.0.1", "2026-11-28", tuple(runs), law, tuple(checks(runs)))
    trial.save(tested, tmp_path / "load.json")
    assert trial.load(tmp_path / "load.json").checks == tested.checks
    assert any("4 clients, left out" in line for line in trial.remarks(tested))


def test_a_rate_that_cannot_be_borne_is_refused():
    runs = [shared(1.0, 0.02, clients=n, seconds=40) for n in (1, 2, 4)]
    with pytest.raises(UsageError, match="more than the service can bear"):
        queueing.forecast(runs, 60, resamples=10)
    assert len(runs[0].slices_p95_ms) == SLICES

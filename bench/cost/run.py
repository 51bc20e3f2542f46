"""Two levels of load that the fit never saw: predicted beside measured throughput, p95 and cost of a thousand searches.

    python bench/cost/run.py --data DIR [--save] [--seconds 30] [--rounds 2] [--busy]

DIR holds the BEIR set ``obliqa``. Closed loops of 1, 2, 3, 6, 8 and 16 clients are fitted. Held out are a closed loop
of 4 clients, foretold by the law of scaling, and an open loop at 55 % of the most that the service did, foretold by
the queue. Beside them stands what other ways say. Closed loop: a line between the levels, and the bounds min(N / S,
most) of a queue. Open loop: the queue at the law's rates (as the cost model has it), an M/M/m queue (Sakasegawa 1977;
Allen and Cunneen, in Allen 1990), and the law read backwards.

All levels come in each round, so that what changes with time meets all of them. The machine must do nothing else: a
load average above a quarter of its cores stops the run (``--busy`` goes on, and says so).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "load"))

import run as service
from freehold.measure.capacity import queueing, scaling
from freehold.measure.capacity.levels import Level, Run, Target, measure
from freehold.measure.capacity.queueing import Queue
from freehold.measure.cost import prices
from freehold.measure.cost.options import HOURS

FITTED, HELD_OUT, SHARE = (1, 2, 3, 6, 8, 16), 4, 0.55
BOUND, IDLE = 0.15, 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FREEHOLD_DATA", "../shared/data")) / "obliqa")
    parser.add_argument("--seconds", type=float, default=30, help="of a level, in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="go on although the machine does other work")
    parser.add_argument("--save", action="store_true", help="write bench/results/cost-DATE.json")
    given = parser.parse_args()
    load_average = idle(busy=given.busy)
    server = service.Server(service.made(given.data))
    try:
        bodies = tuple(service.bodies(service.questions(given.data), 1, rerank_depth=0))
        target = Target(f"http://127.0.0.1:{server.port}/v1/search", bodies, server.key)
        most = measure(target, Level(clients=8), seconds=5).per_s
        levels = [*(Level(clients=n) for n in sorted((*FITTED, HELD_OUT))), Level(rate_per_s=round(SHARE * most))]
        rounds = [
            [measure(target, level, seconds=given.seconds, ramp_s=1, seed=seed) for level in levels]
            for seed in range(1, given.rounds + 1)
        ]
    finally:
        server.stop()
    *closed, opened = [joined(each) for each in zip(*rounds, strict=True)]
    fitted = [one for one in closed if one.clients in FITTED]
    held_out = next(one for one in closed if one.clients == HELD_OUT)
    rows = [*of_closed(fitted, held_out), *of_open(fitted, opened)]
    print(f"load average {load_average:.2f} before, {os.getloadavg()[0]:.2f} after, on {os.cpu_count()} cores")
    for row in rows:
        told = f"{row['held_out']:<10} {row['what']:<13} {row['by']:<14} {row['predicted']:9.4g}"
        between = " [{:.4g}, {:.4g}]".format(*row["interval"]) if row["interval"] else ""
        verdict = "" if row["beside"] else "within 15 %" if abs(row["off"]) <= BOUND else "MISSED"
        print(f"{told} {between:<20} measured {row['measured']:9.4g} {row['off']:+7.1%}  {verdict}")
    for run in (*closed, opened):
        if run.saturated:
            print(f"the client was the limit at {run.clients or run.rate_per_s}: {run.saturated}")
    if given.save:
        found = {
            "made": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count(), "load_average_before": load_average,
            "seconds": given.seconds, "rounds": given.rounds, "rows": rows,
            "runs": [asdict(one) for one in (*closed, opened)],
        }  # fmt: skip
        path = Path(__file__).parent.parent / "results" / f"cost-{found['made']}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


def idle(*, busy: bool) -> float:
    """The load average, if the machine is idle enough or that does not matter."""
    average = os.getloadavg()[0]
    if average > IDLE * (os.cpu_count() or 1):
        told = f"load average {average:.2f} on {os.cpu_count()} cores: the machine does other work"
        if not busy:
            sys.exit(f"{told}. Wait until it is idle, or say --busy")
        print(f"{told}: what follows is no evidence", file=sys.stderr)
    return average


def joined(rounds: Sequence[Run]) -> Run:
    """The rounds of a level as one: their means, with the parts in time of all."""
    means = {name: float(np.mean([getattr(one, name) for one in rounds])) for name in ("per_s", "mean_ms", "p95_ms")}
    parts = {
        name: tuple(value for one in rounds for value in getattr(one, name))
        for name in ("slices_per_s", "slices_mean_ms", "slices_p95_ms")
    }
    saturated = next((one.saturated for one in rounds if one.saturated), "")
    return replace(rounds[0], answered=sum(one.answered for one in rounds), saturated=saturated, **means, **parts)


def row(held_out: str, what: str, by: str, predicted: float, measured: float, interval: Sequence[float] = ()) -> dict:
    return {
        "held_out": held_out, "what": what, "by": by, "predicted": predicted, "measured": measured,
        "interval": list(interval), "off": round(predicted / measured - 1, 4), "beside": not interval,
    }  # fmt: skip


def of_closed(fitted: Sequence[Run], seen: Run) -> list[dict]:
    name = f"{HELD_OUT} clients"
    told = scaling.forecast(fitted, HELD_OUT)
    eur_s = prices.prices()["ovh_rise_s"].amount / HOURS / 3600
    costs = [1000 * eur_s / rate for rate in (told.per_s, *reversed(told.per_s_interval))]
    line = float(np.interp(HELD_OUT, [run.clients for run in fitted], [run.per_s for run in fitted]))
    one = min(fitted, key=lambda run: run.clients)
    bound = min(HELD_OUT * one.per_s, max(run.per_s for run in fitted))
    return [
        row(name, "per_s", "law", told.per_s, seen.per_s, told.per_s_interval),
        row(name, "p95_ms", "law", told.p95_ms, seen.p95_ms, told.p95_interval),
        row(name, "eur_per_1000", "law", costs[0], 1000 * eur_s / seen.per_s, costs[1:]),
        row(name, "per_s", "line", line, seen.per_s),
        row(name, "per_s", "bounds", bound, seen.per_s),
        row(name, "p95_ms", "bounds", 1000 * HELD_OUT / bound * one.p95_ms / one.mean_ms, seen.p95_ms),
    ]


def of_open(fitted: Sequence[Run], seen: Run) -> list[dict]:
    name = f"{seen.rate_per_s:g}/s"
    rate = seen.per_s  # of a random number of arrivals, those that came
    told = queueing.forecast(fitted, rate)
    law = scaling.fit([run.clients for run in fitted], [run.per_s for run in fitted])
    inside = next(n for n in np.arange(0.05, 200, 0.05) if law.per_s(max(n, 1)) * min(n, 1) >= rate)
    at, ratios = zip(*scaling.tails(fitted), strict=True)
    tail = float(np.exp(np.mean(np.log(ratios))))  # as the cost model has it
    on_law = float(Queue.of(law.lam, law.sigma, law.kappa, tail, 160).p95_at(np.array(rate)))
    backwards = 1000 * inside / rate * np.interp(np.log(max(inside, 1)), np.log(at), ratios)
    return [
        row(name, "p95_ms", "queue", told.p95_ms, seen.p95_ms, told.p95_interval),
        row(name, "p95_ms", "queue on law", on_law, seen.p95_ms),
        row(name, "p95_ms", "M/M/m", several_servers(fitted, rate), seen.p95_ms),
        row(name, "p95_ms", "law backwards", max(backwards, fitted[0].p95_ms), seen.p95_ms),
    ]


def several_servers(fitted: Sequence[Run], rate: float) -> float:
    """p95 of lognormal service by one client's latency, and m = most served x its mean, first come, first served."""
    one = min(fitted, key=lambda run: run.clients)
    mean_s, most = one.mean_ms / 1000, max(run.per_s for run in fitted)
    m, busy = max(1.0, most * mean_s), rate / most
    z = NormalDist().inv_cdf(0.95)
    sigma = z - math.sqrt(max(z * z - 2 * math.log(max(1.0, one.p95_ms / one.mean_ms)), 0))
    waits, wait_s = busy ** (math.sqrt(2 * (m + 1)) - 1), math.exp(sigma**2) / 2 * mean_s / (m * (1 - busy))
    rng = np.random.default_rng(1)
    service_s = rng.lognormal(math.log(mean_s) - sigma**2 / 2, sigma, 100_000)
    waited_s = rng.exponential(wait_s, 100_000) * (rng.random(100_000) < waits)
    return float(np.quantile(service_s + waited_s, 0.95)) * 1000


if __name__ == "__main__":
    main()

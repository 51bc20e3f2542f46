"""A load level that the law never saw: predicted beside measured throughput, p95 and cost of a thousand searches.

    python bench/cost/run.py --data DIR [--save] [--seconds 20]

DIR holds the BEIR set ``obliqa``. Levels of 1, 2, 8 and 16 clients are fitted; 4 clients are held out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "load"))

import run as service
from freehold.measure.capacity import scaling
from freehold.measure.capacity.levels import Level, Target, measure
from freehold.measure.cost import model

FITTED, HELD_OUT = (1, 2, 8, 16), 4
BOUND = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FREEHOLD_DATA", "../shared/data")) / "obliqa")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--save", action="store_true", help="write bench/results/cost-DATE.json")
    given = parser.parse_args()
    server = service.Server(service.made(given.data))
    try:
        bodies = tuple(service.bodies(service.questions(given.data), 1, rerank_depth=0))
        target = Target(f"http://127.0.0.1:{server.port}/v1/search", bodies, server.key)
        measure(target, Level(clients=4), seconds=3)  # warm
        levels = sorted((*FITTED, HELD_OUT))
        runs = {n: measure(target, Level(clients=n), seconds=given.seconds, ramp_s=0.5, seed=n) for n in levels}
    finally:
        server.stop()
    told = scaling.forecast([runs[n] for n in FITTED], HELD_OUT)
    seen = runs[HELD_OUT]
    hour_eur = model.prices()["ovh_rise_s"].amount / model.HOURS
    rows = {
        "per_s": (told.per_s, seen.per_s),
        "p95_ms": (told.p95_ms, seen.p95_ms),
        "eur_per_1000": tuple(hour_eur / 3600 / rate * 1000 for rate in (told.per_s, seen.per_s)),
    }
    found = {
        "made": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count(), "load_average": os.getloadavg()[0],
        "held_out_clients": HELD_OUT, "forecast": asdict(told), "runs": [asdict(one) for one in runs.values()],
        "off": {name: round(foretold / real - 1, 4) for name, (foretold, real) in rows.items()},
    }  # fmt: skip
    for name, (foretold, real) in rows.items():
        off = foretold / real - 1
        verdict = "within 15 %" if abs(off) <= BOUND else "MISSED"
        print(f"{name:>13}  predicted {foretold:10.5g}  measured {real:10.5g}  {off:+7.1%}  {verdict}")
    if given.save:
        path = Path(__file__).parent.parent / "results" / f"cost-{found['made']}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Erase people of a town one after the other, and look for what is left with code that shares nothing with Freehold.

    python bench/erasure/run.py --people 200 --towns 8   towns, erased in random order, with kills, races and models
    python bench/erasure/run.py --mutants                each step of erasing turned off: is that caught?
    python bench/erasure/run.py --cost                   seconds a person in houses of different size

Prints tables; ``--save`` writes bench/results/erasure-DATE.json. Exit 1: something was left of somebody, came back, or
was lost of others, or a mutant was not caught.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bound import bound, summary
from growth import cost
from mutants import caught

from freehold.models.pull import pull

MODELS = ("multilingual-e5-small", "rampart")
"""What the houses of the towns work with."""

NEVER = ("false certificates", "resurrections", "bystander sentences lost")


def failed(found: dict[str, dict[str, object]]) -> bool:
    """Whether anything is as it must not be."""
    town, mutants = found.get("town", {}), found.get("mutants", {})
    uncaught = [name for name, by in mutants.items() if (by == "nothing") != (name == "none")]
    return bool(uncaught) or any(town.get(name) for name in NEVER) or town.get("clean") != town.get("people")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--people", type=int, default=200)
    add("--erased", type=int, default=0, help="how many of them are erased; 0: all")
    add("--towns", type=int, default=1, help="as many towns of so many people, one after the other")
    add("--workers", type=int, default=1, help="towns at a time")
    add("--seed", type=int, default=1, help="of the first town")
    add("--mutants", action="store_true")
    add("--cost", type=int, nargs="*", metavar="CHUNKS")
    add("--rows", type=Path, help="no run: what the rows.jsonl of one come to, whole or not")
    add("--save", action="store_true", help="write bench/results/erasure-DATE.json")
    given = parser.parse_args()
    found: dict[str, object] = {}
    for model in MODELS:
        pull(model)
    with tempfile.TemporaryDirectory() as folder:
        if given.mutants:
            found["mutants"] = caught(Path(folder), given.seed)
        elif given.rows:
            found["town"] = summary(given.rows)
        elif given.cost is not None:
            found["cost"] = cost(Path(folder), given.cost or [10_000, 100_000], given.seed)
        else:
            seeds = range(given.seed, given.seed + given.towns)
            print(f"a row for each of them: {folder}/rows.jsonl", flush=True)
            found["town"] = bound(Path(folder), given.people, given.erased, seeds, given.workers)
    print(json.dumps(found, indent=1))
    if given.save:
        path = Path(__file__).parent.parent / "results" / f"erasure-{datetime.now(UTC):%Y-%m-%d}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **found}, indent=1) + "\n")
    sys.exit(failed(found))


if __name__ == "__main__":
    main()

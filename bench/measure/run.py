"""Scoring and statistics beside ir-measures (pytrec_eval) and ranx: the same files, the same measures, the same values.

    python bench/measure/run.py [--queries 5000] [--save]

Two runs of 100 hits and 20 graded labels for each query are written as TREC files; scores strictly decrease, so that
no tool's way with ties matters. Every tool is a process of its own (tools.py), in turns; shown are medians of three.
ranx is installed into an environment of its own, once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import venv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tools import MEASURES, RESAMPLES, TOOLS

HERE = Path(__file__).parent
BENCH = HERE.parent.parent / ".bench"
RESULTS = HERE.parent / "results"
STEPS = ("import", "read", "score", "intervals", "tests")
HITS, LABELS = 100, 20
TOLERANCE = 1e-9


class SetupFailed(Exception):
    """An environment could not be made."""


def write_files(folder: Path, queries: int, seed: int) -> None:
    """Two runs that find most labelled documents at exponentially spread places, and their labels."""
    rng = np.random.default_rng(seed)
    with (
        (folder / "qrels.trec").open("w") as qrels,
        (folder / "a.run").open("w") as a,
        (folder / "b.run").open("w") as b,
    ):
        for number in range(queries):
            documents = [f"doc-{i:07d}" for i in rng.choice(1_000_000, size=2 * HITS, replace=False)]
            grades = rng.choice(4, size=LABELS, p=[0.5, 0.25, 0.15, 0.1]).tolist()
            qrels.writelines(f"q{number:05d} 0 {d} {g}\n" for d, g in zip(documents, grades, strict=False))
            shared = rng.exponential(60, LABELS)
            for file in (a, b):
                places = np.concatenate(
                    [shared * rng.exponential(1, LABELS), rng.uniform(0, 2 * HITS, 2 * HITS - LABELS)]
                )
                best = np.argsort(places)[:HITS].tolist()
                scores = np.sort(rng.choice(1_000_000, size=HITS, replace=False))[::-1] / 1e6
                file.writelines(
                    f"q{number:05d} Q0 {documents[place]} {rank} {score:.6f} bench\n"
                    for rank, (place, score) in enumerate(zip(best, scores.tolist(), strict=True), 1)
                )


def python_of(tool: str) -> Path:
    """The interpreter of a tool: ranx has an environment of its own. Raises SetupFailed with pip's last words."""
    if tool != "ranx":
        return Path(sys.executable)
    folder, requirements = BENCH / "ranx", HERE / "requirements.txt"
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print("making the environment of ranx (a minute, once)", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    done = subprocess.run([*pip, str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        raise SetupFailed(f"pip could not install it: {lines[-1][:200]}")
    stamp.write_text(digest)
    return python


def measure(tool: str, folder: Path) -> dict[str, Any]:
    """One run of a tool: what it told, and its wall time from start to end."""
    command = [str(python_of(tool)), str(HERE / "tools.py"), tool, str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SetupFailed((done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"wall_s": seconds}


def run(folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Tool -> medians, or its failure."""
    found: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TOOLS}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for tool, told in found.items():
            if tool in failures:
                continue
            try:
                told.append(measure(tool, folder))
                print(f"round {number + 1}  {tool}: {told[-1]['wall_s']:.1f} s", file=sys.stderr)
            except (SetupFailed, subprocess.TimeoutExpired) as e:
                failures[tool] = str(e)
    ours = np.load(folder / "freehold.npy")
    return {
        tool: {"failure": failures[tool]}
        if tool in failures
        else _median(rounds) | {"largest_difference": float(np.abs(np.load(folder / f"{tool}.npy") - ours).max())}
        for tool, rounds in found.items()
    }


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    median = statistics.median
    return {
        "wall_s": median(r["wall_s"] for r in rounds),
        "wall_s_rounds": [round(r["wall_s"], 2) for r in rounds],
        "peak_mb": median(r["peak_mb"] for r in rounds),
        "seconds": {step: median(r["seconds"][step] for r in rounds) for step in STEPS if step in rounds[0]["seconds"]},
        "did": rounds[0]["did"],
        "versions": rounds[0]["versions"],
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    steps = "".join(f" {step}, s |" for step in STEPS)
    lines = [f"| |{steps} whole process, s | peak MB | values as ours | intervals and tests |", "|---" * 10 + "|"]
    for tool, of in found.items():
        if "failure" in of:
            lines.append(f"| {tool} |" + " n/a |" * 8 + f" {of['failure']} |")
            continue
        name = f"{tool} {of['versions'][tool]}"
        times = "".join(f" {of['seconds'][step]:.2f} |" if step in of["seconds"] else " - |" for step in STEPS)
        same = "yes" if of["largest_difference"] <= TOLERANCE else f"no: {of['largest_difference']:.2g}"
        lines.append(f"| {name} |{times} {of['wall_s']:.1f} | {of['peak_mb']:,.0f} | {same} | {of['did']} |")
    return "\n".join(lines)


def main() -> int:
    options = _options()
    folder = BENCH / "measure"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        write_files(folder, options.queries, options.seed)
        load = os.getloadavg()[0]
        found = run(folder, options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{options.queries:,} queries, {HITS} hits, {LABELS} labels; {', '.join(MEASURES)}; {RESAMPLES:,} resamples\n"
    )
    print(table(found))
    if options.save:
        record = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "queries": options.queries,
            "hits": HITS,
            "labels": LABELS,
            "measures": list(MEASURES),
            "resamples": RESAMPLES,
            "rounds": options.rounds,
            "seed": options.seed,
            "load_average_at_start": round(load, 2),
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
            "tools": found,
        }
        place = RESULTS / f"measure-{record['date']}.json"
        place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"written {place.name}", file=sys.stderr)
    wrong = [tool for tool, of in found.items() if of.get("largest_difference", 0.0) > TOLERANCE]
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--queries", type=int, default=5000)
    add("--rounds", type=int, default=3)
    add("--seed", type=int, default=20261126)
    add("--save", action="store_true", help="write bench/results/measure-DATE.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

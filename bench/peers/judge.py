"""Scores rankings with ir-measures. Reads ``{"qrels": ..., "runs": {system: {query: [ids]}}}`` from standard input."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import ir_measures
from ir_measures import nDCG


def main() -> None:
    task = json.load(sys.stdin)
    measure = nDCG @ 10
    scores = {}
    for system, rankings in task["runs"].items():
        run = {query: {passage: -rank for rank, passage in enumerate(ids)} for query, ids in rankings.items()}
        scores[system] = ir_measures.calc_aggregate([measure], task["qrels"], run)[measure]
    json.dump({"scores": scores, "version": version("ir-measures")}, sys.stdout)


if __name__ == "__main__":
    main()

"""The figures of the model: a scenario's, a user's, and what a load test measured, each a range with its basis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freehold.core.errors import UsageError
from freehold.measure.capacity import scaling, trial
from freehold.measure.capacity.levels import Run, resampled
from freehold.measure.cost.prices import toml

ABOVE_ZERO = frozenset(
    {
        "search_ms",
        "search_in_line",
        "search_tail",
        "load_share",
        "server_gb",
        "server_years",
        "answer_tokens",
        "answer_tail",
    }
)
"""What is divided by, beside every rate (``_per_s``)."""
RESAMPLES = 300


@dataclass(frozen=True, slots=True)
class Figure:
    """An input: low, likely, high, and where it is from."""

    low: float
    likely: float
    high: float
    basis: str


def scenario(name: str, settings: Mapping[str, str] | None = None, load: Path | None = None) -> dict[str, Figure]:
    """The figures of a scenario, with what a user sets and what a load test measured. Raises UsageError."""
    table = toml(None, "scenarios.toml")
    if name not in table or name == "base":
        known = ", ".join(sorted(set(table) - {"base"}))
        raise UsageError(f"there is no scenario {name!r}", hint=f"one of: {known}")
    lines = (table["base"] | table[name]).items()
    found = {key: Figure(low, likely, high, "assumed") for key, (low, likely, high) in lines}
    if load is not None:
        found |= _measured(load)
    for key, text in (settings or {}).items():
        if key not in found:
            raise UsageError(f"the model has no figure {key!r}", hint=f"one of: {', '.join(found)}")
        found[key] = _set(key, text)
    return found


def _set(key: str, text: str) -> Figure:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    sound = len(values) in {1, 3} and values == sorted(values) and all(math.isfinite(value) for value in values)
    if not sound or values[0] < 0:
        raise UsageError(f"{key}={text} is no figure", hint="one number, or low,likely,high")
    if values[0] == 0 and (key in ABOVE_ZERO or key.endswith("_per_s")):
        raise UsageError(f"{key} cannot be zero", hint="give a number above it")
    if key == "load_share" and values[-1] > 1:
        raise UsageError("load_share is a share of what a server can do", hint="give a number of at most 1")
    return Figure(values[0], values[len(values) // 2], values[-1], "set by you")


def _measured(path: Path) -> dict[str, Figure]:
    """The law that a load test follows and how much slower its slow answers are, with what it leaves uncertain."""
    runs = scaling.closed(trial.load(path).runs)
    rng = np.random.default_rng(1)
    likely = _law(runs)
    drawn = np.array([list(_law([resampled(run, rng) for run in runs]).values()) for _ in range(RESAMPLES)])
    ends = np.quantile(drawn, [0.025, 0.975], axis=0).T.tolist()
    return {
        key: Figure(min(low, value), value, max(high, value), f"measured: {path.name}")
        for (key, value), (low, high) in zip(likely.items(), ends, strict=True)
    }


def _law(runs: Sequence[Run]) -> dict[str, float]:
    law = scaling.fit([run.clients for run in runs], [run.per_s for run in runs])
    tail = float(np.exp(np.mean([np.log(ratio) for _, ratio in scaling.tails(runs)])))
    return {
        "search_ms": 1000 / law.lam, "search_in_line": law.sigma, "search_in_step": law.kappa,
        "search_tail": max(1.0, tail),
    }  # fmt: skip

"""What a month costs: every option from one model, drawn over stated ranges, with break-even and what it hangs on.

Figures are drawn from triangles (low, likely, high); intervals hold 90 % of the draws. Money is euros a month without
VAT.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from freehold.measure.cost.figures import Figure
from freehold.measure.cost.options import OPTIONS, Draws, Machines, Option, Values, machines_of, month
from freehold.measure.cost.prices import Price, euros, remarks

DRAWS = 1000
MOST_QUERIES, NEVER = 1e7, 1e8


def compare(figures: Mapping[str, Figure], table: Mapping[str, Price], *, today: date, seed: int = 1) -> dict[str, Any]:
    """Options with their months, break-even points and what they hang on; and what must be known of the prices."""
    rng = np.random.default_rng(seed)
    drawn = {key: _triangle(rng, one) for key, one in figures.items()}
    drawn |= {key: np.full(DRAWS, amount) for key, amount in euros(table).items()}
    machines = machines_of(drawn)
    notes = remarks(table, today)
    for option in OPTIONS:
        if lacking := _lacking(option, table):
            notes.append(f"{option.name}: left out, needs a price that is not in the table: {', '.join(lacking)}")
    return {
        "currency": "EUR",
        "latency_target_ms": figures["latency_target_ms"].likely,
        "options": [_told(option, drawn, machines, figures, table) for option in priced(table)],
        "break_even": _moved(_earliest(_break_evens(figures, table)), figures, table),
        "notes": notes,
    }


def _told(
    option: Option, drawn: Draws, machines: Machines, figures: Mapping[str, Figure], table: Mapping[str, Price]
) -> dict[str, Any]:
    found = month(option, drawn, machines)
    return {
        "name": option.name,
        "kind": option.kind,
        "monthly": round(float(np.median(found.euros)), 2),
        "interval": _interval(found.euros, 2),
        "p95_ms": round(float(np.median(found.p95_ms)), 1),
        "p95_interval": _interval(found.p95_ms, 1),
        "meets_target": round(float(np.mean(found.p95_ms <= drawn["latency_target_ms"])), 3),
        "servers": int(np.median(found.servers)),
        "gpus": int(np.median(found.gpus)),
        "sensitivity": _tornado(option, figures, table)[:6],
        "assumptions": _assumptions(option, figures, table),
    }


def _interval(values: Values, digits: int) -> list[float]:
    return [round(float(value), digits) for value in np.quantile(values, [0.05, 0.95])]


def _triangle(rng: np.random.Generator, one: Figure) -> Values:
    return np.full(DRAWS, one.likely) if one.low == one.high else rng.triangular(one.low, one.likely, one.high, DRAWS)


def _lacking(option: Option, table: Mapping[str, Price]) -> list[str]:
    return [key for key in (*option.prices, "usd_per_eur") if key not in table]


def priced(table: Mapping[str, Price]) -> list[Option]:
    """The options that have all their prices."""
    return [option for option in OPTIONS if not _lacking(option, table)]


def _likely(figures: Mapping[str, Figure], table: Mapping[str, Price], count: int) -> dict[str, Values]:
    values = {key: one.likely for key, one in figures.items()} | euros(table)
    return {key: np.full(count, float(value)) for key, value in values.items()}


def _tornado(option: Option, figures: Mapping[str, Figure], table: Mapping[str, Price]) -> list[dict[str, Any]]:
    """Each figure at both ends of its range, all others as they likely are; the widest swing first."""
    ranged = [key for key, one in figures.items() if one.low != one.high]
    at = _likely(figures, table, 2 * len(ranged))
    for place, key in enumerate(ranged):
        at[key][2 * place : 2 * place + 2] = figures[key].low, figures[key].high
    ends = month(option, at, machines_of(at)).euros.reshape(-1, 2).tolist() if ranged else []
    swings = [
        {"figure": key, "low": round(low, 2), "high": round(high, 2)}
        for key, (low, high) in zip(ranged, ends, strict=True)
        if low != high
    ]
    return sorted(swings, key=lambda swing: -abs(swing["high"] - swing["low"]))


def curves(
    figures: Mapping[str, Figure], table: Mapping[str, Price], *, points: int = 120
) -> dict[str, list[tuple[float, float]]]:
    """Option -> (queries a day, euros a month), all other figures as they likely are, ascending."""
    at = _over_queries(figures, table, points)
    grid, machines = at["queries_a_day"].tolist(), machines_of(at)
    return {one.name: list(zip(grid, month(one, at, machines).euros.tolist(), strict=True)) for one in priced(table)}


def _over_queries(figures: Mapping[str, Figure], table: Mapping[str, Price], points: int) -> dict[str, Values]:
    return _likely(figures, table, points) | {"queries_a_day": np.geomspace(10, MOST_QUERIES, points)}


def _break_evens(figures: Mapping[str, Figure], table: Mapping[str, Price]) -> list[dict[str, Any]]:
    """Queries a day from which a GPU of one's own is cheaper than a bought model; None where it never is."""
    at = _over_queries(figures, table, 600)
    machines = machines_of(at)
    costs = [(one, _within(one, at, machines)) for one in priced(table)]
    return [
        {"self_hosted": own.name, "bought": other.name, "queries_a_day": _from(mine, theirs, at["queries_a_day"])}
        for own, mine in costs
        for other, theirs in costs
        if own.kind == "gpu" and other.kind == "api"
    ]


def _within(option: Option, at: Draws, machines: Machines) -> Values:
    """Euros; infinite for a GPU that is too slow for the latency target, which is no answer to a bought model."""
    found = month(option, at, machines)
    return np.where((option.kind == "gpu") & (found.p95_ms > at["latency_target_ms"]), np.inf, found.euros)


def _from(mine: Values, theirs: Values, queries: Values) -> int | None:
    """Where the first becomes cheaper and, as machines come in whole, from where on it stays so."""
    dearer = np.flatnonzero(mine > theirs)
    first = int(dearer[-1]) + 1 if len(dearer) else 0
    return round(float(queries[first])) if first < len(queries) else None


def _earliest(break_evens: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """For each bought option the first GPU that beats it; none where none ever does."""
    found: dict[str, Mapping[str, Any]] = {}
    for one in break_evens:
        best = found.setdefault(one["bought"], {**one, "self_hosted": None, "queries_a_day": None})
        if (one["queries_a_day"] or NEVER) < (best["queries_a_day"] or NEVER):
            found[one["bought"]] = one
    return list(found.values())


def _moved(
    pairs: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure], table: Mapping[str, Price]
) -> list[dict[str, Any]]:
    """What a break-even hangs on: where it lies with a figure at each end of its range; the widest moves first."""
    ranged = [key for key, one in figures.items() if one.low != one.high and key != "queries_a_day"]
    over = _over_queries(figures, table, 100)
    at = {key: np.tile(value, 2 * len(ranged)) for key, value in over.items()}
    for place, key in enumerate(ranged):
        at[key][200 * place : 200 * place + 200] = np.repeat([figures[key].low, figures[key].high], 100)
    by_name = {one.name: one for one in OPTIONS}
    named = {pair[side] for pair in pairs if pair["self_hosted"] for side in ("self_hosted", "bought")}
    machines = machines_of(at)
    costs = {name: _within(by_name[name], at, machines).reshape(-1, 2, 100) for name in sorted(named)}

    def moves(pair: Mapping[str, Any]) -> list[dict[str, Any]]:
        both = zip(costs[pair["self_hosted"]], costs[pair["bought"]], strict=True)
        ends = [
            [_from(mine, theirs, over["queries_a_day"]) for mine, theirs in zip(*of_figure, strict=True)]
            for of_figure in both
        ]
        told = [{"figure": key, "low": low, "high": high} for key, (low, high) in zip(ranged, ends, strict=True)]
        wide = [one for one in told if one["low"] != one["high"]]
        return sorted(wide, key=lambda one: -abs(math.log((one["low"] or NEVER) / (one["high"] or NEVER))))

    return [{**pair, "sensitivity": moves(pair)[:3] if pair["self_hosted"] else []} for pair in pairs]


def _assumptions(option: Option, figures: Mapping[str, Figure], table: Mapping[str, Price]) -> list[dict[str, Any]]:
    used = [{"name": key, "range": [one.low, one.likely, one.high], "basis": one.basis} for key, one in figures.items()]
    lines = ((key, table[key]) for key in (*option.prices, "usd_per_eur"))
    return used + [
        {"name": key, "value": one.amount, "unit": f"{one.currency} {one.unit}".strip(), "basis": "price",
         "date": one.date.isoformat(), "source": one.source}
        for key, one in lines
    ]  # fmt: skip

"""What a month costs: one model for servers of one's own, rented GPUs and bought models, drawn over stated ranges.

A server serves what peaks ask of it and, beside, ingest, re-embedding, retraining and erasure. Figures are drawn from
triangles (low, likely, high); intervals hold 90 % of the draws. Money is euros a month without VAT.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import UsageError
from freehold.measure.capacity import scaling, trial

Draws = Mapping[str, NDArray[np.float64]]
HOURS, DAYS = 730.0, 30.4
OLD_DAYS = 180
DRAWS = 4000
MOST_QUERIES = 1e7


@dataclass(frozen=True, slots=True)
class Price:
    """A line of the table."""

    amount: float
    unit: str
    date: date
    source: str
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """An input: low, likely, high, and where it is from."""

    low: float
    likely: float
    high: float
    basis: str


def prices(path: Path | None = None) -> dict[str, Price]:
    """The table, with the lines of a file of one's own in place of its. Raises UsageError naming the bad line."""
    table = _toml(None, "prices.toml") | (_toml(path, "") if path else {})
    read = {}
    for name, line in table.items():
        try:
            read[name] = Price(**line)
            sound = read[name].amount >= 0 and isinstance(read[name].date, date) and bool(read[name].source)
        except TypeError:
            sound = False
        if not sound:
            raise UsageError(f"price {name}: a line has amount, currency, unit, date and source", hint="complete it")
    return read


def scenario(name: str, settings: Mapping[str, str] | None = None, load: Path | None = None) -> dict[str, Figure]:
    """The figures of a scenario, with what a user sets and what a load test measured. Raises UsageError."""
    table = _toml(None, "scenarios.toml")
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
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if len(values) not in {1, 3} or values != sorted(values) or values[0] < 0:
            raise UsageError(f"{key}={text} is no figure", hint="one number, or low,likely,high")
        found[key] = Figure(values[0], values[len(values) // 2], values[-1], "set by you")
    return found


def _measured(path: Path) -> dict[str, Figure]:
    runs = scaling.closed(trial.load(path).runs)
    best = max(runs, key=lambda run: run.per_s, default=None)
    if best is None or best.p95_ms is None:
        raise UsageError(f"{path} has no closed-loop level that can be used", hint="freehold loadtest --clients 1,2,4")
    basis = f"measured: {path.name}"
    low, high = min(best.slices_per_s), max(best.slices_per_s)
    return {
        "server_per_s": Figure(min(low, best.per_s), best.per_s, max(high, best.per_s), basis),
        "search_p95_ms": Figure(best.p95_ms, best.p95_ms, best.p95_ms, basis),
    }


def _toml(path: Path | None, name: str) -> dict[str, Any]:
    try:
        text = path.read_text() if path else files("freehold.measure.cost").joinpath(name).read_text()
        return tomllib.loads(text)
    except (OSError, ValueError) as e:
        raise UsageError(
            f"{path or name} cannot be read: {type(e).__name__}", hint="it is TOML, a table a line"
        ) from None


def _servers(d: Draws) -> NDArray[np.float64]:
    peak = d["queries_a_day"] / 86400 * d["peak_factor"] / (d["server_per_s"] * d["load_share"])
    tokens = d["vectors"] * d["tokens_a_vector"] * (d["growth_a_month"] + d["reembeddings_a_month"])
    hours = tokens / d["embed_tokens_per_s"] / 3600 + d["retraining_hours"]
    hours = hours + d["erasures_a_month"] * d["erasure_minutes"] / 60
    return np.ceil(peak + hours / HOURS)


def _gpus(d: Draws) -> NDArray[np.float64]:
    peak = d["queries_a_day"] / 86400 * d["peak_factor"] * d["answer_tokens"]
    return np.ceil(peak / (d["gpu_tokens_per_s"] * d["load_share"]))


def _tokens(d: Draws, incoming: str, outgoing: str) -> NDArray[np.float64]:
    month = d["queries_a_day"] * DAYS / 1e6
    return month * (d["prompt_tokens"] * d[incoming] + d["answer_tokens"] * d[outgoing])


def _pinecone(d: Draws) -> NDArray[np.float64]:
    kb = d["dimensions"] * 4 / 1024 + 1  # a vector and its metadata
    written = d["vectors"] * (d["growth_a_month"] + d["reembeddings_a_month"]) * kb / 1e6
    read = d["queries_a_day"] * DAYS * d["read_units_a_query"] / 1e6
    stored = d["vectors"] * kb / 1e6
    used = stored * d["pinecone_storage"] + written * d["pinecone_write"] + read * d["pinecone_read"]
    return np.maximum(used, d["pinecone_least"])


def _own(d: Draws) -> NDArray[np.float64]:
    return _servers(d) * d["ovh_rise_s"] + d["hours_self_hosted"] * d["hour_eur"]


def _bought(d: Draws, incoming: str, outgoing: str) -> NDArray[np.float64]:
    return _servers(d) * d["ovh_rise_s"] + _tokens(d, incoming, outgoing) + d["hours_bought"] * d["hour_eur"]


MISSING = "needs a price that is not in the table: "
OPTIONS: dict[str, tuple[Callable[[Draws], NDArray[np.float64]], tuple[str, ...], str]] = {
    "self-hosted CPU, answers are quotes (OVHcloud RISE-S)": (_own, ("ovh_rise_s",), "quotes"),
    "self-hosted CPU + H100 with vLLM, 8B model (OVHcloud)": (
        lambda d: _own(d) + _gpus(d) * HOURS * d["ovh_h100"], ("ovh_rise_s", "ovh_h100"), "gpu",
    ),
    "self-hosted CPU + H100 with vLLM, 8B model (Scaleway)": (
        lambda d: _own(d) + _gpus(d) * HOURS * d["scaleway_h100"], ("ovh_rise_s", "scaleway_h100"), "gpu",
    ),
    "own search + Mistral Large 4 API": (
        lambda d: _bought(d, "mistral_large_in", "mistral_large_out"),
        ("ovh_rise_s", "mistral_large_in", "mistral_large_out"), "api",
    ),
    "own search + GPT-6 Luna API": (
        lambda d: _bought(d, "openai_luna_in", "openai_luna_out"),
        ("ovh_rise_s", "openai_luna_in", "openai_luna_out"), "api",
    ),
    "Pinecone (US) + own service + GPT-6 Luna API": (
        lambda d: _bought(d, "openai_luna_in", "openai_luna_out") + _pinecone(d),
        ("ovh_rise_s", "openai_luna_in", "openai_luna_out", "pinecone_storage", "pinecone_read", "pinecone_write",
         "pinecone_least"), "api",
    ),
}  # fmt: skip


def compare(figures: Mapping[str, Figure], table: Mapping[str, Price], *, today: date, seed: int = 1) -> dict[str, Any]:
    """Options with their months, break-even points and what they hang on; and what must be known of the prices."""
    rng = np.random.default_rng(seed)
    drawn = {key: _triangle(rng, one) for key, one in figures.items()}
    drawn |= {key: np.full(DRAWS, amount) for key, amount in _euros(table).items()}
    options, notes = [], _old(table, today)
    for name, (month, needed, kind) in OPTIONS.items():
        lacking = [key for key in (*needed, "usd_per_eur") if key not in table]
        if lacking:
            notes.append(f"{name}: left out, {MISSING}{', '.join(lacking)}")
            continue
        costs = month(drawn)
        low, high = np.quantile(costs, [0.05, 0.95])
        options.append({
            "name": name, "monthly": round(float(np.median(costs)), 2),
            "interval": [round(float(low), 2), round(float(high), 2)], "p95_ms": _p95(drawn, kind),
            "sensitivity": _tornado(month, figures, table)[:6],
            "assumptions": _assumptions(figures, table, needed),
        })  # fmt: skip
    notes.append("p95 of bought models is not given: no measured figure is known for them")
    return {"currency": "EUR", "options": options, "break_even": _break_evens(figures, table), "notes": notes}


def _triangle(rng: np.random.Generator, one: Figure) -> NDArray[np.float64]:
    return np.full(DRAWS, one.likely) if one.low == one.high else rng.triangular(one.low, one.likely, one.high, DRAWS)


def _euros(table: Mapping[str, Price]) -> dict[str, float]:
    rate = table["usd_per_eur"].amount if "usd_per_eur" in table else float("nan")
    return {key: one.amount / (rate if one.currency == "USD" else 1) for key, one in table.items()}


def _p95(d: Draws, kind: str) -> float | None:
    if kind == "api":
        return None
    ms = d["search_p95_ms"]
    if kind == "gpu":
        ms = ms + 1000 * d["answer_tokens"] * d["gpu_streams"] / d["gpu_tokens_per_s"]
    return round(float(np.median(ms)), 1)


def _at(figures: Mapping[str, Figure], table: Mapping[str, Price], **given: float) -> dict[str, NDArray[np.float64]]:
    values = {key: one.likely for key, one in figures.items()} | _euros(table) | given
    return {key: np.array([value]) for key, value in values.items()}


def _tornado(
    month: Callable[[Draws], NDArray[np.float64]], figures: Mapping[str, Figure], table: Mapping[str, Price]
) -> list[dict[str, Any]]:
    swings = []
    for key, one in figures.items():
        ends = [float(month(_at(figures, table, **{key: value}))[0]) for value in (one.low, one.high)]
        if ends[0] != ends[1]:
            swings.append({"figure": key, "low": round(ends[0], 2), "high": round(ends[1], 2)})
    return sorted(swings, key=lambda swing: -abs(swing["high"] - swing["low"]))


def curves(
    figures: Mapping[str, Figure], table: Mapping[str, Price], *, points: int = 120
) -> dict[str, list[tuple[float, float]]]:
    """Option -> (queries a day, euros a month), all other figures as they likely are, ascending."""
    grid, at = _over_queries(figures, table, points)
    found = {name: month(at) for name, (month, _, _) in _priced(table).items()}
    return {name: [(float(x), float(y)) for x, y in zip(grid, costs, strict=True)] for name, costs in found.items()}


def _priced(table: Mapping[str, Price]) -> dict[str, Any]:
    return {name: one for name, one in OPTIONS.items() if all(key in table for key in (*one[1], "usd_per_eur"))}


def _over_queries(
    figures: Mapping[str, Figure], table: Mapping[str, Price], points: int
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    grid = np.geomspace(10, MOST_QUERIES, points)
    likely = {key: np.full(len(grid), value[0]) for key, value in _at(figures, table).items()}
    return grid, likely | {"queries_a_day": grid}


def _break_evens(figures: Mapping[str, Figure], table: Mapping[str, Price]) -> list[dict[str, Any]]:
    """Queries a day from which a GPU of one's own is cheaper than a bought model; None where it never is."""
    kept = _priced(table)
    found = []
    grid, at = _over_queries(figures, table, 600)
    for own, (mine, _, kind) in kept.items():
        for other, (theirs, _, bought) in kept.items():
            if kind == "gpu" and bought == "api":
                cheaper = mine(at) <= theirs(at)
                # Steps of whole machines: from where on it stays cheaper.
                last = int(np.flatnonzero(~cheaper)[-1]) + 1 if (~cheaper).any() else 0
                queries = round(float(grid[last])) if last < len(grid) else None
                found.append({"self_hosted": own, "bought": other, "queries_a_day": queries})
    return found


def _assumptions(
    figures: Mapping[str, Figure], table: Mapping[str, Price], needed: tuple[str, ...]
) -> list[dict[str, Any]]:
    used = [{"name": key, "range": [one.low, one.likely, one.high], "basis": one.basis} for key, one in figures.items()]
    lines = ((key, table[key]) for key in (*needed, "usd_per_eur"))
    return used + [
        {"name": key, "value": one.amount, "unit": f"{one.currency} {one.unit}".strip(), "basis": "price",
         "date": one.date.isoformat(), "source": one.source}
        for key, one in lines
    ]  # fmt: skip


def _old(table: Mapping[str, Price], today: date) -> list[str]:
    """What is said of prices that are too old."""
    ages = {key: (today - one.date).days for key, one in table.items()}
    return [f"price {key} is {age} days old: check it" for key, age in sorted(ages.items()) if age > OLD_DAYS]

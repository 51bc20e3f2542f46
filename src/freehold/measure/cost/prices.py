"""The price table: dated lines with a source each, kept as data, and a user's own lines in their place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from freehold.core.errors import UsageError

OLD_DAYS = 180


@dataclass(frozen=True, slots=True)
class Price:
    """A line of the table."""

    amount: float
    unit: str
    date: date
    source: str
    currency: str = ""
    """EUR, USD, or empty for what is no money."""


def prices(path: Path | None = None) -> dict[str, Price]:
    """The table, with the lines of a file of one's own in place of its. Raises UsageError naming the bad line."""
    table = toml(None, "prices.toml") | (toml(path, "") if path else {})
    read = {}
    for name, line in table.items():
        try:
            read[name] = one = Price(**line)
            sound = 0 <= one.amount < math.inf and bool(one.source) and type(line["date"]) is date
            sound = sound and one.currency in {"", "EUR", "USD"}
        except TypeError:
            sound = False
        if not sound:
            hint = "a line has amount, currency (EUR or USD), unit, date and source"
            raise UsageError(f"price {name} is no line of the table", hint=hint)
    return read


def euros(table: Mapping[str, Price]) -> dict[str, float]:
    """Amounts, those of dollars in euros; without a rate these are no number."""
    rate = table["usd_per_eur"].amount if "usd_per_eur" in table else float("nan")
    return {key: one.amount / (rate if one.currency == "USD" else 1) for key, one in table.items()}


def remarks(table: Mapping[str, Price], today: date) -> list[str]:
    """What is said of prices that are too old, or of days to come."""
    ages = {key: (today - one.date).days for key, one in sorted(table.items())}
    old = [f"price {key} is {age} days old: check it" for key, age in ages.items() if age > OLD_DAYS]
    return old + [f"price {key} has a date in the future: check it" for key, age in ages.items() if age < 0]


def toml(path: Path | None, name: str) -> dict[str, Any]:
    """A file of one's own, or one that is shipped. Raises UsageError."""
    try:
        text = path.read_text() if path else files("freehold.measure.cost").joinpath(name).read_text()
        return tomllib.loads(text)
    except (OSError, ValueError) as e:
        raise UsageError(
            f"{path or name} cannot be read: {type(e).__name__}", hint="it is TOML, a table a line"
        ) from None

"""How the report words numbers, and the notes below a table that say why a number is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

MISSING = "n/a"


def known(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)


def measure(value: float | None, *, signed: bool = False) -> str:
    """Three decimals without the zero before the point: ``.846``, ``1.000``, ``−.021``; with sign ``+.021``."""
    if value is None or not math.isfinite(value):
        return MISSING
    digits = f"{abs(value):.3f}"
    sign = "" if not float(digits) else "−" if value < 0 else "+" if signed else ""
    return sign + digits.removeprefix("0")


def change(value: float | None) -> str:
    """A difference of measures, with its sign."""
    return measure(value, signed=True)


def interval(pair: tuple[float, float] | None, *, signed: bool = False) -> str:
    """``[.829, .862]``; empty where there is none."""
    if pair is None or not all(map(known, pair)):
        return ""
    return f"[{measure(pair[0], signed=signed)}, {measure(pair[1], signed=signed)}]"


def change_interval(pair: tuple[float, float] | None) -> str:
    """The interval of a difference, with signs."""
    return interval(pair, signed=True)


def p_value(value: float | None) -> str:
    """Three decimals, or that it is below .001."""
    return "< .001" if value is not None and 0 <= value < 0.0005 else measure(value)


def digits(value: float | None) -> str:
    """A number of any size with about three digits that count: ``0.45``, ``3.42``, ``12.3``, ``1,530``."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}"
    text = f"{size:,.0f}" if size >= 99.95 else f"{size:.1f}" if size >= 9.995 else f"{size:.2f}"
    if 0 < size < 0.1:
        text = f"{size:.2g}"
    return ("−" if value < 0 else "") + text


def ms(value: float | None) -> str:
    """Milliseconds with their unit."""
    return f"{digits(value)} ms" if known(value) else MISSING


def count(value: int | None) -> str:
    """A whole number with its thousands set apart."""
    return MISSING if value is None else f"{value:,}"


def queries(value: int) -> str:
    """How many queries, in words."""
    return f"{value:,} {'query' if value == 1 else 'queries'}"


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return f"{100 * value:.0f} %" if value is not None and math.isfinite(value) else MISSING


def duration(seconds: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    if not math.isfinite(seconds) or seconds < 0:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(iso: str) -> str:
    """``4 May 2026, 12:33 UTC``; what is no ISO 8601 stays as it is."""
    try:
        when = datetime.fromisoformat(iso)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return iso
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def plain(value: object) -> str:
    """A setting's value: words as they are, lists with commas, anything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list, set, frozenset)):
        items = list(value) if isinstance(value, (tuple, list)) else sorted(value, key=str)
        return ", ".join(map(plain, items)) or "none"
    return json.dumps(value, default=str, ensure_ascii=False)


def flat(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested settings under its dotted key, in the order written."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", plain(value)


def clipped(text: str, length: int = 320) -> str:
    """The beginning of a text, to the end of a word where there is one nearby."""
    if len(text) <= length:
        return text
    head = text[:length]
    return (head.rsplit(None, 1)[0] if len(head.split()) > 1 else head) + " …"


class Notes:
    """The reasons below a table, each once, numbered in the order in which they came up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reasons: list[str] = []

    def number(self, reason: str) -> int:
        """Number of this reason, from 1."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason) + 1


def joined(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else list(parts))

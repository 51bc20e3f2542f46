"""Slices: parts of the queries that share a value, named ``field=value``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

SHORT_WORDS, LONG_WORDS = 6, 15
"""Up to the first a query is short, from the second on long."""

_ORDER = ("low", "short", "middle", "medium", "high", "long")
MOST_VALUES = 12
FEWEST_QUERIES = 10

Slices = Mapping[str, frozenset[str]]
"""Slice -> ids of its queries."""


def length_of(text: str) -> str:
    """``short``, ``medium`` or ``long``, by words between white space."""
    words = len(text.split())
    return "short" if words <= SHORT_WORDS else "long" if words >= LONG_WORDS else "medium"


def make_slices(fields: Mapping[str, Mapping[str, str]], *, only: Sequence[str] | None = None) -> Slices:
    """Slices from field -> query id -> value.

    A field of which no two values have FEWEST_QUERIES queries, or that has more than MOST_VALUES values, parts nothing;
    smaller slices of the others are left out. ``only``: every value of these fields, however few queries it has.
    """
    slices: dict[str, frozenset[str]] = {}
    for name, values in sorted(fields.items()):
        counts = Counter(values.values())
        fewest = FEWEST_QUERIES if only is None else 1
        large = sorted((value for value, count in counts.items() if count >= fewest), key=_place)
        if (only is None and (len(large) < 2 or len(counts) > MOST_VALUES)) or (only is not None and name not in only):
            continue
        for value in large:
            slices[f"{name}={value}"] = frozenset(query for query, own in values.items() if own == value)
    return slices


def _place(value: str) -> tuple[int, str]:
    return (_ORDER.index(value) if value in _ORDER else 0), value


def metadata_fields(metadata: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, str]]:
    """Field -> query id -> value, from query id -> metadata: plain values alone, ``split`` aside."""
    fields: dict[str, dict[str, str]] = {}
    for query, values in metadata.items():
        for name, value in values.items():
            if isinstance(value, str | int | bool) and name != "split":
                fields.setdefault(name, {})[query] = str(value)
    return fields

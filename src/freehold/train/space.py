"""The space that a search over hyper-parameters moves in, read from words: ``learning_rate=1e-5..1e-3:log``."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from freehold.core.errors import UsageError

Values: TypeAlias = Mapping[str, Any]
"""Name -> value."""

EXAMPLES = ("learning_rate=1e-5..1e-3:log", "temperature=0.01..0.1", "rank=8..64:int", "epochs=1|2|3")
GRID_STEPS = 5
"""Values that a grid takes of a range."""
_OPTIONS = ("log", "int")


@dataclass(frozen=True, slots=True)
class Axis:
    """One name with its values: those of ``choices``, or a range where there are none."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    """Included."""
    log: bool = False
    integer: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether a sampler may meet it."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.integer or value == int(value))

    def steps(self) -> tuple[Any, ...]:
        """The values of a grid, ascending; of a range both ends and some between, evenly on its scale."""
        if self.choices:
            return self.choices
        shares = [step / (GRID_STEPS - 1) for step in range(GRID_STEPS)]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        values[-1] = self.high
        return tuple(dict.fromkeys(round(value) if self.integer else _neat(value) for value in values))


def parse_space(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Axes in the order given. Raises UsageError, naming the part that cannot be meant."""
    axes = tuple(parse_axis(text) for text in texts)
    if not axes:
        raise UsageError("the space to search is empty", hint=_hint())
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is in the space twice", hint="give each name once")
    return axes


def parse_axis(text: str) -> Axis:
    """``NAME=LOW..HIGH`` with ``:log``, ``:int`` or both behind it, or ``NAME=VALUE|VALUE``. Raises UsageError."""
    name, sign, rest = text.strip().partition("=")
    name = name.strip()
    if not sign or not name or not rest.strip():
        raise UsageError(f"{text!r} names no values to search", hint=_hint())
    if ".." in rest:
        return _range(name, rest.strip(), text)
    return Axis(name, tuple(dict.fromkeys(_value(part, text) for part in rest.split("|"))))


def _range(name: str, rest: str, text: str) -> Axis:
    ends, *options = rest.split(":")
    for option in options:
        if option not in _OPTIONS:
            raise UsageError(f"{option!r} in {text!r} is no kind of range", hint=_hint())
    low, high = (_number(part, text) for part in ends.split("..", 1))
    if not low < high:
        raise UsageError(f"the range {ends} in {text!r} holds nothing between its ends", hint=_hint())
    if "log" in options and low <= 0:
        raise UsageError(
            f"{ends.split('..')[0]!r} in {text!r} has no logarithm", hint="begin above 0, or leave :log out"
        )
    if "int" in options and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"the range {ends} in {text!r} does not end at whole numbers", hint=_hint())
    return Axis(name, low=low, high=high, log="log" in options, integer="int" in options)


def _number(part: str, text: str) -> float:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{part.strip()!r} in {text!r} is no number", hint=_hint())
    return number


def _value(part: str, text: str) -> Any:
    word = part.strip()
    if not word:
        raise UsageError(f"a value is missing in {text!r}", hint=_hint())
    if word in {"true", "false"}:
        return word == "true"
    for kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return word


def _hint() -> str:
    return f"for example {', '.join(EXAMPLES)}"


def _neat(value: float) -> float:
    """Six digits: steps read well and are the same on every machine."""
    return float(f"{value:.6g}")


def grid(space: Sequence[Axis], *, seed: int) -> list[dict[str, Any]]:
    """Every cell of the grid, shuffled, so that a part of it tells of the whole."""
    names = [axis.name for axis in space]
    cells = [dict(zip(names, values, strict=True)) for values in product(*(axis.steps() for axis in space))]
    random.Random(seed).shuffle(cells)  # noqa: S311 - an order, not a secret
    return cells

"""What a month costs, drawn: options beside each other, over questions a day, and by what it hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from freehold.measure.report.svg import (
    Frame,
    clip,
    colour,
    drawing,
    legend,
    line,
    linear,
    logarithmic,
    marker,
    path,
    text,
    whole_labels,
    x_axis,
    y_axis,
)

WIDTH = 760.0
_ROW, _LABELS, _VALUES = 30.0, 390.0, 150.0


def euros(amount: float) -> str:
    """Whole euros."""
    return f"{amount:,.0f}"


def months(options: Sequence[Mapping[str, Any]]) -> Markup:
    """A line for each option: the median with the interval that holds 90 % of the draws."""
    if not options:
        return Markup("")
    frame = Frame(_LABELS, 10, WIDTH - _VALUES, 10 + _ROW * len(options))
    ends = [value for one in options for value in one["interval"]]
    scale = linear([0.0, *ends], frame.left + 8, frame.right - 8)
    parts = [x_axis(frame, scale, whole_labels, "euros a month")]
    for row, one in enumerate(options):
        y = frame.top + _ROW * (row + 0.5)
        low, high = one["interval"]
        spoken = f"{euros(one['monthly'])} [{euros(low)}, {euros(high)}]"
        parts += [
            text(frame.left - 12, y + 4, clip(one["name"], _LABELS - 14), anchor="end"),
            line(scale(low), y, scale(high), y, class_=f"whisker {colour(row)}"),
            marker(row, scale(one["monthly"]), y, title=f"{one['name']}: {spoken}"),
            text(frame.right + 12, y + 4, spoken, class_="label value"),
        ]
    told = f"{len(options)} options with intervals"
    return drawing("months", "What a month costs", told, WIDTH, frame.bottom + 40, *parts)


def growth(curves: Mapping[str, Sequence[tuple[float, float]]], queries_a_day: float) -> Markup:
    """What each option costs by questions a day, both on logarithmic scales; a line stands at those of the scenario."""
    drawn = {name: [(x, y) for x, y in points if y > 0] for name, points in curves.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        return Markup("")
    entries, height = legend(list(enumerate(drawn)), x=74, y=2, width=WIDTH - 84)
    frame = Frame(74, height + 26, WIDTH - 20, height + 286)
    x = logarithmic([at for points in drawn.values() for at, _ in points], frame.left, frame.right)
    y = logarithmic([cost for points in drawn.values() for _, cost in points], frame.bottom, frame.top)
    parts = [
        entries,
        x_axis(frame, x, whole_labels, "questions a day"),
        y_axis(frame, y, whole_labels, "euros a month"),
    ]
    for series, (name, points) in enumerate(drawn.items()):
        parts.append(path([(x(at), y(cost)) for at, cost in points], class_=f"line {colour(series)}", title=name))
    parts.append(line(x(queries_a_day), frame.top, x(queries_a_day), frame.bottom, class_="reference"))
    told = f"{len(drawn)} options; where lines cross is the break-even"
    return drawing("growth", "What it costs by questions a day", told, WIDTH, frame.bottom + 40, *parts)


def tornado(option: Mapping[str, Any]) -> Markup:
    """What the cost of an option hangs on: each figure at its low and its high end, the others as they likely are."""
    swings = option["sensitivity"]
    if not swings:
        return Markup("")
    frame = Frame(190, 10, WIDTH - 60, 10 + _ROW * len(swings))
    ends = [value for one in swings for value in (one["low"], one["high"])]
    scale = linear(ends, frame.left + 60, frame.right - 60)
    parts = [x_axis(frame, scale, whole_labels, "euros a month")]
    for row, one in enumerate(swings):
        y = frame.top + _ROW * (row + 0.5)
        left, right = sorted((one["low"], one["high"]))
        parts += [
            text(frame.left - 12, y + 4, clip(one["figure"].replace("_", " "), 175), anchor="end"),
            line(scale(left), y, scale(right), y, class_=f"whisker {colour(0)}"),
            *(marker(0, scale(end), y, title=f"{one['figure']}: {euros(end)}") for end in (left, right)),
            text(scale(left) - 10, y + 4, euros(left), anchor="end", class_="tick"),
            text(scale(right) + 10, y + 4, euros(right), class_="tick"),
        ]
    title = f"What it hangs on: {option['name']}"
    return drawing("tornado", title, f"{len(swings)} figures", WIDTH, frame.bottom + 40, *parts)

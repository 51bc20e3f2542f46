"""The report's drawings. Each is empty where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from markupsafe import Markup

from freehold.measure.report.figures import digits, interval, measure, ms
from freehold.measure.report.svg import (
    Box,
    Frame,
    Scale,
    beside,
    clip,
    colour,
    drawing,
    finite,
    legend,
    line,
    linear,
    logarithmic,
    marker,
    path,
    text,
    text_width,
    tick_labels,
    whole_labels,
    x_axis,
    y_axis,
)

WIDTH = 760.0
NOTHING = Markup("")
MEASURE = (0.0, 1.0)
_STEPS = 240
"""Steps of a cumulative curve: more than this are not seen."""

BARE = partial(tick_labels, bare=True)
SIGNED = partial(tick_labels, bare=True, signed=True)


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval."""

    series: int
    name: str
    value: float
    ci: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A line of a dot plot, with a point for each series that has a value there."""

    label: str
    points: tuple[Point, ...]
    note: str = ""
    limit: float | None = None
    """Drawn as a tick of its own."""


def dots(
    name: str,
    title: str,
    groups: Sequence[Group],
    *,
    axis: str,
    names: Sequence[tuple[int, str]] = (),
    signed: bool = False,
    reference: tuple[float, str] | None = None,
    limit: str = "",
) -> Markup:
    """Dots with whiskers, a line for each group. A plot of one series writes its values out at the right."""
    points = [point for group in groups for point in group.points if finite([point.value])]
    if not points:
        return NOTHING
    single = all(len(group.points) <= 1 for group in groups)
    margin = 168.0 if single else 18.0
    wanted = max(text_width(group.label) + text_width(group.note, 11) + 8 for group in groups)
    left = min(max(wanted, 60), 290) + 14
    entries, top = legend(names, x=left, y=2, width=WIDTH - left - 10)
    top += 26 if reference or limit else 10
    heights = [max(27.0, 13.0 * len(group.points) + 12) for group in groups]
    frame = Frame(left, top, WIDTH - margin, top + sum(heights))
    spread = [value for point in points for value in (point.value, *(point.ci or ()))]
    limits = finite(group.limit for group in groups)
    marks = [reference[0]] if reference else []
    within = None if signed else MEASURE
    scale = linear([*spread, *limits, *marks], frame.left + 8, frame.right - 8, within=within)
    parts = [entries, x_axis(frame, scale, SIGNED if signed else BARE, axis)]
    if reference:
        at = scale(reference[0])
        parts.append(line(at, frame.top, at, frame.bottom, class_="reference"))
        parts.append(above(at, frame.top - 8, reference[1], WIDTH))
    if limits and limit:
        low = scale(min(limits))
        if not reference or low + text_width(limit) < scale(reference[0]) - text_width(reference[1]) / 2 - 10:
            parts.append(above(low, frame.top - 8, limit, WIDTH, class_="label limit-text"))
    y = frame.top
    for group, height in zip(groups, heights, strict=True):
        parts.append(_dot_line(group, y, height, frame, scale, signed=signed, single=single))
        y += height
    height = frame.bottom + 40
    return drawing(name, title, f"{len(groups)} lines of values with 95 % intervals", WIDTH, height, *parts)


def _dot_line(
    group: Group, y: float, height: float, frame: Frame, scale: Scale, *, signed: bool, single: bool
) -> Markup:
    middle = y + height / 2
    note_width = text_width(group.note, 11) + 6 if group.note else 0
    parts = [line(0, y, frame.right, y, class_="rule")] if y > frame.top else []
    label = clip(group.label, frame.left - 14 - note_width)
    parts.append(text(frame.left - 12 - note_width, middle + 4, label, anchor="end"))
    if group.note:
        parts.append(text(frame.left - 12, middle + 4, group.note, anchor="end", class_="tick"))
    if group.limit is not None and finite([group.limit]):
        at = scale(group.limit)
        parts.append(line(at, middle - 9, at, middle + 9, class_="limit"))
    drawn = [point for point in group.points if finite([point.value])]
    for place, point in enumerate(drawn):
        at = middle + 13 * (place - (len(drawn) - 1) / 2)
        spoken = f"{measure(point.value, signed=signed)} {interval(point.ci, signed=signed)}".strip()
        if point.ci is not None and len(finite(point.ci)) == 2:
            parts.append(_whisker(scale(point.ci[0]), at, scale(point.ci[1]), at, point.series))
        title = f"{point.name}, {group.label}: {spoken}" if point.name else f"{group.label}: {spoken}"
        parts.append(marker(point.series, scale(point.value), at, title=title))
        if single:
            parts.append(text(frame.right + 12, middle + 4, spoken, class_="label value"))
    if not drawn:
        parts.append(text(frame.left + 8, middle + 4, "n/a", class_="tick"))
    return Markup("").join(parts)


def above(x: float, y: float, content: str, width: float, *, class_: str = "label muted") -> Markup:
    """A label over a vertical line, kept within the drawing."""
    half = text_width(content) / 2
    return text(min(max(x, half), width - half), y, content, anchor="middle", class_=class_)


def _whisker(x1: float, y1: float, x2: float, y2: float, series: int) -> Markup:
    return line(x1, y1, x2, y2, class_=f"whisker {colour(series)}")


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of a series."""

    series: int
    name: str
    values: Sequence[float]


def cumulative(name: str, title: str, curves: Iterable[Curve]) -> Markup:
    """Share of the searches that took no longer than x, with the median and the 95th percentile marked."""
    kept = [(curve, np.sort(np.array([v for v in finite(curve.values) if v > 0]))) for curve in curves]
    kept = [(curve, values) for curve, values in kept if values.size]
    if not kept:
        return NOTHING
    marks = [np.quantile(values, [0.5, 0.95]) for _, values in kept]
    names = [
        (curve.series, f"{clip(curve.name, 240)} (p50 {digits(float(half))}, p95 {ms(float(most))})")
        for (curve, _), (half, most) in zip(kept, marks, strict=True)
    ]
    entries, top = legend(names, x=44, y=2, width=WIDTH - 60)
    frame = Frame(44, top + 34, WIDTH - 44, top + 34 + 250)
    x = logarithmic([float(end) for _, values in kept for end in (values[0], values[-1])], frame.left, frame.right)
    y = Scale(0, 1, frame.bottom, frame.top)
    parts = [entries, x_axis(frame, x, tick_labels, "ms of one search, log scale")]
    parts.append(y_axis(frame, y, BARE, "share of searches"))
    for share, label in ((0.5, "p50"), (0.95, "p95")):
        parts.append(line(frame.left, y(share), frame.right, y(share), class_="reference"))
        parts.append(text(frame.right + 8, y(share) + 4, label, class_="label muted"))
    for curve, values in kept:
        parts.append(path(_steps(values, x, y), class_=f"line {colour(curve.series)}"))
    for (curve, _), (half, most) in zip(kept, marks, strict=True):
        for at, share in ((float(half), 0.5), (float(most), 0.95)):
            spoken = f"{curve.name}: {share:.0%} within {ms(at)}"
            parts.append(marker(curve.series, x(at), y(share), title=spoken))
    told = "Cumulative share of searches by time, a curve for each run"
    return drawing(name, title, told, WIDTH, frame.bottom + 40, *parts)


def _steps(values: np.ndarray, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Corners of the curve that rises at each value, thinned where there are more values than pixels."""
    ranks = np.unique(np.linspace(0, values.size - 1, min(values.size, _STEPS)).round().astype(int))
    points, height = [(x(float(values[0])), y(0.0))], y(0.0)
    for rank in ranks:
        at = x(float(values[rank]))
        points.append((at, height))
        height = y((int(rank) + 1) / values.size)
        points.append((at, height))
    return points


@dataclass(frozen=True, slots=True)
class Spot:
    """A run in the plane of latency and quality."""

    series: int
    name: str
    x: float
    y: float
    x_high: float | None = None
    ci: tuple[float, float] | None = None


def tradeoff(name: str, title: str, spots: Sequence[Spot], *, x_title: str, y_title: str) -> Markup:
    """A point for each run: quality with its interval upwards, median latency with a whisker to the 95th percentile."""
    spots = [spot for spot in spots if len(finite((spot.x, spot.y))) == 2 and spot.x > 0]
    if not spots:
        return NOTHING
    entries, top = legend([(spot.series, spot.name) for spot in spots], x=44, y=2, width=WIDTH - 60)
    frame = Frame(44, top + 34, WIDTH - 12, top + 34 + 270)
    x = logarithmic([v for spot in spots for v in (spot.x, spot.x_high)], frame.left + 14, frame.right - 14)
    quality = [v for spot in spots for v in (spot.y, *(spot.ci or ()))]
    y = linear(quality, frame.bottom - 10, frame.top + 10, within=MEASURE)
    parts = [entries, x_axis(frame, x, tick_labels, x_title), y_axis(frame, y, BARE, y_title)]
    taken = []
    for spot in spots:
        if spot.ci is not None and len(finite(spot.ci)) == 2:
            parts.append(_whisker(x(spot.x), y(spot.ci[0]), x(spot.x), y(spot.ci[1]), spot.series))
            taken.append(Box(x(spot.x) - 2, y(spot.ci[1]), x(spot.x) + 2, y(spot.ci[0])))
        if finite([spot.x_high]) and spot.x_high is not None and spot.x_high > spot.x:
            parts.append(_whisker(x(spot.x), y(spot.y), x(spot.x_high), y(spot.y), spot.series))
            taken.append(Box(x(spot.x), y(spot.y) - 2, x(spot.x_high), y(spot.y) + 2))
    for spot in spots:
        spoken = f"{spot.name}: {measure(spot.y)} {interval(spot.ci)} at {ms(spot.x)}"
        parts.append(marker(spot.series, x(spot.x), y(spot.y), radius=5.5, title=spoken))
    parts.append(beside([(x(spot.x), y(spot.y), clip(spot.name, 180)) for spot in spots], frame, taken))
    told = f"{len(spots)} runs by latency and quality"
    return drawing(name, title, told, WIDTH, frame.bottom + 40, *parts)


@dataclass(frozen=True, slots=True)
class Track:
    """Throughput of a run: (clients, queries per second), the fewest clients first."""

    series: int
    name: str
    points: Sequence[tuple[int, float]]


def throughput(name: str, title: str, tracks: Sequence[Track]) -> Markup:
    """Queries per second by the number of clients, from zero."""
    tracks = [track for track in tracks if finite(rate for _, rate in track.points)]
    if not tracks:
        return NOTHING
    width = 480.0
    entries, top = legend([(track.series, track.name) for track in tracks], x=50, y=2, width=width - 60)
    frame = Frame(50, top + 34, width - 14, top + 34 + 180)
    x = Scale(0, max(asking for track in tracks for asking, _ in track.points) * 1.06 or 1.0, frame.left, frame.right)
    y = Scale(0, max(finite(r for track in tracks for _, r in track.points)) * 1.08 or 1.0, frame.bottom, frame.top)
    parts = [entries, x_axis(frame, x, whole_labels, "clients"), y_axis(frame, y, tick_labels, "queries per second")]
    for track in tracks:
        points = [(x(asking), y(rate)) for asking, rate in track.points if finite([rate])]
        parts.append(path(points, class_=f"line {colour(track.series)}"))
        for asking, rate in track.points:
            if finite([rate]):
                spoken = f"{track.name}: {digits(rate)} queries per second from {asking} clients"
                parts.append(marker(track.series, x(asking), y(rate), title=spoken))
    return drawing(name, title, "Queries per second by clients", width, frame.bottom + 40, *parts)


def differences(name: str, title: str, values: Sequence[float], *, run: str, base: str) -> Markup:
    """A bar for each query, the largest win first: filled areas above and below the line of no difference."""
    values = sorted(finite(values), reverse=True)
    if not any(values):
        return NOTHING
    frame = Frame(50, 34, WIDTH - 12, 34 + 190)
    reach = max(abs(values[0]), abs(values[-1])) * 1.08 or 1.0
    y = Scale(-reach, reach, frame.bottom, frame.top)
    bar = (frame.right - frame.left) / len(values)
    parts = [y_axis(frame, y, SIGNED, f"{clip(run, 200)} minus {clip(base, 200)}")]
    for class_, places in (
        ("win", [place for place, value in enumerate(values) if value > 0]),
        ("loss", [place for place, value in enumerate(values) if value < 0]),
    ):
        if places:
            corners = [(frame.left + bar * places[0], y(0))]
            for place in places:
                left = frame.left + bar * place
                corners += [(left, y(values[place])), (left + bar, y(values[place]))]
            corners.append((frame.left + bar * (places[-1] + 1), y(0)))
            parts.append(path(_straight(corners), class_=class_, closed=True))
    parts.append(line(frame.left, y(0), frame.right, y(0), class_="axis"))
    parts.append(
        text(
            frame.right,
            frame.bottom + 18,
            f"{len(values)} queries, the largest win first",
            anchor="end",
            class_="axis-title",
        )
    )
    return drawing(name, title, "Differences query by query, sorted", WIDTH, frame.bottom + 26, *parts)


def _straight(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same outline without the points on a level line between two others."""
    kept = list(corners[:1])
    for corner, following in zip(corners[1:], [*corners[2:], None], strict=True):
        if following is None or not corner[1] == following[1] == kept[-1][1]:
            kept.append(corner)
    return kept

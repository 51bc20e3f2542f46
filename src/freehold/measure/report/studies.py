"""What the report shows of a search over settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from freehold.core.experiment import Study, Trial
from freehold.measure.report.figures import flat, joined, measure, ms
from freehold.measure.report.plots import BARE, MEASURE, NOTHING, WIDTH, above
from freehold.measure.report.svg import (
    STAR,
    Box,
    Frame,
    Scale,
    beside,
    clip,
    drawing,
    finite,
    key_of,
    line,
    linear,
    logarithmic,
    marker,
    path,
    shape,
    text,
    text_width,
    tick_labels,
    whole_labels,
    x_axis,
    y_axis,
)

_DEFAULT = 3
"""The series whose mark stands for the default."""


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study's drawings, and its trials with a column for each setting that differs among them."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Trial, tuple[str, ...]], ...]
    """Each trial with its values of ``keys``, in the order tried."""
    constant: tuple[tuple[str, str], ...]
    """Settings that were the same in every trial."""
    left_out: int
    """Trials that have no place in the plane of quality and latency."""
    timed: bool
    """Whether any trial has a latency."""
    trials: Markup
    history: Markup
    importance: Markup


def view(study: Study) -> StudyView:
    """Everything that the section shows."""
    settings = [dict(flat(trial.settings)) for trial in study.trials]
    values: dict[str, set[str | None]] = {}
    for key in (key for each in settings for key in each):
        values.setdefault(key, {each.get(key) for each in settings})
    keys = tuple(key for key, found in values.items() if len(found) > 1)
    shares = sorted(study.importance.items(), key=lambda item: (-item[1], item[0]))
    return StudyView(
        keys,
        tuple(
            (trial, tuple(each.get(key, "") for key in keys))
            for trial, each in zip(study.trials, settings, strict=True)
        ),
        tuple((key, settings[0][key]) for key, found in values.items() if len(found) == 1),
        sum(not _placeable(trial) for trial in study.trials),
        any(trial.p95_ms is not None for trial in study.trials),
        trials("plot-trials", f"{study.measure} against latency, trial by trial", study),
        history("plot-history", f"{study.measure} in the order tried", study),
        importance("plot-importance", "What the quality depended on", shares),
    )


def _placeable(trial: Trial) -> bool:
    return len(finite((trial.quality, trial.p95_ms))) == 2 and trial.p95_ms is not None and trial.p95_ms > 0


def importance(name: str, title: str, shares: Sequence[tuple[str, float]]) -> Markup:
    """A bar for each setting."""
    shares = [(key, share) for key, share in shares if finite([share])]
    if not shares:
        return NOTHING
    left = min(max(text_width(key) for key, _ in shares), 260) + 12
    scale = Scale(0, max((share for _, share in shares), default=0) or 1.0, left, WIDTH - 150)
    parts = []
    for place, (key, share) in enumerate(shares):
        y = 6 + 24 * place
        right = max(scale(share), left + 1)
        parts.append(text(left - 10, y + 13, clip(key, left - 12), anchor="end"))
        parts.append(path([(left, y + 3), (right, y + 3), (right, y + 15), (left, y + 15)], class_="bar", closed=True))
        parts.append(text(right + 8, y + 13, measure(share), class_="label value"))
    return drawing(name, title, "Share of the spread in quality by setting", WIDTH, 14 + 24 * len(shares), *parts)


def _trial_mark(trial: Trial, study: Study, x: float, y: float) -> Markup:
    spoken = f"trial {trial.number}, {trial.state}: {measure(trial.quality)}"
    if trial.p95_ms is not None:
        spoken += f" at {ms(trial.p95_ms)}"
    if trial.number == study.best:
        return shape(STAR, x, y, radius=7, class_="mark s1", title=spoken)
    if trial.number == study.default:
        return marker(_DEFAULT, x, y, radius=6, class_="mark", title=spoken)
    if trial.state != "complete":
        return shape((), x, y, radius=3, class_="faint", title=spoken)
    return marker(0, x, y, radius=4, title=spoken)


def _roles(study: Study, placed: dict[int, tuple[float, float]]) -> list[tuple[float, float, str]]:
    roles = [(study.best, "best and default" if study.best == study.default else "best")]
    if study.default != study.best:
        roles.append((study.default, "default"))
    return [(*placed[number], role) for number, role in roles if number in placed]


def _key(study: Study, *, front: str) -> tuple[Markup, float]:
    """What the marks of a study's plots mean."""
    states = list(dict.fromkeys(trial.state for trial in study.trials if trial.state != "complete"))
    marks = (
        (marker(0, 0, 0, radius=4), "complete"),
        (shape((), 0, 0, radius=3, class_="faint"), joined(states)),
        (
            shape(STAR, 0, 0, radius=7, class_="mark s1"),
            "best within the limit" if finite([study.p95_limit_ms]) else "best",
        ),
        (marker(_DEFAULT, 0, 0, radius=6), "" if study.best == study.default else "default"),
        (line(-8, 0, 8, 0, class_="front"), front),
    )
    return key_of([(mark, label) for mark, label in marks if label], x=44, y=2, width=WIDTH - 60)


def _thick(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The room that a line along the axes takes."""
    return [
        Box(min(x1, x2) - 2, min(y1, y2) - 2, max(x1, x2) + 2, max(y1, y2) + 2)
        for (x1, y1), (x2, y2) in pairwise(corners)
    ]


def trials(name: str, title: str, study: Study) -> Markup:
    """Every trial by latency and quality, with the front that none beats in both."""
    shown = [trial for trial in study.trials if len(finite((trial.quality, trial.p95_ms))) == 2]
    shown = [trial for trial in shown if trial.p95_ms is not None and trial.p95_ms > 0]
    if not shown:
        return NOTHING
    marks, top = _key(study, front="none is better in both")
    frame = Frame(44, top + 46, WIDTH - 12, top + 336)
    limit = study.p95_limit_ms if finite([study.p95_limit_ms]) else None
    x = logarithmic([*(trial.p95_ms for trial in shown), limit], frame.left + 14, frame.right - 14)
    y = linear([trial.quality for trial in shown], frame.bottom - 10, frame.top + 10, within=MEASURE)
    placed = {trial.number: (x(trial.p95_ms or 0), y(trial.quality or 0)) for trial in shown}
    parts = [
        marks,
        x_axis(frame, x, tick_labels, "p95 latency in ms, log scale"),
        y_axis(frame, y, BARE, study.measure),
    ]
    if limit is not None:
        parts.append(line(x(limit), frame.top - 4, x(limit), frame.bottom, class_="limit"))
        parts.append(above(x(limit), frame.top - 8, f"limit {ms(limit)}", WIDTH, class_="label limit-text"))
    corners: list[tuple[float, float]] = []
    for trial_number in study.pareto:
        if trial_number in placed:
            at, height = placed[trial_number]
            corners += [(at, corners[-1][1])] if corners else []
            corners.append((at, height))
    if len(corners) > 1:
        parts.append(path(corners, class_="front"))
    special = {study.best, study.default}
    for trial in sorted(shown, key=lambda trial: (trial.number in special, trial.state == "complete")):
        parts += [_trial_mark(trial, study, *placed[trial.number])]
    taken = [Box(at - 4, height - 4, at + 4, height + 4) for at, height in placed.values()]
    parts.append(beside(_roles(study, placed), frame, taken + _thick(corners), gap=11))
    told = f"{len(shown)} trials by 95th percentile of latency and quality"
    return drawing(name, title, told, WIDTH, frame.bottom + 40, *parts)


def history(name: str, title: str, study: Study) -> Markup:
    """Quality trial by trial, with the best so far."""
    shown = [trial for trial in study.trials if finite([trial.quality])]
    if not shown:
        return NOTHING
    marks, top = _key(study, front="best so far")
    frame = Frame(44, top + 34, WIDTH - 12, top + 234)
    x = linear([float(trial.number) for trial in shown], frame.left + 10, frame.right - 10)
    y = linear([trial.quality for trial in shown], frame.bottom - 8, frame.top + 8, within=MEASURE)
    placed = {trial.number: (x(trial.number), y(trial.quality or 0)) for trial in shown}
    parts = [
        marks,
        x_axis(frame, x, whole_labels, "trial"),
        y_axis(frame, y, BARE, study.measure),
    ]
    best = -math.inf
    corners: list[tuple[float, float]] = []
    for trial in sorted(shown, key=lambda trial: trial.number):
        if trial.state == "complete" and trial.quality is not None and trial.quality > best:
            at = x(trial.number)
            corners += [(at, y(best))] if corners else []
            best = trial.quality
            corners.append((at, y(best)))
    if corners:
        corners.append((frame.right - 10, y(best)))
        parts.append(path(corners, class_="front"))
    parts += [_trial_mark(trial, study, *placed[trial.number]) for trial in shown]
    taken = [Box(at - 4, height - 4, at + 4, height + 4) for at, height in placed.values()]
    parts.append(beside(_roles(study, placed), frame, taken + _thick(corners), gap=11))
    return drawing(name, title, f"Quality of {len(shown)} trials in order", WIDTH, frame.bottom + 40, *parts)

"""What each section of the report shows of an experiment's runs, with its drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from freehold.core.experiment import P95_LATENCY, Comparison, Estimate, Experiment, Load, Quantiles, RunResult
from freehold.measure.ranking import direction
from freehold.measure.report import plots
from freehold.measure.report.contest import Contest, estimate
from freehold.measure.report.figures import count, flat
from freehold.measure.report.svg import finite, marker, tag

SIGNIFICANT = 0.05
_SLICES_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Column:
    """A measure in the table of runs."""

    measure: str
    queries: int | None
    """None where the runs differ in it."""
    best: float | None
    """None where all runs are equal."""


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The leading measure on a slice: an estimate for each run, None where it has none."""

    value: str
    queries: int
    cells: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class SlicePanel:
    """A field of the queries and its values, the largest first if some are left out."""

    field: str
    rows: tuple[SliceRow, ...]
    left_out: int
    plot: Markup


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of single searches, and searches under load."""

    stages: tuple[tuple[str, tuple[tuple[str, Quantiles], ...]], ...]
    """Run -> stage -> times."""
    loads: tuple[tuple[str, tuple[Load, ...]], ...]
    distribution: Markup
    tradeoff: Markup
    throughput: Markup


def finding(each: Comparison) -> tuple[str, str, str]:
    """Class, sign and word for what a comparison shows at 5 %, corrected after Holm."""
    if each.difference is None or each.p_holm is None or len(finite((each.difference, each.p_holm))) < 2:
        return "none", "", "not tested"
    if each.p_holm < SIGNIFICANT and each.difference:
        better = each.difference * direction(each.measure) > 0
        return ("better", "▲", "better") if better else ("worse", "▼", "worse")
    return "open", "", "not shown"


def symbol(series: int) -> Markup:
    """The mark of a run, to stand before its name in a table."""
    return tag("svg", marker(series, 7, 7), class_="symbol", aria_hidden="true", width=14, height=14)


def columns(runs: Sequence[RunResult]) -> list[Column]:
    """A column for each measure that any run has."""
    found: dict[str, list[Estimate]] = {}
    for run in runs:
        for each in run.measures:
            found.setdefault(each.measure, []).append(each)
    told = []
    for measure, estimates in found.items():
        queries = {each.queries for each in estimates if finite([each.value])}
        known = finite(each.value for each in estimates)
        extreme = max if direction(measure) > 0 else min
        best = extreme(known) if len(set(known)) > 1 else None
        told.append(Column(measure, queries.pop() if len(queries) == 1 else None, best))
    return told


def plans(runs: Sequence[RunResult]) -> list[tuple[str, list[str]]]:
    """Each setting of the runs' plans with its value in every run, empty where a run has none."""
    settings = [dict(flat(run.plan)) for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    return [(name, [each.get(name, "") for each in settings]) for name in names]


def runs_plot(experiment: Experiment, measure: str) -> Markup:
    """The leading measure of every run."""
    groups = [
        plots.Group(run.name, _points(series, run.name, estimate(run, measure)), "served" if run.served else "")
        for series, run in enumerate(experiment.runs)
    ]
    return plots.dots("plot-runs", f"{measure} by run", groups, axis=f"{measure} with its 95 % interval")


def _points(series: int, name: str, found: Estimate | None) -> tuple[plots.Point, ...]:
    return () if found is None or found.value is None else (plots.Point(series, name, found.value, found.ci95),)


def slice_panels(experiment: Experiment, measure: str) -> list[SlicePanel]:
    """A panel for each field that the queries are sliced by."""
    fields: dict[str, dict[str, int]] = {}
    for run in experiment.runs:
        for part in run.slices:
            slices = fields.setdefault(part.slice.partition("=")[0], {})
            slices[part.slice] = max(part.queries, slices.get(part.slice, 0))
    return [_slice_panel(experiment, measure, place, field, fields[field]) for place, field in enumerate(fields)]


def _slice_panel(experiment: Experiment, measure: str, place: int, field: str, slices: dict[str, int]) -> SlicePanel:
    shown = list(slices)
    if len(shown) > _SLICES_SHOWN:
        shown = sorted(shown, key=lambda each: (-slices[each], each))[:_SLICES_SHOWN]
    rows = tuple(
        SliceRow(
            each.partition("=")[2] or each,
            slices[each],
            tuple(_in_slice(run, each, measure) for run in experiment.runs),
        )
        for each in shown
    )
    groups = [
        plots.Group(
            row.value,
            tuple(
                point
                for series, (run, cell) in enumerate(zip(experiment.runs, row.cells, strict=True))
                for point in _points(series, run.name, cell)
            ),
            count(row.queries),
        )
        for row in rows
    ]
    plot = plots.dots(
        f"plot-slices-{place}",
        f"{measure} by {field}",
        groups,
        axis=f"{measure} with its 95 % interval",
        names=[(series, run.name) for series, run in enumerate(experiment.runs)],
    )
    return SlicePanel(field, rows, len(slices) - len(rows), plot)


def _in_slice(run: RunResult, slice_: str, measure: str) -> Estimate | None:
    return next(
        (each for part in run.slices if part.slice == slice_ for each in part.measures if each.measure == measure), None
    )


def latency(experiment: Experiment, measure: str) -> Latency | None:
    """None where nothing was timed."""
    runs = list(enumerate(experiment.runs))
    stages = tuple((run.name, _total_last(run)) for _, run in runs if run.latency_ms)
    loads = tuple((run.name, run.load) for _, run in runs if run.load)
    if not (stages or loads or any(run.timings_ms for _, run in runs)):
        return None
    curves = [plots.Curve(series, run.name, run.timings_ms) for series, run in runs]
    spots = []
    for series, run in runs:
        quality, total = estimate(run, measure), run.latency_ms.get("total")
        if quality is not None and quality.value is not None and total is not None and total.p50 is not None:
            spots.append(plots.Spot(series, run.name, total.p50, quality.value, total.p95, quality.ci95))
    tracks = [
        plots.Track(series, run.name, sorted((load.clients, load.queries_per_s) for load in run.load))
        for series, run in runs
    ]
    return Latency(
        stages,
        loads,
        plots.cumulative("plot-latency", "Latency of single searches", curves),
        plots.tradeoff(
            "plot-tradeoff",
            f"{measure} against latency",
            spots,
            x_title="ms of one search: median, with a whisker to p95 (log scale)",
            y_title=f"{measure} with its 95 % interval",
        ),
        plots.throughput("plot-load", "Throughput under load", tracks),
    )


def _total_last(run: RunResult) -> tuple[tuple[str, Quantiles], ...]:
    return tuple(sorted(run.latency_ms.items(), key=lambda item: item[0] == "total"))


def contest_plot(bouts: Contest | None) -> Markup:
    """Wins and losses query by query."""
    if bouts is None:
        return plots.NOTHING
    title = f"{bouts.measure} of {bouts.run} minus {bouts.base}, query by query"
    return plots.differences("plot-queries", title, bouts.differences, run=bouts.run, base=bouts.base)


def signals_plot(experiment: Experiment) -> Markup:
    """How well each sign of ambiguity tells the queries that fail."""
    if experiment.ambiguity is None:
        return plots.NOTHING
    groups = [
        plots.Group(each.name, () if each.auc is None else (plots.Point(0, "", each.auc, each.ci95),))
        for each in experiment.ambiguity.signals
    ]
    return plots.dots(
        "plot-signals",
        "Signals of ambiguity",
        groups,
        axis="area under the ROC curve with its 95 % interval",
        reference=(0.5, "chance"),
    )


def gate_plot(experiment: Experiment) -> Markup:
    """The gate's differences in quality beside their margins; times have other units and stay in the table."""
    if experiment.verdict is None:
        return plots.NOTHING
    groups = [
        plots.Group(
            each.name,
            () if each.difference is None else (plots.Point(0, "", each.difference, each.ci),),
            limit=None if each.margin is None else -abs(each.margin),
        )
        for each in experiment.verdict.checks
        if each.name != P95_LATENCY
    ]
    return plots.dots(
        "plot-gate",
        "Candidate minus baseline",
        groups,
        axis="candidate minus baseline, with the interval that the gate decides on",
        signed=True,
        reference=(0.0, "no difference"),
        limit="margin",
    )

"""Two runs against each other, query by query: which pair a report shows, who won where, and what each found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from freehold.core.experiment import Comparison, Estimate, Experiment, RunResult
from freehold.measure.ranking import direction
from freehold.measure.report.figures import clipped
from freehold.measure.report.svg import finite

SHOWN = 15
_EQUAL = 1e-9
_SINGLE = ("dense", "lexical")


@dataclass(frozen=True, slots=True)
class Detail:
    """What the record does not hold: words, and values query by query."""

    measure: str
    """Headline measure of ``values``."""
    queries: Mapping[str, str]
    """Query id -> text."""
    values: Mapping[str, Mapping[str, float]]
    """Run name -> query id -> value of ``measure``."""
    tops: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Run name -> query id -> ids of the first 3 units."""
    relevant: Mapping[str, tuple[str, ...]]
    """Query id -> ids of the labelled units."""
    texts: Mapping[str, str]
    """Unit id -> the beginning of its text; some may be missing."""
    expansions: Mapping[str, tuple[str, ...]]
    """Acronym -> its expansions in the corpus."""
    passages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Query id -> unit id -> the passage by which the query found it; elsewhere ``texts`` stands in."""


@dataclass(frozen=True, slots=True)
class Found:
    """A unit of text, and whether it is labelled relevant to the query at hand."""

    id: str
    text: str | None
    relevant: bool


@dataclass(frozen=True, slots=True)
class Bout:
    """One query."""

    query_id: str
    query: str | None
    run: float
    base: float
    relevant: tuple[Found, ...]
    run_top: tuple[Found, ...]
    base_top: tuple[Found, ...]

    sign: int
    """1 where more of the measure is better, -1 where less is."""

    @property
    def difference(self) -> float:
        return self.run - self.base

    @property
    def gain(self) -> float:
        return self.sign * self.difference


@dataclass(frozen=True, slots=True)
class Contest:
    """Two runs over the queries that both have a value for."""

    run: str
    base: str
    measure: str
    differences: tuple[float, ...]
    wins: int
    ties: int
    losses: int
    largest_wins: tuple[Bout, ...]
    largest_losses: tuple[Bout, ...]


def headline(experiment: Experiment, detail: Detail | None) -> str:
    """The measure that the report leads with; empty where nothing was measured."""
    if detail is not None:
        return detail.measure
    if experiment.study is not None:
        return experiment.study.measure
    return next((estimate.measure for run in experiment.runs for estimate in run.measures), "")


def estimate(run: RunResult, measure: str) -> Estimate | None:
    """The run's mean over all queries, where it has one."""
    return next((each for each in run.measures if each.measure == measure and finite([each.value])), None)


def value(run: RunResult, measure: str) -> float:
    """The same, below every value where there is none."""
    found = estimate(run, measure)
    return float("-inf") if found is None or found.value is None else found.value * direction(measure)


def pair(experiment: Experiment, measure: str) -> tuple[str, str] | None:
    """The run and the base worth reading query by query.

    The compared pair of a gate or a search over settings; else the served run against the best that asks one index
    alone, or against the best of the others.
    """
    compared = [each for each in experiment.comparisons if not each.slice and each.measure == measure]
    compared = compared or list(experiment.comparisons)
    if experiment.kind != "eval" and compared:
        return compared[0].run, compared[0].base
    ordered = sorted(experiment.runs, key=lambda run: -value(run, measure))
    served = next((run for run in ordered if run.served), ordered[0] if ordered else None)
    others = [run for run in ordered if run is not served]
    if served is None or not others:
        return None
    partners = {each.base for each in compared if each.run == served.name}
    partners |= {each.run for each in compared if each.base == served.name}
    others = [run for run in others if run.name in partners] or others
    return served.name, next(filter(_single, others), others[0]).name


def _single(run: RunResult) -> bool:
    return run.plan.get("mode", run.name) in _SINGLE and not run.plan.get("rerank_depth", 0)


def comparison(experiment: Experiment, run: str, base: str, measure: str) -> Comparison | None:
    """The recorded comparison of the two over all queries."""
    wanted = (run, base, measure, "")
    return next((c for c in experiment.comparisons if (c.run, c.base, c.measure, c.slice) == wanted), None)


def contest(run: str, base: str, detail: Detail) -> Contest | None:
    """Where ``run`` is better than ``base`` and where worse; None where they share no query."""
    ours, theirs = detail.values.get(run, {}), detail.values.get(base, {})
    shared = [key for key in ours if key in theirs and len(finite((ours[key], theirs[key]))) == 2]
    if not shared:
        return None
    # The largest win first; equal ones by id, so that the same record always makes the same page.
    sign = direction(detail.measure)
    gains = {key: sign * (ours[key] - theirs[key]) for key in shared}
    shared.sort(key=lambda key: (-gains[key], key))
    wins = [key for key in shared if gains[key] > _EQUAL]
    losses = [key for key in reversed(shared) if -gains[key] > _EQUAL]

    def bout(key: str) -> Bout:
        return Bout(
            key,
            detail.queries.get(key),
            ours[key],
            theirs[key],
            _found(detail.relevant.get(key, ())[:3], key, detail),
            _found(detail.tops.get(run, {}).get(key, ()), key, detail),
            _found(detail.tops.get(base, {}).get(key, ()), key, detail),
            sign,
        )

    return Contest(
        run,
        base,
        detail.measure,
        tuple(gains[key] for key in shared),
        len(wins),
        len(shared) - len(wins) - len(losses),
        len(losses),
        tuple(map(bout, wins[:SHOWN])),
        tuple(map(bout, losses[:SHOWN])),
    )


def _found(ids: tuple[str, ...], query_id: str, detail: Detail) -> tuple[Found, ...]:
    relevant = detail.relevant.get(query_id, ())
    own = detail.passages.get(query_id, {})
    texts = {each: own.get(each, detail.texts.get(each)) for each in ids}
    return tuple(Found(each, None if text is None else clipped(text), each in relevant) for each, text in texts.items())

"""An experiment as one self-contained HTML page: no script, no request, readable in print and in the dark.

The texts in it come from documents and queries and may be hostile: everything is escaped by the template engine, the
page's own policy forbids scripts and requests, and characters that HTML does not allow or that reorder the text around
them are taken out at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from freehold.core.experiment import Decision, Experiment, RunResult
from freehold.measure.report import contest as contests
from freehold.measure.report import figures, studies, views
from freehold.measure.report.contest import Detail
from freehold.measure.report.svg import finite

__all__ = ["Detail", "render"]

_HARD_SHOWN = 25

# What HTML does not allow, lone surrogates (no encoding holds them) and, apart from the rest, embeddings and overrides
# of direction: each text stands in an element of its own whose direction the browser finds out.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def render(experiment: Experiment, detail: Detail | None = None) -> str:
    """The report as an HTML document that can be written as UTF-8. Without ``detail`` it shows no words of queries."""
    page = _environment().get_template("page.html.j2").render(_view(experiment, detail)).lstrip()
    return _FORBIDDEN.sub("\ufffd", _REORDERING.sub("", page))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("freehold.measure.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (
        figures.measure, figures.change, figures.interval, figures.change_interval, figures.p_value, figures.digits,
        figures.ms, figures.count, figures.percent, figures.duration, figures.moment, figures.plain, figures.flat,
        figures.clipped,
        figures.queries,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in words})
    environment.filters["finding"] = views.finding
    environment.tests["known"] = figures.known
    environment.globals["notes"] = figures.Notes
    environment.globals["verdicts"] = _VERDICTS
    return environment


def _view(experiment: Experiment, detail: Detail | None) -> dict[str, object]:
    """Everything that the template shows."""
    headline = contests.headline(experiment, detail)
    pair = contests.pair(experiment, headline)
    contest = contests.contest(*pair, detail) if pair and detail else None
    slices, latency = views.slice_panels(experiment, headline), views.latency(experiment, headline)
    answers = experiment.answers
    return {
        "e": experiment,
        "detail": detail,
        "headline": headline,
        "title": _TITLES[experiment.kind],
        "verdict": _VERDICTS[experiment.verdict.decision] if experiment.verdict else None,
        "summary": _summary(experiment, headline, pair),
        "symbols": [views.symbol(series) for series in range(len(experiment.runs))],
        "columns": views.columns(experiment.runs),
        "plans": views.plans(experiment.runs),
        "runs_plot": views.runs_plot(experiment, headline),
        "overall": [each for each in experiment.comparisons if not each.slice],
        "sliced": [each for each in experiment.comparisons if each.slice],
        "slices": slices,
        "contest": contest,
        "contest_plot": views.contest_plot(contest),
        "latency": latency,
        "signals_plot": views.signals_plot(experiment),
        "hard": experiment.ambiguity.queries[:_HARD_SHOWN] if experiment.ambiguity else (),
        "gate_plot": views.gate_plot(experiment),
        "answer_rows": [(each.measure, each) for each in answers.measures] if answers else (),
        "answer_slice_rows": [
            (f"{part.slice}, {each.measure}", each) for part in answers.slices for each in part.measures
        ]
        if answers
        else (),
        "study": studies.view(experiment.study) if experiment.study else None,
        "sections": [
            (anchor, title)
            for anchor, title, shown in (
                ("gate", "Gate", experiment.verdict),
                ("measures", "Measures", experiment.runs),
                ("comparisons", "Comparisons", experiment.comparisons),
                ("slices", "Slices", slices),
                ("queries", "Query by query", contest),
                ("latency", "Latency and load", latency),
                ("study", "Study", experiment.study),
                ("ambiguity", "Ambiguity", experiment.ambiguity),
                ("answers", "Answers", experiment.answers),
                ("reproduce", "Reproduce", True),
            )
            if shown
        ],
    }


_TITLES = {
    "eval": "Evaluation",
    "compare": "Comparison",
    "gate": "Gate",
    "tune": "Search over settings",
    "train": "Training",
}
_VERDICTS: Mapping[Decision, tuple[str, str, str]] = {
    "passed": ("✓", "Passed", "The candidate is no worse than the margins allow in every check."),
    "refused": ("✕", "Refused", "The candidate is worse in at least one check."),
    "underpowered": ("?", "Undecided", "Too few queries to tell: this is neither a pass nor a refusal."),
}


def _summary(experiment: Experiment, headline: str, pair: tuple[str, str] | None) -> list[str]:
    """A few plain sentences."""
    measured = [run for run in experiment.runs if contests.estimate(run, headline)]
    if not measured:
        return ["No run has a value for the leading measure." if experiment.runs else "No run was measured."]
    best = max(measured, key=lambda run: contests.value(run, headline))
    served = next((run for run in measured if run.served), None)
    sentences = []
    if len(measured) > 1:
        same = ", which is what the house serves" if best is served else ""
        sentences.append(f"Best by {headline}: {best.name} with {_told(best, headline)}{same}.")
    elif served is None:
        sentences.append(f"{best.name} reaches {headline} {_told(best, headline)}.")
    if served is not None and (served is not best or len(measured) == 1):
        sentences.append(f"The house serves {served.name}: {headline} {_told(served, headline)}.")
    pairs = [(best.name, served.name)] if served is not None and best is not served else []
    told = [contests.comparison(experiment, *each, headline) for each in (*pairs, *([pair] if pair else []))]
    found = next((each for each in told if each is not None and finite([each.difference])), None)
    if found is not None:
        known = f"{figures.change(found.difference)} {figures.change_interval(found.ci95)}".strip()
        sentences.append(f"{found.run} minus {found.base}: {known}, Holm p {figures.p_value(found.p_holm)}.")
    return sentences


def _told(run: RunResult, measure: str) -> str:
    found = contests.estimate(run, measure)
    assert found is not None
    return (
        f"{figures.measure(found.value)} {figures.interval(found.ci95)}".strip()
        + f" over {figures.queries(found.queries)}"
    )

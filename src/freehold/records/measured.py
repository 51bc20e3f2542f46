"""Measures in words: each with its interval, how many questions it is over, and why there is none."""

from __future__ import annotations

from freehold.core.experiment import Comparison, Estimate
from freehold.measure.report.figures import change, change_interval, interval, measure
from freehold.records.facts import Facts


def estimate(found: Estimate) -> str:
    """``nDCG@10 .842 [.801, .879], 84 questions``."""
    if found.value is None:
        return f"{found.measure} n/a: {found.reason or 'not measured'}"
    ends = interval(found.ci95) or "without an interval"
    return f"{found.measure} {measure(found.value)} {ends}, {found.queries:,} questions"


def comparison(found: Comparison) -> str:
    """``nDCG@10 +.021 [+.004, +.039] against live, 84 questions``."""
    if found.difference is None:
        return f"{found.measure} n/a against {found.base}: {found.reason or 'not measured'}"
    ends = change_interval(found.ci95) or "without an interval"
    return f"{found.measure} {change(found.difference)} {ends} against {found.base}, {found.queries:,} questions"


def measures_of(facts: Facts) -> tuple[str, ...]:
    """Of the search as it was served when it was last measured."""
    found = facts.latest("eval")
    if found is None:
        return ("the search was not measured: freehold eval",)
    when, where = found.created[:10], f"split {found.dataset.split}" if found.dataset.split else "no split"
    told = f"on {found.dataset.queries:,} questions ({where}, digest {found.dataset.digest[:12]}) on {when}"
    return (told, *map(estimate, facts.served(found).measures))


def verdict_of(facts: Facts) -> tuple[str, ...]:
    """Of the gate, when it last judged."""
    found = facts.latest("gate")
    if found is None or found.verdict is None:
        return ("the gate has judged nothing: freehold gate",)
    return (f"{found.verdict.decision} on {found.created[:10]}", *found.verdict.reasons)

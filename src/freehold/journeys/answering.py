"""Evaluate answers: the questions of a labelled set asked for real, and what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from freehold.core.errors import EndpointFault, SettingsError
from freehold.core.experiment import AnswerResult, SliceEstimates
from freehold.core.ports import SupportJudge
from freehold.core.types import Query
from freehold.journeys.ask import Voice, ask
from freehold.journeys.ingest import Progress
from freehold.journeys.locate import Located
from freehold.journeys.search import Engines, Plan
from freehold.journeys.support import Calibration, answered
from freehold.measure.answers import Answered, Gold, answer_values, summarise
from freehold.measure.latency import quantiles
from freehold.measure.slices import Slices


def ask_all(
    queries: Sequence[Query],
    *,
    plan: Plan,
    engines: Engines,
    voice: Voice,
    located: Located,
    judge: SupportJudge | None,
    progress: Progress,
) -> list[Answered]:
    """Ask every question and have its answer judged; one whose generator or judge fails is kept with the error.

    Reranking has all the time it wants: under a budget the same answers would not come out twice.
    """
    plan = replace(plan, rerank_budget_ms=0.0)
    told = []
    for done, query in enumerate(queries, 1):
        try:
            answer = ask(query, plan=plan, engines=engines, voice=voice)
            told.append(
                answered(query.id, answer, question=query.text, judge=judge, unit_of=lambda c: located.name(c.source))
            )
        except (EndpointFault, SettingsError) as error:
            told.append(Answered(query.id, error=error.code))
        progress("answers", done, len(queries))
    return told


def summarise_answers(
    told: Sequence[Answered],
    gold: Mapping[str, Gold],
    *,
    generator: str,
    plan: str,
    slices: Slices,
    calibration: Calibration,
    resamples: int,
    seed: int,
) -> AnswerResult:
    """Means with intervals over all questions and by slice. ``calibration``: of those who decided on support."""
    values = {one.query_id: answer_values(one, gold[one.query_id]) for one in told}
    parts = []
    for name, members in slices.items():
        own = {query: row for query, row in values.items() if query in members}
        if own:
            parts.append(SliceEstimates(name, len(own), summarise(own, resamples=resamples, seed=seed)))
    whole = [one for one in told if not one.error]
    stages = dict.fromkeys(stage for one in whole for stage in one.timings_ms)
    kinds = dict.fromkeys(kind for one in whole for kind in one.tokens)
    return AnswerResult(
        generator=generator,
        plan=plan,
        measures=summarise(values, resamples=resamples, seed=seed, judge=calibration.together),
        judges=calibration.judges,
        latency_ms={s: quantiles([one.timings_ms[s] for one in whole if s in one.timings_ms]) for s in stages},
        tokens={k: quantiles([one.tokens[k] for one in whole if k in one.tokens]) for k in kinds},
        slices=tuple(parts),
        failed=dict(Counter(one.error for one in told if one.error)),
    )

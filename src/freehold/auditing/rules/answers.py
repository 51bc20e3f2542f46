"""Rules on answers, and on the time that they take."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, fault, sound, unclear
from freehold.auditing.rules import house_rules
from freehold.auditing.rules.retrieval import FEWEST_QUESTIONS, LABEL_SOME
from freehold.core.experiment import Estimate
from freehold.records.measured import estimate

SUPPORTED = 0.9
"""Share of sentences that must be supported by what they cite; the interval must reach it, here and below."""
CITED = 0.5
"""Share of citations that lie in what the labels call evidence."""
SILENT = 0.5
"""Share of unanswerable questions that must be met with silence."""
MANY_FAILED = 0.02
"""Share of questions that end in an error."""
MANY_UNANSWERED = 0.5
FEWEST_ANSWERED = 50

_LABELS = "label answers, and questions that have none, in the set that gate.dataset names (docs/evaluation.md)"


def _judged(facts: HouseFacts, name: str, least: float, bad: str, fix: str) -> Iterator[Seen]:
    found = facts.answers
    if found is None:
        yield unclear("there are no labelled answers", _LABELS)
        return
    failed = sum(found.result.failed.values())
    if failed > MANY_FAILED * found.questions:
        yield unclear(f"{failed} of {found.questions} answers ended in an error", "see answers-failed")
        return
    measured = _named(found.result.measures, name)
    if measured.value is None or measured.queries < FEWEST_QUESTIONS:
        yield unclear(f"{estimate(measured)}: at least {FEWEST_QUESTIONS} questions are needed", _LABELS)
        return
    figures = {"questions answered": found.questions, name: estimate(measured)}
    top = measured.ci95[1] if measured.ci95 else measured.value
    if top < least:
        yield fault(f"{bad}: {estimate(measured)}", figures, fix=fix)
    else:
        yield sound(estimate(measured), figures)


@house_rules.rule(
    "answers-failed",
    theme="answers",
    severity="high",
    basis=("practice: what does not come back is a wrong answer",),
)
def failing(facts: HouseFacts) -> Iterator[Seen]:
    """Questions come back with an answer, or with silence."""
    found = facts.answers
    if found is None:
        yield unclear("there are no labelled answers", _LABELS)
        return
    lost = found.result.failed
    figures = {"questions asked": found.questions, **{f"ended in {code}": count for code, count in lost.items()}}
    told = f"{sum(lost.values())} of {found.questions} questions ended in an error"
    if sum(lost.values()) > MANY_FAILED * found.questions:
        yield fault(
            told, figures, fix="`freehold ask QUESTION` says what is wrong; generator.endpoint, generator.timeout_s"
        )
    else:
        yield sound(told, figures)


@house_rules.rule(
    "answers-unsupported",
    theme="answers",
    severity="high",
    basis=("Es et al. 2024 (RAGAS), faithfulness", "AI Act Art. 15(1): accuracy", "GDPR Art. 5(1)(d): accuracy"),
)
def supported(facts: HouseFacts) -> Iterator[Seen]:
    """Sentences follow from what they cite."""
    fix = 'generator.kind = "extractive" quotes; or another model, measured by `freehold eval --answers`'
    yield from _judged(facts, "support", SUPPORTED, "too many sentences are not supported", fix)


@house_rules.rule(
    "answers-citations",
    theme="answers",
    severity="medium",
    basis=("Gao et al. 2023 (ALCE): citation precision and recall",),
)
def citations(facts: HouseFacts) -> Iterator[Seen]:
    """Citations point at the evidence."""
    fix = "`freehold tune plan`: citations are as good as the passages that are found"
    yield from _judged(facts, "citation-P", CITED, "too many citations are beside the evidence", fix)


@house_rules.rule(
    "answers-uncovered",
    theme="answers",
    severity="medium",
    basis=("practice: an abstention that was not needed is a failure that nobody sees",),
)
def covered(facts: HouseFacts) -> Iterator[Seen]:
    """What can be answered is answered."""
    volume = facts.volume
    if volume.answered < FEWEST_ANSWERED:
        needs = f"{FEWEST_ANSWERED} answered questions in the log: traffic.query_log = true, and time"
        yield unclear(f"{volume.answered} answered questions are logged", needs)
        return
    share = volume.abstained / volume.answered
    figures = {"answered": volume.answered, "of them by silence": volume.abstained, "share": round(share, 3)}
    told = f"{share:.0%} of {volume.answered} questions were met with silence"
    if share > MANY_UNANSWERED:
        fix = "`freehold traffic export` lists what was asked: ingest what is missing"
        yield fault(told, figures, fix=fix)
    else:
        yield sound(told, figures)


@house_rules.rule(
    "answers-never-silent",
    theme="answers",
    severity="high",
    basis=("Rajpurkar et al. 2018 (SQuAD 2.0): unanswerable questions", "AI Act Art. 15(1): accuracy"),
)
def silent(facts: HouseFacts) -> Iterator[Seen]:
    """What the documents do not say is not answered."""
    fix = 'generator.kind = "extractive", or a model that abstains, measured by `freehold eval --answers`'
    yield from _judged(facts, "abstention-R", SILENT, "too many unanswerable questions get an answer", fix)


@house_rules.rule(
    "latency-budget",
    theme="latency",
    severity="medium",
    basis=("Dean and Barroso 2013, The Tail at Scale: what is promised is a percentile, not a mean",),
)
def latency(facts: HouseFacts) -> Iterator[Seen]:
    """Searches keep their time."""
    asked, budget = facts.asked, facts.settings.gate.p95_ms
    if asked is None or not asked.stages_ms:
        yield unclear("nothing was timed: there are no labelled questions", LABEL_SOME)
        return
    total = asked.stages_ms["total"]
    figures = {stage: f"p50 {_ms(q.p50)}, p95 {_ms(q.p95)} ms" for stage, q in asked.stages_ms.items()}
    told = f"p95 of {total.n} single searches is {_ms(total.p95)} ms"
    if not budget:
        yield unclear(f"{told}; no budget is declared", "gate.p95_ms in freehold.toml", figures)
    elif total.p95 is not None and total.p95 > budget:
        slowest = max((s for s in asked.stages_ms if s != "total"), key=lambda s: asked.stages_ms[s].p95 or 0.0)
        fix = "retrieval.rerank_depth, retrieval.candidates or reranker.budget_ms in freehold.toml"
        yield fault(f"{told}, above the budget of {budget:g} ms; most of it is {slowest}", figures, fix=fix)
    else:
        yield sound(f"{told}, within {budget:g} ms", figures)


def _named(measures: tuple[Estimate, ...], name: str) -> Estimate:
    return next(one for one in measures if one.measure == name)


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f}"

"""Rules on the search: how good it is, where it fails, whether index and vectors are what they should be."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.auditing.asked import REASONS, Asked, Reason
from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, Severity, fault, sound, unclear
from freehold.auditing.rules import house_rules
from freehold.core.experiment import Estimate, SliceEstimates
from freehold.measure.report.figures import interval, measure

FEWEST_QUESTIONS = 20
"""Below these no interval says anything."""
GOOD_SUCCESS = 0.7
"""Share of questions with an answer among the first ten under which a search is no help: its interval must reach it."""
FAILING_SHARE, FAILING_LEAST = 0.05, 3
"""Of the questions, and so many at least, for one cause to be worth a finding."""
GOOD_RECALL = 0.95

LABEL_SOME = "`freehold audit --questions FILE`, or set gate.dataset: questions with the documents that answer them"
EVALUATION = "BEIR (Thakur et al. 2021): retrieval is judged on labelled questions of the domain"


@house_rules.rule(
    "retrieval-quality",
    theme="retrieval",
    severity="high",
    basis=(EVALUATION, "AI Act Art. 15(1): an appropriate level of accuracy, declared"),
)
def quality(facts: HouseFacts) -> Iterator[Seen]:
    """The search finds what answers."""
    asked = facts.asked
    if asked is None or asked.questions < FEWEST_QUESTIONS:
        yield _too_few(asked)
        return
    overall = asked.quality[0]
    told = f"an answer is among the first ten for {_said(_of(overall, 'Success@10'))}"
    figures = {one.measure: _said(one) for one in overall.measures}
    ends = _of(overall, "Success@10").ci95
    if ends and ends[1] < GOOD_SUCCESS:
        yield fault(
            told, figures, fix="`freehold tune data`, then `freehold tune plan`: it says what is worth training"
        )
    else:
        yield sound(told, figures)


@house_rules.rule(
    "retrieval-slice",
    theme="retrieval",
    severity="medium",
    basis=("AI Act Art. 10(2)(f), (g): look for bias, and for gaps in the data", EVALUATION),
)
def worse_slices(facts: HouseFacts) -> Iterator[Seen]:
    """No part of the questions fares much worse."""
    asked = facts.asked
    if asked is None or asked.questions < FEWEST_QUESTIONS:
        yield _too_few(asked)
        return
    overall = _of(asked.quality[0], "nDCG@10")
    worse = []
    for part in asked.quality[1:]:
        found = _of(part, "nDCG@10")
        apart = found.ci95 and overall.ci95 and found.ci95[1] < overall.ci95[0]
        if apart and not part.slice.startswith("ambiguity="):  # ambiguous questions are hard by definition
            worse.append(part)
    figures = {"all": _said(overall), **{p.slice: _said(_of(p, "nDCG@10")) for p in asked.quality[1:]}}
    if worse:
        told = ", ".join(part.slice for part in worse)
        yield fault(f"nDCG@10 is surely lower on {told} than overall", figures, fix="`freehold tune plan`")
    else:
        yield sound(f"nDCG@10 is nowhere surely lower than overall, on {len(asked.quality) - 1} slices", figures)


_CAUSES: dict[Reason, tuple[str, str, Severity, str, str]] = {
    "not in the corpus": (
        "questions-without-documents", "What answers is in the house", "high",
        "the documents that answer them are not in the house",
        "`freehold ingest PATH...`; `freehold doctor` names refused files",
    ),
    "cut by the chunker": (
        "questions-cut", "No answer is cut in two", "medium",
        "no passage holds the whole of what answers them",
        "set chunking.kind to structure or raise chunking.max_tokens, and ingest",
    ),
    "wrong language": (
        "questions-in-other-languages", "Questions are in the languages of the documents", "medium",
        "they are in another language than what answers them",
        "name every language in house.languages; embedder multilingual-e5-small",
    ),
    "ambiguous": (
        "questions-ambiguous", "Failing questions are clear", "low",
        "they are among the most ambiguous third", "`freehold eval --report`: the section on ambiguity names them",
    ),
    "buried": (
        "questions-buried", "What is found is ranked well", "medium",
        "what answers them is found, and ranked below the tenth place",
        "`freehold tune reranker`, or `freehold tune fusion`",
    ),
    "other words": (
        "questions-in-other-words", "Questions and documents speak alike", "medium",
        "neither words nor vectors lead to what answers them", "`freehold tune adapter`, or `freehold tune embedder`",
    ),
}  # fmt: skip


def _declare(reason: Reason) -> None:
    id, title, severity, what, fix = _CAUSES[reason]

    def cause(facts: HouseFacts) -> Iterator[Seen]:
        asked = facts.asked
        if asked is None:
            yield _too_few(asked)
            return
        failed = asked.failures[reason]
        figures = {"questions": asked.questions, "fail for this": len(failed)}
        told = f"{len(failed)} of {asked.questions} questions fail since {what}"
        many = len(failed) >= max(FAILING_LEAST, FAILING_SHARE * asked.questions)
        if many or (failed and reason == "not in the corpus"):
            yield fault(told, figures, fix=fix, refs=failed)
        else:
            yield sound(told, figures)

    cause.__doc__ = f"{title}."
    house_rules.rule(id, theme="retrieval", severity=severity, basis=(_FAILURES,))(cause)


_FAILURES = "Barnett et al. 2024, Seven Failure Points When Engineering a RAG System"
for _reason in REASONS:
    _declare(_reason)


@house_rules.rule(
    "index-recall",
    theme="retrieval",
    severity="medium",
    basis=("Malkov and Yashunin 2018 (HNSW): approximate search trades recall for speed; measure what it costs",),
)
def recall(facts: HouseFacts) -> Iterator[Seen]:
    """The index finds the true neighbours."""
    found = facts.recall
    if not found.probes:
        yield unclear("there is no vector to probe by", "`freehold ingest PATH...`")
        return
    figures = {"recall of the ten nearest": round(found.value, 4), "probes": found.probes}
    told = f"{found.value:.1%} of the ten nearest passages are found, over {found.probes} probes"
    if found.value < GOOD_RECALL:
        fix = "raise index.hnsw_ef; if that does not help, remove the folder index/: the next search builds it anew"
        yield fault(told, figures, fix=fix)
    else:
        yield sound(told, figures)


@house_rules.rule(
    "index-behind",
    theme="retrieval",
    severity="medium",
    basis=("practice: what is not indexed is not found, what is gone must not be",),
)
def behind(facts: HouseFacts) -> Iterator[Seen]:
    """The index is level with the catalog."""
    if facts.health.index_behind:
        yield fault("the catalog holds what the index does not know", fix="`freehold ingest PATH...` brings it up")
    else:
        yield sound("the index was made of the catalog as it is")


@house_rules.rule(
    "vectors-stale",
    theme="retrieval",
    severity="high",
    basis=("practice: vectors of two embedders do not compare; a changed embedder ruins the search without an error",),
)
def stale(facts: HouseFacts) -> Iterator[Seen]:
    """Vectors are the live embedder's."""
    found = facts.vectors
    if not found.made and not found.unmade:
        yield unclear("the house holds no passage", "`freehold ingest PATH...`")
        return
    figures = {
        "passages with a vector by it": found.made,
        "without": found.unmade,
        "made again": found.checked,
        "lowest cosine": "-" if found.lowest is None else round(found.lowest, 4),
    }
    if found.unmade or found.changed:
        told = f"{found.unmade} passages have no vector by the embedder that serves; of {found.checked} made again, "
        told += f"those of {len(found.changed)} documents come out otherwise"
        fix = "set embedder.model back, or make a new house and ingest again"
        yield fault(told, figures, fix=fix, refs=found.changed)
    else:
        yield sound(f"{found.checked} made again come out the same", figures)


@house_rules.rule(
    "canaries",
    theme="retrieval",
    severity="high",
    basis=("practice: canary questions tell of a broken search before people do",),
)
def canaries(facts: HouseFacts) -> Iterator[Seen]:
    """Questions with known answers find them."""
    asked, lost = facts.canaries
    if not asked:
        yield unclear("there are no canaries", "name a file by watch.canaries in freehold.toml")
    elif lost:
        told = f"{len(lost)} of {asked} canaries do not find their answer"
        yield fault(told, {"canaries": asked, "lost": len(lost)}, fix="`freehold watch`; `freehold doctor`", refs=lost)
    else:
        yield sound(f"all {asked} find their answer", {"canaries": asked})


@house_rules.rule(
    "languages-undeclared",
    theme="retrieval",
    severity="medium",
    basis=("practice: stemming, stop words and the embedder follow house.languages",),
)
def languages(facts: HouseFacts) -> Iterator[Seen]:
    """The house knows its documents' languages."""
    declared = set(facts.settings.house.languages)
    found = {code: count for code, count in facts.languages.items() if code != "und"}
    if not found:
        yield unclear("no document is long enough to tell its language", "`freehold ingest PATH...`")
        return
    others = {code: count for code, count in found.items() if code not in declared}
    told = f"{sum(others.values())} of {sum(facts.languages.values())} documents seem to be in languages not declared"
    if sum(others.values()) > max(2, 0.02 * sum(found.values())):
        names = ", ".join(sorted(others, key=lambda code: -others[code])[:3])
        fix = f"add {names} to house.languages in a new house, and ingest again"
        yield fault(told, {"documents by language": dict(sorted(found.items()))}, fix=fix)
    else:
        yield sound(told, {"documents by language": dict(sorted(found.items()))})


def _too_few(asked: Asked | None) -> Seen:
    count = asked.questions if asked else 0
    return unclear(f"{count} labelled questions: at least {FEWEST_QUESTIONS} are needed", LABEL_SOME)


def _of(part: SliceEstimates, name: str) -> Estimate:
    return next(one for one in part.measures if one.measure == name)


def _said(found: Estimate) -> str:
    if found.value is None:
        return f"n/a: {found.reason}"
    ends = interval(found.ci95) or "no interval"
    return f"{measure(found.value)} {ends} of {found.queries} questions"

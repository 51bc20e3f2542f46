"""Measures of answers: their words, their citations, their support, and when to say nothing.

EM and F1 are those of the SQuAD evaluation script. Citations are held against labelled evidence, support is a judge's
word, and saying nothing is right where the labels say that the documents hold no answer.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freehold.core.experiment import Estimate
from freehold.measure.agreement import Confusion, corrected_interval, corrected_rate
from freehold.measure.stats import MIN_QUERIES, bootstrap_means, mean_intervals

MEASURES = {
    "EM": "no answerable query has a labelled answer",
    "F1": "no answerable query has a labelled answer",
    "citation-P": "no citation in an answer to a query with labelled evidence",
    "citation-R": "no answerable query has labelled evidence",
    "support": "no sentence was written",
    "abstention-P": "no query labelled as answerable or not was met with silence",
    "abstention-R": "no query is labelled as unanswerable",
}
"""Measures of a single query -> why there is no mean where there is none."""

MIN_SHARED_WORDS = 3
"""Words at the edges of two quotes that make them overlap where neither holds the other."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Cited:
    """A span that an answer cites. ``unit`` is the id that labels use: of a document or a passage."""

    unit: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a query's labels say an answer is to be taken from: a whole unit, a span of it, or a quote from it.

    ``start`` and ``end`` count as those of citations do; they go before ``quote`` where both are given.
    """

    unit: str
    start: int | None = None
    end: int | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Gold:
    """The labels of one query; ``answerable`` is None where nobody said."""

    answers: tuple[str, ...] = ()
    answerable: bool | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one question. With an ``error`` (its code) there is no answer, and no abstention either."""

    query_id: str
    text: str = ""
    """Without markers; an abstention's words do not count as an answer."""
    abstained: bool = False
    citations: tuple[Cited, ...] = ()
    sentences: int = 0
    """Sentences that the generator wrote, those taken out later among them."""
    supported_sentences: int = 0
    """Those of them that the judge of support let stand."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and spare white space, in this order.

    As the evaluation scripts of SQuAD 1.1 and 2.0 do it (Rajpurkar et al. 2016 and 2018).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """EM: 1 where the normalised ``answer`` is one of ``gold``, else 0.

    SQuAD 2.0's rule for silence: golds that normalise to nothing do not count, and where none is left the right answer
    is the empty one.
    """
    said = normalise(answer)
    return float(any(said == normalise(wanted) for wanted in _told(gold)))


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """F1 of the normalised words of ``answer`` and of the gold it is nearest to, as multisets, in [0, 1].

    Where either has no words it is 1 if both have none, else 0. Golds count as for ``exact_match``.
    """
    said = Counter(normalise(answer).split())
    return max(_overlap(said, Counter(normalise(wanted).split())) for wanted in _told(gold))


def answer_values(answered: Answered, gold: Gold) -> dict[str, float]:
    """Every one of ``MEASURES`` for one query, in [0, 1]; NaN where it does not apply to this query.

    - ``EM``, ``F1``: on queries with labelled answers that are not labelled unanswerable; silence and errors are 0.
      SQuAD 2.0 averages over unanswerable queries too; here ``abstention-P`` and ``-R`` speak of them.
    - ``citation-P``: share of the citations that lie in labelled evidence; ``citation-R``: share of the labelled
      evidence that a citation lies in. On queries with labelled evidence that are not labelled unanswerable; precision
      only where something is cited. A citation lies in a labelled unit if it is of that unit, in a labelled span if
      they overlap. ALCE (Gao et al. 2023) asks an inference model if citations entail the sentence; that is
      ``support`` here, while these two compare with evidence that people labelled, as QASPER does (Dasigi et al. 2021).
    - ``support``: share of the sentences written that the judge let stand; NaN where none was written. This is ALCE's
      citation recall, save that a sentence taken out before the reader saw it counts as written.
    - ``abstention-P``: of silence on a query labelled as answerable or not, 1 where it is unanswerable;
      ``abstention-R``: of a query labelled as unanswerable, 1 where it was met with silence. An error is no silence.
    """
    values = dict.fromkeys(MEASURES, math.nan)
    silent = answered.abstained or bool(answered.error)
    if gold.answerable is not False and any(map(normalise, gold.answers)):
        text = "" if silent else answered.text
        values["EM"], values["F1"] = exact_match(text, gold.answers), token_f1(text, gold.answers)
    if gold.answerable is not False and gold.evidence:
        cited = () if silent else answered.citations
        hits = [[_lies_in(citation, evidence) for evidence in gold.evidence] for citation in cited]
        if hits:
            values["citation-P"] = sum(map(any, hits)) / len(hits)
        values["citation-R"] = sum(map(any, zip(*hits, strict=True))) / len(gold.evidence)
    if answered.sentences and not answered.error:
        values["support"] = answered.supported_sentences / answered.sentences
    abstained = answered.abstained and not answered.error
    if gold.answerable is not None and abstained:
        values["abstention-P"] = float(not gold.answerable)
    if gold.answerable is False:
        values["abstention-R"] = float(abstained)
    return values


def summarise(
    values: Mapping[str, Mapping[str, float]], *, resamples: int, seed: int, judge: Confusion | None = None
) -> tuple[Estimate, ...]:
    """Means over queries with bootstrap 95 % intervals, in the order of ``MEASURES``, then ``abstention-F1``.

    ``values``: query id -> ``answer_values``. ``abstention-F1`` is the harmonic mean of abstention's precision and
    recall over the whole set. With ``judge``, that of support counted on labelled pairs, ``support-corrected`` follows:
    the share of supported sentences without the judge's own errors (see ``agreement.corrected_rate``).
    Below ``stats.MIN_QUERIES`` queries there is no interval, and without any no value; ``reason`` then says so.
    The same values, ``resamples`` and ``seed`` give the same result, whatever the order of the queries.
    """
    table = np.array(
        [[values[query].get(measure, math.nan) for measure in MEASURES] for query in sorted(values)], dtype=np.float64
    ).reshape(len(values), len(MEASURES))
    intervals = mean_intervals(table, resamples=resamples, seed=seed)
    columns = dict(zip(MEASURES, table.T, strict=True))
    found = [
        _estimate(measure, columns[measure], interval) for measure, interval in zip(MEASURES, intervals, strict=True)
    ]
    found.append(_abstention_f1(columns["abstention-P"], columns["abstention-R"], resamples=resamples, seed=seed))
    if judge is not None:
        found.append(_corrected_support(columns["support"], judge, resamples=resamples, seed=seed))
    return tuple(found)


def _told(gold: Sequence[str]) -> Sequence[str]:
    """The golds that say something; the empty answer where none does."""
    return [wanted for wanted in gold if normalise(wanted)] or [""]


def _overlap(said: Counter[str], wanted: Counter[str]) -> float:
    """F1 of two bags of words: what they share, over the mean of their sizes."""
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (said & wanted).total() / (said.total() + wanted.total())


def _lies_in(cited: Cited, evidence: Evidence) -> bool:
    if cited.unit != evidence.unit:
        return False
    if evidence.start is not None and evidence.end is not None:
        return cited.start < evidence.end and evidence.start < cited.end
    wanted = normalise(evidence.quote or "").split()
    return not wanted or _share_a_stretch(normalise(cited.quote).split(), wanted)


def _share_a_stretch(one: list[str], other: list[str]) -> bool:
    """Whether two stretches of the same text, known by their words alone, overlap.

    One holds the other, or the end of one is the beginning of the other.
    """
    short, long = sorted((one, other), key=len)
    if short and any(long[n : n + len(short)] == short for n in range(len(long) - len(short) + 1)):
        return True
    return any(
        one[-n:] == other[:n] or other[-n:] == one[:n] for n in range(MIN_SHARED_WORDS, min(len(one), len(other)))
    )


def _estimate(measure: str, column: NDArray[np.float64], interval: tuple[float, float] | None) -> Estimate:
    present = column[~np.isnan(column)]
    if not len(present):
        return Estimate(measure, None, None, 0, reason=MEASURES[measure])
    return Estimate(measure, float(present.mean()), interval, len(present), reason=_why_no(interval))


def _abstention_f1(
    precision: NDArray[np.float64], recall: NDArray[np.float64], *, resamples: int, seed: int
) -> Estimate:
    """Columns of ``abstention-P`` and ``-R``. Queries counted are those that are silent, unanswerable or both."""
    measure = "abstention-F1"
    silent, unanswerable = ~np.isnan(precision), ~np.isnan(recall)
    if not unanswerable.any():
        return Estimate(measure, None, None, 0, reason=MEASURES["abstention-R"])
    parts = np.column_stack([precision == 1, silent, unanswerable]).astype(np.float64)
    value = _f1(parts.mean(axis=0, keepdims=True))
    queries = int((silent | unanswerable).sum())
    scores = _f1(bootstrap_means(parts, resamples=resamples, seed=seed)) if queries >= MIN_QUERIES else value[:0]
    interval = _interval(scores)
    return Estimate(measure, float(value[0]), interval, queries, reason=_why_no(interval))


def _f1(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of rows of (right, silent, unanswerable), each a mean over queries; rows without unanswerable ones go."""
    right, silent, unanswerable = means[means[:, 2] > 0].T
    scores: NDArray[np.float64] = 2 * right / (silent + unanswerable)
    return scores


def _corrected_support(support: NDArray[np.float64], judge: Confusion, *, resamples: int, seed: int) -> Estimate:
    measure = "support-corrected"
    present = support[~np.isnan(support)]
    if not len(present):
        return Estimate(measure, None, None, 0, reason=MEASURES["support"])
    rate = corrected_rate(float(present.mean()), judge.sensitivity, judge.specificity)
    if rate.value is None:
        return Estimate(measure, None, None, len(present), reason=rate.reason)
    interval = None
    if len(present) >= MIN_QUERIES:
        means = bootstrap_means(present[:, None], resamples=resamples, seed=seed)[:, 0]
        interval = corrected_interval(means, judge, rng=np.random.default_rng(seed))
    return Estimate(measure, rate.value, interval, len(present), reason=_why_no(interval))


def _interval(scores: NDArray[np.float64]) -> tuple[float, float] | None:
    if not len(scores):
        return None
    low, high = np.quantile(scores, (0.025, 0.975))
    return float(low), float(high)


def _why_no(interval: tuple[float, float] | None) -> str:
    return "" if interval else f"fewer than {MIN_QUERIES} queries are too few for an interval"

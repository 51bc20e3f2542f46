"""Measures of answers: against SQuAD's own script, written out; values worked out by hand; and what no value may do."""

from __future__ import annotations

import collections
import math
import re
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.experiment import Estimate
from freehold.measure.agreement import Confusion
from freehold.measure.answers import (
    MEASURES,
    Answered,
    Cited,
    Evidence,
    Gold,
    answer_values,
    exact_match,
    normalise,
    summarise,
    token_f1,
)

# --- The reference: the definitions of SQuAD 2.0's evaluate-v2.0.py, step by step ---


def squad_normalise(text: str) -> str:
    lowered = text.lower()
    kept = "".join(character for character in lowered if character not in set(string.punctuation))
    without_articles = re.sub(r"\b(a|an|the)\b", " ", kept)
    return " ".join(without_articles.split())


def squad_golds(golds: list[str]) -> list[str]:
    return [gold for gold in golds if squad_normalise(gold)] or [""]


def squad_exact(gold: str, predicted: str) -> int:
    return int(squad_normalise(gold) == squad_normalise(predicted))


def squad_f1(gold: str, predicted: str) -> float:
    gold_words, words = squad_normalise(gold).split(), squad_normalise(predicted).split()
    common = sum((collections.Counter(gold_words) & collections.Counter(words)).values())
    if not gold_words or not words:
        return int(gold_words == words)
    if common == 0:
        return 0
    precision, recall = common / len(words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


phrases = st.lists(
    st.sampled_from(
        ["the", "a", "An", "EUR", "500", "1,500", "thirty", "days", "Days.", "—", "'s", "été", "l'été", " "]
    ),
    max_size=7,
).map(" ".join) | st.text(max_size=20)
golds = st.lists(phrases, max_size=3)


@given(phrases, golds)
def test_em_and_f1_are_those_of_squad(answer: str, gold: list[str]) -> None:
    assert normalise(answer) == squad_normalise(answer)
    assert exact_match(answer, gold) == max(squad_exact(wanted, answer) for wanted in squad_golds(gold))
    assert token_f1(answer, gold) == pytest.approx(max(squad_f1(wanted, answer) for wanted in squad_golds(gold)))


@given(phrases, phrases)
def test_f1_is_symmetric_bounded_and_never_below_em(one: str, other: str) -> None:
    assert token_f1(one, [other]) == token_f1(other, [one])
    assert 0 <= exact_match(one, [other]) <= token_f1(one, [other]) <= 1


@given(phrases, golds)
def test_a_gold_is_right_and_more_golds_never_hurt(answer: str, gold: list[str]) -> None:
    said = [wanted for wanted in gold if normalise(wanted)]
    assert all(exact_match(wanted, gold) == token_f1(wanted, gold) == 1 for wanted in said)
    if said:
        assert token_f1(answer, [*gold, "one more gold"]) >= token_f1(answer, gold)


@given(phrases)
def test_normalising_is_done_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("answer", "gold", "em", "f1"),
    [
        ("The excess is EUR 1,500.", ["EUR 1500"], 0, 2 * 2 / 6),
        ("thirty days", ["Thirty days!", "a month"], 1, 1),
        ("a month", ["thirty days", "the month"], 1, 1),
        ("days days days", ["days"], 0, 2 / 4),
        ("", ["thirty days"], 0, 0),
        ("", [], 1, 1),
        ("", [""], 1, 1),
        ("", ["the"], 1, 1),
        ("something", [], 0, 0),
        ("the", ["thirty days", "a"], 0, 0),
    ],
)
def test_em_and_f1(answer: str, gold: list[str], em: float, f1: float) -> None:
    assert (exact_match(answer, gold), token_f1(answer, gold)) == (em, pytest.approx(f1))


# --- One query ---

QUOTE = "For escape of water it is EUR 500, and for subsidence EUR 1,500."


def cited(unit: str = "home", start: int = 100, quote: str = QUOTE) -> Cited:
    return Cited(unit, start, start + len(quote), quote)


def said(*citations: Cited, text: str = "EUR 500", **more: object) -> Answered:
    return Answered("q", text, citations=citations, sentences=2, supported_sentences=1, **more)  # type: ignore[arg-type]


SILENT = Answered("q", "Not in these documents.", abstained=True)
FAILED = Answered("q", error="endpoint")
NAN = math.nan


@pytest.mark.parametrize(
    ("answered", "gold", "values"),
    [
        (said(), Gold(), [NAN, NAN, NAN, NAN, 0.5, NAN, NAN]),
        (said(), Gold(("EUR 500",)), [1, 1, NAN, NAN, 0.5, NAN, NAN]),
        (said(), Gold(("EUR 500",), True), [1, 1, NAN, NAN, 0.5, NAN, NAN]),
        (said(), Gold(("the",), True), [NAN, NAN, NAN, NAN, 0.5, NAN, NAN]),
        (said(cited()), Gold(("x",), True, (Evidence("home"),)), [0, 0, 1, 1, 0.5, NAN, NAN]),
        (said(), Gold(("x",), True, (Evidence("home"),)), [0, 0, NAN, 0, 0.5, NAN, NAN]),
        (said(cited()), Gold((), False), [NAN, NAN, NAN, NAN, 0.5, NAN, 0]),
        (SILENT, Gold(("x",), True, (Evidence("home"),)), [0, 0, NAN, 0, NAN, 0, NAN]),
        (SILENT, Gold((), False), [NAN, NAN, NAN, NAN, NAN, 1, 1]),
        (SILENT, Gold(), [NAN] * 7),
        (FAILED, Gold(("x",), True, (Evidence("home"),)), [0, 0, NAN, 0, NAN, NAN, NAN]),
        (FAILED, Gold((), False), [NAN, NAN, NAN, NAN, NAN, NAN, 0]),
        (Answered("q", abstained=True, sentences=3), Gold((), False), [NAN, NAN, NAN, NAN, 0, 1, 1]),
    ],
)
def test_what_applies_to_a_query(answered: Answered, gold: Gold, values: list[float]) -> None:
    found = answer_values(answered, gold)
    assert tuple(found) == tuple(MEASURES)
    np.testing.assert_equal(list(found.values()), values)


@pytest.mark.parametrize(
    ("evidence", "lies_in"),
    [
        (Evidence("home"), True),
        (Evidence("other"), False),
        (Evidence("home", 0, 100), False),
        (Evidence("home", 0, 101), True),
        (Evidence("home", 110, 120), True),
        (Evidence("home", 100 + len(QUOTE), 999), False),
        (Evidence("home", 0, 10, QUOTE), False),
        (Evidence("other", 100, 120), False),
        (Evidence("home", quote="for subsidence EUR 1,500"), True),
        (Evidence("home", quote="FOR  SUBSIDENCE\nEUR 1,500!"), True),
        (Evidence("home", quote=f"Section 3. {QUOTE} Theft is not covered."), True),
        (Evidence("home", quote="for subsidence EUR 1,500. Theft is not covered."), True),
        (Evidence("home", quote="The excess is EUR 250. For escape of water"), True),
        (Evidence("home", quote="Cover for escape"), False),
        (Evidence("home", quote="for storm EUR 1,500"), False),
        (Evidence("home", quote=""), True),
        (Evidence("home", quote="—"), False),
    ],
)
def test_where_a_citation_lies(evidence: Evidence, lies_in: bool) -> None:
    values = answer_values(said(cited()), Gold(evidence=(evidence,)))
    assert values["citation-P"] == values["citation-R"] == float(lies_in)


def test_precision_is_of_citations_and_recall_of_evidence() -> None:
    gold = Gold(evidence=(Evidence("home", 100, 120), Evidence("home", 130, 140), Evidence("car"), Evidence("boat")))
    values = answer_values(said(cited(), cited("car"), cited("house")), gold)
    assert values["citation-P"] == pytest.approx(2 / 3)
    assert values["citation-R"] == pytest.approx(3 / 4)


spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda span: (span[0], span[0] + span[1]))


@given(spans, spans)
def test_quotes_of_one_text_overlap_where_their_spans_share_words(one: tuple[int, int], other: tuple[int, int]) -> None:
    """On a text of different words, knowing the words is knowing the place."""
    words = [f"w{number}" for number in range(42)]
    quote, wanted = (" ".join(words[start:end]) for start, end in (one, other))
    shared = min(one[1], other[1]) - max(one[0], other[0])
    inside = shared == min(one[1] - one[0], other[1] - other[0])
    value = answer_values(said(Cited("d", 0, 1, quote)), Gold(evidence=(Evidence("d", quote=wanted),)))["citation-P"]
    assert value == float(inside or shared >= 3)


evidences = st.builds(Evidence, st.sampled_from("ab")) | st.builds(
    lambda unit, span: Evidence(unit, *span), st.sampled_from("ab"), spans
)
citations = st.builds(lambda unit, span: Cited(unit, *span, quote="x"), st.sampled_from("abc"), spans)
answers = st.builds(
    lambda silent, cites, wrote, error: Answered(
        "q", "x", silent, () if silent else tuple(cites), wrote, wrote // 2, error=error
    ),
    st.booleans(),
    st.lists(citations, max_size=3),
    st.integers(0, 4),
    st.sampled_from(["", "", "endpoint"]),
)
labels = st.builds(
    Gold,
    st.lists(phrases, max_size=2).map(tuple),
    st.sampled_from([True, False, None]),
    st.lists(evidences, max_size=3).map(tuple),
)


@given(answers, labels)
def test_every_value_is_a_rate_or_none(answered: Answered, gold: Gold) -> None:
    values = answer_values(answered, gold)
    assert tuple(values) == tuple(MEASURES)
    assert all(math.isnan(value) or 0 <= value <= 1 for value in values.values())
    if gold.answerable is False:
        assert all(math.isnan(values[measure]) for measure in ("EM", "F1", "citation-P", "citation-R"))
    else:
        assert math.isnan(values["citation-R"]) == (not gold.evidence)


# --- Many queries ---


def summary(
    values: dict[str, dict[str, float]], *, judge: Confusion | None = None, seed: int = 3
) -> dict[str, Estimate]:
    return {found.measure: found for found in summarise(values, resamples=2000, seed=seed, judge=judge)}


def queries(*cases: tuple[Answered, Gold]) -> dict[str, dict[str, float]]:
    return {f"q{number}": answer_values(*case) for number, case in enumerate(cases)}


RIGHT = (said(cited()), Gold(("EUR 500",), True, (Evidence("home"),)))
WRONG = (said(cited("car"), text="EUR 7"), Gold(("EUR 500",), True, (Evidence("home"),)))
SPOKE_WRONGLY = (said(), Gold((), False))
RIGHTLY_SILENT = (SILENT, Gold((), False))
WRONGLY_SILENT = (SILENT, Gold(("EUR 500",), True, (Evidence("home"),)))


def test_means_are_over_the_queries_they_apply_to() -> None:
    found = summary(queries(RIGHT, RIGHT, RIGHT, WRONG, SPOKE_WRONGLY, *[RIGHTLY_SILENT] * 3, WRONGLY_SILENT))
    expected = {
        "EM": (3 / 5, 5),
        "F1": (3.5 / 5, 5),
        "citation-P": (3 / 4, 4),
        "citation-R": (3 / 5, 5),
        "support": (0.5, 5),
        "abstention-P": (3 / 4, 4),
        "abstention-R": (3 / 4, 4),
        "abstention-F1": (6 / 8, 5),
    }
    assert list(found) == list(expected)
    for measure, (value, count) in expected.items():
        assert (found[measure].value, found[measure].queries) == (pytest.approx(value), count), measure
    low, high = found["abstention-F1"].ci95 or (0, 0)
    assert 0 <= low < 0.75 < high <= 1


@pytest.mark.parametrize("values", [{}, queries((said(), Gold())), queries((FAILED, Gold()), (FAILED, Gold()))])
def test_no_data_is_not_zero(values: dict[str, dict[str, float]]) -> None:
    found = summary(values, judge=Confusion(9, 1, 9, 1))
    for estimate in found.values():
        if estimate.queries == 0:
            assert (estimate.value, estimate.ci95) == (None, None)
        assert estimate.ci95 is not None or estimate.reason
    assert found["EM"].value is found["abstention-F1"].value is None


@pytest.mark.parametrize(("times", "known"), [(4, False), (5, True), (6, True)])
def test_few_queries_have_a_mean_but_no_interval(times: int, known: bool) -> None:
    found = summary(queries(*[RIGHT] * times, *[RIGHTLY_SILENT] * times), judge=Confusion(9, 1, 9, 1))
    for estimate in found.values():
        assert estimate.value is not None
        assert estimate.queries == times
        assert (estimate.ci95 is not None) == known == (estimate.reason == "")


def test_silence_that_never_comes_has_no_precision_but_a_recall_of_zero() -> None:
    found = summary(queries(RIGHT, SPOKE_WRONGLY, SPOKE_WRONGLY))
    assert found["abstention-P"].value is None
    assert found["abstention-R"].value == found["abstention-F1"].value == 0.0


def test_silence_where_every_query_is_answerable_has_no_recall() -> None:
    found = summary(queries(RIGHT, WRONGLY_SILENT, WRONGLY_SILENT))
    assert found["abstention-P"].value == 0.0
    assert found["abstention-R"].value is found["abstention-F1"].value is None
    assert "unanswerable" in found["abstention-F1"].reason


@given(st.lists(st.sampled_from([RIGHT, WRONG, SPOKE_WRONGLY, RIGHTLY_SILENT, WRONGLY_SILENT]), max_size=12))
def test_abstention_f1_is_the_harmonic_mean(cases: list[tuple[Answered, Gold]]) -> None:
    found = {e.measure: e for e in summarise(queries(*cases), resamples=50, seed=1)}
    precision, recall, f1 = (found[f"abstention-{name}"].value for name in ("P", "R", "F1"))
    if precision and recall:
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    elif recall is not None:
        assert f1 == 0
    else:
        assert f1 is None


def test_the_interval_of_abstention_f1_is_that_of_drawing_queries() -> None:
    cases = [*[RIGHTLY_SILENT] * 20, *[WRONGLY_SILENT] * 8, *[SPOKE_WRONGLY] * 12, *[RIGHT] * 40]
    rng = np.random.default_rng(5)
    silent, unanswerable = (
        np.array([f(answered, gold) for answered, gold in cases])
        for f in (lambda a, _: a.abstained, lambda _, g: g.answerable is False)
    )
    drawn = rng.integers(len(cases), size=(4000, len(cases)))
    s, u = silent[drawn], unanswerable[drawn]
    scores = 2 * (s & u).sum(axis=1) / (s.sum(axis=1) + u.sum(axis=1))
    assert summary(queries(*cases))["abstention-F1"].ci95 == pytest.approx(
        np.quantile(scores, (0.025, 0.975)), abs=0.02
    )


def test_the_same_seed_gives_the_same_result_in_any_order() -> None:
    values = queries(*[RIGHT, WRONG, SPOKE_WRONGLY, RIGHTLY_SILENT, WRONGLY_SILENT] * 4)
    backwards = dict(reversed(values.items()))
    judge = Confusion(27, 3, 24, 6)
    assert summary(values, judge=judge) == summary(backwards, judge=judge)
    assert summary(values, judge=judge, seed=4) != summary(values, judge=judge)


def test_support_is_corrected_for_the_judge() -> None:
    values = {f"q{n}": {"support": share} for n, share in enumerate([1.0, 0.5, 0.5, 1.0, 0.0, 0.6] * 5)}
    found = summary(values, judge=Confusion(27, 3, 24, 6))
    raw, corrected = found["support"], found["support-corrected"]
    assert raw.value == pytest.approx(0.6)
    assert corrected.value == pytest.approx((0.6 + 0.8 - 1) / 0.7)
    assert raw.ci95
    assert corrected.ci95
    assert corrected.ci95[1] - corrected.ci95[0] > raw.ci95[1] - raw.ci95[0]


@pytest.mark.parametrize(
    ("judge", "reason"),
    [(Confusion(5, 5, 5, 5), "chance"), (Confusion(5, 0, 0, 0), "one kind"), (Confusion(), "one kind")],
)
def test_a_judge_that_cannot_tell_corrects_nothing(judge: Confusion, reason: str) -> None:
    found = summary({"q": {"support": 0.5}, "r": {"support": 1.0}}, judge=judge)["support-corrected"]
    assert (found.value, found.ci95, found.queries) == (None, None, 2)
    assert reason in found.reason

"""Ambiguity: signals by hand and by law, areas and overlaps against readable versions, no verdict without data."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.measure.ambiguity import (
    COMBINED,
    SIGNALS,
    QueryEvidence,
    _areas,
    _Order,
    assess,
    auc,
    bands,
    combined,
    percentiles,
    rank_biased_overlap,
    signals,
)

IDS = [f"d{n}" for n in range(30)]
NOTHING = QueryEvidence("none", [], [], [], {})


def found(
    scores: Sequence[float], dense: Sequence[str] = IDS, lexical: Sequence[str] = IDS, query_id: str = "q"
) -> QueryEvidence:
    return QueryEvidence(query_id, list(zip(IDS, scores, strict=False)), dense, lexical, {})


# Eighths are exact, so that levels stay levels when moved and stretched.
_SCORES = st.lists(st.integers(-400, 400).map(lambda n: n / 8), max_size=30).map(lambda s: sorted(s, reverse=True))
_RANKING = st.lists(st.sampled_from(IDS), unique=True)


@st.composite
def _queries(draw: st.DrawFn, most: int = 12) -> list[QueryEvidence]:
    count = draw(st.integers(0, most))
    return [found(draw(_SCORES), draw(_RANKING), draw(_RANKING), f"q{n:02}") for n in range(count)]


# -- one query


@pytest.mark.parametrize(
    ("scores", "spread", "flatness"),
    [
        ([], 1, 1),
        ([3], 0, 0),
        ([3, 3], 1, 1),
        ([3, 2], 0, 0),
        ([3] * 30, 1, 1),
        ([9] + [1] * 20, 0, 0),
        ([9] * 10 + [1] * 20, 1, 1),
        ([9, 9] + [1] * 18, math.log(2) / math.log(10), 1 / 9),
        ([2, 1, 0], -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(3), 1 / 4),
    ],
)
def test_spread_and_flatness_by_hand(scores: list[float], spread: float, flatness: float) -> None:
    measured = signals(found(scores))
    assert measured["spread"] == pytest.approx(spread)
    assert measured["flatness"] == pytest.approx(flatness)


def test_a_query_without_hits_is_as_ambiguous_as_can_be() -> None:
    assert signals(NOTHING) == {"spread": 1, "disagreement": 1, "flatness": 1, "acronyms": 0}


def test_an_open_acronym_is_a_signal() -> None:
    assert signals(replace(NOTHING, acronyms={"CAR": 3}))["acronyms"] == 1


@given(_SCORES, _RANKING, _RANKING)
def test_signals_are_between_0_and_1(scores: list[float], dense: list[str], lexical: list[str]) -> None:
    measured = signals(found(scores, dense, lexical))
    assert tuple(measured) == SIGNALS
    assert all(0 <= value <= 1 for value in measured.values())


@given(_SCORES, st.integers(-100, 100), st.sampled_from([0.25, 1, 8]))
def test_moved_and_stretched_scores_say_the_same(scores: list[float], by: int, times: float) -> None:
    moved = [score * times + by for score in scores]
    assert signals(found(moved)) == pytest.approx(signals(found(scores)))


@given(_RANKING, _RANKING, _SCORES, _SCORES)
def test_disagreement_depends_on_ranks_alone(
    dense: list[str], lexical: list[str], scores: list[float], other: list[float]
) -> None:
    one, two = signals(found(scores, dense, lexical)), signals(found(other, dense, lexical))
    assert one["disagreement"] == two["disagreement"]


# -- rank-biased overlap


def readable_overlap(one: Sequence[str], other: Sequence[str], p: float, depth: int) -> float:
    depths = range(1, min(depth, max(len(one), len(other))) + 1)
    if not depths:
        return 0.0
    agreement = {d: len(set(one[:d]) & set(other[:d])) / d for d in depths}
    return sum(p ** (d - 1) * agreement[d] for d in depths) / sum(p ** (d - 1) for d in depths)


@given(_RANKING, _RANKING, st.sampled_from([0.5, 0.9, 1.0]), st.integers(1, 40))
def test_overlap_is_the_readable_one(one: list[str], other: list[str], p: float, depth: int) -> None:
    overlap = rank_biased_overlap(one, other, p=p, depth=depth)
    assert overlap == pytest.approx(readable_overlap(one, other, p, depth))
    assert overlap == rank_biased_overlap(other, one, p=p, depth=depth)
    assert 0 <= overlap <= 1


@given(_RANKING.filter(bool))
def test_overlap_of_equals_and_of_strangers(ranking: list[str]) -> None:
    assert rank_biased_overlap(ranking, ranking) == pytest.approx(1)
    assert rank_biased_overlap(ranking, [f"other {id}" for id in ranking]) == 0


def test_overlap_counts_the_top_most() -> None:
    swapped_above = ["d1", "d0", *IDS[2:]]
    swapped_below = [*IDS[:8], "d9", "d8", *IDS[10:]]
    assert rank_biased_overlap(IDS, swapped_above) < rank_biased_overlap(IDS, swapped_below) < 1


def test_overlap_ends_at_its_depth() -> None:
    assert rank_biased_overlap(IDS, [*IDS[:10], "x"]) == pytest.approx(1)


# -- area under the curve


def readable_auc(values: Sequence[float], failed: Sequence[bool]) -> float:
    pairs = [
        (bad > good) + (bad == good) / 2
        for bad, fails in zip(values, failed, strict=True)
        for good, fails_too in zip(values, failed, strict=True)
        if fails and not fails_too
    ]
    return sum(pairs) / len(pairs) if pairs else math.nan


_LABELLED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40)


@given(_LABELLED)
def test_area_is_the_readable_one(labelled: list[tuple[int, bool]]) -> None:
    values, failed = [float(v) for v, _ in labelled], [f for _, f in labelled]
    area = auc(np.array(values), np.array(failed, dtype=bool))
    assert area == pytest.approx(readable_auc(values, failed), nan_ok=True)
    curved = auc(np.exp(np.array(values)), np.array(failed, dtype=bool))
    assert curved == pytest.approx(area, nan_ok=True)
    mirrored = auc(-np.array(values), np.array(failed, dtype=bool))
    assert mirrored == pytest.approx(1 - area, nan_ok=True)


@given(_LABELLED.filter(bool), st.integers(0, 2**32 - 1))
def test_area_of_a_resample_is_that_of_its_queries(labelled: list[tuple[int, bool]], seed: int) -> None:
    values, failed = np.array([float(v) for v, _ in labelled]), np.array([f for _, f in labelled])
    drawn = np.random.default_rng(seed).integers(len(values), size=(3, len(values)))
    counts = np.array([np.bincount(row, minlength=len(values)) for row in drawn], dtype=np.float64)
    expected = [auc(values[row], failed[row]) for row in drawn]
    assert _areas(_Order.of(values, failed), counts).tolist() == pytest.approx(expected, nan_ok=True)


# -- many queries


@given(st.lists(st.integers(0, 5).map(float), min_size=1))
def test_percentiles(values: list[float]) -> None:
    shares = percentiles(np.array(values)).tolist()
    assert all(0 < share < 1 for share in shares)
    assert sum(shares) == pytest.approx(len(values) / 2)
    expected = [(sum(v < x for v in values) + sum(v == x for v in values) / 2) / len(values) for x in values]
    assert shares == pytest.approx(expected)


@given(_queries(), st.randoms())
def test_ambiguity_is_a_mean_percentile_in_any_order(queries: list[QueryEvidence], draw: random.Random) -> None:
    ambiguity = combined(queries)
    shuffled = draw.sample(queries, len(queries))
    assert combined(shuffled) == pytest.approx(ambiguity)
    assert all(0 < value < 1 for value in ambiguity.values())
    assert sum(ambiguity.values()) == pytest.approx(len(queries) / 2)


def test_the_combination_is_of_known_signals() -> None:
    assert set(COMBINED) <= set(SIGNALS)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([0.4], "m"),
        ([0.1, 0.2], "lh"),
        ([0.3, 0.1, 0.2], "hlm"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "llmmhh"),
        ([0.5] * 6, "mmmmmm"),
        ([0.1, 0.1, 0.1, 0.1, 0.9, 0.9], "mmmmhh"),
        ([0.1, 0.1, 0.1, 0.9, 0.9, 0.9], "lllhhh"),
    ],
)
def test_bands_are_thirds(values: list[float], expected: str) -> None:
    by_query = bands({f"q{n}": value for n, value in enumerate(values)})
    assert "".join(band[0] for band in by_query.values()) == expected


# -- against labels


def assessed(queries: Sequence[QueryEvidence], success: Mapping[str, float], **other: object):
    arguments = {"run": "hybrid", "measure": "nDCG@10", "seed": 7, "resamples": 200, "acronyms": {}}
    return assess(queries, success, **(arguments | other))


def ladder(count: int) -> list[QueryEvidence]:
    """Queries ever flatter, whose legs share ever less."""
    return [
        found([10.0, *([10.0 * n / count] * 15), 0.0], IDS, [*IDS[: 20 - 20 * n // count], "x"], f"q{n:03}")
        for n in range(count)
    ]


def test_signals_that_tell_failures_perfectly() -> None:
    queries = ladder(20)
    result = assessed(
        queries, {q.query_id: 0.2 if n >= 12 else 0.5 for n, q in enumerate(queries)}, acronyms={"CAR": 3}
    )
    assert (result.run, result.measure, result.failure) == ("hybrid", "nDCG@10", "nDCG@10 below 0.5")
    assert [signal.name for signal in result.signals] == ["ambiguity", *SIGNALS]
    by_name = {signal.name: signal for signal in result.signals}
    for name in ("ambiguity", "spread", "flatness"):
        assert (by_name[name].auc, by_name[name].ci95) == (1, (1, 1))
    assert all((signal.queries, signal.failures) == (20, 8) for signal in result.signals)
    assert by_name["acronyms"].auc is None
    assert by_name["acronyms"].reason == "the same for every query"
    assert [hard.query_id for hard in result.queries[:3]] == ["q019", "q018", "q017"]
    assert result.queries[0].value == 0.2
    assert result.acronyms == {"CAR": 3}


def test_signals_that_tell_nothing_have_wide_intervals_around_chance() -> None:
    queries = ladder(60)
    result = assessed(queries, {q.query_id: float(n % 2) for n, q in enumerate(queries)})
    signal = result.signals[0]
    assert signal.auc == pytest.approx(0.5, abs=0.02)
    assert signal.ci95 is not None
    assert signal.ci95[0] < 0.4 < 0.6 < signal.ci95[1]


def test_the_same_again_in_any_order() -> None:
    queries = ladder(30)
    success = {q.query_id: random.Random(n).random() for n, q in enumerate(queries)}
    result = assessed(queries, success)
    assert assessed(random.Random(0).sample(queries, 30), dict(reversed(success.items()))) == result
    assert assessed(queries, success, seed=8).signals[0].ci95 != result.signals[0].ci95
    assert assessed(queries, success, seed=8).signals[0].auc == result.signals[0].auc


def test_hard_queries_carry_what_was_seen() -> None:
    queries = [replace(query, acronyms={"CAR": 3}) if n == 5 else query for n, query in enumerate(ladder(12))]
    result = assessed(queries, {q.query_id: float(n % 2) for n, q in enumerate(queries)})
    assert {hard.query_id: hard.ambiguity for hard in result.queries} == pytest.approx(combined(queries))
    assert {hard.query_id: hard.signals for hard in result.queries} == {q.query_id: signals(q) for q in queries}
    assert {hard.query_id: hard.acronyms for hard in result.queries if hard.acronyms} == {"q005": {"CAR": 3}}


def test_queries_without_a_value_are_ranked_and_say_nothing() -> None:
    queries = ladder(20)
    success = {q.query_id: float(n % 2) for n, q in enumerate(queries[:16])} | {"q016": math.nan}
    result = assessed(queries, success)
    assert {hard.query_id for hard in result.queries if hard.value is None} == {"q016", "q017", "q018", "q019"}
    assert all((signal.queries, signal.failures) == (16, 8) for signal in result.signals)


@pytest.mark.parametrize(
    ("fails", "of", "reason"),
    [
        (0, 0, "no query has a value"),
        (0, 20, "no query fails"),
        (20, 20, "every query fails"),
        (4, 20, "only 4 of 20 queries fail, at least 5 are needed"),
        (16, 20, "only 4 of 20 queries succeed, at least 5 are needed"),
    ],
)
def test_no_area_without_data(fails: int, of: int, reason: str) -> None:
    queries = ladder(of)
    result = assessed(queries, {q.query_id: float(n >= fails) for n, q in enumerate(queries)})
    assert {(signal.auc, signal.ci95, signal.reason) for signal in result.signals} == {(None, None, reason)}
    assert all((signal.queries, signal.failures) == (of, fails) for signal in result.signals)


def test_many_queries_are_quick_to_resample() -> None:
    queries = [found([n % 7, 1, 0], IDS, IDS[n % 5 :], f"q{n:04}") for n in range(3000)]
    result = assessed(queries, {q.query_id: float(n % 3 == 0) for n, q in enumerate(queries)}, resamples=2000)
    assert result.signals[0].ci95 is not None

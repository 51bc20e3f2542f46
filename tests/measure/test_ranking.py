"""Measures agree with ir-measures (trec_eval) on random rankings, ties and odd labels included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ir_measures
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.ranking import Measure, ranked, score

SHARED = [
    "nDCG", "nDCG@1", "nDCG@3", "nDCG@10", "AP", "AP@3", "AP(rel=2)@5", "RR", "RR@2", "RR(rel=2)@10",
    "P@1", "P@5", "P(rel=2)@3", "R@1", "R@3", "R(rel=2)@10", "Success@1", "Success@3", "Judged@1", "Judged@4",
]  # fmt: skip

documents = st.sampled_from([*"abcdefgh", "ä", "Z", "10", "9", "文"])
# Few distinct scores make ties; those that only float64 tells apart are ties for trec_eval as well.
scores = st.one_of(st.sampled_from([0.0, 1.0, 1.00000001, -2.5, 3.0]), st.floats(-1e6, 1e6, width=32))
queries = st.sampled_from(["q1", "q2", "q3"])
runs = st.dictionaries(queries, st.dictionaries(documents, scores, max_size=9), max_size=3)
labels = st.dictionaries(
    queries, st.dictionaries(documents, st.integers(-1, 3), min_size=1, max_size=6), min_size=1, max_size=3
)


def reference(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]], names: list[str]
) -> dict[tuple[str, str], float]:
    run = {query: given for query, given in run.items() if given}  # its Judged divides by the number of results
    # Judged and RR with a cutoff are not trec_eval's there: they rank by float64 and break ties in other ways. They are
    # given the order that trec_eval sees.
    singles = {q: {d: float(i) for i, d in enumerate(reversed(ranked(s)))} for q, s in run.items()}
    found = {}
    for name in names:
        given_run = singles if name.startswith(("Judged", "RR@", "RR(")) else run
        measure = ir_measures.parse_measure(name)
        for metric in ir_measures.iter_calc([measure], qrels, {q: dict(s) for q, s in given_run.items()}):
            found[metric.query_id, name] = metric.value
    return found


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
@given(runs, labels)
def test_agrees_with_ir_measures(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    ours = score(run, qrels, [Measure.parse(name) for name in SHARED])
    theirs = reference(run, qrels, SHARED)
    for row, query in enumerate(sorted(qrels)):
        for column, name in enumerate(SHARED):
            assert ours[row, column] == pytest.approx(theirs[query, name], abs=1e-9), (query, name)


@given(runs, labels)
def test_values_are_shares(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    measures = [Measure.parse(name) for name in [*SHARED, "F1@3", "FPR@3", "nDCG(dcg='exp-log2')@5"]]
    values = score(run, qrels, measures)
    assert values.shape == (len(qrels), len(measures))
    assert (values >= 0).all()
    assert (values <= 1 + 1e-12).all()


@given(runs, labels, st.integers(1, 8))
def test_false_positives_and_precision_fill_the_places(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], k: int
) -> None:
    values = score(run, qrels, [Measure("FPR", k), Measure("P", k), Measure("R", k), Measure("F1", k)])
    filled = [min(len(run.get(query, {})), k) / k for query in sorted(qrels)]
    assert values[:, 0] + values[:, 1] == pytest.approx(filled)
    for _, precision, recall, f1 in values:
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0.0)


def test_exponential_gain_by_hand() -> None:
    value = score({"q": {"a": 3, "b": 2, "c": 1}}, {"q": {"a": 1, "c": 2}}, [Measure.parse("nDCG(dcg='exp-log2')@3")])
    assert value[0, 0] == pytest.approx((1 + 3 / 2) / (3 + 1 / np.log2(3)))


def test_a_query_without_results_counts() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}}
    assert score({"q1": {"a": 1.0}}, qrels, [Measure.parse("nDCG@10")]).mean() == 0.5


@given(labels, st.permutations([("a", 2.0), ("b", 2.0), ("c", 2.0), ("d", 1.0)]))
def test_order_of_ties_is_not_the_engines(qrels: dict[str, dict[str, int]], items: list[tuple[str, float]]) -> None:
    run, again = ({query: dict(order) for query in qrels} for order in (items, sorted(items)))
    measures = [Measure.parse(name) for name in SHARED]
    assert (score(run, qrels, measures) == score(again, qrels, measures)).all()


@pytest.mark.parametrize("text", [*SHARED, "F1@10", "FPR@10", "nDCG(dcg='exp-log2')@10", "RR(rel=2)"])
def test_a_name_is_the_whole_definition(text: str) -> None:
    measure = Measure.parse(text)
    assert Measure.parse(str(measure)) == measure
    if text in SHARED:
        assert str(measure) == str(ir_measures.parse_measure(text))


@pytest.mark.parametrize("text", ["", "ndcg@10", "P", "P@0", "nDCG@-1", "nDCG(rel=2)@10", "P(dcg='log2')@5", "P@1e3"])
def test_what_is_no_measure(text: str) -> None:
    with pytest.raises(UsageError):
        Measure.parse(text)


def test_measures_are_values() -> None:
    assert len({Measure.parse("P@5"), Measure("P", 5), replace(Measure("P", 5), rel=1)}) == 1

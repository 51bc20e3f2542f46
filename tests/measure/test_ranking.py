"""Ranking measures: values worked out by hand, and what no value may do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.measure.ranking import ndcg, ranked, recall


def test_ndcg_is_graded() -> None:
    qrel = {"a": 2, "b": 1}
    assert ndcg(["a", "b"], qrel, k=10) == 1.0
    ideal = 2 + 1 / math.log2(3)
    assert ndcg(["b", "a"], qrel, k=10) == pytest.approx((1 + 2 / math.log2(3)) / ideal)
    assert ndcg(["x", "y", "a"], qrel, k=10) == pytest.approx((2 / 2) / ideal)
    assert ndcg(["x", "a"], qrel, k=1) == 0.0


def test_no_relevant_document_is_not_zero() -> None:
    assert math.isnan(ndcg(["a"], {"a": 0}, k=10))
    assert math.isnan(recall(["a"], {}, k=10))


def test_recall() -> None:
    assert recall(["a", "x", "b"], {"a": 1, "b": 2, "c": 1, "x": 0}, k=2) == pytest.approx(1 / 3)


def test_ties_are_ordered_as_trec_eval_does() -> None:
    assert ranked({"a": 1.0, "c": 1.0, "b": 2.0}) == ["b", "c", "a"]


names = st.text("abcdef", min_size=1, max_size=2)


@given(st.lists(names, unique=True), st.dictionaries(names, st.integers(-1, 3)), st.integers(1, 8))
def test_ndcg_lies_between_zero_and_one(ranking: list[str], qrel: dict[str, int], k: int) -> None:
    value = ndcg(ranking, qrel, k=k)
    assert math.isnan(value) or 0 <= value <= 1 + 1e-12
    best = sorted(qrel, key=lambda document: -qrel[document])
    assert math.isnan(value) or ndcg(best, qrel, k=k) == pytest.approx(1)

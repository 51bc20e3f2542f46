"""Laws of fusion and interpolation, and the worked examples of their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.types import ScoredId
from freehold.journeys.fuse import fuse, interpolate

FUSIONS = ["rrf", "dbsf", "weighted"]
IDS = [f"c{i:02d}" for i in range(12)]


def ranked(scores):
    """A leg as an index returns it: by score descending, equal scores by id."""
    return [ScoredId(i, s) for i, s in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))]


scores = st.floats(-1, 40, allow_nan=False).map(lambda x: round(x, 4))
legs_of = st.dictionaries(st.sampled_from(IDS), scores).map(ranked)
fusions = st.sampled_from(FUSIONS)
shares = st.floats(0, 1).map(lambda x: round(x, 3))


def fused(legs, fusion="weighted", *, rrf_k=60, dense_weight=0.5):
    return fuse(legs, fusion=fusion, rrf_k=rrf_k, dense_weight=dense_weight)


def ids(scored):
    return [s.chunk_id for s in scored]


def in_order(result):
    return result == sorted(result, key=lambda s: (-s.score, s.chunk_id))


@given(legs_of, legs_of, fusions, st.floats(0.01, 0.99))
def test_every_chunk_once_best_first_ties_by_id(dense, lexical, fusion, weight):
    result = fused({"dense": dense, "lexical": lexical}, fusion, dense_weight=weight)
    assert sorted(ids(result)) == sorted({*ids(dense), *ids(lexical)})
    assert in_order(result)


@given(legs_of, legs_of, fusions, shares)
def test_order_of_the_legs_does_not_matter(dense, lexical, fusion, weight):
    one = fused({"dense": dense, "lexical": lexical}, fusion, dense_weight=weight)
    assert one == fused({"lexical": lexical, "dense": dense}, fusion, dense_weight=weight)


@given(legs_of, legs_of, st.sampled_from(["rrf", "weighted"]))
def test_full_weight_is_the_leg_alone(dense, lexical, fusion):
    legs = {"dense": dense, "lexical": lexical}
    assert ids(fused(legs, fusion, dense_weight=1.0)) == ids(dense)
    assert ids(fused(legs, fusion, dense_weight=0.0)) == ids(lexical)


@given(legs_of, fusions)
def test_one_leg_keeps_its_order(leg, fusion):
    """Also when the other found nothing, or was not asked."""
    result = ids(fused({"dense": leg, "lexical": []}, fusion))
    assert result == ids(fused({"dense": leg}, fusion))
    place = {chunk_id: i for i, chunk_id in enumerate(result)}
    score = {s.chunk_id: s.score for s in leg}
    # Clipping at three deviations may level scores, it never turns two of them round.
    assert all(score[a] <= score[b] for a in place for b in place if place[a] > place[b] and score[a] != score[b]) or (
        fusion == "dbsf" and set(result) == set(ids(leg))
    )


@given(legs_of, legs_of, fusions)
def test_better_in_both_legs_is_never_worse(dense, lexical, fusion):
    result = {s.chunk_id: s.score for s in fused({"dense": dense, "lexical": lexical}, fusion)}
    d, x = ({s.chunk_id: (s.score, -i) for i, s in enumerate(leg)} for leg in (dense, lexical))
    both = d.keys() & x.keys()
    for a in both:
        for b in both:
            if d[a] >= d[b] and x[a] >= x[b]:
                assert result[a] >= result[b]


@given(legs_of, legs_of, st.floats(0.1, 9), st.integers(-50, 50))
def test_weighted_fusion_knows_no_zero_and_no_unit(dense, lexical, unit, zero):
    moved = [ScoredId(s.chunk_id, s.score * unit + zero) for s in lexical]
    one = {s.chunk_id: s.score for s in fused({"dense": dense, "lexical": lexical})}
    other = {s.chunk_id: s.score for s in fused({"dense": dense, "lexical": moved})}
    assert one == pytest.approx(other, abs=1e-6)


def test_reciprocal_rank_fusion_by_hand():
    result = fused({"dense": ranked({"a": 0.9, "b": 0.8}), "lexical": ranked({"b": 7.0, "c": 5.0})}, "rrf", rrf_k=60)
    expected = {"b": 0.5 / 62 + 0.5 / 61, "a": 0.5 / 61, "c": 0.5 / 62}
    assert {s.chunk_id: s.score for s in result} == pytest.approx(expected)
    assert ids(result) == ["b", "a", "c"]


def test_weighted_fusion_by_hand():
    legs = {"dense": ranked({"a": 0.9, "b": 0.7, "c": 0.5}), "lexical": ranked({"b": 8.0, "d": 4.0})}
    result = fused(legs, dense_weight=0.6)
    assert {s.chunk_id: s.score for s in result} == pytest.approx({"a": 0.6, "b": 0.3 + 0.4, "c": 0.0, "d": 0.0})
    assert ids(result) == ["b", "a", "c", "d"]


def test_distribution_based_fusion_by_hand():
    result = fused({"dense": ranked({"a": 3.0, "b": 2.0, "c": 1.0}), "lexical": ranked({"c": 5.0})}, "dbsf")
    assert {s.chunk_id: s.score for s in result} == pytest.approx({"a": 4 / 6, "b": 0.5, "c": 2 / 6 + 0.5})


first_stage = st.dictionaries(st.sampled_from(IDS), scores).map(ranked)


@given(first_stage, st.lists(st.floats(-1, 1), min_size=12, max_size=12), shares)
def test_interpolation_keeps_the_chunks_and_sorts_them(first, rerank, weight):
    result = interpolate(first, rerank[: len(first)], weight=weight)
    assert sorted(ids(result)) == sorted(ids(first))
    assert in_order(result)
    assert all(-1e-9 <= s.score <= 1 + 1e-9 for s in result)


@given(first_stage, st.lists(scores, min_size=12, max_size=12))
def test_the_ends_of_interpolation_are_the_stages_alone(first, rerank):
    rerank = rerank[: len(first)]
    assert ids(interpolate(first, rerank, weight=0.0)) == ids(first)
    again = ranked(dict(zip(ids(first), rerank, strict=True)))
    assert ids(interpolate(first, rerank, weight=1.0)) == ids(again)


@given(first_stage, st.lists(st.floats(-1, 1), min_size=12, max_size=12), shares, st.randoms())
def test_interpolation_does_not_look_at_the_order_it_is_given(first, rerank, weight, random):
    pairs = list(zip(first, rerank, strict=False))
    shuffled = random.sample(pairs, len(pairs))
    one = interpolate(first, [r for _, r in pairs], weight=weight)
    assert one == interpolate([s for s, _ in shuffled], [r for _, r in shuffled], weight=weight)


def test_interpolation_takes_a_rerankers_array():
    first = ranked({"a": 0.5, "b": 0.25, "c": 0.0})
    result = interpolate(first, np.array([0.2, 0.6, 0.4], dtype=np.float32), weight=0.5)
    assert ids(result) == ["b", "a", "c"]
    assert math.isclose(result[0].score, 0.75, abs_tol=1e-6)


def test_a_missing_rerank_score_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="zip"):
        interpolate(ranked({"a": 1.0, "b": 0.5}), [0.3], weight=0.5)

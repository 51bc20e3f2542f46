"""Fitted weights: the numbers are those of the search and the measures, and only a sure gain moves the default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.core.types import ScoredId
from freehold.journeys.fuse import fuse, interpolate
from freehold.measure.ranking import Measure, score
from freehold.train.fusion import (
    Blend,
    Depths,
    LabelledQuery,
    choose,
    fit,
    fold_numbers,
    grid,
    ndcg,
    points,
)

IDS = [f"c{i:02d}" for i in range(14)]
UNITS = [f"d{i}" for i in range(6)]


def ranked(scores):
    return [ScoredId(i, s) for i, s in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))]


def as_searched(query, blend, depths):
    """nDCG by the functions of the search and of the measures, one query and one blend at a time."""
    legs = {leg: scored[: depths.candidates] for leg, scored in query.legs.items()}
    fused = fuse(legs, fusion=blend.fusion, rrf_k=blend.rrf_k, dense_weight=blend.dense_weight)
    if query.similarity is not None and depths.rerank:
        head = [s for s in fused if s.chunk_id in query.units][: depths.rerank]
        scores = [query.similarity[s.chunk_id] for s in head]
        if head and None not in scores:
            taken, top = {s.chunk_id for s in head}, head[-1].score
            rest = [s for s in fused if s.chunk_id not in taken and s.score <= top]
            tail = [ScoredId(s.chunk_id, s.score - top - 1) for s in rest]
            fused = interpolate(head, scores, weight=blend.rerank_weight) + tail
    run = {}
    for scored in fused:
        for unit in query.units.get(scored.chunk_id, ()):
            run.setdefault(unit, scored.score)
    measure = Measure("nDCG", depths.cutoff)
    return float(score({query.id: run}, {query.id: query.grades}, [measure])[0, 0])


# Scores of few values: ties are what two ways of sorting differ in.
few = st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.5, 1.0, 7.25])
legs_of = st.dictionaries(st.sampled_from(IDS), few).map(ranked)


@st.composite
def queries(draw, number=0):
    gone = draw(st.sets(st.sampled_from(IDS), max_size=3))
    units = {
        i: draw(st.lists(st.sampled_from(UNITS), min_size=1, max_size=2, unique=True)) for i in IDS if i not in gone
    }
    similarity = st.dictionaries(st.just("x"), few, max_size=0) if draw(st.booleans()) else None
    if similarity is not None:
        values = st.one_of(few, st.none()) if draw(st.booleans()) else few
        similarity = {i: draw(values) for i in units}
    return LabelledQuery(
        id=f"q{number}",
        legs={"dense": draw(legs_of), "lexical": draw(legs_of)},
        units=units,
        grades=draw(st.dictionaries(st.sampled_from([*UNITS, "unseen"]), st.integers(0, 3), min_size=1)),
        similarity=similarity,
    )


blends = st.builds(
    Blend,
    st.sampled_from(["weighted", "rrf", "dbsf"]),
    st.floats(0, 1).map(lambda x: round(x, 2)),
    st.sampled_from([1, 10, 60]),
    st.floats(0, 1).map(lambda x: round(x, 2)),
)
depths_of = st.builds(Depths, st.integers(1, 14), st.integers(0, 8), st.integers(1, 10))


@given(queries(), st.lists(blends, min_size=1, max_size=6), depths_of)
def test_figures_are_those_of_the_search_and_the_measures(query, tried, depths):
    expected = [as_searched(query, blend, depths) for blend in tried]
    np.testing.assert_allclose(ndcg([query], tried, depths=depths)[0], expected, atol=1e-12)


@given(st.lists(few, max_size=8).map(lambda s: sorted(s, reverse=True)), st.sampled_from(["weighted", "rrf", "dbsf"]))
def test_points_are_to_the_bit_those_of_the_search(scores, fusion):
    leg = [ScoredId(i, s) for i, s in zip(IDS, scores, strict=False)]
    expected = fuse({"dense": leg}, fusion=fusion, rrf_k=60, dense_weight=1.0)
    found = points(fusion, 60, np.array(scores, dtype=np.float64))
    assert sorted(found.tolist()) == sorted(s.score for s in expected)


def town(n=60, *, seed=0, sure=0.9, unit=1):
    """Queries whose answer is first in the dense leg for a share ``sure`` of them, and in the lexical one otherwise."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        places = rng.permutation(10)
        right, wrong = IDS[places[0]], IDS[places[1]]
        first, second = (right, wrong) if rng.random() < sure else (wrong, right)
        noise = rng.random((2, 10)) / 2
        dense = {IDS[i]: float(noise[0, i]) for i in range(10)} | {first: 1.0}
        lexical = {IDS[i]: float(noise[1, i]) for i in range(10)} | {second: 1.0}
        found.append(
            LabelledQuery(
                f"{seed}-{number}",
                {"dense": ranked(dense), "lexical": ranked(lexical)},
                {i: (i,) for i in IDS},
                {right: 1},
                group=f"g{number // unit}",
            )
        )
    return found


def test_the_better_leg_gains_weight_and_others_gain():
    fitted = fit(town(), Blend())
    assert fitted.blend == fitted.found
    assert fitted.blend.dense_weight > 0.5
    assert fitted.cross_gain > fitted.cross_error
    others = ndcg(town(seed=1), [Blend(), fitted.blend]).mean(axis=0)
    assert others[1] > others[0] + 0.02


def test_where_legs_are_equal_the_default_stays():
    fitted = fit(town(sure=0.5), Blend())
    assert fitted.blend == Blend()
    assert fitted.cross_gain <= fitted.cross_error


def test_the_middle_of_those_within_one_error_is_chosen():
    blends = [Blend(dense_weight=w) for w in (0.5, 0.6, 0.7, 0.8)]
    rng = np.random.default_rng(0)
    base = rng.random(200)
    noise = rng.normal(0, 0.01, 200)
    noise -= noise.mean()
    # From .6 on all are alike but for noise; the default is far below.
    assert choose(np.column_stack([base - 0.2, base, base + noise, base + noise * 0.9]), blends) == 2
    assert choose(np.column_stack([base - 0.2, base, base + 0.1, base + 0.3]), blends) == 3
    others = [Blend(dense_weight=w, fusion="rrf") for w in (0.0, 0.1)]
    scores = np.column_stack([base, base, base, base + 1e-4 + noise * 1e-3, base, base])
    assert choose(scores, [*blends, *others]) == 3


@given(st.integers(0, 10**6))
def test_what_is_chosen_is_within_one_error_of_the_best(seed):
    rng = np.random.default_rng(seed)
    tried = grid(Blend(), rerank=False)
    scores = rng.random((30, 1)) + rng.normal(0, 0.1, (30, len(tried)))
    chosen = choose(scores, tried)
    best = int(scores.mean(axis=0).argmax())
    below = scores[:, best] - scores[:, chosen]
    assert below.mean() <= below.std(ddof=1) / np.sqrt(30) + 1e-12


def test_cross_validation_keeps_groups_together():
    queries = town(60, unit=6)
    folds = fold_numbers(queries, 5, seed=1)
    assert len(set(folds.tolist())) > 1
    assert all(len(set(folds[start : start + 6].tolist())) == 1 for start in range(0, 60, 6))
    # Where a query falls does not depend on the others.
    assert fold_numbers(queries[30:], 5, seed=1).tolist() == folds[30:].tolist()
    assert fold_numbers(queries, 5, seed=2).tolist() != folds.tolist()


def test_equal_input_gives_equal_output():
    one, two = fit(town(), Blend(), seed=3), fit(town(), Blend(), seed=3)
    assert one.blend == two.blend
    np.testing.assert_array_equal(one.cross_scores, two.cross_scores)
    assert one.cross_gain == pytest.approx((one.cross_scores - one.default_scores).mean())


def test_a_reranker_that_knows_gains_weight():
    def told(query, right):
        similarity = {i: (1.0 if (i in query.grades) == right else 0.1) for i in IDS}
        return replace(query, similarity=similarity)

    queries = town(sure=0.5)
    knows = fit([told(q, True) for q in queries], Blend(rerank_weight=0.1))
    assert knows.blend.rerank_weight > 0.2
    misleads = fit([told(q, False) for q in queries], Blend(rerank_weight=0.9))
    assert misleads.blend.rerank_weight < 0.5


def test_the_grid_holds_the_default_first_and_nothing_twice():
    default = Blend("rrf", 0.33, 20, 0.41)
    tried = grid(default, fusions=("weighted", "rrf", "dbsf"))
    assert tried[0] == default
    assert len(set(tried)) == len(tried) == 1 + 21 * 21 + 2 * 21 * 21 + 21
    assert len(grid(Blend(), rerank=False)) == 21


def test_settings_are_those_that_matter():
    assert Blend("weighted", 0.4, 60, 0.6).settings() == {
        "retrieval.fusion": "weighted", "retrieval.dense_weight": 0.4, "reranker.weight": 0.6,
    }  # fmt: skip
    assert "retrieval.rrf_k" in Blend("rrf").settings()
    assert "retrieval.dense_weight" not in Blend("dbsf").settings()


def test_too_few_queries():
    with pytest.raises(UsageError, match="19 labelled queries to fit weights on, at least 20") as caught:
        fit(town(19), Blend())
    assert caught.value.hint


def test_a_query_that_found_nothing_scores_nothing():
    empty = LabelledQuery("q", {"dense": (), "lexical": ()}, {}, {"d": 1})
    assert not ndcg([empty], [Blend(), Blend("rrf")]).any()
    assert not ndcg([replace(town(1)[0], grades={})], [Blend()]).any()

"""The adapter's gradient, what training gives, and that what is chosen does no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from freehold.core.errors import UsageError
from freehold.train.adapter import (
    Adapter,
    AdapterTraining,
    Batch,
    Pairs,
    choose,
    fit,
    loss_and_gradients,
    train,
)

DIM = 24


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def town(n=120, *, seed=0, passages=400, noise=0.08):
    """Queries are their passage, turned a little and moved by a common offset: what an adapter can undo."""
    rng = np.random.default_rng(seed)
    turn = np.random.default_rng(99).normal(0, 0.2, (DIM, DIM))
    offset = np.random.default_rng(98).normal(0, 0.2, DIM)
    stock = unit(np.random.default_rng(97).normal(0, 1, (passages, DIM)))
    rows = rng.integers(passages, size=n)
    queries = unit(stock[rows] + stock[rows] @ turn + offset + rng.normal(0, noise, (n, DIM)))
    near = np.argsort(-(queries @ stock.T), axis=1)[:, :10]
    negatives = [[int(i) for i in found if i != row] for found, row in zip(near, rows, strict=True)]
    return Pairs([f"e{seed}-{i}" for i in range(n)], queries, stock, [[int(r)] for r in rows], negatives)


def found_first(pairs):
    """A score: 1 where the passage sought is the nearest."""

    def score(adapter):
        nearest = (adapter.apply(pairs.queries) @ pairs.passages.T).argmax(axis=1)
        return np.array([float(i in rows) for i, rows in zip(nearest, pairs.positives, strict=True)])

    return score


@given(st.integers(0, 10**6), st.floats(0.02, 1.0))
def test_the_gradient_is_that_of_the_loss(seed, temperature):
    rng = np.random.default_rng(seed)
    queries, candidates = rng.normal(size=(4, 5)), rng.normal(size=(6, 5))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    sought = rng.integers(6, size=4)
    barred = rng.random((4, 6)) < 0.2
    barred[np.arange(4), sought] = False
    salience = rng.random(4) + 0.1
    batch = Batch(queries, candidates, sought, barred, salience / salience.sum())
    weight, bias = rng.normal(0, 0.3, (5, 5)), rng.normal(0, 0.3, 5)
    _, by_weight, by_bias = loss_and_gradients(batch, weight, bias, temperature)

    def loss(point):
        return loss_and_gradients(batch, point[:25].reshape(5, 5), point[25:], temperature)[0]

    point, step = np.concatenate([weight.ravel(), bias]), 1e-6
    numeric = [(loss(point + step * e) - loss(point - step * e)) / (2 * step) for e in np.eye(30)]
    np.testing.assert_allclose(np.concatenate([by_weight.ravel(), by_bias]), numeric, rtol=1e-4, atol=1e-6)


def test_a_barred_candidate_has_no_part_in_the_loss():
    batch = Batch(
        np.eye(2, 3), np.eye(3), np.array([0, 1]), np.array([[False, True, False], [False] * 3]), np.array([0.5, 0.5])
    )
    moved = replace(batch, candidates=np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1.0]]))
    one, other = (loss_and_gradients(b, np.zeros((3, 3)), np.zeros(3), 0.1)[1] for b in (batch, moved))
    np.testing.assert_array_equal(one[0], other[0])
    assert not np.allclose(one[1], other[1])


@pytest.mark.parametrize("settings", [AdapterTraining(), AdapterTraining(rank=6), AdapterTraining(method="ridge")])
def test_other_queries_gain(settings):
    adapter, others = train(town(), settings), found_first(town(80, seed=1))
    before, after = others(Adapter.identity(DIM)).mean(), others(adapter).mean()
    assert before < 0.75
    assert after > before + 0.05


def test_the_rank_is_what_was_asked_for():
    assert np.linalg.matrix_rank(train(town(), AdapterTraining(rank=3)).weight, tol=1e-5) == 3
    assert np.linalg.matrix_rank(train(town(), AdapterTraining()).weight, tol=1e-5) > 10


@pytest.mark.parametrize("rank", [0, 4])
def test_equal_seeds_give_equal_bits_on_any_number_of_cores(rank):
    settings = AdapterTraining(seed=3, rank=rank, epochs=3)
    with threadpool_limits(limits=1):
        one = train(town(), settings)
    with threadpool_limits(limits=2):
        two = train(town(), settings)
    assert one.weight.tobytes() == two.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()
    assert train(town(), replace(settings, seed=4)).weight.tobytes() != one.weight.tobytes()


def test_the_order_given_does_not_matter_but_ids_do():
    pairs = town()
    places = np.random.default_rng(5).permutation(len(pairs.ids))
    shuffled = Pairs(
        [pairs.ids[i] for i in places],
        pairs.queries[places],
        pairs.passages,
        [pairs.positives[i] for i in places],
        [pairs.negatives[i] for i in places],
    )
    settings = AdapterTraining(epochs=2)
    assert train(shuffled, settings).weight.tobytes() == train(pairs, settings).weight.tobytes()
    renamed = replace(pairs, ids=[f"other-{i}" for i in range(len(pairs.ids))])
    assert train(renamed, settings).weight.tobytes() != train(pairs, settings).weight.tobytes()


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_queries_stay_on_the_sphere(seed, strength):
    rng = np.random.default_rng(seed)
    adapter = Adapter(rng.normal(0, 0.5, (8, 8)).astype(np.float32), rng.normal(0, 0.5, 8).astype(np.float32))
    queries = unit(rng.normal(size=(5, 8)))
    np.testing.assert_allclose(np.linalg.norm(adapter.scaled(strength).apply(queries), axis=1), 1, atol=1e-5)


def test_the_identity_changes_no_bit():
    queries = town().queries
    assert Adapter.identity(DIM).apply(queries) is queries
    assert train(town(), AdapterTraining()).scaled(0.0).apply(queries) is queries


def test_more_pull_keeps_nearer_to_the_identity():
    norms = [np.linalg.norm(train(town(), AdapterTraining(l2=l2)).weight) for l2 in (0.0, 0.1, 1.0)]
    assert norms[0] > norms[1] > norms[2]
    ridges = [train(town(), AdapterTraining(method="ridge", l2=l2)) for l2 in (1e-3, 1e6)]
    assert np.abs(ridges[1].weight).max() < 1e-5  # all that is left is the mean move
    pairs = town()
    targets = pairs.passages[[rows[0] for rows in pairs.positives]]
    np.testing.assert_allclose(ridges[1].bias, (targets - pairs.queries).mean(axis=0), atol=1e-5)


def test_queries_without_weight_teach_nothing():
    pairs = town()
    wrong = replace(
        pairs, positives=[[(rows[0] + 7) % 400] if i < 60 else rows for i, rows in enumerate(pairs.positives)]
    )
    salience = [0.0 if i < 60 else 1.0 for i in range(120)]
    ridge = AdapterTraining(method="ridge")
    kept = Pairs(pairs.ids[60:], pairs.queries[60:], pairs.passages, pairs.positives[60:], pairs.negatives[60:])
    weighed = train(replace(wrong, salience=salience), ridge)
    np.testing.assert_allclose(weighed.weight, train(kept, ridge).weight, atol=1e-5)
    score = found_first(town(80, seed=1))
    settings = AdapterTraining(batch_size=120)
    assert score(train(replace(wrong, salience=salience), settings)).mean() > score(train(wrong, settings)).mean()


def test_several_seeds_are_averaged():
    one = train(town(), AdapterTraining(rank=4, epochs=2))
    both = train(town(), AdapterTraining(rank=4, epochs=2, seeds=2))
    assert np.linalg.matrix_rank(both.weight, tol=1e-5) == 8
    assert not np.allclose(one.weight, both.weight)


def test_training_reports_and_can_be_stopped():
    seen = []

    def report(epoch, adapter):
        seen.append((epoch, adapter))
        return epoch == 3

    last = train(town(), AdapterTraining(epochs=9), report=report)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert last.weight.tobytes() == seen[-1][1].weight.tobytes()
    assert np.linalg.norm(seen[0][1].weight) < np.linalg.norm(seen[1][1].weight)


# -- the choice --------------------------------------------------------------------------------------------------------


def test_a_real_gain_is_taken():
    dev = town(80, seed=1)
    chosen = fit(town(), found_first(dev))
    assert chosen.kept
    assert chosen.best.gain > chosen.best.gain_error
    assert chosen.scores.mean() - chosen.base_scores.mean() == pytest.approx(chosen.best.gain)
    np.testing.assert_array_equal(found_first(dev)(chosen.adapter), chosen.scores)
    assert all(t.gain - t.gain_error <= chosen.best.gain - chosen.best.gain_error for t in chosen.tried)


def test_where_nothing_is_to_be_gained_the_identity_stays():
    """Queries that are their passages already, and labels that are chance."""
    rng = np.random.default_rng(0)
    stock = unit(rng.normal(size=(200, DIM)))

    def pairs(seed, positives):
        rows = np.random.default_rng(seed).integers(200, size=100)
        queries = unit(stock[rows] + np.random.default_rng(seed + 50).normal(0, 0.1, (100, DIM)))
        return Pairs([f"{seed}-{i}" for i in range(100)], queries, stock, positives(rows), [[] for _ in rows])

    wrong = pairs(1, lambda rows: [[int(r)] for r in rng.permutation(rows)])
    right = pairs(2, lambda rows: [[int(r)] for r in rows])
    chosen = fit(wrong, found_first(right))
    assert not chosen.kept
    assert chosen.adapter.is_identity
    np.testing.assert_array_equal(chosen.scores, chosen.base_scores)


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_what_is_chosen_is_never_below_the_identity(seed, n):
    """Whatever the scores are."""
    rng = np.random.default_rng(seed)
    adapters = [
        (AdapterTraining(seed=i), Adapter(np.eye(3, dtype=np.float32) * i, np.zeros(3, np.float32))) for i in (1, 2)
    ]
    chosen = choose(adapters, lambda _: rng.random(n).round(2))
    assert chosen.scores.mean() >= chosen.base_scores.mean()
    assert chosen.kept == (not chosen.adapter.is_identity)
    assert len(chosen.tried) == 8
    if not chosen.kept:
        assert all(tried.gain <= tried.gain_error for tried in chosen.tried)


def test_a_single_query_proves_nothing():
    adapter = Adapter(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    chosen = choose([(AdapterTraining(), adapter)], lambda a: np.array([float(not a.is_identity)]))
    assert not chosen.kept


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_too_few_queries_says_how_many():
    with pytest.raises(UsageError, match="19 queries to train on, at least 20") as caught:
        train(town(19), AdapterTraining())
    assert caught.value.hint


def test_a_query_without_positive_is_refused():
    pairs = town()
    with pytest.raises(UsageError, match="needs a positive"):
        train(replace(pairs, positives=[[], *pairs.positives[1:]]), AdapterTraining())


def test_one_passage_for_all_is_refused():
    pairs = town(30)
    with pytest.raises(UsageError, match="the same passage"):
        train(replace(pairs, positives=[[5]] * 30, negatives=[[]] * 30), AdapterTraining())


@pytest.mark.parametrize("method", ["contrastive", "ridge"])
def test_numbers_that_are_none_are_refused(method):
    pairs = town()
    queries = pairs.queries.copy()
    queries[3, 2] = np.nan
    with pytest.raises(UsageError, match="not numbers"):
        train(replace(pairs, queries=queries), AdapterTraining(method=method))


def test_a_rate_that_blows_up_is_an_error():
    with pytest.raises(UsageError, match="no longer a number") as caught:
        train(town(), AdapterTraining(learning_rate=1e30))
    assert "learning rate" in caught.value.hint

"""Laws of the batches: no passage is a negative of a query that it answers; order hangs on id, seed and epoch."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.ids import keyed_order
from freehold.core.training import ExampleTexts
from freehold.train.batches import Batches, plan


@st.composite
def example_sets(draw: st.DrawFn) -> list[ExampleTexts]:
    """Few words for many examples, so that queries and passages are often shared."""
    passages = st.sampled_from([f"p{i}" for i in range(draw(st.integers(2, 30)))])
    return [
        ExampleTexts(
            id=f"e{i}",
            query=f"q{draw(st.integers(0, 20))}",
            positives=tuple(draw(st.lists(passages, min_size=1, max_size=3, unique=True))),
            negatives=tuple(draw(st.lists(passages, max_size=4, unique=True))),
        )
        for i in range(draw(st.integers(1, 25)))
    ]


def apart(count: int) -> list[ExampleTexts]:
    return [ExampleTexts(f"e{i}", f"q{i}", (f"p{i}",), (f"n{i}", f"m{i}", f"o{i}")) for i in range(count)]


def ids(batches: Batches, examples: list[ExampleTexts]) -> list[list[list[str]]]:
    return [[[examples[turn.example].id for turn in batch] for batch in epoch] for epoch in batches.epochs]


@given(example_sets(), st.integers(2, 8), st.integers(1, 3), st.integers(0, 3), st.integers(0, 5))
def test_nothing_in_a_batch_is_held_against_a_query_that_it_answers(
    examples: list[ExampleTexts], size: int, epochs: int, negatives: int, seed: int
) -> None:
    batches = plan(examples, batch_size=size, epochs=epochs, negatives=negatives, seed=seed)
    taken = 0
    for epoch in batches.epochs:
        assert len(epoch) == batches.per_epoch
        seen = [turn.example for batch in epoch for turn in batch]
        assert len(set(seen)) == len(seen)
        taken += len(seen)
        for batch in epoch:
            assert 0 < len(batch) <= size
            own = [examples[turn.example] for turn in batch]
            brought = [{own[i].negatives[n] for n in turn.negatives} for i, turn in enumerate(batch)]
            assert len({e.query for e in own}) == len(own)
            for i, example in enumerate(own):
                assert len(batch[i].negatives) <= negatives
                assert all(set(example.positives).isdisjoint(texts) for texts in brought)
                others = {text for j, e in enumerate(own) if j != i for text in e.positives}
                assert others.isdisjoint(example.positives)
    assert batches.left_out == len(examples) * epochs - taken


@given(st.integers(1, 60), st.integers(2, 16), st.integers(1, 3), st.integers(0, 5))
def test_examples_that_share_nothing_all_take_part_in_batches_of_one_size(
    count: int, size: int, epochs: int, seed: int
) -> None:
    examples = apart(count)
    batches = plan(examples, batch_size=size, epochs=epochs, negatives=2, seed=seed)
    assert batches.left_out == 0
    assert batches.per_epoch == -(-count // size)
    for number, epoch in enumerate(ids(batches, examples)):
        flat = [id for batch in epoch for id in batch]
        assert flat == keyed_order([e.id for e in examples], f"{seed}:{number}")
        assert len({len(batch) for batch in epoch[:-1]}) <= 1


@given(st.integers(2, 40), st.data())
def test_taking_an_example_away_leaves_the_order_of_the_others(count: int, data: st.DataObject) -> None:
    examples = apart(count)
    gone = data.draw(st.sampled_from(examples))
    rest = [e for e in examples if e is not gone]
    whole = ids(plan(examples, batch_size=7, epochs=2, negatives=1, seed=3), examples)
    less = ids(plan(rest, batch_size=7, epochs=2, negatives=1, seed=3), rest)
    for before, after in zip(whole, less, strict=True):
        assert [id for batch in before for id in batch if id != gone.id] == [id for batch in after for id in batch]


@given(example_sets(), st.integers(0, 99))
def test_it_does_not_matter_in_which_order_examples_come(examples: list[ExampleTexts], seed: int) -> None:
    shuffled = random.Random(seed).sample(examples, len(examples))
    one, other = (plan(e, batch_size=4, epochs=2, negatives=2, seed=1) for e in (examples, shuffled))
    assert ids(one, examples) == ids(other, shuffled)


def test_positives_and_negatives_take_turns() -> None:
    example = ExampleTexts("e", "q", ("p0", "p1"), ("n0", "p1", "n1", "n2"))
    epochs = plan([example], batch_size=2, epochs=3, negatives=2, seed=0).epochs
    turns = [epoch[0][0] for epoch in epochs]
    assert [turn.positive for turn in turns] == [0, 1, 0]
    assert [[example.negatives[i] for i in turn.negatives] for turn in turns] == [
        ["n0", "n1"], ["n2", "n0"], ["n1", "n2"],
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
def test_every_epoch_has_an_order_of_its_own(seed: int) -> None:
    first, second = ids(plan(apart(30), batch_size=8, epochs=2, negatives=0, seed=seed), apart(30))
    assert first != second
    assert plan(apart(30), batch_size=8, epochs=1, negatives=0, seed=seed + 1).epochs[0] != first

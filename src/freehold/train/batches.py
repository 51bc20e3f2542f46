"""Which examples share a batch. Pure: the same examples, settings and seed give the same batches anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from freehold.core.ids import keyed_order
from freehold.core.training import ExampleTexts


@dataclass(frozen=True, slots=True)
class Turn:
    """What an example brings to a batch in one epoch."""

    example: int
    positive: int
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batches:
    """A plan of whole epochs."""

    epochs: tuple[tuple[tuple[Turn, ...], ...], ...]
    """Per epoch as many batches, none of them empty."""
    left_out: int
    """Turns that found no batch: each would have had its query or passage there as another's negative."""

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return len(self.epochs[0])


def plan(examples: Sequence[ExampleTexts], *, batch_size: int, epochs: int, negatives: int, seed: int) -> Batches:
    """Batches in which no passage is a negative of a query that it answers.

    Each epoch has the examples in an order of its own, by a keyed hash of their ids, so that taking one away does not
    reorder the others. They fill the batches in that order; one that shares its query or an answer with another of a
    batch, or brings as a negative what answers the other's query, goes to the next. Batches are of nearly one size:
    small ones at the end would have few negatives. Over the epochs, positives and hard negatives take turns.
    """
    made = [
        _epoch(examples, batch_size, epoch, negatives, keyed_order([e.id for e in examples], f"{seed}:{epoch}"))
        for epoch in range(epochs)
    ]
    steps = min(len(batches) for batches in made)
    kept = tuple(tuple(batches[:steps]) for batches in made)
    turns = sum(len(batch) for batches in kept for batch in batches)
    return Batches(kept, len(examples) * epochs - turns)


@dataclass(slots=True)
class _Filling:
    turns: list[Turn] = field(default_factory=list)
    queries: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    negatives: set[str] = field(default_factory=set)

    def takes(self, example: ExampleTexts, negatives: set[str]) -> bool:
        return (
            example.query not in self.queries
            and self.answers.isdisjoint(example.positives)
            and self.negatives.isdisjoint(example.positives)
            and self.answers.isdisjoint(negatives)
        )

    def take(self, example: ExampleTexts, turn: Turn, negatives: set[str]) -> None:
        self.turns.append(turn)
        self.queries.add(example.query)
        self.answers.update(example.positives)
        self.negatives |= negatives


def _epoch(
    examples: Sequence[ExampleTexts], batch_size: int, epoch: int, negatives: int, order: Sequence[str]
) -> list[tuple[Turn, ...]]:
    places = {example.id: place for place, example in enumerate(examples)}
    count = -(-len(examples) // batch_size)
    room = -(-len(examples) // count)
    batches = [_Filling() for _ in range(count)]
    for id in order:
        example = examples[places[id]]
        turn = _turn(example, places[id], epoch, negatives)
        texts = {example.negatives[i] for i in turn.negatives}
        batch = next((b for b in batches if len(b.turns) < room and b.takes(example, texts)), None)
        if batch is not None:
            batch.take(example, turn, texts)
    return [tuple(batch.turns) for batch in batches if batch.turns]


def _turn(example: ExampleTexts, place: int, epoch: int, negatives: int) -> Turn:
    """The best known positive first, the hardest negatives first, and the next of each in the epochs that follow."""
    usable = [i for i, text in enumerate(example.negatives) if text not in example.positives]
    count = min(negatives, len(usable))
    chosen = tuple(usable[(epoch * count + i) % len(usable)] for i in range(count))
    return Turn(place, epoch % len(example.positives), chosen)

"""Turns of examples to the features that a loss reads. Imports torch: to be imported inside functions.

A row of the data set is a number: epoch * examples + example. What it brings was settled by the plan of the batches,
and its tokens by the feed, both before training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch

from freehold.core.training import ExampleTexts
from freehold.train.batches import Batches, Turn
from freehold.train.encoder import padded
from freehold.train.feed import Feed, Row

_SURE = 10.0
"""Grade of a positive where the softmax of the grades is learnt: nearly all of it is the positive's."""


class Turns:
    """The turn of a data set's row, and its texts."""

    def __init__(self, examples: Sequence[ExampleTexts], batches: Batches) -> None:
        self.examples = examples
        self._turns = {
            row_of(turn, epoch, len(examples)): turn
            for epoch, plan in enumerate(batches.epochs)
            for batch in plan
            for turn in batch
        }

    def of(self, features: Sequence[Mapping[str, int]]) -> list[Turn]:
        """Turns of the rows that a data loader collected."""
        return [self._turns[feature["row"]] for feature in features]

    def positive(self, turn: Turn) -> str:
        """Text of it."""
        return self.examples[turn.example].positives[turn.positive]

    def negatives(self, turn: Turn) -> list[str]:
        """Texts of them, the hardest first."""
        return [self.examples[turn.example].negatives[i] for i in turn.negatives]


def row_of(turn: Turn, epoch: int, examples: int) -> int:
    """Number of a turn in the data set."""
    return epoch * examples + turn.example


class _Tokenized:
    """What collators of token ids share: every text is tokenized once, when training begins."""

    valid_label_columns: tuple[str, ...] = ()

    def __init__(self, turns: Turns, feed: Feed, max_tokens: int) -> None:
        self.turns = turns
        documents = list(dict.fromkeys(text for e in turns.examples for text in (*e.positives, *e.negatives)))
        self._queries = feed.rows([e.query for e in turns.examples], "query", max_tokens=max_tokens)
        self._documents = dict(zip(documents, feed.rows(documents, "document", max_tokens=max_tokens), strict=True))

    def _features(self, turns: Sequence[Turn], **documents: Sequence[str]) -> dict[str, Any]:
        """A column of queries and columns of documents, told apart by what stands before ``_input_ids``."""
        columns: dict[str, list[Row]] = {"query": [self._queries[turn.example] for turn in turns]}
        columns |= {name: [self._documents[text] for text in texts] for name, texts in documents.items()}
        return {f"{name}_{key}": value for name, rows in columns.items() for key, value in padded(rows).items()}


class Contrastive(_Tokenized):
    """Queries, and documents of which the first are their positives in order, the rest the hard negatives of them all.

    The losses that take in-batch negatives read it so: the i-th document answers the i-th query, all others do not.
    """

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        turns = self.turns.of(features)
        positives = [self.turns.positive(turn) for turn in turns]
        hard = dict.fromkeys(text for turn in turns for text in self.turns.negatives(turn))
        return self._features(turns, document=[*positives, *hard])


class Distilled(_Tokenized):
    """Queries, their positives, a column for each negative, and the teacher's scores of them as labels.

    A query with fewer negatives repeats them, for teacher and student alike. The positive is always the best known one.
    """

    def __init__(
        self,
        turns: Turns,
        feed: Feed,
        max_tokens: int,
        *,
        teacher: Mapping[str, Sequence[float]],
        negatives: int,
        scale: float,
    ) -> None:
        super().__init__(turns, feed, max_tokens)
        self._teacher, self._negatives, self._scale = teacher, negatives, scale

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        turns = self.turns.of(features)
        places = [[turn.negatives[i % len(turn.negatives)] for i in range(self._negatives)] for turn in turns]
        examples = [self.turns.examples[turn.example] for turn in turns]
        columns = {"positive": [example.positives[0] for example in examples]}
        for i in range(self._negatives):
            columns[f"negative{i}"] = [e.negatives[own[i]] for e, own in zip(examples, places, strict=True)]
        scores = [
            [self._teacher[e.id][0], *(self._teacher[e.id][1 + i] for i in own)]
            for e, own in zip(examples, places, strict=True)
        ]
        return self._features(turns, **columns) | {"label": torch.tensor(scores, dtype=torch.float32) * self._scale}


class Pairs:
    """For cross-encoders, whose losses pair a query with its documents and tokenize the pairs themselves."""

    valid_label_columns: tuple[str, ...] = ()

    def __init__(self, turns: Turns, loss: str) -> None:
        self._turns, self._loss = turns, loss

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """Lists of documents with grades; with ``bce`` a row for each pair, with ``mnrl`` a column for each place."""
        turns = self._turns.of(features)
        queries = [self._turns.examples[turn.example].query for turn in turns]
        lists = [[self._turns.positive(turn), *self._turns.negatives(turn)] for turn in turns]
        best = _SURE if self._loss == "listnet" else 1.0
        grades = [[best] + [0.0] * (len(texts) - 1) for texts in lists]
        if self._loss == "bce":
            pairs = [(query, text) for query, texts in zip(queries, lists, strict=True) for text in texts]
            asked, documents = (list(side) for side in zip(*pairs, strict=True))
            return {"query": asked, "document": documents, "label": torch.tensor([*chain.from_iterable(grades)])}
        if self._loss == "mnrl":
            places = range(min(len(texts) for texts in lists))
            return {"query": queries} | {f"document{i}": [texts[i] for texts in lists] for i in places}
        return {"query": queries, "documents": lists, "label": [torch.tensor(own) for own in grades]}

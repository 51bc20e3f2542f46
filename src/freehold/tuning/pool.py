"""The dev pool: some dev queries with the passages they are told from, small enough to be asked again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freehold.core.ids import canonical_json, keyed_order, sha256_hex
from freehold.core.training import Example
from freehold.house import House
from freehold.journeys.ingest import in_context
from freehold.train.settings import Encode, EncodeTokens, ScorePairs
from freehold.tuning.sets import TrainingSet

if TYPE_CHECKING:
    from freehold.core.types import Float32

    Float64 = NDArray[np.float64]

MOST_PASSAGES = 600
"""An evaluation embeds them all: on two cores some twenty seconds."""
CUTOFF = 10


@dataclass(frozen=True)
class Pool:
    """Queries, and the passages that any of them is answered by or was mined as its hard negative."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    documents: tuple[int, ...]
    """Of each passage the document, by number."""
    relevant: tuple[frozenset[int], ...]
    """Of each query the documents that answer it."""
    own: tuple[tuple[int, ...], ...]
    """Of each query its own passages: those that answer it and its hard negatives."""

    @classmethod
    def of(cls, house: House, data: TrainingSet, *, seed: int) -> Pool:
        """Of as many dev queries as MOST_PASSAGES passages hold, in an order by the seed."""
        examples = {example.id: example for example in data.part("dev")}
        chosen: dict[str, None] = {}
        queries: list[Example] = []
        for example_id in keyed_order(sorted(examples), f"pool {seed}"):
            example = examples[example_id]
            more = [chunk for chunk in (*example.positives, *example.negatives) if chunk not in chosen]
            if queries and len(chosen) + len(more) > MOST_PASSAGES:
                break
            chosen.update(dict.fromkeys(more))
            queries.append(example)
        views = house.shelf.views(list(chosen))
        rows = {chunk_id: row for row, chunk_id in enumerate(views)}
        numbers = {name: n for n, name in enumerate(sorted({view.chunk.document_id for view in views.values()}))}
        kept = [example for example in queries if any(chunk in rows for chunk in example.positives)]
        documents = {chunk_id: numbers[view.chunk.document_id] for chunk_id, view in views.items()}
        return cls(
            queries=tuple(example.query for example in kept),
            passages=tuple(in_context(view.chunk) for view in views.values()),
            documents=tuple(documents.values()),
            relevant=tuple(frozenset(documents[c] for c in e.positives if c in documents) for e in kept),
            own=tuple(tuple(rows[c] for c in (*e.positives, *e.negatives) if c in rows) for e in kept),
        )

    @cached_property
    def digest(self) -> str:
        """Of all of it."""
        what = [self.queries, self.passages, self.documents, [sorted(r) for r in self.relevant], self.own]
        return sha256_hex(canonical_json(what).encode())

    def by_vectors(self, encode: Encode) -> Float64:
        """nDCG@10 over documents, float64 (queries,): every query against all passages by cosine."""
        table = encode(self.queries, "query") @ encode(self.passages, "document").T
        everything = range(len(self.passages))
        return np.array([self._ndcg(row, everything, scores) for row, scores in enumerate(table)])

    def by_tokens(self, encode: EncodeTokens) -> Float64:
        """The same, every query against its own passages by MaxSim."""
        asked, told = encode(self.queries, "query"), encode(self.passages, "document")
        scores = [
            [float((query @ told[at].T).max(axis=1).mean()) if len(query) and len(told[at]) else 0.0 for at in own]
            for query, own in zip(asked, self.own, strict=True)
        ]
        return np.array([self._ndcg(row, own, scores[row]) for row, own in enumerate(self.own)])

    def by_pairs(self, score: ScorePairs) -> Float64:
        """The same, by a model that reads query and passage together."""
        scores = score(
            [(query, self.passages[at]) for query, own in zip(self.queries, self.own, strict=True) for at in own]
        )
        ends = np.cumsum([len(own) for own in self.own])
        parts = np.split(scores, ends[:-1])
        return np.array([self._ndcg(row, own, parts[row]) for row, own in enumerate(self.own)])

    def _ndcg(self, row: int, places: Sequence[int], scores: Float32 | Sequence[float]) -> float:
        best: dict[int, float] = {}
        for at, value in zip(places, scores, strict=True):
            document = self.documents[at]
            best[document] = max(best.get(document, -np.inf), float(value))
        ranked = sorted(best, key=lambda document: (-best[document], document))[:CUTOFF]
        relevant = self.relevant[row]
        gain = sum(1 / log2(2 + place) for place, document in enumerate(ranked) if document in relevant)
        return gain / sum(1 / log2(2 + place) for place in range(min(CUTOFF, len(relevant))))

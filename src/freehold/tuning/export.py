"""What was trained, against the int8 graph that will serve it, on the dev pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from freehold.core.ports import Embedder
from freehold.core.types import Embeddings
from freehold.models.embed import open_embedder
from freehold.models.facts import ModelFacts
from freehold.train.settings import Kind
from freehold.tuning.pool import Pool


def compare_encoders(made: Path, facts: ModelFacts, pool: Pool, *, tokens: bool) -> Mapping[str, float]:
    """Cosine of pooled (or token) vectors of the passages, mean and least, and the nDCG@10 lost on the pool.

    ``made`` gets its int8 graph, which is part of the version from then on. The trained weights are run by torch.
    """
    exact, int8 = (
        _embedded(open_embedder(kind, str(made), name=made.name, facts=facts), pool, tokens=tokens)
        for kind in ("sentence-transformers", "onnx")
    )
    if tokens:
        cosines = [
            float((a * b).sum(axis=1).mean())
            for a, b in zip(exact["document"].tokens or (), int8["document"].tokens or (), strict=True)
            if len(a)
        ]
        loss = pool.by_tokens(lambda _, kind: exact[kind].tokens or ()) - pool.by_tokens(
            lambda _, kind: int8[kind].tokens or ()
        )
    else:
        cosines = list((exact["document"].vectors * int8["document"].vectors).sum(axis=1))
        loss = pool.by_vectors(lambda _, kind: exact[kind].vectors) - pool.by_vectors(
            lambda _, kind: int8[kind].vectors
        )
    return _checks(cosines, loss)


def _embedded(embedder: Embedder, pool: Pool, *, tokens: bool) -> Mapping[Kind, Embeddings]:
    """All of the pool, once."""
    return {
        "query": embedder.embed_queries(pool.queries, tokens=tokens),
        "document": embedder.embed_documents(pool.passages, tokens=tokens),
    }


def compare_pairs(made: Path, pool: Pool) -> Mapping[str, float]:
    """Pearson correlation of logits stands for the cosine, since a logit has no direction; and the nDCG@10 lost."""
    from freehold.models.cross_encoder import open_cross_encoder

    scorers = [open_cross_encoder(made, name=made.name, precision=precision) for precision in ("int8", "float32")]
    found: list[list[float]] = [[], []]

    def score(which: int) -> Callable[[Sequence[tuple[str, str]]], Any]:
        def scored(pairs: Sequence[tuple[str, str]]) -> Any:
            values = np.concatenate([scorers[which].scores(query, [text]) for query, text in pairs])
            found[which] = values.tolist()
            return values

        return scored

    loss = pool.by_pairs(score(1)) - pool.by_pairs(score(0))
    return _checks([float(np.corrcoef(found[0], found[1])[0, 1])], loss)


def _checks(cosines: Sequence[float], loss: float) -> Mapping[str, float]:
    return {
        "cosine": round(float(np.mean(cosines)), 5),
        "cosine_least": round(float(np.min(cosines)), 5),
        "ndcg_loss": round(loss, 5),
    }

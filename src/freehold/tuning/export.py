"""What was trained, against the int8 graph that will serve it, on the dev pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.ports import Embedder
from freehold.core.types import Embeddings
from freehold.models.compiled import calibrate
from freehold.models.embed import open_embedder
from freehold.models.facts import ModelFacts
from freehold.train.settings import Encode, EncodeTokens, Kind
from freehold.tuning.pool import Pool


def compare_encoders(
    made: Path, facts: ModelFacts, pool: Pool, learnt: Sequence[str], *, tokens: bool
) -> Mapping[str, float]:
    """Cosine of pooled (or token) vectors of the passages, mean and least, and the nDCG@10 lost on the pool.

    ``made`` gets its int8 graph, rounded for passages like those ``learnt`` from; it is part of the version from then
    on. The trained weights are run by torch.
    """
    calibrate(made, facts, learnt)
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
        before, after = (pool.by_tokens(_tokens_of(by)) for by in (exact, int8))
    else:
        cosines = list((exact["document"].vectors * int8["document"].vectors).sum(axis=1))
        before, after = (pool.by_vectors(_vectors_of(by)) for by in (exact, int8))
    return _checks(cosines, before - after)


def _embedded(embedder: Embedder, pool: Pool, *, tokens: bool) -> Mapping[Kind, Embeddings]:
    """All of the pool, once."""
    return {
        "query": embedder.embed_queries(pool.queries, tokens=tokens),
        "document": embedder.embed_documents(pool.passages, tokens=tokens),
    }


def _vectors_of(embedded: Mapping[Kind, Embeddings]) -> Encode:
    return lambda _texts, kind: embedded[kind].vectors


def _tokens_of(embedded: Mapping[Kind, Embeddings]) -> EncodeTokens:
    return lambda _texts, kind: embedded[kind].tokens or ()


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


def _checks(cosines: Sequence[float], lost: NDArray[np.float64]) -> Mapping[str, float]:
    """``lost``: nDCG@10 of each query by the trained weights, less that by int8."""
    error = float(lost.std(ddof=1)) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0
    return {
        "cosine": round(float(np.mean(cosines)), 5),
        "cosine_least": round(float(np.min(cosines)), 5),
        "ndcg_loss": round(float(lost.mean()) if len(lost) else 0.0, 5),
        "ndcg_loss_error": round(error, 5),
    }

"""What was trained, against the int8 graph that will serve it, on the dev pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from freehold.core.ports import Embedder
from freehold.models.embed import open_embedder
from freehold.models.facts import ModelFacts
from freehold.tuning.pool import Pool

_SAMPLE = 200
"""Passages whose vectors are compared one by one."""


def compare_encoders(made: Path, facts: ModelFacts, pool: Pool, *, tokens: bool) -> Mapping[str, float]:
    """Cosine of pooled (or token) vectors, mean and least, and the nDCG@10 lost on the pool.

    ``made`` gets its int8 graph, which is part of the version from then on. The trained weights are run by torch.
    """
    int8 = open_embedder("onnx", str(made), name=made.name, facts=facts)
    exact = open_embedder("sentence-transformers", str(made), name=made.name, facts=facts)
    sample = pool.passages[:_SAMPLE]
    if tokens:
        cosines = [
            float((a * b).sum(axis=1).mean())
            for a, b in zip(_tokens(int8)(sample, "document"), _tokens(exact)(sample, "document"), strict=True)
            if len(a)
        ]
        loss = pool.by_tokens(_tokens(exact)) - pool.by_tokens(_tokens(int8))
    else:
        cosines = list((_vectors(int8)(sample, "document") * _vectors(exact)(sample, "document")).sum(axis=1))
        loss = pool.by_vectors(_vectors(exact)) - pool.by_vectors(_vectors(int8))
    return _checks(cosines, loss)


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


def _vectors(embedder: Embedder) -> Any:
    def encode(texts: Sequence[str], kind: Literal["query", "document"]) -> Any:
        embed = embedder.embed_queries if kind == "query" else embedder.embed_documents
        return embed(texts).vectors

    return encode


def _tokens(embedder: Embedder) -> Any:
    def encode(texts: Sequence[str], kind: Literal["query", "document"]) -> Any:
        embed = embedder.embed_queries if kind == "query" else embedder.embed_documents
        return embed(texts, tokens=True).tokens

    return encode

"""The model at hand, asked for what it would give at serving. Imports torch: to be imported inside functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from freehold.train.encoder import padded, padded_pairs
from freehold.train.feed import Feed, PairFeed, Row
from freehold.train.settings import Encode, EncodeTokens, Kind, ScorePairs

if TYPE_CHECKING:
    from freehold.core.types import Float32

_ROWS = 64  # at a time; the encoder divides them further


def encoding(model: Any, feed: Feed) -> Encode:
    """Pooled vectors of texts, cut at the model's own limit."""

    def encode(texts: Sequence[str], kind: Kind) -> Float32:
        return np.stack(_all(model, feed.rows(texts, kind), _pooled)) if len(texts) else _none(model)

    return encode


def encoding_tokens(model: Any, feed: Feed) -> EncodeTokens:
    """Vectors of the texts' own tokens, cut at the model's own limit."""

    def encode(texts: Sequence[str], kind: Kind) -> tuple[Float32, ...]:
        return tuple(_all(model, feed.rows(texts, kind), _own))

    return encode


def scoring(model: Any, feed: PairFeed) -> ScorePairs:
    """Logits of pairs, cut at the model's own limit."""

    def score(pairs: Sequence[tuple[str, str]]) -> Float32:
        rows = feed.rows(pairs)
        scores = np.zeros(len(rows), dtype=np.float32)
        with _asked(model):
            for places in _by_length([len(row.ids) for row in rows]):
                features = _placed(padded_pairs([rows[i] for i in places], typed=feed.typed), model)
                scores[places] = model(features)["scores"][:, 0].float().cpu().numpy()
        return scores

    return score


def _all(model: Any, rows: Sequence[Row], take: Callable[[Any, Sequence[Row]], list[Float32]]) -> list[Float32]:
    results: list[Any] = [None] * len(rows)
    with _asked(model):
        for places in _by_length([len(row.ids) for row in rows]):
            batch = [rows[i] for i in places]
            out = model(_placed(padded(batch), model))
            for place, result in zip(places, take(out, batch), strict=True):
                results[place] = result
    return results


def _pooled(out: Any, _batch: Sequence[Row]) -> list[Float32]:
    return list(out["sentence_embedding"].float().cpu().numpy())


def _own(out: Any, batch: Sequence[Row]) -> list[Float32]:
    vectors = torch.nn.functional.normalize(out["token_embeddings"].float(), dim=-1).cpu().numpy()
    return [vectors[i, row.first : row.last].copy() for i, row in enumerate(batch)]


def _none(model: Any) -> Float32:
    return np.zeros((0, model.get_embedding_dimension()), dtype=np.float32)


def _by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return (order[start : start + _ROWS] for start in range(0, len(order), _ROWS))


def _placed(features: dict[str, Any], model: Any) -> dict[str, Any]:
    return {key: value.to(model.device) for key, value in features.items()}


@contextmanager
def _asked(model: Any) -> Iterator[None]:
    """The model without dropout and gradients, and after that as it was."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)

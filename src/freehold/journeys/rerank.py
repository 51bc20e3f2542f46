"""Rerankers: late interaction over token codes, and a cross-encoder over texts, each behind the port ``Reranker``.

Both read the chunks from the shelf and tell how long they would take, by what they took before in this process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.ports import Embedder, Scorer, TokenCodec
from freehold.core.shelf import Shelf
from freehold.core.types import Embeddings
from freehold.journeys.ingest import in_context

if TYPE_CHECKING:
    from freehold.core.types import Float32
    from freehold.models.cross_encoder import CrossEncoder, Pair

_REMEMBERED = 9
_BLOCK_CODES = 16
"""What the codec decodes at a time."""
_BLOCK_PAIRS = 6
"""At least; with more threads a pair for each."""


class Pace:
    """How long a unit of work takes here and now: the median of the latest measurements, which one hiccup leaves be."""

    def __init__(self) -> None:
        self._ms_per_unit: deque[float] = deque(maxlen=_REMEMBERED)

    def learn(self, units: int, ms: float) -> None:
        """``units`` of work took ``ms`` milliseconds."""
        if units:
            self._ms_per_unit.append(ms / units)

    def predicted_ms(self, units: int) -> float:
        """0 before anything was learnt."""
        return units * median(self._ms_per_unit) if self._ms_per_unit else 0.0


class TokenReranker:
    """Late interaction: the question's token vectors against the codes that are kept of each chunk."""

    unit = "maxsim"
    block = _BLOCK_CODES

    def __init__(self, shelf: Shelf, codec: TokenCodec, *, maker: str, encoder: Embedder | None = None) -> None:
        """``maker``: digest of the encoder that the codes were made with. ``encoder``: None is the house's embedder,
        whose token vectors come out of the pass that finds the candidates.
        """
        self._shelf, self._codec, self._maker, self._encoder = shelf, codec, maker, encoder
        self._pace = Pace()
        self.name = f"{codec.name} {encoder.info.name}" if encoder else codec.name
        self.digest = sha256_hex(canonical_json([codec.name, maker]).encode())

    @property
    def reads_tokens(self) -> bool:
        """Unless an encoder of its own makes them."""
        return self._encoder is None

    def ready(self, questions: Sequence[str], embeddings: Embeddings | None, /) -> Sequence[Scorer]:
        """A scorer for each question. See ``freehold.core.ports.Reranker``."""
        if self._encoder is not None:
            embeddings = self._encoder.embed_queries(questions, tokens=True)
        assert embeddings is not None
        assert embeddings.tokens is not None
        return [_TokenScorer(self._shelf, self._codec, self._maker, self._pace, tokens) for tokens in embeddings.tokens]


class _TokenScorer:
    """One question's token vectors. The pace is that of a candidate, its codes' reading included."""

    def __init__(self, shelf: Shelf, codec: TokenCodec, maker: str, pace: Pace, tokens: Float32) -> None:
        self._shelf, self._codec, self._maker, self._pace, self._tokens = shelf, codec, maker, pace, tokens

    def predicted_ms(self, chunk_ids: Sequence[str]) -> float:
        return self._pace.predicted_ms(len(chunk_ids))

    def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        started = time.perf_counter()
        codes = self._shelf.codes(chunk_ids, self._maker)
        coded = {chunk_id: code for chunk_id in chunk_ids if (code := codes.get(chunk_id)) is not None}
        values = self._codec.score(self._tokens, list(coded.values()))
        self._pace.learn(len(coded), (time.perf_counter() - started) * 1000)
        return {**dict.fromkeys(codes), **dict(zip(coded, map(float, values), strict=True))}


class TextReranker:
    """A cross-encoder: the question and the chunk's text, under its headings, read together."""

    unit = "cross-encoder"
    reads_tokens = False

    def __init__(self, shelf: Shelf, model: CrossEncoder) -> None:
        self._shelf, self._model = shelf, model
        self._pace = Pace()
        self.name = f"cross-encoder {model.name}"
        self.digest = model.digest
        self.block = max(_BLOCK_PAIRS, model.threads)

    def ready(self, questions: Sequence[str], _embeddings: Embeddings | None, /) -> Sequence[Scorer]:
        """A scorer for each question; nothing is computed yet. See ``freehold.core.ports.Reranker``."""
        return [_TextScorer(self._shelf, self._model, self._pace, question) for question in questions]


class _TextScorer:
    """One question. The pace is that of a token."""

    def __init__(self, shelf: Shelf, model: CrossEncoder, pace: Pace, question: str) -> None:
        self._shelf, self._model, self._pace, self._question = shelf, model, pace, question
        self._read: dict[str, Pair] = {}
        """Pairs that are read and not yet scored."""

    def predicted_ms(self, chunk_ids: Sequence[str]) -> float:
        return self._pace.predicted_ms(_tokens(self._pairs(chunk_ids)))

    def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        pairs = self._pairs(chunk_ids)
        started = time.perf_counter()
        values = self._model.score(list(pairs.values()))
        self._pace.learn(_tokens(pairs), (time.perf_counter() - started) * 1000)
        for chunk_id in pairs:
            del self._read[chunk_id]
        return dict(zip(pairs, map(float, values), strict=True))

    def _pairs(self, chunk_ids: Sequence[str]) -> Mapping[str, Pair]:
        """The pairs of those that are still on the shelf."""
        views = self._shelf.views([chunk_id for chunk_id in chunk_ids if chunk_id not in self._read])
        pairs = self._model.pairs(self._question, [in_context(view.chunk) for view in views.values()])
        self._read.update(zip(views, pairs, strict=True))
        return {chunk_id: self._read[chunk_id] for chunk_id in chunk_ids if chunk_id in self._read}


def _tokens(pairs: Mapping[str, Pair]) -> int:
    return sum(len(pair.ids) for pair in pairs.values())

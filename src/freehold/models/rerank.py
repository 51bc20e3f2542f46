"""Late interaction: a query's token vectors against those of a passage, kept at two bits a number.

The score is MaxSim (Khattab and Zaharia 2020, "ColBERT"): every token of the query looks for the most similar token of
the passage, and the similarities are averaged. The token vectors come out of the embedder's own pass.

The codec knows nothing of any document: vectors are turned by a fixed rotation, after which each coordinate of a unit
vector is close to a Gaussian of variance 1/dim, whatever the model; so the quantiser that is best for a Gaussian can be
written down (Max 1960; the idea of TurboQuant, Zandieh et al. 2025). A codebook learnt from the documents would be a
statistic that outlives an erased one. docs/decisions/0008-late-interaction.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import shake_256
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from freehold.core.errors import HouseMismatch, ModelMismatch
from freehold.core.types import TokenCodes

if TYPE_CHECKING:
    from freehold.core.types import Float32

Bits = Literal[1, 2, 4]

FORMAT = 1
"""Version of the layout: one byte ``FORMAT << 4 | bits``, then each token's coordinates, first in the highest bits."""

_BLOCK_CANDIDATES = 16
"""Decoded at a time: some 3 MB of float32, which a processor's cache still holds."""

# The positive half of the least-squares levels for a standard Gaussian (Max 1960, table I).
_LEVELS: dict[Bits, tuple[float, ...]] = {
    1: (0.7979,),
    2: (0.4528, 1.510),
    4: (0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733),
}


class LateInteraction:
    """The ``TokenCodec`` of quantised token vectors: ``dim * bits / 8`` bytes a token and one byte a passage."""

    def __init__(self, dim: int, *, bits: Bits = 2) -> None:
        """``dim`` numbers in a token vector, each kept in ``bits``.

        Raises ModelMismatch when ``dim`` does not fill whole bytes.
        """
        if dim % 8:
            raise ModelMismatch(
                f"token vectors of {dim} numbers do not fill whole bytes", hint='set reranker.kind = "none"'
            )
        self._dim, self._bits = dim, bits
        self._mark = bytes([FORMAT << 4 | bits])
        half = np.array(_LEVELS[bits], dtype=np.float32)
        levels = np.concatenate([-half[::-1], half])
        self._thresholds = (levels[1:] + levels[:-1]) / 2 / np.float32(dim**0.5)
        self._shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        self._table = levels[np.arange(256)[:, None] >> self._shifts & (1 << bits) - 1]
        # One thread: the work is a few milliseconds, and BLAS threads that spin for more would stall the encoder's.
        self._blas = ThreadpoolController()
        with self._one_thread():
            self._rotation = _rotation(dim)

    @property
    def name(self) -> str:
        """Tells codecs apart: data of one name is read by that name alone."""
        return f"maxsim-{self._bits}bit-v{FORMAT}"

    def encode(self, tokens: Sequence[Float32]) -> Sequence[TokenCodes]:
        """Codes of each text's token vectors, float32 (tokens, dim) with rows of unit L2 norm.

        A text's codes depend on nothing but its own vectors. Raises ModelMismatch for vectors of another dimension.
        """
        with self._one_thread():
            return [TokenCodes(self._mark + self._packed(vectors).tobytes(), len(vectors)) for vectors in tokens]

    def score(self, query: Float32, candidates: Sequence[TokenCodes]) -> Float32:
        """float32 (len(candidates),) in [-1, 1]: mean over the query's tokens of the best cosine in the candidate.

        Cosines are with the vectors as kept. 0 where the query or the candidate has no token. Rounded to six decimals,
        so that equal passages score alike in any company. Raises HouseMismatch for data of another codec.
        """
        self._check(query)
        scores = np.zeros(len(candidates), dtype=np.float32)
        if not len(query):
            return scores
        with self._one_thread():
            turned = (query @ self._rotation).T
            for block in _blocks([i for i, candidate in enumerate(candidates) if candidate.count]):
                similar = self._unpacked([candidates[i] for i in block]) @ turned
                counts = np.array([candidates[i].count for i in block])
                best = np.maximum.reduceat(similar, np.cumsum(counts) - counts, axis=0)
                scores[block] = best.mean(axis=1)
        return np.clip(np.round(scores, 6), -1, 1)

    def _packed(self, vectors: Float32) -> NDArray[np.uint8]:
        """uint8 (tokens, dim * bits / 8)."""
        self._check(vectors)
        turned = vectors @ self._rotation
        codes = np.zeros(turned.shape, dtype=np.uint8)
        for threshold in self._thresholds:
            codes += turned > threshold
        in_bytes = codes.reshape(len(vectors), self._row_bytes, len(self._shifts)) << self._shifts
        packed: NDArray[np.uint8] = np.bitwise_or.reduce(in_bytes, axis=2)
        return packed

    def _unpacked(self, candidates: Sequence[TokenCodes]) -> Float32:
        """float32 (tokens of all candidates, dim), rotated, rows of unit L2 norm."""
        for candidate in candidates:
            if candidate.data[:1] != self._mark or len(candidate.data) - 1 != candidate.count * self._row_bytes:
                raise HouseMismatch(
                    f"token codes are not of the kind {self.name} with {self._dim} dimensions",
                    hint="ingest the documents again with the embedder and reranker that are set",
                )
        data = np.frombuffer(b"".join(candidate.data[1:] for candidate in candidates), dtype=np.uint8)
        # take() copies a row per byte; the same by indexing is twenty times slower.
        rows: Float32 = self._table.take(data, axis=0).reshape(-1, self._dim)
        rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        return rows

    @property
    def _row_bytes(self) -> int:
        return self._dim * self._bits // 8

    def _check(self, vectors: Float32) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise ModelMismatch(
                f"token vectors of shape {vectors.shape} came to a reranker for {self._dim} dimensions",
                hint="rerank with the embedder that the documents were ingested with",
            )

    def _one_thread(self) -> ThreadpoolController:
        return self._blas.limit(limits=1, user_api="blas")


def _blocks(places: list[int]) -> Iterator[list[int]]:
    return (places[i : i + _BLOCK_CANDIDATES] for i in range(0, len(places), _BLOCK_CANDIDATES))


@cache
def _rotation(dim: int) -> Float32:
    """float32 (dim, dim), orthogonal, always the same.

    From a hash and not from numpy's generators: their streams may change between versions, and kept codes may not.
    """
    signs = np.unpackbits(np.frombuffer(shake_256(b"freehold token rotation").digest(dim * dim // 8), np.uint8))
    q, r = np.linalg.qr(signs.reshape(dim, dim) * 2.0 - 1.0)
    return (q * np.sign(np.diag(r))).astype(np.float32)

"""An embedder whose queries go through an adapter; documents, and so all vectors that are kept, stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from freehold.core.errors import ModelMismatch
from freehold.core.ports import Embedder
from freehold.core.types import Embeddings, ModelInfo
from freehold.models.safetensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from freehold.core.types import Float32

FILE = "adapter.safetensors"


class AdaptedEmbedder:
    """Port ``Embedder``: a query vector q becomes q + q W + b, scaled to unit norm; token vectors pass through."""

    def __init__(self, embedder: Embedder, weight: Float32, bias: Float32, *, name: str, digest: str) -> None:
        """``weight`` float32 (dim, dim), ``bias`` float32 (dim,), both finite. Raises ModelMismatch for others."""
        dim = embedder.info.dim
        if weight.shape != (dim, dim) or bias.shape != (dim,):
            raise ModelMismatch(
                f"an adapter of shape {weight.shape} came to an embedder of {dim} dimensions",
                hint="train one for this embedder: freehold tune adapter",
            )
        if not (weight.dtype == bias.dtype == np.float32 and np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ModelMismatch(
                f"the adapter {name} is not of finite float32", hint="train it again: freehold tune adapter"
            )
        self.embedder = embedder
        self.name, self.digest = name, digest
        self._weight, self._bias = weight, bias
        self._idle = not (weight.any() or bias.any())
        # One thread: the product takes some 50 microseconds, and threads that wait for a busy core take 20 ms.
        self._blas = ThreadpoolController()

    @property
    def info(self) -> ModelInfo:
        """The embedder's own: the vectors of documents are its."""
        return self.embedder.info

    @property
    def overhead_tokens(self) -> int:
        """See ``freehold.core.ports.Embedder``."""
        return self.embedder.overhead_tokens

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """See ``freehold.core.ports.Embedder``."""
        return self.embedder.offsets(text)

    def embed_documents(
        self, texts: Sequence[str], *, tokens: bool = False, progress: Callable[[int], None] | None = None
    ) -> Embeddings:
        """As the embedder does."""
        return self.embedder.embed_documents(texts, tokens=tokens, progress=progress)

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        """As the embedder does, each vector then adapted."""
        made = self.embedder.embed_queries(texts, tokens=tokens)
        if self._idle:
            return made
        with self._blas.limit(limits=1, user_api="blas"):
            moved = made.vectors + made.vectors @ self._weight + self._bias
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.float32(1e-12))
        return Embeddings(moved, made.tokens)


def read_adapter(folder: Path) -> tuple[Float32, Float32]:
    """Weight and bias of the adapter in ``folder``. Raises ModelNotFound, ModelMismatch."""
    tensors: Mapping[str, Float32] = read_tensors(folder / FILE)
    if tensors.keys() != {"weight", "bias"}:
        raise ModelMismatch(f"{folder / FILE} holds no adapter", hint="train it again: freehold tune adapter")
    return np.array(tensors["weight"]), np.array(tensors["bias"])


def write_adapter(folder: Path, weight: Float32, bias: Float32) -> None:
    """Write the adapter; equal ones give equal bytes."""
    write_tensors(folder / FILE, {"weight": weight, "bias": bias})

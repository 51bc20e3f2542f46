"""Adapted embedders keep the embedder's contract; their documents are the embedder's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import ContextOverflow, ModelMismatch, ModelNotFound
from freehold.core.ports import Embedder
from freehold.models.adapt import FILE, AdaptedEmbedder, read_adapter, write_adapter
from freehold.models.embed import open_embedder
from freehold.models.safetensors import write_tensors
from freehold.testing.embedder import TEXTS, EmbedderCase
from freehold.train.adapter import Adapter


@pytest.fixture(scope="module")
def base(minilm: Path) -> Embedder:
    return open_embedder("onnx", str(minilm), threads=2)


def adapter(dim: int, *, seed: int = 0, size: float = 0.02) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(rng.normal(0, size, (dim, dim)).astype(np.float32), rng.normal(0, size, dim).astype(np.float32))


def adapted(base: Embedder, own: Adapter) -> AdaptedEmbedder:
    return AdaptedEmbedder(base, own.weight, own.bias, name="a", digest="d")


class TestAdapted(EmbedderCase):
    prefixed = True  # queries differ from documents of the same words

    @pytest.fixture
    def embedder(self, base: Embedder) -> Embedder:
        return adapted(base, adapter(base.info.dim))


class TestIdentity(EmbedderCase):
    @pytest.fixture
    def embedder(self, base: Embedder) -> Embedder:
        return adapted(base, Adapter.identity(base.info.dim))


def test_queries_are_those_that_training_saw(base: Embedder) -> None:
    own = adapter(base.info.dim)
    expected = own.apply(base.embed_queries(TEXTS).vectors)
    np.testing.assert_allclose(adapted(base, own).embed_queries(TEXTS).vectors, expected, atol=1e-6)


def test_documents_and_token_vectors_are_the_embedders_own(base: Embedder) -> None:
    embedder = adapted(base, adapter(base.info.dim))
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS).vectors, base.embed_documents(TEXTS).vectors)
    tokens, own = (each.embed_queries(TEXTS, tokens=True).tokens for each in (embedder, base))
    assert tokens is not None
    assert own is not None
    for left, right in zip(tokens, own, strict=True):
        np.testing.assert_array_equal(left, right)
    assert embedder.info == base.info
    seen: list[int] = []
    embedder.embed_documents(TEXTS, progress=seen.append)
    assert seen[-1] == len(TEXTS)


def test_the_identity_changes_no_bit(base: Embedder) -> None:
    vectors = adapted(base, Adapter.identity(base.info.dim)).embed_queries(TEXTS).vectors
    np.testing.assert_array_equal(vectors, base.embed_queries(TEXTS).vectors)


def test_a_query_that_is_too_long_is_refused(base: Embedder) -> None:
    with pytest.raises(ContextOverflow):
        adapted(base, adapter(base.info.dim)).embed_queries(["word " * 600])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    own = adapter(8)
    write_adapter(tmp_path, own.weight, own.bias)
    weight, bias = read_adapter(tmp_path)
    np.testing.assert_array_equal(weight, own.weight)
    np.testing.assert_array_equal(bias, own.bias)
    (tmp_path / "again").mkdir()
    write_adapter(tmp_path / "again", weight, bias)
    assert (tmp_path / "again" / FILE).read_bytes() == (tmp_path / FILE).read_bytes()


def test_what_is_no_adapter_is_refused(tmp_path: Path, base: Embedder) -> None:
    with pytest.raises(ModelNotFound):
        read_adapter(tmp_path)
    (tmp_path / FILE).write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelMismatch):
        read_adapter(tmp_path)
    write_tensors(tmp_path / FILE, {"weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(ModelMismatch, match="holds no adapter"):
        read_adapter(tmp_path)
    own = adapter(base.info.dim)
    with pytest.raises(ModelMismatch, match=r"\(8, 8\) came to an embedder of 384"):
        adapted(base, adapter(8))
    with pytest.raises(ModelMismatch, match="not of finite float32"):
        adapted(base, replace(own, bias=own.bias * np.float32(np.nan)))
    with pytest.raises(ModelMismatch, match="not of finite float32"):
        adapted(base, replace(own, weight=own.weight.astype(np.float64)))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import ModelNotFound
from freehold.core.ports import Embedder
from freehold.models.embed import open_embedder
from freehold.testing.embedder import TEXTS, EmbedderCase

pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def opened(minilm: Path) -> Embedder:
    return open_embedder("sentence-transformers", str(minilm), threads=2)


class TestSentenceTransformers(EmbedderCase):
    @pytest.fixture
    def embedder(self, opened: Embedder) -> Embedder:
        return opened


def test_same_vectors_and_tokens_as_the_graph(opened: Embedder, minilm: Path) -> None:
    ours = open_embedder("onnx", str(minilm), precision="float32", threads=2).embed_documents(TEXTS, tokens=True)
    theirs = opened.embed_documents(TEXTS, tokens=True)
    np.testing.assert_allclose(theirs.vectors, ours.vectors, atol=1e-4)
    assert ours.tokens is not None
    assert theirs.tokens is not None
    for a, b in zip(theirs.tokens, ours.tokens, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_digest_is_of_the_weights(opened: Embedder, minilm: Path) -> None:
    assert opened.info.digest == open_embedder("sentence-transformers", str(minilm)).info.digest


def test_nothing_is_downloaded_unless_declared() -> None:
    with pytest.raises(ModelNotFound):
        open_embedder("sentence-transformers", "nobody/no-such-model")

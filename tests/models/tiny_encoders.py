"""Encoders with random weights, built here: small enough to check against a forward pass written out in numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.models.safetensors import write_tensors

HIDDEN, HEADS, LAYERS, WIDE, POSITIONS, BUCKETS = 32, 4, 2, 64, 40, 32
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;?!"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = SPECIALS + list(LETTERS) + [f"##{letter}" for letter in LETTERS]

Maker = Callable[..., Path]


def tiny_tensors(family: str, seed: int, prefix: str = "") -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS + (0 if family == "bert" else 2), HIDDEN),
    }
    if family != "mpnet":
        shapes["embeddings.token_type_embeddings.weight"] = (2, HIDDEN)
    else:
        shapes["encoder.relative_attention_bias.weight"] = (BUCKETS, HEADS)
    square = {"bert": ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")}
    square["mpnet"] = ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o")
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        linears = dict.fromkeys(square["mpnet" if family == "mpnet" else "bert"], (HIDDEN, HIDDEN))
        linears |= {"intermediate.dense": (WIDE, HIDDEN), "output.dense": (HIDDEN, WIDE)}
        for name, shape in linears.items():
            shapes |= {f"{at}{name}.weight": shape, f"{at}{name}.bias": shape[:1]}
        norms += [f"{at}attention{'' if family == 'mpnet' else '.output'}.LayerNorm", f"{at}output.LayerNorm"]
    tensors = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    for name in norms:
        tensors[f"{name}.weight"] = rng.normal(1, 0.1, HIDDEN)
        tensors[f"{name}.bias"] = rng.normal(0, 0.1, HIDDEN)
    return {prefix + name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def tiny_pair_tensors(family: str, seed: int, *, classes: int = 1) -> dict[str, NDArray[np.float32]]:
    """A cross-encoder's: the encoder under its architecture's name, and its head."""
    prefix = {"bert": "bert.", "mpnet": "mpnet."}.get(family, "roberta.")
    dense, out = (
        ("bert.pooler.dense", "classifier") if family == "bert" else ("classifier.dense", "classifier.out_proj")
    )
    rng = np.random.default_rng(seed + 1)
    head = {
        f"{dense}.weight": rng.normal(0, 0.3, (HIDDEN, HIDDEN)),
        f"{dense}.bias": rng.normal(0, 0.3, HIDDEN),
        f"{out}.weight": rng.normal(0, 1, (classes, HIDDEN)),
        f"{out}.bias": rng.normal(0, 1, classes),
    }
    return tiny_tensors(family, seed, prefix) | {name: tensor.astype(np.float32) for name, tensor in head.items()}


def tiny_config(family: str) -> dict[str, Any]:
    return {
        "model_type": family, "hidden_act": "gelu", "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "layer_norm_eps": 1e-12, "pad_token_id": 0 if family == "bert" else 1, "hidden_size": HIDDEN,
        "intermediate_size": WIDE, "vocab_size": len(VOCABULARY),
    }  # fmt: skip


def tiny_tokenizer(family: str = "bert") -> dict[str, Any]:
    ids = {piece: i for i, piece in enumerate(VOCABULARY)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    ends = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    single = [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1]]
    kind = int(family == "bert")
    last = [{"Sequence": {"id": "B", "type_id": kind}}, {"SpecialToken": {"id": "[SEP]", "type_id": kind}}]
    pair = [*single, *last] if family == "bert" else [*single, ends[1], *last]
    return {
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [{"id": ids[name], "content": name} | special for name in SPECIALS],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in ("[CLS]", "[SEP]")},
        },
        "decoder": None,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        },
    }  # fmt: skip


def tiny_cross_encoder(folder: Path, family: str = "bert", *, seed: int = 0, classes: int = 1, **files: Any) -> Path:
    """A cross-encoder's folder; ``files`` are more JSON files by name."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", tiny_pair_tensors(family, seed, classes=classes))
    for name, value in ({"config": tiny_config(family), "tokenizer": tiny_tokenizer(family)} | files).items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder

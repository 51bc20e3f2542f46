"""Encoders with random weights, built here: small enough to check against a forward pass written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def tiny_config(family: str) -> dict[str, Any]:
    return {
        "model_type": family, "hidden_act": "gelu", "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "layer_norm_eps": 1e-12, "pad_token_id": 0 if family == "bert" else 1, "hidden_size": HIDDEN,
        "intermediate_size": WIDE, "vocab_size": len(VOCABULARY),
    }  # fmt: skip


def tiny_tokenizer() -> dict[str, Any]:
    ids = {piece: i for i, piece in enumerate(VOCABULARY)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    ends = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    single = [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1]]
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
            "type": "TemplateProcessing", "single": single, "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in ("[CLS]", "[SEP]")},
        },
        "decoder": None,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        },
    }  # fmt: skip

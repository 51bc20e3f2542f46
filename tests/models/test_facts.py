from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_encoders import Maker, tiny_tokenizer
from tokenizers import Tokenizer

from freehold.core.errors import ModelMismatch
from freehold.models.embed import open_embedder
from freehold.models.facts import ModelFacts, facts_for

BGE = "Represent this sentence for searching relevant passages: "
WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "


@pytest.mark.parametrize(
    ("name", "pooling", "query", "document", "limit"),
    [
        ("all-minilm-l6-v2", "mean", "Q", "D", 256),
        ("sentence-transformers/all-MiniLM-L6-v2", "mean", "Q", "D", 256),
        ("all-mpnet-base-v2", "mean", "Q", "D", 384),
        ("BAAI/bge-small-en-v1.5", "cls", BGE + "Q", "D", 512),
        ("BAAI/bge-large-en-v1.5", "cls", BGE + "Q", "D", 512),
        ("hf:BAAI/bge-base-en-v1.5@a5beb1e3e68b9ab74eb54cfd186867f64f240e1a", "cls", BGE + "Q", "D", 512),
        ("BAAI/bge-m3", "cls", "Q", "D", 8192),
        ("intfloat/e5-base-v2", "mean", "query: Q", "passage: D", 512),
        ("multilingual-e5-small", "mean", "query: Q", "passage: D", 512),
        ("intfloat/multilingual-e5-large", "mean", "query: Q", "passage: D", 512),
        ("intfloat/multilingual-e5-large-instruct", "mean", WEB + "Q", "D", 512),
        ("intfloat/e5-mistral-7b-instruct", "last", WEB + "Q", "D", 4096),
        ("nomic-ai/nomic-embed-text-v1.5", "mean", "search_query: Q", "search_document: D", 8192),
        ("somebody/unheard-of", "mean", "Q", "D", 512),
    ],
)
def test_inputs_as_the_model_was_trained(name: str, pooling: str, query: str, document: str, limit: int) -> None:
    facts = facts_for(name)
    assert facts.pooling == pooling
    assert facts.query_prefix + "Q" == query
    assert facts.document_prefix + "D" == document
    assert facts.max_tokens == limit


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ModelFacts()),
        (
            {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
            ModelFacts("cls"),
        ),
        ({"1_Pooling/config.json": {"pooling_mode_lasttoken": True}}, ModelFacts("last")),
        ({"1_Pooling/config.json": {"pooling_mode": "cls", "include_prompt": True}}, ModelFacts("cls")),
        ({"sentence_bert_config.json": {"max_seq_length": 33}}, ModelFacts(max_tokens=33)),
        (
            {"config_sentence_transformers.json": {"prompts": {"query": "q: ", "document": "d: "}}},
            ModelFacts("mean", "q: ", "d: "),
        ),
        (
            {
                "modules.json": [{"path": "pool", "type": "sentence_transformers.models.Pooling"}],
                "pool/config.json": {"pooling_mode_cls_token": True},
            },
            ModelFacts("cls"),
        ),
    ],
)
def test_the_folders_own_word_counts(tiny: Maker, files: Any, expected: ModelFacts) -> None:
    assert facts_for("anything", tiny(files=files)) == expected


def test_an_unknown_pooling_is_refused(tiny: Maker) -> None:
    folder = tiny(files={"1_Pooling/config.json": {"pooling_mode_max_tokens": True}})
    with pytest.raises(ModelMismatch):
        facts_for("anything", folder)


def test_a_module_no_graph_is_built_for_is_refused(tiny: Maker) -> None:
    kinds = ["models.Transformer", "models.Pooling", "models.Normalize"]
    modules = [{"path": f"{i}_Module", "type": f"sentence_transformers.{kind}"} for i, kind in enumerate(kinds)]
    assert open_embedder("onnx", str(tiny(files={"modules.json": modules})), threads=1).info.dim == 32
    modules.append({"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    with pytest.raises(ModelMismatch, match="Dense") as caught:
        open_embedder("onnx", str(tiny(name="dense", files={"modules.json": modules})), threads=1)
    assert caught.value.hint == 'set embedder.kind = "sentence-transformers"'


def test_the_prefix_reaches_the_model(tiny: Maker) -> None:
    """A query embedded with its prefix is the document that reads prefix and query."""
    prompts = {"config_sentence_transformers.json": {"prompts": {"query": "q: "}}}
    embedder = open_embedder("onnx", str(tiny(files=prompts)), threads=1)
    as_query = embedder.embed_queries(["abc"]).vectors
    np.testing.assert_array_equal(as_query, embedder.embed_documents(["q: abc"]).vectors)


def test_the_tiny_tokenizer_cuts_as_published_ones_do() -> None:
    import json

    assert len(Tokenizer.from_str(json.dumps(tiny_tokenizer())).encode("abcdefghijklmnop").ids) == 8


def test_a_broken_folder_is_a_mismatch(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(ModelMismatch):
        facts_for("anything", tmp_path)

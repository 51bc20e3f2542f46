"""What must be known of an embedding model to feed it as it was trained: pooling, prefixes, limit.

Wrong facts do not fail, they quietly cost quality. They come from the model's own folder where it states them, in the
files that sentence-transformers writes, and from the table below for what folders leave out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from freehold.core.errors import ModelMismatch

Pooling = Literal["mean", "cls", "last"]

_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
_WEB_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
_BGE_QUERY = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """How texts reach a model and how its output becomes one vector of unit L2 norm."""

    pooling: Pooling = "mean"
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int = 512
    """The longest input in tokens, special tokens and prefix included."""


_E5 = ModelFacts("mean", "query: ", "passage: ", 512)

_TABLE: tuple[tuple[str, ModelFacts], ...] = (
    ("all-minilm-l6-v2", ModelFacts(max_tokens=256)),
    ("all-minilm-l12-v2", ModelFacts(max_tokens=128)),
    ("all-mpnet-base-v2", ModelFacts(max_tokens=384)),
    ("bge-*-en-v1.5", ModelFacts("cls", _BGE_QUERY, "", 512)),
    ("bge-m3", ModelFacts("cls", max_tokens=8192)),
    ("e5-mistral-7b-instruct", ModelFacts("last", _WEB_SEARCH, "", 4096)),
    ("multilingual-e5-large-instruct", ModelFacts("mean", _WEB_SEARCH, "", 512)),
    ("multilingual-e5-*", _E5),
    ("e5-*", _E5),
    ("gte-small", ModelFacts()),
    ("gte-base", ModelFacts()),
    ("gte-large", ModelFacts()),
    ("nomic-embed-text-v1*", ModelFacts("mean", "search_query: ", "search_document: ", 8192)),
)
"""Patterns over the last part of a model's name in lower case; the first match counts. From the models' own cards."""


def facts_for(name: str, folder: Path | None = None) -> ModelFacts:
    """The facts of model ``name``: the folder's own where it states them, else the table's, else mean and no prefix.

    Raises ModelMismatch when the folder states a pooling that is none of mean, cls and last.
    """
    facts = _from_table(name)
    return facts if folder is None else _from_folder(folder, facts)


def _from_table(name: str) -> ModelFacts:
    last = name.rstrip("/").rsplit("/", 1)[-1].partition("@")[0].lower()
    return next((facts for pattern, facts in _TABLE if fnmatch(last, pattern)), ModelFacts())


def _from_folder(folder: Path, facts: ModelFacts) -> ModelFacts:
    pooling = _json(folder / _pooling_folder(folder) / "config.json")
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    limit = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    documents = prompts.get("document") or prompts.get("passage") or facts.document_prefix
    return replace(
        facts,
        pooling=_pooling(pooling, folder) if pooling else facts.pooling,
        query_prefix=prompts.get("query") or facts.query_prefix,
        document_prefix=documents,
        max_tokens=int(limit) if limit else facts.max_tokens,
    )


def check_modules(folder: Path) -> None:
    """Raises ModelMismatch when the folder states a module besides encoder, pooling and normalization."""
    for module in _json(folder / "modules.json", []):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in _MODULES:
            raise ModelMismatch(
                f"no graph is built for module {kind!r} of {folder}", hint='set embedder.kind = "sentence-transformers"'
            )


def _pooling_folder(folder: Path) -> str:
    modules = _json(folder / "modules.json", [])
    return next((m["path"] for m in modules if str(m.get("type", "")).endswith("Pooling")), "1_Pooling")


def _pooling(config: Mapping[str, Any], folder: Path) -> Pooling:
    """``pooling_mode`` in recent folders, ``pooling_mode_NAME_tokens: true`` in older ones."""
    keys: dict[str, Pooling] = {
        "mean": "mean", "cls": "cls", "lasttoken": "last",
        "pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last",
    }  # fmt: skip
    stated = config.get("pooling_mode")
    modes = (
        [stated] if stated else [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    )
    if len(modes) != 1 or modes[0] not in keys:
        raise ModelMismatch(f"{folder} pools by {modes}", hint="mean, cls and last-token pooling are supported")
    return keys[modes[0]]


def _json(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelMismatch(f"{path} is not JSON", hint="pull or export the model again") from error

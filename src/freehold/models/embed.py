"""Opening an embedder by its kind."""

from __future__ import annotations

from typing import Literal

from freehold.core.errors import SettingsError
from freehold.core.machine import share
from freehold.core.ports import Embedder
from freehold.models.facts import ModelFacts, facts_for
from freehold.models.manifest import folder_of, locate
from freehold.models.onnx import Precision

EmbedderKind = Literal["onnx", "sentence-transformers", "openai"]


def open_embedder(
    kind: EmbedderKind,
    model: str,
    *,
    precision: Precision = "int8",
    threads: int | None = None,
    batch_size: int = 4,
    base_url: str = "",
    api_key: str | None = None,
    timeout_s: float = 30.0,
    dim: int | None = None,
    remote: bool = False,
    name: str = "",
    facts: ModelFacts | None = None,
) -> Embedder:
    """The embedder of that kind. ``threads`` is the number of cores to use, None for all of them.

    Four texts to a batch keep a thread's work inside its cache: sixteen ran a third slower, one alone little slower.

    ``onnx`` runs a packaged name, an ``hf:`` name that was pulled or a local folder, in ``precision``.
    ``sentence-transformers`` runs these too and any model id; ``remote`` allows it to download. ``openai`` asks
    ``model`` at ``base_url`` (ending in ``/v1``); ``dim`` is the dimension to insist on, None to take the endpoint's.
    ``name`` and ``facts``, for ``onnx``: where the folder's own name does not tell them.

    Raises ModelNotFound, ModelMismatch, or SettingsError for an unknown kind or a missing setting.
    """
    threads = threads or share()
    if kind == "onnx":
        from freehold.models.embed_onnx import OnnxEmbedder

        folder = locate(model)
        facts = facts or facts_for(model, folder)
        return OnnxEmbedder(
            folder, name=name or model, facts=facts, precision=precision, threads=threads, batch_size=batch_size
        )
    if kind == "sentence-transformers":
        from freehold.models.embed_st import SentenceTransformersEmbedder

        here = folder_of(model).is_dir()
        place = locate(model) if here else None
        return SentenceTransformersEmbedder(
            str(place or model),
            name=model,
            facts=facts_for(model, place),
            remote=remote,
            threads=threads,
            batch_size=batch_size,
        )
    if kind == "openai":
        from freehold.models.embed_openai import OpenAIEmbedder

        facts = facts_for(model)
        return OpenAIEmbedder(base_url, model, facts=facts, api_key=api_key, dim=dim, timeout_s=timeout_s)
    raise SettingsError(f"unknown embedder kind {kind!r}", hint="use onnx, sentence-transformers or openai")

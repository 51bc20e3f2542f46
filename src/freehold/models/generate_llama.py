"""Answers from a GGUF model inside this process, through xllamacpp (llama.cpp)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.core.machine import cores
from freehold.core.types import Passage
from freehold.models.generate import ANSWER_TOKENS
from freehold.models.generate_openai import OpenAIGenerator

CONTEXT_TOKENS = 8192
"""Default ceiling: a model trained on less gets less, one trained on more would fill the memory with its cache."""


class LlamaGenerator:
    """A ``Generator`` over llama.cpp's own server on a free loopback port, behind a key that only this object knows.

    Raises SettingsError without the extra, ModelNotFound without the file, ModelMismatch for a file llama.cpp rejects.
    """

    def __init__(self, path: Path, *, context_tokens: int | None = None, answer_tokens: int = ANSWER_TOKENS) -> None:
        try:
            import xllamacpp
        except ImportError as error:
            raise SettingsError(
                "the llama-cpp generator is not installed", hint='pip install "freehold[llama-cpp]"'
            ) from error
        if not path.is_file():
            raise ModelNotFound(f"no such model file: {path}", hint="give the path of a .gguf file", refs=(str(path),))
        key = secrets.token_urlsafe(32)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.model_alias = {path.stem}
        parameters.n_ctx = context_tokens or CONTEXT_TOKENS
        parameters.n_parallel = 1
        # OpenMP barriers spin: with as many threads as cores, any other load slows decoding twentyfold.
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = max(1, cores() - 1)
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [key]
        parameters.verbosity = -1
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise ModelMismatch(
                f"llama.cpp cannot load {path.name}", hint="is it a complete GGUF file?", refs=(str(path),)
            ) from error
        address = f"{self._server.listening_address}/v1"
        self._client = OpenAIGenerator(address, path.stem, api_key=key, answer_tokens=answer_tokens)

    @property
    def name(self) -> str:
        return self._client.name

    @property
    def context_tokens(self) -> int:
        return self._client.context_tokens

    @property
    def usage(self) -> Mapping[str, int]:
        """Prompt and completion tokens of the last answer."""
        return self._client.usage

    def count_tokens(self, text: str) -> int:
        return self._client.count_tokens(text)

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:
        return self._client.generate(question, passages, timeout_s=timeout_s)

"""Refusing texts that a model cannot read whole."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.core.errors import ContextOverflow
from freehold.core.types import ModelInfo


def check_lengths(lengths: Iterable[int], info: ModelInfo) -> None:
    """Raise ContextOverflow, naming text and count, if a length, in tokens, is above the model's limit."""
    for i, length in enumerate(lengths):
        if length > info.max_tokens:
            raise ContextOverflow(
                f"text {i} has {length} tokens, {info.name} takes {info.max_tokens}",
                hint="split it first: chunking.max_tokens is the setting for documents",
                refs=(str(i),),
            )

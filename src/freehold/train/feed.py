"""Texts to the token ids that the model gets at serving: training on other ones would teach it another model's work.

As freehold.models.embed_onnx does it: special tokens and prefix stand before the text's own tokens, each tokenized
alone; what a document says is text, a "[SEP]" in it too; every token is of type 0, but in the second half of a pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.train.settings import Facts, Kind

Ids = NDArray[np.int64]

_WINDOW = 1024  # texts tokenized at once: a full encoding is some fifty times the size of its ids


@dataclass(frozen=True, slots=True)
class Row:
    """A model's input for one text."""

    ids: Ids
    """int64 (tokens,)."""
    first: int
    """Of the text's own tokens, which end before ``last``."""
    last: int


class Feed:
    """Tokenizes once what training reads many times."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        """Raises ModelNotFound and ModelMismatch for a folder without a tokenizer."""
        self._tokenizer = _tokenizer(folder)
        self._limit = facts.max_tokens
        self._head, self._tail = _ends(self._tokenizer)
        prefixes: dict[Kind, str] = {"query": facts.query_prefix, "document": facts.document_prefix}
        self._before = {kind: [*self._head, *self._ids([text.strip()])[0]] for kind, text in prefixes.items()}

    def rows(self, texts: Sequence[str], kind: Kind, *, max_tokens: int | None = None) -> list[Row]:
        """Inputs in order, cut to ``max_tokens`` or to the model's own limit.

        Raises SettingsError where the limit leaves a text no token.
        """
        before, limit = self._before[kind], min(max_tokens or self._limit, self._limit)
        room = limit - len(before) - len(self._tail)
        if room < 1:
            raise SettingsError(
                f"max_tokens = {limit} leaves a {kind} no room", hint=f"set it above {limit - room}, prefix included"
            )
        return [self._row(before, ids[:room]) for ids in self._windows(texts)]

    def _row(self, before: list[int], body: list[int]) -> Row:
        ids = np.array([*before, *body, *self._tail], dtype=np.int64)
        return Row(ids, len(before), len(before) + len(body))

    def _windows(self, texts: Sequence[str]) -> Iterable[list[int]]:
        for start in range(0, len(texts), _WINDOW):
            yield from self._ids(texts[start : start + _WINDOW])

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@dataclass(frozen=True, slots=True)
class PairRow:
    """A model's input for a query and a passage."""

    ids: Ids
    """int64 (tokens,)."""
    first: int
    """How many of them, from the beginning, are of token type 0: all, where the model tells no types apart."""


class PairFeed:
    """Pairs as the tokenizer's own template joins them, which is how freehold.models.cross_encoder serves them.

    Texts of earlier calls are not tokenized again.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """``limit``: the longest pair in tokens, special tokens included."""
        self._tokenizer, self._limit = _tokenizer(folder), limit
        pair = self._tokenizer.encode("a", "a")
        own = [place for place, special in enumerate(pair.special_tokens_mask) if not special]
        first, second = own[0], next(b for a, b in pairwise(own) if b > a + 1)
        between = max(place for place in own if place < second) + 1
        self._head, self._middle, self._tail = pair.ids[:first], pair.ids[between:second], pair.ids[own[-1] + 1 :]
        self.typed = bool(pair.type_ids[second]) and _knows_types(folder)
        self._known: dict[str, list[int]] = {}

    def rows(self, pairs: Sequence[tuple[str, str]], *, max_tokens: int | None = None) -> list[PairRow]:
        """Inputs in order. One too long loses the end of its passage; a query keeps half of the room at least."""
        new = list(dict.fromkeys(text for pair in pairs for text in pair if text not in self._known))
        encoded = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        self._known.update((text, encoding.ids) for text, encoding in zip(new, encoded, strict=True))
        room = min(max_tokens or self._limit, self._limit) - len(self._head) - len(self._middle) - len(self._tail)
        return [self._row(self._known[query], self._known[passage], room) for query, passage in pairs]

    def _row(self, query: list[int], passage: list[int], room: int) -> PairRow:
        query = query[: max(room - len(passage), room // 2)]
        before = [*self._head, *query, *self._middle]
        ids = [*before, *passage[: room - len(query)], *self._tail]
        return PairRow(np.array(ids, dtype=np.int64), len(before) if self.typed else len(ids))


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelNotFound(f"no tokenizer at {path}", hint="a model folder holds a tokenizer.json file")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise ModelMismatch(f"{path} is not a tokenizer", hint="pull or export the model again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _ends(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Special tokens before and after a text."""
    encoded = tokenizer.encode("a")
    special = list(encoded.special_tokens_mask)
    first, last = special.index(0), len(special) - special[::-1].index(0)
    return list(encoded.ids[:first]), list(encoded.ids[last:])


def _knows_types(folder: Path) -> bool:
    """Whether the model was trained with token types, as far as its folder says."""
    named = _json(folder / "tokenizer_config.json").get("model_input_names")
    config = _json(folder / "config.json")
    types = config.get("type_vocab_size", 0 if config.get("model_type") == "mpnet" else 2)
    return types > 1 and (not named or "token_type_ids" in named)


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

"""A model's own tokenizer, with nothing cut and nothing padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from freehold.core.errors import ModelMismatch, ModelNotFound

_WINDOW = 1024  # texts tokenized at once: a full encoding is some fifty times the size of its ids


@dataclass(frozen=True, slots=True)
class PairMarks:
    """The special tokens around two texts that are read together: ``head`` a ``middle`` b ``tail``."""

    head: tuple[int, ...]
    middle: tuple[int, ...]
    tail: tuple[int, ...]
    typed: bool
    """Whether the second text is of token type 1."""

    def __len__(self) -> int:
        return len(self.head) + len(self.middle) + len(self.tail)


class ModelTokenizer:
    """Special tokens are kept apart (``head``, ``tail``), so that the tokens of a text are the same everywhere."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        tokenizer.no_truncation()  # files as published cut and pad at 128 without a word
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # a document that says "[SEP]" means the five characters
        encoded = tokenizer.encode("a")
        special = list(encoded.special_tokens_mask)
        first, last = special.index(0), len(special) - special[::-1].index(0)
        self.head: tuple[int, ...] = tuple(encoded.ids[:first])
        self.tail: tuple[int, ...] = tuple(encoded.ids[last:])

    @classmethod
    def of(cls, folder: Path) -> ModelTokenizer:
        """From ``folder/tokenizer.json``. Raises ModelNotFound or ModelMismatch."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelNotFound(f"no tokenizer at {path}", hint="a model folder holds a tokenizer.json file")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ModelMismatch(f"{path} is not a tokenizer", hint="pull or export the model again") from error

    def pair_marks(self) -> PairMarks:
        """What the tokenizer puts around a pair of texts."""
        encoded = self._tokenizer.encode("a", "a")
        ids, parts = encoded.ids, encoded.sequence_ids
        first, second = parts.index(0), parts.index(1)
        ends = [len(parts) - parts[::-1].index(part) for part in (0, 1)]
        typed = encoded.type_ids[second] == 1
        return PairMarks(tuple(ids[:first]), tuple(ids[ends[0] : second]), tuple(ids[ends[1] :]), typed)

    def ids(self, text: str) -> tuple[int, ...]:
        """Token ids of ``text`` alone, special tokens left out."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def all_ids(self, texts: Sequence[str]) -> Iterator[NDArray[np.int32]]:
        """``ids`` of each text in order, as int32 arrays."""
        for start in range(0, len(texts), _WINDOW):
            window = list(texts[start : start + _WINDOW])
            for encoding in self._tokenizer.encode_batch_fast(window, add_special_tokens=False):
                yield np.array(encoding.ids, dtype=np.int32)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Half-open spans of the tokens in ``text``, in code points."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

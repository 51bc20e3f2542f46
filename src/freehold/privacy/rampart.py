"""The words of texts with what a token classifier takes each of them for.

The classifier is Rampart (a BERT encoder of six layers with 35 BIO labels, weights in four bits), run on ONNX Runtime.
It sees no capitals, so what it says is one piece of evidence among others: see ``freehold.privacy.evidence``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from freehold.core.errors import ModelMismatch, ModelNotFound

MODEL_FILE = "onnx/model_q4.onnx"

_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")
_WINDOW_TOKENS = 256
"""Of 510 that the model could take: attention costs the square of it, and queries are shorter anyway."""
_OVERLAP_TOKENS = 64
_BATCH_TOKENS = 512

_IDENTITY = ("TAX_ID", "GOVERNMENT_ID")
_DOCUMENT = ("PASSPORT", "DRIVERS_LICENSE")
_ACCOUNT = ("BANK_ACCOUNT", "ROUTING_NUMBER")


class Word(NamedTuple):
    """A run of letters and digits, with the probabilities of what it may belong to; they sum to 1 with ``nothing``."""

    start: int
    end: int
    text: str
    nothing: float
    given_name: float
    surname: float
    street: float
    place: float
    """City or state."""
    number_of_address: float
    """Building number, flat or postcode."""
    phone: float
    identity: float
    document: float
    account: float

    @property
    def person(self) -> float:
        return self.given_name + self.surname

    @property
    def address(self) -> float:
        return self.street + self.place + self.number_of_address


_COLUMNS: tuple[tuple[str, ...], ...] = (
    ("GIVEN_NAME",),
    ("SURNAME",),
    ("STREET_NAME",),
    ("CITY", "STATE"),
    ("BUILDING_NUMBER", "SECONDARY_ADDRESS", "ZIP_CODE"),
    ("PHONE",),
    _IDENTITY,
    _DOCUMENT,
    _ACCOUNT,
)


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of a text's tokens; rows of ``kept`` are the ones to read from it."""

    text: int
    first: int
    ids: NDArray[np.int64]
    kept: slice


class WordTagger:
    """Tags the words of texts. May be called from one thread at a time."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """``folder`` holds ``tokenizer.json``, ``config.json`` and ``onnx/model_q4.onnx``.

        Raises ModelNotFound when one is missing, ModelMismatch when they are not a classifier with Rampart's labels.
        """
        paths = [folder / name for name in (MODEL_FILE, "tokenizer.json", "config.json")]
        for path in paths:
            if not path.is_file():
                raise ModelNotFound(f"no detector at {path}", hint="freehold models pull rampart")
        weights = paths[0].read_bytes()
        self.digest = hashlib.sha256(weights).hexdigest()
        try:
            self._tokenizer = Tokenizer.from_file(str(paths[1]))
            self._sums = _sums(json.loads(paths[2].read_text(encoding="utf-8"))["id2label"])
            self._session = _session(weights, threads)
        except (KeyError, ValueError, ModelMismatch) as error:
            raise ModelMismatch(f"{folder} is not Rampart", hint="freehold models pull rampart") from error
        except Exception as error:  # both libraries raise bare exceptions for whatever is wrong with a file
            raise ModelMismatch(f"{folder} cannot be read", hint="freehold models pull rampart") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a text that says "[SEP]" means the five characters
        special = self._tokenizer.encode("")
        self._head, self._tail = special.ids[:1], special.ids[-1:]

    def tagged(self, texts: Sequence[str]) -> list[list[Word]]:
        """The words of each text by place. A text's do not depend on its company; batched by length inside."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        rows = [np.zeros((len(encoding.ids), len(_COLUMNS) + 1), np.float32) for encoding in encodings]
        windows = [window for i, encoding in enumerate(encodings) for window in _windows(i, encoding.ids)]
        for batch in _batches(windows):
            for window, probabilities in zip(batch, self._run(batch), strict=True):
                first = window.first + window.kept.start
                kept = probabilities[window.kept]
                rows[window.text][first : first + len(kept)] = kept
        return [_words(*row) for row in zip(texts, (e.offsets for e in encodings), rows, strict=True)]

    def _run(self, batch: Sequence[_Window]) -> Iterator[NDArray[np.float32]]:
        """float32 (tokens, 1 + columns) for each window, special tokens left out."""
        length = max(len(window.ids) for window in batch) + 2
        ids = np.zeros((len(batch), length), np.int64)
        mask = np.zeros_like(ids)
        for i, window in enumerate(batch):
            whole = np.concatenate([self._head, window.ids, self._tail])
            ids[i, : len(whole)], mask[i, : len(whole)] = whole, 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        logits = self._session.run(None, feed)[0]
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))
        columns = (odds / odds.sum(axis=2, keepdims=True)) @ self._sums
        for i, window in enumerate(batch):
            yield columns[i, 1 : 1 + len(window.ids)]


def _session(weights: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


def _sums(labels: dict[str, str]) -> NDArray[np.float32]:
    """float32 (labels, 1 + columns): which labels add up to which column of ``Word``; none at all: to ``nothing``."""
    names = [labels[str(i)].partition("-")[2] for i in range(len(labels))]
    if missing := {name for column in _COLUMNS for name in column} - set(names):
        raise ModelMismatch(f"no labels {', '.join(sorted(missing))}")
    sums = np.array([[name in column for column in _COLUMNS] for name in names], np.float32)
    return np.concatenate([1 - sums.sum(axis=1, keepdims=True), sums], axis=1)


def _windows(text: int, ids: Sequence[int]) -> Iterator[_Window]:
    """Overlapping stretches; each token is read from the one in which it stands farther from the edge."""
    whole = np.array(ids, np.int64)
    step, half = _WINDOW_TOKENS - _OVERLAP_TOKENS, _OVERLAP_TOKENS // 2
    for first in range(0, max(len(whole) - _OVERLAP_TOKENS, 1), step):
        part = whole[first : first + _WINDOW_TOKENS]
        last = first + len(part) == len(whole)
        yield _Window(text, first, part, slice(half if first else 0, len(part) if last else len(part) - half))


def _batches(windows: Sequence[_Window]) -> Iterator[list[_Window]]:
    """Windows of like length together, so that little is padding."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda w: len(w.ids)):
        if batch and (len(batch) + 1) * (len(window.ids) + 2) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _words(text: str, offsets: Sequence[tuple[int, int]], rows: NDArray[np.float32]) -> list[Word]:
    """Each word with the mean over the tokens that any part of it is in."""
    found, token = [], 0
    for match in _WORD.finditer(text):
        while token < len(offsets) and offsets[token][1] <= match.start():
            token += 1
        after = token
        while after < len(offsets) and offsets[after][0] < match.end():
            after += 1
        mean = rows[token:after].mean(axis=0) if after > token else _NOTHING
        found.append(Word(match.start(), match.end(), match[0], *map(float, mean)))
    return found


_NOTHING = np.eye(1, len(_COLUMNS) + 1, dtype=np.float32)[0]

"""Cross-encoders on ONNX Runtime: a question and a passage read together by one encoder, and a score for the two.

A folder is as transformers saves a ``BertForSequenceClassification`` or its like of (XLM-)RoBERTa, CamemBERT and
MPNet: ``model.safetensors``, ``config.json``, ``tokenizer.json``. A file ``cross_encoder.json`` may say
``{"max_tokens": n}``; without it the tokenizer's own limit counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import ModelMismatch
from freehold.core.machine import share
from freehold.models.compiled import Source, graph_of, open_session
from freehold.models.manifest import locate
from freehold.models.onnx import Precision, build_cross_encoder
from freehold.models.samples import SAMPLES
from freehold.models.tokens import ModelTokenizer, PairMarks

if TYPE_CHECKING:
    from freehold.core.types import Float32

LOWEST_CORRELATION = 0.97
"""Of int8 scores with float32 ones on the built-in samples, below which an int8 graph is refused."""

MAX_TOKENS = 512
"""Where a folder states no limit."""

_NO_LIMIT = 1_000_000  # tokenizers without a limit of their own state a number of thirty digits
_DECIMALS = 4
_BATCHES_A_THREAD = 4
"""At least, so that no thread waits long for the others: what is saved by larger ones is less."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage as the model reads them."""

    ids: NDArray[np.int32]
    """int32 (tokens,), special tokens included."""
    first: int
    """How many of them, from the beginning, are of token type 0."""


class CrossEncoder:
    """Scores pairs sorted by length, a few hundred tokens at a time on each thread.

    A score does not depend on what is scored beside it.

    A pair that is too long loses the end of the longer text, which is the passage but for rare questions: a question
    keeps at least half of the room, 254 of 512 tokens.
    """

    def __init__(self, folder: Path, *, name: str, precision: Precision, threads: int, batch_tokens: int) -> None:
        """``threads`` batches run at a time, each of at most ``batch_tokens`` tokens with their padding, or one pair.

        Raises ModelNotFound for missing files, and ModelMismatch for weights no graph is built for and for an int8
        form whose scores correlate with float32's by less than ``LOWEST_CORRELATION``.
        """
        _check_modules(folder)
        source = Source.of(folder)
        reader = _Reader(folder, source.position_limit)

        def build(as_precision: Precision) -> bytes:
            return build_cross_encoder(source.tensors, source.shape, precision=as_precision)

        graph = graph_of(source, {"head": "score"}, precision, build=build, check=_agreement(reader, folder))
        self._reader = reader
        self._session = open_session(graph, threads=1)
        self._threads, self._batch_tokens = threads, batch_tokens
        self.name = name
        self.digest = source.digest(graph, {"max_tokens": reader.max_tokens, "typed": reader.marks.typed})
        """Of the graph, the tokenizer, and how pairs are read."""
        self.scores("a", ["b"])  # the first run allocates: better now than while somebody waits

    @property
    def max_tokens(self) -> int:
        """The longest pair in tokens, special tokens included."""
        return self._reader.max_tokens

    @property
    def threads(self) -> int:
        """Batches that run at a time."""
        return self._threads

    def pairs(self, question: str, texts: Sequence[str]) -> list[Pair]:
        """The question with each of the texts, cut to ``max_tokens``."""
        return self._reader.pairs(question, texts)

    def score(self, pairs: Sequence[Pair]) -> Float32:
        """float32 (len(pairs),): the head's logit, higher is better, rounded to four decimals.

        Only scores of one question compare. Rounding lets equal passages score alike in any company.
        """
        batches = self._batches([len(pair.ids) for pair in pairs])
        scores = np.zeros(len(pairs), dtype=np.float32)

        def run(batch: list[int]) -> None:
            scores[batch] = _run(self._session, [pairs[i] for i in batch])

        if len(batches) < 2 or self._threads == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="rerank") as pool:
                list(pool.map(run, batches))
        return np.round(scores, _DECIMALS)

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Places by length, so that little is padded and no long batch is left for last."""
        limit = min(self._batch_tokens, sum(lengths) // (self._threads * _BATCHES_A_THREAD))
        batches: list[list[int]] = []
        for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
            if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= limit:
                batches[-1].append(place)
            else:
                batches.append([place])
        return batches

    def scores(self, question: str, texts: Sequence[str]) -> Float32:
        """``score`` of ``pairs``."""
        return self.score(self.pairs(question, texts))


def open_cross_encoder(
    model: str | Path,
    *,
    name: str = "",
    precision: Precision = "int8",
    threads: int | None = None,
    batch_tokens: int = 256,
) -> CrossEncoder:
    """The cross-encoder of a local folder, an ``hf:`` name that was pulled or a packaged name.

    256 tokens to a batch keep a thread's work inside its cache: a thousand cost a tenth more, 32 a third more.
    ``name``: empty is ``model``. ``threads``: None takes every core. Raises ModelNotFound and ModelMismatch.
    """
    return CrossEncoder(
        locate(str(model)),
        name=name or str(model),
        precision=precision,
        threads=threads or share(),
        batch_tokens=batch_tokens,
    )


class _Reader:
    """Texts to pairs."""

    def __init__(self, folder: Path, position_limit: int) -> None:
        self._tokenizer = ModelTokenizer.of(folder)
        self.marks = _marks(folder, self._tokenizer)
        self.max_tokens = min(_limit(folder), position_limit)
        if self.max_tokens - len(self.marks) < 2:
            raise ModelMismatch(
                f"pairs of {self.max_tokens} tokens leave no room for two texts",
                hint="correct max_tokens in cross_encoder.json",
            )

    def pairs(self, question: str, texts: Sequence[str]) -> list[Pair]:
        marks, room = self.marks, self.max_tokens - len(self.marks)
        whole = np.array(self._tokenizer.ids(question), dtype=np.int32)
        read = []
        for body in self._tokenizer.all_ids(texts):
            asked = whole[: max(room - len(body), room // 2)]
            told = body[: room - len(asked)]
            ids = np.concatenate([marks.head, asked, marks.middle, told, marks.tail]).astype(np.int32)
            first = len(marks.head) + len(asked) + len(marks.middle)
            read.append(Pair(ids, first if marks.typed else len(ids)))
        return read


def _run(session: Any, pairs: Sequence[Pair]) -> Float32:
    lengths = np.array([len(pair.ids) for pair in pairs], dtype=np.int32)
    ids = np.zeros((len(pairs), lengths.max()), dtype=np.int64)  # what stands in the padding is masked
    for row, pair in zip(ids, pairs, strict=True):
        row[: len(pair.ids)] = pair.ids
    first = np.array([pair.first for pair in pairs], dtype=np.int64)
    scores: Float32 = session.run(["score"], {"input_ids": ids, "lengths": lengths, "first": first})[0]
    return scores


def _agreement(reader: _Reader, folder: Path) -> Callable[[bytes, bytes], dict[str, float]]:
    """The check of an int8 graph: every question among the samples with every sample."""

    def check(graph: bytes, exact: bytes) -> dict[str, float]:
        questions = [text for text in SAMPLES if text.endswith("?")]
        pairs = [pair for question in questions for pair in reader.pairs(question, SAMPLES)]
        fast, slow = (
            np.array([_run(session, [pair])[0] for pair in pairs], dtype=np.float64).reshape(len(questions), -1)
            for session in (open_session(graph, threads=1), open_session(exact, threads=1))
        )
        with np.errstate(invalid="ignore"):  # all scores alike: no correlation, and no agreement
            correlation = round(float(np.corrcoef(fast.ravel(), slow.ravel())[0, 1]), 5)
        if not correlation >= LOWEST_CORRELATION:
            raise ModelMismatch(
                f"int8 scores of {folder} correlate with float32's by {correlation}, below {LOWEST_CORRELATION}",
                hint="train it further: scores that are nearly the same for every passage do not survive rounding",
            )
        return {"correlation": correlation, "order": round(_same_order(fast, slow), 5)}

    return check


def _same_order(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Share of the pairs of columns, over all rows, that both put in the same order."""
    signs = [np.sign(scores[:, :, None] - scores[:, None, :]) for scores in (one, other)]
    above = np.triu_indices(one.shape[1], 1)
    return float((signs[0] == signs[1])[:, above[0], above[1]].mean())


def _marks(folder: Path, tokenizer: ModelTokenizer) -> PairMarks:
    """As the tokenizer states them, but for token types that the library which trained the model never passed on."""
    marks, config = tokenizer.pair_marks(), _json(folder / "tokenizer_config.json")
    named = config.get("model_input_names")
    untyped = "token_type_ids" not in named if named else config.get("tokenizer_class") == "TokenizersBackend"
    return PairMarks(marks.head, marks.middle, marks.tail, marks.typed and not untyped)


def _limit(folder: Path) -> int:
    stated = _json(folder / "cross_encoder.json").get("max_tokens")
    if stated is None:
        stated = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    if stated is None:
        stated = _json(folder / "tokenizer_config.json").get("model_max_length")
    if stated is None or stated > _NO_LIMIT:
        return MAX_TOKENS
    return int(stated)


def _check_modules(folder: Path) -> None:
    """Raises ModelMismatch when the folder states a module besides the encoder with its head."""
    for module in _json(folder / "modules.json", []):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind != "Transformer":
            raise ModelMismatch(
                f"no graph is built for module {kind!r} of {folder}",
                hint="a cross-encoder is an encoder with a classification head of one class, and nothing after it",
            )


def _json(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelMismatch(f"{path} is not JSON", hint="pull or export the model again") from error
    if not isinstance(value, list if default is not None else Mapping):
        raise ModelMismatch(f"{path} holds something else than expected", hint="pull or export the model again")
    return value

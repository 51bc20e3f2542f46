"""The default embedder: an encoder on ONNX Runtime, fed as it was trained."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freehold.core.types import Embeddings, ModelInfo
from freehold.models.budget import check_lengths
from freehold.models.compiled import compiled, open_session
from freehold.models.facts import ModelFacts
from freehold.models.onnx import Precision
from freehold.models.tokens import ModelTokenizer

if TYPE_CHECKING:
    from freehold.core.types import Float32

Ids = NDArray[np.int32]


class OnnxEmbedder:
    """An encoder of the BERT family from a folder of weights. A vector does not depend on what shares its batch.

    Queries and documents of any number are sorted by length and run in batches padded to their own longest text, one
    batch per thread. Order, batch size and number of threads change a result by float32 rounding (1e-7) at most.
    """

    def __init__(
        self, folder: Path, *, name: str, facts: ModelFacts, precision: Precision, threads: int, batch_size: int
    ) -> None:
        """``threads`` batches run at a time, each of at most ``batch_size`` texts.

        Raises ModelNotFound and ModelMismatch as ``freehold.models.compiled.compiled`` does.
        """
        graph = compiled(folder, facts, precision)
        self._tokenizer = ModelTokenizer.of(folder)
        self._session = open_session(graph.graph, threads=1)
        self._threads = threads
        self._batch_size = batch_size
        self._prefixes = {kind: self._prefix(text) for kind, text in _prefix_texts(facts).items()}
        dim = self._session.get_outputs()[0].shape[1]
        self._info = ModelInfo(name=name, digest=graph.digest, dim=dim, max_tokens=graph.max_tokens)

    def _prefix(self, text: str) -> Ids:
        """What goes before a text: special tokens and prefix, tokenized alone so that text tokens stay as they are."""
        return np.array([*self._tokenizer.head, *self._tokenizer.ids(text.strip())], dtype=np.int32)

    @property
    def info(self) -> ModelInfo:
        """Name, digest, dimension and limit."""
        return self._info

    @property
    def overhead_tokens(self) -> int:
        """Special tokens and document prefix."""
        return len(self._prefixes["document"]) + len(self._tokenizer.tail)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Spans of the tokens of ``text``, in code points."""
        return self._tokenizer.offsets(text)

    def embed_documents(
        self, texts: Sequence[str], *, tokens: bool = False, progress: Callable[[int], None] | None = None
    ) -> Embeddings:
        """Embed texts behind the document prefix. See ``freehold.core.ports.Embedder``."""
        return self._embed(texts, "document", tokens, progress)

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        """Embed texts behind the query prefix. See ``freehold.core.ports.Embedder``."""
        return self._embed(texts, "query", tokens, None)

    def _embed(
        self, texts: Sequence[str], kind: str, tokens: bool, progress: Callable[[int], None] | None
    ) -> Embeddings:
        head = self._prefixes[kind]
        bodies = self._bodies(texts, len(head) + len(self._tokenizer.tail))
        vectors = np.empty((len(texts), self._info.dim), dtype=np.float32)
        kept: list[Float32] | None = [vectors[:0]] * len(texts) if tokens else None
        done = 0
        for batch, embedding, hidden in self._runs(bodies, head, tokens):
            vectors[batch] = embedding
            if kept is not None and hidden is not None:
                for row, i in enumerate(batch):
                    kept[i] = hidden[row, len(head) : len(head) + len(bodies[i])].copy()  # a view would keep the batch
            done += len(batch)
            if progress is not None:
                progress(done)
        return Embeddings(vectors, None if kept is None else tuple(kept))

    def _bodies(self, texts: Sequence[str], overhead: int) -> list[Ids]:
        bodies = list(self._tokenizer.all_ids(texts))
        check_lengths((len(body) + overhead for body in bodies), self._info)
        return bodies

    def _runs(self, bodies: list[Ids], head: Ids, tokens: bool) -> Iterator[tuple[list[int], Float32, Float32 | None]]:
        """Batches of indices with their outputs, in no promised order."""
        order = sorted(range(len(bodies)), key=lambda i: -len(bodies[i]))  # no long batch is left for last
        size = max(
            1, min(self._batch_size, -(-len(order) // self._threads))
        )  # few texts are still work for all threads
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        outputs = ["embedding", "tokens"] if tokens else ["embedding"]

        def run(batch: list[int]) -> list[Float32]:
            return self._session.run(outputs, self._inputs([bodies[i] for i in batch], head))  # type: ignore[no-any-return]

        if len(batches) < 2 or self._threads == 1:
            for batch in batches:
                yield batch, *_pair(run(batch))
            return
        with ThreadPoolExecutor(self._threads, thread_name_prefix="embed") as pool:
            running: deque[tuple[list[int], Future[list[Float32]]]] = deque()
            for batch in batches:
                running.append((batch, pool.submit(run, batch)))
                if len(running) == 2 * self._threads:  # what waits to be copied out holds memory
                    first, result = running.popleft()
                    yield first, *_pair(result.result())
            for batch, result in running:
                yield batch, *_pair(result.result())

    def _inputs(self, bodies: list[Ids], head: Ids) -> dict[str, NDArray[np.int64] | Ids]:
        tail = self._tokenizer.tail
        lengths = np.array([len(head) + len(body) + len(tail) for body in bodies], dtype=np.int32)
        ids = np.zeros((len(bodies), lengths.max()), dtype=np.int64)  # what stands in the padding is masked
        ids[:, : len(head)] = head
        for row, body, length in zip(ids, bodies, lengths, strict=True):
            row[len(head) : len(head) + len(body)] = body
            row[length - len(tail) : length] = tail
        return {"input_ids": ids, "lengths": lengths}


def _prefix_texts(facts: ModelFacts) -> dict[str, str]:
    return {"query": facts.query_prefix, "document": facts.document_prefix}


def _pair(outputs: list[Float32]) -> tuple[Float32, Float32 | None]:
    return outputs[0], outputs[1] if len(outputs) > 1 else None

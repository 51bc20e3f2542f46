"""The ports: what the journeys ask of an engine. Each ships a conformance suite in ``freehold.testing``.

Common contract, unless a method says otherwise:

- *Threads*: an engine may be called from one thread at a time. Who shares one across threads brings the lock.
- *Ownership*: arguments are never mutated or kept; what is returned belongs to the caller.
- *Order*: results are in the order of the inputs. Scored lists are sorted by score descending, equal scores by id.
- *Errors*: only errors from ``freehold.core.errors``; a text above ``info.max_tokens`` raises ContextOverflow and
  nothing is cut silently.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from freehold.core.types import (
    Embeddings,
    Filter,
    GenerationInfo,
    Leg,
    ModelInfo,
    Passage,
    Point,
    ScoredId,
    SparseVector,
    TokenCodes,
)

if TYPE_CHECKING:
    from freehold.core.types import Float32


class Embedder(Protocol):
    """Texts to dense vectors, and on request to token vectors out of the same pass."""

    @property
    def info(self) -> ModelInfo: ...

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The model's own tokens of ``text`` as ascending half-open offsets into it, without special tokens and prefix.

        ``len(offsets(text))`` is the count that budgets are in. Characters the tokenizer drops lie between spans.
        """
        ...

    @property
    def overhead_tokens(self) -> int:
        """Tokens that the model's special tokens and document prefix add to every text."""
        ...

    def embed_documents(
        self, texts: Sequence[str], *, tokens: bool = False, progress: Callable[[int], None] | None = None
    ) -> Embeddings:
        """Embed texts of any number; batched and sorted by length inside. ``progress`` is called with counts done.

        Raises ContextOverflow for a text above ``info.max_tokens`` before anything is computed.
        """
        ...

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        """As ``embed_documents`` with the model's query prefix or instruction.

        Raises ContextOverflow for a query above ``info.max_tokens``.
        """
        ...


class Reranker(Protocol):
    """Scores how well each of a few candidates answers a query."""

    @property
    def name(self) -> str: ...

    def encode(self, tokens: Sequence[Float32]) -> Sequence[TokenCodes]:
        """The compact form of documents' token vectors, to be kept beside their chunks."""
        ...

    def score(self, query: Float32, candidates: Sequence[TokenCodes]) -> Float32:
        """float32 (len(candidates),): mean over the query's tokens of the best cosine in the candidate, in [-1, 1].

        ``query`` is float32 (tokens, dim), rows of unit L2 norm (MaxSim: Khattab and Zaharia 2020, ColBERT).
        """
        ...


class Generator(Protocol):
    """Passages to an answer's text. What it writes is never trusted: citations are attached by the house."""

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int:
        """Size of the context window, prompt and answer together, in the generator's own tokens."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` for the context budget: the generator's own count, or a stated upper estimate."""
        ...

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:
        """Yield the answer's text piece by piece. Yields nothing at all to say "not in these passages".

        Raises EndpointFault when the model cannot be reached, fails, or does not finish within ``timeout_s``.
        """
        ...


class VectorIndex(Protocol):
    """One generation of an index: dense and sparse vectors by chunk id, with exact-match filter fields, no text.

    ``upsert`` and ``delete`` are visible to ``search`` at once in the same process and durable after ``flush``.
    """

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points; a chunk id that is present is replaced. Raises EngineFault for a wrong dimension or NaN."""
        ...

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points; unknown ids are ignored."""
        ...

    def optimize(self) -> None:
        """Build search structures and physically drop what was deleted: no byte of it stays in the engine's files."""
        ...

    def flush(self) -> None:
        """Return when everything acknowledged is on disk."""
        ...

    def search(
        self,
        *,
        dense: Float32 | None = None,
        sparse: SparseVector | None = None,
        limit: int,
        filter: Filter | None = None,
        exact: bool = False,
    ) -> Mapping[Leg, Sequence[ScoredId]]:
        """The best ``limit`` points of each leg that is given, in one call to the engine.

        dense: cosine in [-1, 1]. lexical: BM25, the sum over the query's terms of weight x IDF x term score, IDF from
        the index's present content; points without a common term are not returned. ``exact`` skips approximation.
        """
        ...

    def ids(self) -> Iterator[str]:
        """Every chunk id, in no promised order."""
        ...

    def count(self, filter: Filter | None = None) -> int:
        """Number of points that pass the filter, exactly."""
        ...

    def close(self) -> None:
        """Flush and let go of files and locks. Any later call raises EngineFault; closing twice is fine."""
        ...


class IndexBuilder(Protocol):
    """The next generation of an index while it is built. What is asked is done in that order."""

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points by id; unknown ids are ignored. Raises EngineFault or StorageFault."""
        ...

    def add(self, points: Sequence[Point]) -> None:
        """Insert points; present ids are replaced. Raises EngineFault or StorageFault."""
        ...

    def commit(self, revision: int) -> GenerationInfo:
        """Finish the generation, force it to disk and swap it in, as brought up to the catalog's ``revision``."""
        ...


class IndexGenerations(Protocol):
    """The generations of an index: one answers, the next is built aside and swapped in whole."""

    def current(self) -> GenerationInfo | None:
        """The generation that answers; None when none was ever committed."""
        ...

    def open_current(self) -> VectorIndex:
        """Open it for reading; it stays readable when a newer one is swapped in. Raises StorageFault, EngineFault."""
        ...

    def build(
        self, *, base: GenerationInfo | None, dim: int, embedder_digest: str
    ) -> AbstractContextManager[IndexBuilder]:
        """Build the next one from a copy of ``base``, or from nothing; leaving without ``commit`` changes nothing."""
        ...


class SupportJudge(Protocol):
    """Says whether a sentence follows from the texts that it cites. How often it is right is measured, not assumed."""

    @property
    def name(self) -> str: ...

    def supported(self, sentence: str, evidence: Sequence[str], *, question: str) -> bool:
        """Whether all of ``sentence`` follows from ``evidence`` together; False without evidence.

        ``question`` only tells what the sentence speaks of; it may be empty. Raises EndpointFault where a remote judge
        cannot be reached, does not answer in time, or gives no verdict.
        """
        ...

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
    Mention,
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


class TokenCodec(Protocol):
    """Keeps token vectors of documents in a compact form, and scores what is kept against a query's."""

    @property
    def name(self) -> str:
        """Data of one name is read by that name alone."""
        ...

    def encode(self, tokens: Sequence[Float32]) -> Sequence[TokenCodes]:
        """The compact form of documents' token vectors, to be kept beside their chunks."""
        ...

    def score(self, query: Float32, candidates: Sequence[TokenCodes]) -> Float32:
        """float32 (len(candidates),): mean over the query's tokens of the best cosine in the candidate, in [-1, 1].

        ``query`` is float32 (tokens, dim), rows of unit L2 norm (MaxSim: Khattab and Zaharia 2020, ColBERT).
        """
        ...


class Scorer(Protocol):
    """A reranker with one question before it."""

    def scores(self, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        """Chunk id -> score, higher is better; None for a chunk that there is nothing to score by.

        Ids that are gone are left out. A score depends on the question and the chunk, not on what is scored beside it.
        """
        ...

    def predicted_ms(self, chunk_ids: Sequence[str]) -> float:
        """How long ``scores`` of these would take, by what was measured in this process; 0 before anything was."""
        ...


class Reranker(Protocol):
    """Scores how well each of a few chunks answers a question. It reads what it needs of them from the shelf."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """Of all that decides a score besides question and chunk."""
        ...

    @property
    def unit(self) -> str:
        """Of the scores, as a hit shows it: ``maxsim``, ``cross-encoder``."""
        ...

    @property
    def block(self) -> int:
        """Chunks that are scored at a time when time is short, and the fewest that ever are."""
        ...

    @property
    def reads_tokens(self) -> bool:
        """Whether it needs the token vectors that the house's embedder gives of a question."""
        ...

    def ready(self, questions: Sequence[str], embeddings: Embeddings | None, /) -> Sequence[Scorer]:
        """A scorer for each question, all prepared in one pass.

        ``embeddings``: of the questions by the house's embedder, with token vectors where ``reads_tokens``; else it is
        not looked at and may be None. May be called in another thread while earlier scorers are at work.
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

        Raises EndpointFault when the model cannot be reached or fails. When it is stopped before it is done, CutShort
        behind the whole sentences that came until then: TimedOut where that is after ``timeout_s``.
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

    def present(self, chunk_ids: Collection[str]) -> set[str]:
        """Those of the chunk ids that there is a point of. Costs as much as there are ids, not points."""
        ...

    def count(self, filter: Filter | None = None) -> int:
        """Number of points that pass the filter, exactly."""
        ...

    def close(self) -> None:
        """Flush and let go of files and locks. Any later call raises EngineFault; closing twice is fine."""
        ...


class IndexBuilder(Protocol):
    """The next generation of an index while it is built. What is asked is done in that order."""

    def begin(self) -> None:
        """Something will surely be asked: what can be done before it, such as copying the base, may begin.

        Raises EngineFault or StorageFault.
        """
        ...

    def ids(self) -> set[str]:
        """Chunk ids of the base's points; to be asked before any change. Raises EngineFault or StorageFault."""
        ...

    def delete(self, chunk_ids: Collection[str]) -> None:
        """Remove points by id; unknown ids are ignored. Raises EngineFault or StorageFault."""
        ...

    def add(self, points: Sequence[Point]) -> None:
        """Insert points; present ids are replaced. Raises EngineFault or StorageFault."""
        ...

    def finish(self) -> None:
        """Nothing but ``commit`` will be asked any more: what can be done before it may begin.

        Raises EngineFault or StorageFault.
        """
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

    def sweep(self) -> tuple[str, ...]:
        """Remove every generation but the current one; names of those that a reader still holds.

        Raises HouseBusy while another process builds.
        """
        ...

    def remove(self) -> None:
        """Forget all generations, the current one as well. For the one writer, with none of them open."""
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


class Detector(Protocol):
    """Finds people and what identifies them. How much it misses is measured on labelled text, never promised."""

    @property
    def name(self) -> str:
        """With version: two of one name find the same in the same text."""
        ...

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:
        """Mentions in each text, by place, no two overlapping, none empty. A text's do not depend on its company.

        ``language`` is a hint: ISO 639-1 code that holds for all the texts, or empty. Texts of any length are read to
        their end.
        """
        ...

"""The nouns of the house: frozen values that every room may hold.

Offsets are Python string offsets (code points), half-open, into ``Document.text``. Ids are random (see
``freehold.core.ids``) and never reused, so that an erased record can never come back as somebody else's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from freehold.core.access import Caller, Groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

Mode = Literal["hybrid", "dense", "lexical"]
Leg = Literal["dense", "lexical"]
Filter = Mapping[str, str | Collection[str]]
"""Every key must be present in the chunk's filter fields with exactly this value, or with any of these.

Empty means no restriction; a key with no values to choose from lets nothing pass."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a paginated format: its number, counted from 1 as a reader would, and its span in the text."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading line of the text. ``level`` is 1 for the outermost; ``text[start:end]`` is its wording."""

    level: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What a parser makes of one file. ``pages`` tiles the text in order; empty for formats without pages."""

    text: str
    title: str = ""
    media_type: str = "text/plain"
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A cleaned text with an id of its own. ``source`` is where it came from: a path, or the id of a corpus record."""

    id: str
    source: str
    title: str
    text: str
    language: str
    """ISO 639-1, or ``und`` where no language could be told."""
    media_type: str = "text/plain"
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    groups: Groups = ()
    """Who may see it: callers in one of these; everybody where there are none."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A chunker's output: an exact slice of the text, and the headings above it, outermost first."""

    start: int
    end: int
    heading_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """An exact slice of a document: ``text == document.text[start:end]``. ``page`` is the page it begins on."""

    id: str
    document_id: str
    ordinal: int
    start: int
    end: int
    text: str
    heading_path: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: ``indices`` are distinct unsigned 32-bit term ids in ascending order, ``values`` their weights."""

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class TokenCodes:
    """Compact token vectors of one text for late interaction. Only the codec that wrote ``data`` can read it."""

    data: bytes
    count: int
    """Number of token vectors in ``data``."""


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk as an index holds it: ids, vectors and filter fields, never text."""

    chunk_id: str
    document_id: str
    dense: Float32
    """float32 (dim,), unit L2 norm."""
    sparse: SparseVector
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredId:
    """A chunk id with one leg's score: within a leg higher is better, scores of different legs do not compare."""

    chunk_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Query:
    """A question. ``text`` is checked and normalised before it is one (see ``freehold.journeys.search``)."""

    id: str
    text: str
    filter: Filter = field(default_factory=dict)
    caller: Caller | None = None
    """Who asks; None: nothing is held back."""


@dataclass(frozen=True, slots=True)
class LegScore:
    """Where a hit stood in one leg: rank counted from 1, and the leg's own score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a query. ``score`` only compares within one result list; ``unit`` names its scale."""

    rank: int
    chunk_id: str
    document_id: str
    source: str
    title: str
    page: int | None
    start: int
    end: int
    text: str
    score: float
    unit: str
    """``rrf``, ``dbsf``, ``weighted``, ``cosine``, ``bm25`` or one of them followed by ``+`` and a reranker's unit."""
    language: str = "und"
    heading_path: tuple[str, ...] = ()
    legs: Mapping[str, LegScore] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document offered to a generator: a hit, widened to its neighbouring text. ``text`` is exact."""

    document_id: str
    source: str
    title: str
    start: int
    end: int
    text: str
    heading_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """An exact span of a document that supports a sentence of an answer: ``quote == document.text[start:end]``."""

    document_id: str
    source: str
    page: int | None
    start: int
    end: int
    quote: str
    marker: int
    """The number by which the answer's text refers to it, counted from 1: ``[1]``."""


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about. ``timings_ms`` is wall-clock time per stage."""

    timings_ms: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """Ids of the chunks that did not fit the generator's context."""
    rerank_depth: int = 0
    """Candidates that the reranker scored again."""
    rerank_left: int = 0
    """Candidates that the time for reranking was too short for."""
    cut: bool = False
    """Whether the generator was stopped before it was done: the answer is what it had said in whole sentences."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the house says. "Not in these documents" is an answer: ``abstained`` is true and there are no citations.

    ``supported`` is true when every sentence of ``text`` is supported by a cited span (vacuously for an abstention).
    """

    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    supported: bool
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model, exactly. ``digest``: sha256 of the weights in use, or of a remote endpoint's description."""

    name: str
    digest: str
    dim: int
    max_tokens: int
    """The longest input in tokens, special tokens and prefix included."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of a batch of texts, in input order."""

    vectors: Float32
    """float32 (len(texts), dim), rows of unit L2 norm."""
    tokens: tuple[Float32, ...] | None = None
    """Per text float32 (tokens, dim), rows of unit L2 norm, special tokens left out; None where not asked for."""


@dataclass(frozen=True, slots=True)
class GenerationInfo:
    """What a generation of an index holds. Two are equal exactly when they are the same build."""

    name: str
    revision: int
    """The catalog's revision that the generation was brought up to."""
    embedder_digest: str
    dim: int
    points: int
    created: str
    """When it was committed, ISO 8601 in UTC."""


MentionKind = Literal[
    "person",
    "address",
    "email",
    "phone",
    "iban",
    "account",
    "card",
    "national_id",
    "document",
    "vat",
    "ip",
    "url",
    "birth_date",
    "reference",
]
"""``national_id``: tax and social security numbers too. ``document``: passports, identity cards, driving licences.
``reference``: numbers of customers, policies, claims, cases and files."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where a text speaks of a person, or gives away who it is."""

    start: int
    end: int
    kind: MentionKind
    score: float
    """How sure the detector is, in (0, 1]: 1 for a checksum that fits. Compares within one detector only."""
    detector: str
    """Which recogniser found it."""

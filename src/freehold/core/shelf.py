"""What the walks ask of the stores, and the records that pass between them.

The Shelf is the system of record seen from a journey: documents with their chunks and vectors, committed together or
not at all. Journeys and stores never import each other; they meet here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from freehold.core.access import Caller, Groups
from freehold.core.types import Chunk, Document, Mention, Page, TokenCodes

if TYPE_CHECKING:
    from freehold.core.types import Float32


@dataclass(frozen=True, slots=True)
class Vectors:
    """What one encoder made of one chunk."""

    dense: Float32 | None
    """float32 (dim,), unit L2 norm; None where the encoder's token vectors alone are of use."""
    codes: TokenCodes | None


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """The earlier document that this one nearly repeats, and their estimated Jaccard similarity."""

    document_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A document ready to be kept, with everything made from it. ``chunks``, ``keys`` and ``vectors`` run in step."""

    document: Document
    sha256: str
    """Of the bytes it came from: unchanged bytes under an unchanged recipe are not ingested again."""
    recipe: str
    """How it was cut; a document whose recipe is not the current one is made anew."""
    signature: bytes
    """MinHash signature, for near-duplicates."""
    chunks: tuple[Chunk, ...]
    keys: tuple[bytes, ...]
    """Per chunk a digest of what was embedded and by which model: equal keys have equal vectors."""
    vectors: tuple[Vectors, ...]
    maker: str
    """Digest of the encoder that made the vectors."""
    near_duplicate: NearDuplicate | None = None
    original: bytes | None = None
    """The file's bytes, kept sealed; None for records that came as text."""
    entered: str = ""
    """When it came in, ISO 8601 in UTC, where it was here before in another form; empty: now."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the house remembers of a source, to tell whether it changed."""

    document_id: str
    sha256: str
    recipe: str
    groups: Groups = ()
    entered: str = ""
    """When it came in, ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A source that could not be ingested, and why. ``reason`` holds no word of its content."""

    source: str
    code: str
    reason: str
    sha256: str = ""
    """Empty when the bytes could not be read."""
    limits: str = ""
    """Under which limits it was read: under others it is tried again."""
    groups: Groups = ()
    """Those that it is to belong to once it can be read."""


@dataclass(frozen=True, slots=True)
class Changes:
    """One commit: everything in it becomes visible at once, and durable, or nothing does."""

    add: Sequence[Entry] = ()
    remove: Collection[str] = ()
    """Ids of documents that go, with all that was made from them."""
    quarantine: Sequence[Quarantined] = ()
    release: Collection[str] = ()
    """Sources that leave the quarantine."""
    restrict: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Id of an added document -> requests for which it is hidden from the first."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Id of a document that goes -> id of the added one that stands for it: its restrictions and its hold pass over."""
    fulfilled: str = ""
    """The request whose restrictions do not pass over: what it hid is dealt with by this commit."""
    access: Mapping[str, Groups] = field(default_factory=dict)
    """Id of a document that is here -> groups that it belongs to from now on."""
    epoch: int | None = None
    """The fence's, as it was when all this was let through; None: it does not matter."""


@dataclass(frozen=True, slots=True)
class ChunkView:
    """A chunk with what a reader needs to know of its document."""

    chunk: Chunk
    source: str
    title: str
    language: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A document as a list shows it."""

    id: str
    source: str
    title: str
    language: str
    pages: int
    """0 where its format has none."""
    characters: int
    metadata: Mapping[str, str]
    groups: Groups


@dataclass(frozen=True, slots=True)
class Dated:
    """Since when a document is here."""

    id: str
    source: str
    entered: str
    """ISO 8601 in UTC."""
    stated: str
    """A date that it states itself, as it stands there; empty where it states none."""


@dataclass(frozen=True, slots=True)
class Words:
    """All that a document says, and what it is called."""

    document_id: str
    source: str
    title: str
    language: str
    metadata: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a document must be kept although somebody in it is to be forgotten (GDPR Art. 17(3))."""

    basis: str
    """``17(3)(b)`` and the like."""
    review: str
    """Date, ISO 8601, at which the reason is looked at again."""


@dataclass(frozen=True, slots=True)
class Stays:
    """A document that must stay where it would go otherwise."""

    document: str
    source: str
    why: str
    """``hold 17(3)(e) until 2027-12-31`` or ``restricted``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk lies: characters ``start`` to ``end`` of the document that came from ``source``."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Indexable:
    """A chunk as the index builder takes it."""

    view: ChunkView
    dense: Float32
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stats:
    """How much the house holds."""

    documents: int
    chunks: int
    quarantined: int
    near_duplicates: int
    languages: Mapping[str, int]
    """Documents per language."""


class Shelf(Protocol):
    """The system of record. Reading needs no lock; ``commit`` is called by one writer at a time.

    Every method raises StorageFault when the disk or the files fail.
    """

    @property
    def revision(self) -> int:
        """Raised by every commit that adds or removes documents, or changes who may see them."""
        ...

    def known(self) -> Mapping[str, Known]:
        """Source -> what is known of it, for every document."""
        ...

    def quarantined(self) -> Mapping[str, Quarantined]:
        """Source -> why it is not here."""
        ...

    def signatures(self) -> Iterator[tuple[str, bytes]]:
        """(document id, MinHash signature) of every document, oldest first."""
        ...

    def cached(self, keys: Collection[bytes]) -> Mapping[bytes, Vectors]:
        """Dense vectors, and codes beside them, that are already here for these keys."""
        ...

    def unmade(self, maker: str, *, dense: bool, codes: bool) -> set[str]:
        """Chunks for which ``maker`` made no dense vector, or no codes, where these are asked for."""
        ...

    def put_vectors(self, maker: str, made: Mapping[str, tuple[bytes, Vectors]]) -> None:
        """Chunk id -> key and vectors of another encoder, beside what is there; durable on return.

        Vectors that this maker has there are replaced. Chunks that are gone are passed over.
        """
        ...

    def commit(self, changes: Changes) -> bool:
        """Keep and forget, atomically; durable on return. What is removed is overwritten on disk.

        False, with nothing changed, where somebody was fenced out since ``changes.epoch``.
        """
        ...

    def candidates(self, clues: Collection[bytes]) -> set[str]:
        """Documents in whose text, title, fields or source one of the clues may stand, restricted ones included; in no
        other does one. For the cost of some hundred bytes a document. See ``SubjectFinder.clues``.
        """
        ...

    def words(self, document_ids: Collection[str] | None = None) -> Iterator[Words]:
        """Documents in words, these or (None) all, restricted ones included, some at a time, in no promised order."""
        ...

    def mentions(self, document_ids: Collection[str], detector: str) -> Mapping[str, tuple[Mention, ...]]:
        """Document id -> where it mentions people, of those of these that the detector of that name has read."""
        ...

    def put_mentions(self, detector: str, found: Mapping[str, tuple[Mention, ...]]) -> None:
        """Keep what a detector found, in place of what another did. Documents that are gone are left out."""
        ...

    def must_stay(self) -> Mapping[str, str]:
        """Id of every document under a hold or restricted -> why it stays, as ``Stays.why``."""
        ...

    def chunks_of(self, document_ids: Collection[str]) -> set[str]:
        """Ids of these documents' chunks, of restricted ones too."""
        ...

    def views(self, chunk_ids: Collection[str], caller: Caller | None = None) -> Mapping[str, ChunkView]:
        """The chunks that still exist among these ids, as far as the caller may see them."""
        ...

    def seen(self, chunk_ids: Collection[str], caller: Caller) -> set[str]:
        """Those of these ids that still exist and that the caller may see; no text is read."""
        ...

    def labels(self, caller: Caller) -> list[str]:
        """Labels of groups (``freehold.core.access``) that documents have and the caller may see."""
        ...

    def regrouped(self, since: int) -> set[str]:
        """Ids of the chunks whose document's groups changed after a revision."""
        ...

    def places(self, chunk_ids: Collection[str]) -> Mapping[str, Place]:
        """Where the chunks lie that still exist among these ids; no text is read."""
        ...

    def codes(self, chunk_ids: Collection[str], maker: str) -> Mapping[str, TokenCodes | None]:
        """Token codes by ``maker`` of the chunks that still exist among these ids; None for those without."""
        ...

    def text(self, document_id: str) -> str:
        """A document's whole cleaned text."""
        ...

    def texts(self) -> Iterator[str]:
        """Every document's whole cleaned text, some hundred at a time, in no promised order."""
        ...

    def document(self, document_id: str) -> Document:
        """A document whole. Raises StorageFault when there is none."""
        ...

    def document_for(self, document_id: str, caller: Caller | None) -> Document:
        """A document whole, for somebody who reads: ``document`` is for those who look after the house.

        Raises StorageFault, the same in each case, where there is none, where it is restricted, and where it belongs to
        groups of which the caller is in none.
        """
        ...

    def chunk_ids(self, maker: str | None = None) -> set[str]:
        """Ids of all chunks, or of those that ``maker`` made a dense vector of."""
        ...

    def in_order(self, chunk_ids: Collection[str]) -> list[str]:
        """Those of these chunks that are here, document by document, in the order in which they came in."""
        ...

    def indexable(self, chunk_ids: Sequence[str], maker: str) -> Iterator[Indexable]:
        """What the index needs of these chunks, in no promised order, with vectors by ``maker``.

        Ids that are gone are left out, and so are those that it made none of.
        """
        ...

    def is_empty(self) -> bool:
        """Whether there is no chunk."""
        ...

    def stats(self, caller: Caller | None = None) -> Stats:
        """How much there is, or of it what a caller may see; what is in quarantine is nobody's as yet."""
        ...


def page_of(pages: Sequence[Page], offset: int) -> int | None:
    """Number of the page that holds the offset; None for a text without pages."""
    for page in pages:
        if offset < page.end:
            return page.number
    return pages[-1].number if pages else None

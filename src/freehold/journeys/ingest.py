"""Ingest: files and records to documents, chunks and vectors on the shelf.

The walk is lazy: sources are read, parsed and cut while earlier ones are embedded, and a window of documents at a time
is committed whole. A source is skipped when its bytes and the recipe are unchanged, replaced when either changed, and
quarantined, with the earlier version left as it was, when it cannot be read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from freehold.core.access import Groups
from freehold.core.faults import step
from freehold.core.fence import Fence, Print
from freehold.core.ids import new_id
from freehold.core.ports import Embedder, TokenCodec
from freehold.core.shelf import Changes, Entry, Known, NearDuplicate, Quarantined, Shelf, Stays, Vectors, page_of
from freehold.core.types import Chunk, Document, ParsedText, Slice
from freehold.text.chunk.context import with_context
from freehold.text.duplicates import NearDuplicates

WINDOW_CHUNKS = 512
"""Chunks that are embedded and committed together: enough to sort by length well, seconds of work to lose at a kill."""

WINDOW_BYTES = 64 * 1024 * 1024
"""Originals that are held at a time, one file more or less."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One source, read: its text cleaned, its language told, its bytes kept for the vault (None for records)."""

    source: str
    sha256: str
    parsed: ParsedText
    language: str
    signature: bytes
    original: bytes | None


Reader = Callable[[Sequence[str]], Iterator[Raw | Quarantined]]
"""Turns sources into texts lazily: one outcome per source, in order."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a text goes through. ``recipe`` names the cutting: documents cut by another recipe are made anew."""

    embedder: Embedder
    codec: TokenCodec | None
    """Keeps the embedder's token vectors; None where nobody asks for them."""
    cut: Callable[[ParsedText, str], Sequence[Slice]]
    """(cleaned text, language) to chunks."""
    recipe: str
    limits: str
    """A digest of the limits on reading: what was refused under others is tried again."""
    near_duplicate: float
    """Jaccard similarity from which two documents are linked."""
    lenders: tuple[Shelf, ...] = ()
    """Other shelves: vectors of equal keys are equal, so those that one of them holds are not made again."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A document that nearly repeats an earlier one."""

    source: str
    of: str
    similarity: float


@dataclass
class IngestReport:
    """What one ingest did. Counts are of this run alone."""

    documents: int = 0
    """New and replaced documents."""
    replaced: int = 0
    removed: int = 0
    """Documents whose source has vanished, with pruning on."""
    skipped: int = 0
    """Sources whose bytes and recipe are unchanged."""
    chunks: int = 0
    embedded: int = 0
    """Chunks that went through the model; the others' vectors were here already."""
    quarantined: list[Quarantined] = field(default_factory=list)
    near_duplicates: list[Repeat] = field(default_factory=list)
    seconds: float = 0.0
    regrouped: int = 0
    """Documents that were here and belong to other groups than before."""
    refused: list[Quarantined] = field(default_factory=list)
    """Sources that speak of somebody who was erased, or whose time was over. Unlike the quarantine, nothing of them is
    kept.
    """
    stay: list[Stays] = field(default_factory=list)
    """Documents that were to be removed and must stay: under a legal hold, or restricted."""


REFUSED = "erased"
"""Code of what the fence refuses."""
_REFUSALS = {
    "same_file": "the file was erased for somebody",
    "same_text": "its text was erased for somebody",
    "names_person": "it names somebody who was erased",
    "resembles": "it is nearly a document that was erased for somebody",
    "past_retention": "it went because its time was over",
}

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


def ingest(
    found: Mapping[str, str],
    *,
    shelf: Shelf,
    read: Reader,
    workshop: Workshop,
    progress: Progress,
    fence: Fence | None = None,
    vanished: Collection[str] = (),
    groups: Mapping[str, Groups] | None = None,
) -> IngestReport:
    """Bring the shelf up to the sources ``found`` (source -> sha256 of its bytes) and drop the ``vanished`` ones.

    What replaces a document is restricted and held as that was. Vanished ones that must stay, stay and are told of.

    What the ``fence`` knows is refused; None lets everything in. ``groups``: source -> those that it is to belong to,
    from the first, also where it is unchanged or cannot be read; a source without any named stays in those that it is
    in, and a new one is everybody's.

    Raises StorageFault when the disk fails: everything committed before stays, the rest is as if never begun.
    """
    started = time.perf_counter()
    report = IngestReport()
    known, quarantined = shelf.known(), shelf.quarantined()
    belongs = _belongs(found, known, quarantined, groups or {})
    todo = []
    for source, sha256 in found.items():
        bad = quarantined.get(source)
        if _unchanged(known.get(source), sha256, workshop.recipe):
            report.skipped += 1
        elif bad and (bad.sha256, bad.limits) == (sha256, workshop.limits):
            report.quarantined.append(bad)
        else:
            todo.append(source)
    mended = [s for s in quarantined if s in found and _unchanged(known.get(s), found[s], workshop.recipe)]
    report.stay = _staying(shelf, known, vanished)
    gone = set(vanished) - {one.source for one in report.stay}
    report.removed = _prune(shelf, known, quarantined, gone, mended)
    report.regrouped = _regroup(shelf, known, {s: bad for s, bad in quarantined.items() if s not in mended}, belongs)
    repeats = _Repeats(shelf, workshop.near_duplicate)
    done = 0
    for window in _windows(read(todo), workshop, belongs):
        rejected = [replace(i, groups=belongs[i.source]) for i in window if isinstance(i, Quarantined)]
        drafts = [item for item in window if isinstance(item, _Draft)]
        replaced: list[str] = []
        entries: list[Entry] = []
        committed = False
        while not committed:  # again where somebody was fenced out meanwhile
            epoch = fence.epoch if fence else None
            repeats.forget(draft.document.id for draft in drafts)
            drafts = _let_in(drafts, fence, known, report)
            instead = {known[s].document_id: d.document.id for d in drafts if (s := d.raw.source) in known}
            replaced = list(instead)
            repeats.forget(replaced)
            vectors = _vectors(drafts, shelf, workshop, report)
            entries = [
                replace(_entry(draft, workshop, vectors, repeats), entered=_entered(draft, known)) for draft in drafts
            ]
            read_again = [d.raw.source for d in drafts if d.raw.source in quarantined]
            changes = Changes(
                add=entries,
                remove=replaced,
                instead=instead,
                quarantine=rejected,
                release=read_again,
                epoch=epoch,
            )
            committed = shelf.commit(changes)
        step("ingest.window")
        report.near_duplicates += repeats.told(entries)
        report.documents += len(drafts)
        report.replaced += len(replaced)
        report.chunks += sum(len(draft.chunks) for draft in drafts)
        report.quarantined.extend(rejected)
        done += len(window)
        progress("documents", done, len(todo))
    report.seconds = time.perf_counter() - started
    return report


def _let_in(
    drafts: Sequence[_Draft], fence: Fence | None, known: Mapping[str, Known], report: IngestReport
) -> list[_Draft]:
    """The drafts that the fence lets in; the others are told of. A copy whose own time is not over is let in anew."""
    if fence is None:
        return list(drafts)
    allowed = []
    for draft in drafts:
        raw = draft.raw
        reason = fence.refusal(Print(raw.sha256, raw.parsed.text, raw.source, raw.signature))
        if reason is None or (reason == "past_retention" and _entered(draft, known)):
            allowed.append(draft)
        else:
            report.refused.append(Quarantined(raw.source, REFUSED, _REFUSALS[reason], sha256=raw.sha256))
    return allowed


def _entered(draft: _Draft, known: Mapping[str, Known]) -> str:
    """When a document came in that is here with the same bytes, and is only made anew; else empty."""
    before = known.get(draft.raw.source)
    return before.entered if before and before.sha256 == draft.raw.sha256 else ""


def _unchanged(known: Known | None, sha256: str, recipe: str) -> bool:
    return known is not None and known.sha256 == sha256 and known.recipe == recipe


def _staying(shelf: Shelf, known: Mapping[str, Known], vanished: Collection[str]) -> list[Stays]:
    """Those of the vanished documents that must stay all the same."""
    why = shelf.must_stay() if vanished else {}
    ids = {source: known[source].document_id for source in vanished if source in known}
    return [Stays(id, source, why[id]) for source, id in ids.items() if id in why]


def _prune(
    shelf: Shelf,
    known: Mapping[str, Known],
    quarantined: Mapping[str, Quarantined],
    vanished: Collection[str],
    mended: Collection[str],
) -> int:
    """Drop documents whose source has vanished, and let those out of quarantine that are as they were before."""
    gone = [known[source].document_id for source in vanished if source in known]
    released = [*mended, *(source for source in vanished if source in quarantined)]
    if gone or released:
        shelf.commit(Changes(remove=gone, release=released))
    return len(gone)


def _belongs(
    found: Collection[str],
    known: Mapping[str, Known],
    quarantined: Mapping[str, Quarantined],
    groups: Mapping[str, Groups],
) -> Mapping[str, Groups]:
    """The groups of every source that was found: those that are asked for, else those that it has."""
    before = {source: kept.groups for kept_before in (quarantined, known) for source, kept in kept_before.items()}
    return {source: groups.get(source, before.get(source, ())) for source in found}


def _regroup(
    shelf: Shelf, known: Mapping[str, Known], quarantined: Mapping[str, Quarantined], belongs: Mapping[str, Groups]
) -> int:
    """Give what is here its groups before anything is read: whoever is to be shut out does not wait for that."""
    access = {
        known[source].document_id: groups
        for source, groups in belongs.items()
        if source in known and known[source].groups != groups
    }
    bad = [
        replace(quarantined[source], groups=groups)
        for source, groups in belongs.items()
        if source in quarantined and quarantined[source].groups != groups
    ]
    if access or bad:
        shelf.commit(Changes(access=access, quarantine=bad))
    return len(access)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A document that is cut and waits for its vectors."""

    raw: Raw
    document: Document
    chunks: tuple[Chunk, ...]
    keys: tuple[bytes, ...]


def _windows(
    outcomes: Iterable[Raw | Quarantined], workshop: Workshop, belongs: Mapping[str, Groups]
) -> Iterator[list[_Draft | Quarantined]]:
    """Outcomes in lists of some WINDOW_CHUNKS chunks or WINDOW_BYTES of files; no document is split over two."""
    window: list[_Draft | Quarantined] = []
    chunks = size_bytes = 0
    for outcome in outcomes:
        item = _draft(outcome, workshop, belongs[outcome.source]) if isinstance(outcome, Raw) else outcome
        window.append(item)
        if isinstance(item, _Draft):
            chunks += len(item.chunks)
            size_bytes += len(item.raw.original or b"")
        if max(chunks, len(window)) >= WINDOW_CHUNKS or size_bytes >= WINDOW_BYTES:
            yield window
            window, chunks, size_bytes = [], 0, 0
    if window:
        yield window


def _draft(raw: Raw, workshop: Workshop, groups: Groups) -> _Draft:
    parsed = raw.parsed
    document = Document(
        id=new_id(),
        source=raw.source,
        title=parsed.title,
        text=parsed.text,
        language=raw.language,
        media_type=parsed.media_type,
        pages=parsed.pages,
        headings=parsed.headings,
        metadata=parsed.metadata,
        groups=groups,
    )
    chunks = tuple(
        Chunk(
            id=new_id(),
            document_id=document.id,
            ordinal=ordinal,
            start=piece.start,
            end=piece.end,
            text=parsed.text[piece.start : piece.end],
            heading_path=piece.heading_path,
            page=page_of(parsed.pages, piece.start),
        )
        for ordinal, piece in enumerate(workshop.cut(parsed, raw.language))
    )
    return _Draft(raw, document, chunks, tuple(key_of(chunk, workshop.embedder, workshop.codec) for chunk in chunks))


def in_context(chunk: Chunk) -> str:
    """The text that is embedded and indexed for a chunk: the headings above it, then its own words."""
    return with_context(chunk.heading_path, chunk.text)


def key_of(chunk: Chunk, embedder: Embedder, codec: TokenCodec | None) -> bytes:
    """A digest of what is embedded, by which model, and how its token vectors are kept: equal keys, equal vectors."""
    made_by = f"{embedder.info.digest}|{codec.name if codec else ''}|"
    return hashlib.blake2b(made_by.encode() + in_context(chunk).encode(), digest_size=16).digest()


def _vectors(
    drafts: Sequence[_Draft], shelf: Shelf, workshop: Workshop, report: IngestReport
) -> Mapping[bytes, Vectors]:
    """Vectors by key for every chunk of the drafts: from the shelf where they are, else from the model."""
    texts = {key: in_context(chunk) for draft in drafts for key, chunk in zip(draft.keys, draft.chunks, strict=True)}
    vectors = dict(shelf.cached(texts.keys()))
    for lender in workshop.lenders:
        vectors.update(lender.cached(texts.keys() - vectors.keys()))
    missing = [key for key in texts if key not in vectors]
    report.embedded += len(missing)
    # Token vectors are large until they are coded: those of one long document would fill the memory at once.
    for start in range(0, len(missing), WINDOW_CHUNKS):
        keys = missing[start : start + WINDOW_CHUNKS]
        made = make_vectors([texts[key] for key in keys], workshop.embedder, workshop.codec)
        vectors.update(zip(keys, made, strict=True))
    return vectors


def make_vectors(texts: Sequence[str], embedder: Embedder, codec: TokenCodec | None) -> list[Vectors]:
    """What the embedder makes of each text; its token vectors as codes where there is a codec."""
    made = embedder.embed_documents(texts, tokens=codec is not None)
    codes = codec.encode(made.tokens) if codec and made.tokens is not None else [None] * len(texts)
    return [Vectors(dense, coded) for dense, coded in zip(made.vectors, codes, strict=True)]


def _entry(draft: _Draft, workshop: Workshop, vectors: Mapping[bytes, Vectors], repeats: _Repeats | None) -> Entry:
    return Entry(
        document=draft.document,
        sha256=draft.raw.sha256,
        recipe=workshop.recipe,
        signature=draft.raw.signature,
        chunks=draft.chunks,
        keys=draft.keys,
        vectors=tuple(vectors[key] for key in draft.keys),
        maker=workshop.embedder.info.digest,
        near_duplicate=repeats.link(draft.document, draft.raw.signature) if repeats is not None else None,
        original=draft.raw.original,
    )


def entries_of(raws: Sequence[tuple[Raw, Groups]], shelf: Shelf, workshop: Workshop) -> list[Entry]:
    """Texts, each in its groups, as they are to be kept: cut, embedded where the shelf has no vectors of the words."""
    drafts = [_draft(raw, workshop, groups) for raw, groups in raws]
    vectors = _vectors(drafts, shelf, workshop, IngestReport())
    return [_entry(draft, workshop, vectors, None) for draft in drafts]


class _Repeats:
    """The near-duplicates among all documents of the house, this run's included."""

    def __init__(self, shelf: Shelf, threshold: float) -> None:
        self._threshold = threshold
        self._seen = NearDuplicates()
        self._sources = {known.document_id: source for source, known in shelf.known().items()}
        for document_id, signature in shelf.signatures():
            self._seen.add(document_id, signature)

    def link(self, document: Document, signature: bytes) -> NearDuplicate | None:
        """The most similar earlier document, if any reaches the threshold; then remember this one."""
        best = max(self._seen.similar(signature, threshold=self._threshold), key=lambda s: s[1], default=None)
        self._seen.add(document.id, signature)
        self._sources[document.id] = document.source
        return NearDuplicate(*best) if best else None

    def forget(self, document_ids: Iterable[str]) -> None:
        for document_id in document_ids:
            self._seen.remove(document_id)

    def told(self, entries: Iterable[Entry]) -> list[Repeat]:
        """What is to be told of these."""
        linked = ((entry.document.source, entry.near_duplicate) for entry in entries)
        return [Repeat(source, self._sources[near.document_id], near.similarity) for source, near in linked if near]

"""Locate: what a set of labels speaks of, in the house's documents, and the hits that count for it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freehold.core.errors import UsageError
from freehold.core.shelf import Place, Shelf
from freehold.measure.answers import Evidence
from freehold.measure.labels import Labels

_SHOWN = 5
_BLANK = re.compile(r"[\s|]+")
"""What parsers put between words: white space, and the bars of tables."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A labelled passage in its document."""

    unit: str
    start: int
    end: int

    def covered_by(self, place: Place) -> bool:
        """Whether a chunk counts as the passage: at least half of either lies in the other."""
        shared = min(self.end, place.end) - max(self.start, place.start)
        return shared > 0 and (2 * shared >= self.end - self.start or 2 * shared >= place.end - place.start)


@dataclass(frozen=True, slots=True)
class Located:
    """Labels that know the house's documents."""

    names: Mapping[str, str]
    """Source in the house -> the name by which the labels call the document."""
    spans: Mapping[str, tuple[_Span, ...]]
    """Source -> labelled passages in it; empty where documents are labelled."""
    missing: frozenset[str]
    """Labelled documents and passages that are not in the house."""
    by_passage: bool

    def units(self, place: Place, labelled: Collection[str]) -> tuple[str, ...]:
        """What a hit on the chunk counts as: its document, or the passages that it covers, else its own place.

        Of passages only those ``labelled`` for the query at hand count; a chunk stands for each that it covers.
        """
        if not self.by_passage:
            return (self.name(place.source),)
        spans = (span for span in self.spans.get(place.source, ()) if span.unit in labelled)
        covered = tuple(span.unit for span in spans if span.covered_by(place))
        return covered or (f"{self.name(place.source)}[{place.start}:{place.end}]",)

    def name(self, source: str) -> str:
        """The labels' name of a document, or its source where no label names it."""
        return self.names.get(source, source)


def locate(labels: Labels, shelf: Shelf, *, allow_missing: bool = False) -> Located:
    """Find the labelled documents: by source, else by the end of its path, else by its file name without suffix.

    Raises UsageError, naming file and line, for a name that fits several documents, and for what is not in the house
    unless ``allow_missing`` says that it counts as missed.
    """
    known = {source: document.document_id for source, document in shelf.known().items()}
    found = _sources(labels.documents, known)
    missing = {name for name in labels.documents if name not in found}
    names = {source: name for name, source in found.items()}
    spans: dict[str, list[_Span]] = defaultdict(list)
    lost: set[str] = set()
    for unit, evidence in labels.spans.items():
        source = found.get(evidence.unit)
        place = _span(evidence, shelf.text(known[source])) if source else None
        if source is None or place is None:
            lost.add(unit)
        else:
            spans[source].append(_Span(unit, *place))
    if not allow_missing:
        _check(labels, missing, lost, len(known))
    return Located(
        names=names,
        spans={source: tuple(listed) for source, listed in spans.items()},
        missing=frozenset(lost if labels.spans else missing),
        by_passage=bool(labels.spans),
    )


def _sources(names: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Name -> source."""
    ends: dict[str, list[str]] = defaultdict(list)
    if not all(name in known for name in names):
        for source in known:
            path = PurePosixPath(source)
            for end in {path.name, path.stem}:
                ends[end].append(source)
    found: dict[str, str] = {}
    for name, at in names.items():
        if name in known:
            found[name] = name
            continue
        near = ends.get(PurePosixPath(name).name, [])
        fits = [source for source in near if source.endswith(f"/{name}") or "/" not in name]
        whole = [source for source in fits if PurePosixPath(source).name == name] or fits
        if len(whole) > 1:
            raise UsageError(
                f"{at}: {name} fits {len(whole)} documents of the house",
                hint="name it by more of its path",
                refs=tuple(sorted(whole)[:_SHOWN]),
            )
        if whole:
            found[name] = whole[0]
    return found


def _span(evidence: Evidence, text: str) -> tuple[int, int] | None:
    """The labelled stretch of the document, or None where it has none such."""
    if evidence.start is not None and evidence.end is not None:
        return (evidence.start, evidence.end) if evidence.end <= len(text) else None
    quote = _BLANK.sub("", evidence.quote or "")
    bare: list[str] = []
    starts: list[int] = []
    lengths: list[int] = []
    total = 0
    for match in re.finditer(r"[^\s|]+", text):
        bare.append(match[0])
        starts.append(match.start())
        lengths.append(total)
        total += len(match[0])
    at = "".join(bare).find(quote)
    if at < 0:
        return None
    return _offset(at, starts, lengths), _offset(at + len(quote) - 1, starts, lengths) + 1


def _offset(at: int, starts: Sequence[int], lengths: Sequence[int]) -> int:
    word = bisect_right(lengths, at) - 1
    return starts[word] + at - lengths[word]


def _check(labels: Labels, missing: Collection[str], lost: Collection[str], held: int) -> None:
    if not missing and not lost:
        return
    documents = labels.documents
    if len(missing) == len(documents):
        how = f"--beir {labels.path}" if (labels.path / "corpus.jsonl").exists() else "PATH..."
        raise UsageError(
            f"the corpus of {labels.name} is not in this house: of the {len(documents):,} documents labelled from "
            f"{_first(documents.values())} on, none is among the {held:,} that it holds",
            hint=f"freehold ingest {how}, or choose its house with --house",
        )
    if missing:
        unknown = _unknown(labels.path / "corpus.jsonl", missing)
        if unknown:
            raise UsageError(
                f"{documents[unknown[0]]}: the document {unknown[0]} is not in corpus.jsonl"
                + (f", nor are {len(unknown) - 1} others" if unknown[1:] else ""),
                hint="correct the labels; nothing was measured",
                refs=tuple(unknown[:_SHOWN]),
            )
        name = min(missing, key=lambda name: documents[name])
        raise UsageError(
            f"{documents[name]}: the document {name} is not in the house"
            + (f", nor are {len(missing) - 1:,} others" if len(missing) > 1 else ""),
            hint="ingest it (freehold doctor lists what was refused), or count such labels as missed: --allow-missing",
            refs=tuple(sorted(missing)[:_SHOWN]),
        )
    unit = min(lost, key=lambda unit: labels.at[unit])
    raise UsageError(
        f"{labels.at[unit]}: the labelled passage is not in the text of {labels.spans[unit].unit}"
        + (f", nor are {len(lost) - 1:,} others in theirs" if len(lost) > 1 else ""),
        hint="compare it with what the parser read, or count such labels as missed: --allow-missing",
    )


def _first(places: Iterable[str]) -> str:
    return next(iter(places), "")


def _unknown(corpus: Path, names: Collection[str]) -> list[str]:
    """Those of the names that the set's own corpus has not either; none where it brings no corpus."""
    if not corpus.exists():
        return []
    from freehold.journeys.sources import find_beir

    return sorted(set(names) - set(find_beir(corpus.parent).found))

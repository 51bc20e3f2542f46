"""Examples to learn from: labelled questions tied to the house's own chunks, and the seal over what becomes of them.

labels, feedback, imports, written questions -> Pair (which chunks answer, which are known not to) -> parts that share
nothing (``leakage``) -> hard negatives (``negatives``) -> Example, committed to by a Merkle root.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from freehold.core.ids import new_id
from freehold.core.records import to_json
from freehold.core.shelf import Place, Shelf
from freehold.core.training import Example, Origin, Part
from freehold.journeys.locate import Located
from freehold.measure.labels import Labels
from freehold.proof import merkle

FEWEST_EXAMPLES = 20
"""Examples with a positive below which nothing is trained: no figure about the outcome would mean anything."""

POSITIVES = 2
"""Chunks of a labelled document that are learned from where nothing else is asked for."""

_SALT_BYTES = 16
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and where it is answered, before it is an example."""

    key: str
    """Stable: the id in its labelled set or a digest of its words. The same set makes the same keys."""
    query: str
    """As it came in. Only compared: what is kept of it is what ``asked`` says."""
    asked: str
    """The words that are learned from: people in them are surrogates."""
    relevant: tuple[str, ...]
    """Ids of the chunks that may answer: all of a labelled document, or those that cover a labelled passage."""
    refused: tuple[str, ...]
    """Ids of chunks that somebody judged not to answer: negatives, whatever they score."""
    spared: frozenset[str]
    """Ids of further chunks that are no negatives: those that share a part of a labelled passage."""
    spared_documents: frozenset[str]
    """Ids of documents of which no chunk is a negative."""
    origin: Origin
    at: str = ""
    """File and line, where it is from a file."""
    query_id: str = ""
    salience: float = 1.0
    people: frozenset[str] = frozenset()
    """Who asks or is spoken of, by names that mean nothing outside this call."""

    @property
    def words(self) -> str:
        """The question as it is compared with others."""
        return same_words(self.query)


def same_words(text: str) -> str:
    """The words of a text, case, punctuation and white space put aside."""
    return " ".join(_WORD.findall(text.casefold()))


class Chunks:
    """Where the chunks of the house lie. One look at the shelf; of a chunk that is gone nothing is known."""

    def __init__(self, shelf: Shelf) -> None:
        self.places: Mapping[str, Place] = shelf.places(shelf.chunk_ids())
        self._documents = {source: known.document_id for source, known in shelf.known().items()}
        self._of: dict[str, list[str]] = defaultdict(list)
        for chunk_id, place in sorted(self.places.items(), key=lambda item: (item[1].start, item[0])):
            self._of[place.source].append(chunk_id)

    def of(self, source: str) -> Sequence[str]:
        """Ids of the chunks of a document, in the order of its text."""
        return self._of.get(source, ())

    def touching(self, source: str, start: int, end: int) -> list[str]:
        """Ids of the chunks of a document that share a character with this stretch of it, in the order of its text."""
        listed = self.of(source)
        last = bisect_left(listed, end, key=lambda chunk: self.places[chunk].start)
        first = last
        while first and self.places[listed[first - 1]].end > start:
            first -= 1
        return list(listed[first:last])

    def document_at(self, source: str) -> str | None:
        """Id of the document that came from ``source``."""
        return self._documents.get(source)

    def document(self, chunk_id: str) -> str | None:
        """Id of the document that a chunk is of."""
        place = self.places.get(chunk_id)
        return self._documents.get(place.source) if place else None

    def documents(self, chunk_ids: Iterable[str]) -> frozenset[str]:
        """Ids of the documents that these chunks are of."""
        return frozenset(id for chunk_id in chunk_ids if (id := self.document(chunk_id)) is not None)


def labelled_pairs(labels: Labels, located: Located, chunks: Chunks, *, origin: Origin = "qrels") -> list[Pair]:
    """One pair for every query that the set labels, in the order of their ids; ``relevant`` may be empty.

    Of a labelled document every chunk may answer, and none is a negative. Of a labelled passage those chunks may that
    count as it in measuring; those that share less of it are neither. What a label calls wrong (a grade of 0 or less)
    is a negative.
    """
    sources = {name: source for source, name in located.names.items()}
    pairs = []
    for query_id in sorted(labels.qrels):
        grades, query = labels.qrels[query_id], labels.queries[query_id]
        good = {unit for unit, grade in grades.items() if grade > 0}
        places = _passages if located.by_passage else _documents
        found = places(good, set(grades) - good, labels, located, sources, chunks)
        own_id = query_id if origin == "qrels" else ""
        pairs.append(Pair(f"{origin} {query_id}", query.text, query.text, *found, origin, query.at, query_id=own_id))
    return pairs


_Places = tuple[tuple[str, ...], tuple[str, ...], frozenset[str], frozenset[str]]
"""What answers, what is refused, and which chunks and documents are spared."""


def _documents(
    good: Collection[str],
    bad: Collection[str],
    _labels: Labels,
    _located: Located,
    sources: Mapping[str, str],
    chunks: Chunks,
) -> _Places:
    here = sorted(sources[name] for name in good if name in sources)
    wrong = sorted(sources[name] for name in bad if name in sources)
    return (
        tuple(chunk for source in here for chunk in chunks.of(source)),
        tuple(chunk for source in wrong for chunk in chunks.of(source)),
        frozenset(),
        frozenset(id for source in here if (id := chunks.document_at(source))),
    )


def _passages(
    good: Collection[str],
    bad: Collection[str],
    labels: Labels,
    located: Located,
    sources: Mapping[str, str],
    chunks: Chunks,
) -> _Places:
    relevant, touched = _around(good, labels, located, sources, chunks)
    wrong, _ = _around(bad, labels, located, sources, chunks)
    refused = tuple(chunk for chunk in wrong if chunk not in touched)
    return tuple(relevant), refused, frozenset(touched - relevant.keys()), frozenset()


def _around(
    units: Collection[str], labels: Labels, located: Located, sources: Mapping[str, str], chunks: Chunks
) -> tuple[dict[str, None], set[str]]:
    """The chunks that count as these passages, in the order of the documents, and all that share any of their text."""
    covering: dict[str, None] = {}
    touched: set[str] = set()
    for source in sorted({found for unit in units if (found := sources.get(labels.spans[unit].unit))}):
        for span in sorted(located.spans.get(source, ()), key=lambda span: (span.start, span.unit)):
            if span.unit in units:
                near = chunks.touching(source, span.start, span.end)
                touched.update(near)
                covering.update((chunk, None) for chunk in near if span.covered_by(chunks.places[chunk]))
    return covering, touched


# -- what becomes of a pair ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mined:
    """What a search made of a pair."""

    positives: tuple[str, ...]
    """Chunk ids, the best first; empty where none is in the index."""
    negatives: tuple[str, ...]
    """Chunk ids, the hardest first."""
    rank: int | None
    """Place, counted from 1, of the first hit that is relevant or beside what is; None where the search found none."""
    false_negatives: int = 0
    """Passages left out because they scored too near to a positive."""
    repeats: int = 0
    """Passages left out because they say nearly word for word what a positive says."""


def make_example(pair: Pair, mined: Mined, part: Part, chunks: Chunks) -> Example:
    """The example of a pair, under a fresh random id and salt."""
    return Example(
        id=new_id(),
        query=pair.asked,
        positives=mined.positives,
        negatives=mined.negatives,
        documents=tuple(sorted(chunks.documents(mined.positives + mined.negatives))),
        origin=pair.origin,
        part=part,
        salt=secrets.token_hex(_SALT_BYTES),
        query_id=pair.query_id,
        salience=float(pair.salience),
    )


def commitment(example: Example) -> bytes:
    """32 bytes: the leaf of an example, salted with its own salt."""
    record = to_json(example)
    salt = bytes.fromhex(record.pop("salt"))
    return merkle.commitment(record, salt)


def root_of(examples: Iterable[Example]) -> str:
    """Hex root over the examples in the order of their ids."""
    return merkle.root([commitment(example) for example in sorted(examples, key=lambda e: e.id)]).hex()


@dataclass
class Tally:
    """Reason -> queries that are in no part."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def keep(self, pairs: Sequence[Pair], kept: Sequence[Pair], reason: str) -> list[Pair]:
        """Count what is in ``pairs`` and not in ``kept``, and return ``kept``."""
        self.add(reason, len(pairs) - len(kept))
        return list(kept)

    def add(self, reason: str, count: int) -> None:
        if count:
            self.counts[reason] += count

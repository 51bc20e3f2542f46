"""What people give to learn from beside labelled sets: clicks and thumbs from a log, and pairs from elsewhere.

Both are files of one JSON object per line; docs/training-data.md describes them. What is wrong with a line is told with
file and line, and nothing of such a file is used.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from freehold.core.errors import UsageError
from freehold.core.ids import sha256_hex
from freehold.core.shelf import Shelf
from freehold.journeys.examples import Chunks, Pair, Tally, labelled_pairs, same_words
from freehold.journeys.locate import locate
from freehold.measure.answers import Evidence
from freehold.measure.labels import LabelledQuery, Labels

CLICK = 0.3
"""What one click says beside a thumb, which says 1: hits that stand first are clicked because they stand there
(Joachims et al. 2005). More people make it ``1 - (1 - CLICK) ** people``."""

LOG = "the query log"
NOT_HERE = "nothing that answers it is in the house"
CONTRADICTORY = "feedback that contradicts itself"
REFUSED_ONLY = "feedback that only refuses"

_SIGNALS = ("click", "up", "down")
_BLANK = re.compile(r"[\s|]+")
_ANCHORED = 4
"""Words from which a quotation is looked up by two of its inner ones."""


# -- feedback --------------------------------------------------------------------------------------------------------


@dataclass
class _Votes:
    """What was said of one passage or document for one question: the last word of everybody counts."""

    thumbs: dict[str, int] = field(default_factory=dict)
    clicks: set[str] = field(default_factory=set)

    @property
    def verdict(self) -> int:
        """1 for more thumbs up than down, -1 for more down, 0 without any or for as many."""
        total = sum(self.thumbs.values())
        return (total > 0) - (total < 0)


@dataclass
class _Asked:
    """One question in all its wordings, who asked it, and what was said of what was found."""

    wordings: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    votes: defaultdict[tuple[str, str], _Votes] = field(default_factory=lambda: defaultdict(_Votes))
    at: str = ""


def feedback_pairs(
    path: Path | None, shelf: Shelf, chunks: Chunks, tally: Tally, *, logged: Sequence[Mapping[str, Any]] = ()
) -> list[Pair]:
    """One pair for every question of a file, and of what the house itself ``logged`` in the form of that file, that has
    a passage which was liked more than not.

    Thumbs go before clicks. A passage with more thumbs up than down is a positive, one with more down a negative,
    whatever was clicked; one with as many of both is neither. Clicks alone make a positive of less salience where
    nobody gave a thumb up, and else only keep a passage from being a negative. Everybody has one vote on a passage, the
    last one given; an event without ``person`` counts as somebody's own. Questions are the same that have the same
    words. Raises UsageError, naming file and line.
    """
    asked: dict[str, _Asked] = {}
    worded = (record for record in logged if same_words(record["query"]))
    here = ((f"{LOG}:{number}", record) for number, record in enumerate(worded, 1))
    for at, record in chain(read_lines(path) if path else (), here):
        query, kind, target, signal = _event(record, at)
        one = asked.setdefault(same_words(query), _Asked(at=at))
        one.wordings[query] += 1
        person = record.get("person")
        if person is not None:
            one.people.add(f"asks {person}")
        votes, voter = one.votes[kind, target], f"line {at}" if person is None else str(person)
        if signal == "click":
            votes.clicks.add(voter)
        else:
            votes.thumbs[voter] = 1 if signal == "up" else -1
    named = {target: one.at for one in asked.values() for kind, target in one.votes if kind == "source"}
    sources = _named(named, path or Path(LOG), shelf)
    return [pair for words, one in asked.items() if (pair := _liked(words, one, sources, chunks, tally))]


def _event(record: Mapping[str, Any], at: str) -> tuple[str, str, str, str]:
    query, signal = record.get("query"), record.get("signal")
    if not isinstance(query, str) or not same_words(query):
        raise fault(at, 'needs a "query" in words')
    if signal not in _SIGNALS:
        raise fault(at, f'"signal" is none of {", ".join(_SIGNALS)}')
    kind = "chunk_id" if record.get("chunk_id") is not None else "source"
    target = record.get(kind)
    if not isinstance(target, str) or not target:
        raise fault(at, 'names what it is about neither by "source" nor by "chunk_id"')
    return query, kind, target, str(signal)


def _named(names: Mapping[str, str], path: Path, shelf: Shelf) -> dict[str, str]:
    """Name of a document -> its source, for those in the house. ``names``: name -> file and line.

    Raises UsageError for a name that fits several.
    """
    found: dict[str, str] = {}
    left = dict(names)
    while left:
        # Of several names of one document, each look gives one.
        located = locate(Labels(path.stem, path, "all", "", "document", {}, {}, left), shelf, allow_missing=True)
        found.update((name, source) for source, name in located.names.items())
        left = {name: at for name, at in left.items() if name not in found and name not in located.missing}
    return found


def _liked(words: str, one: _Asked, sources: Mapping[str, str], chunks: Chunks, tally: Tally) -> Pair | None:
    liked = {target for target, votes in one.votes.items() if votes.verdict > 0}
    refused = {target for target, votes in one.votes.items() if votes.verdict < 0}
    clicked = {target: len(votes.clicks) for target, votes in one.votes.items() if votes.clicks and not votes.thumbs}
    chosen = liked or set(clicked)
    salience = 1.0 if liked else round(1 - (1 - CLICK) ** max(clicked.values(), default=0), 3)
    wrong = set(_chunks_of(refused, sources, chunks))
    relevant = [chunk for chunk in _chunks_of(chosen, sources, chunks) if chunk not in wrong]
    if not relevant:
        unsure = any(votes.thumbs and not votes.verdict for votes in one.votes.values())
        tally.add(NOT_HERE if chosen else CONTRADICTORY if unsure else REFUSED_ONLY, 1)
        return None
    around = [
        near
        for kind, target in chosen
        if kind == "chunk_id" and (place := chunks.places.get(target))
        for near in chunks.touching(place.source, place.start, place.end)
    ]
    spared = {*around, *_chunks_of(set(one.votes) - refused, sources, chunks)}
    documents = {
        chunks.document_at(sources[target]) for kind, target in chosen if kind == "source" and target in sources
    }
    query = one.wordings.most_common(1)[0][0]
    return Pair(
        key=f"feedback {sha256_hex(words.encode())[:16]}",
        query=query,
        asked=query,
        relevant=tuple(relevant),
        refused=tuple(sorted(wrong.difference(relevant))),
        spared=frozenset(spared.difference(relevant, wrong)),
        spared_documents=frozenset(id for id in documents if id),
        origin="feedback",
        at=one.at,
        salience=salience,
        people=frozenset(one.people),
    )


def _chunks_of(targets: Iterable[tuple[str, str]], sources: Mapping[str, str], chunks: Chunks) -> list[str]:
    found: list[str] = []
    for kind, target in sorted(targets):
        if kind == "chunk_id":
            found += [target] if target in chunks.places else []
        elif target in sources:
            found += chunks.of(sources[target])
    return list(dict.fromkeys(found))


# -- pairs from elsewhere --------------------------------------------------------------------------------------------


def imported_pairs(path: Path, shelf: Shelf, chunks: Chunks) -> list[Pair]:
    """One pair for every question of a file of ``query``, ``positive`` and ``negatives``, its lines put together.

    A passage is given by its words, or by ``source`` and ``quote``; it must stand in a document of the house, where
    white space and the bars of tables do not count. Given by words alone it may stand in several: all are positives.
    Negatives that are not in the house are let go. Raises UsageError, naming file and line.
    """
    lines = [_imported(record, at) for at, record in read_lines(path)]
    texts = {p.quote for line in lines for p in line.passages if not p.unit and p.quote}
    standing = find_quotes(texts, shelf)
    named = _named({p.unit: line.at for line in lines for p in line.passages if p.unit}, path, shelf)
    queries: dict[str, LabelledQuery] = {}
    qrels: dict[str, dict[str, int]] = defaultdict(dict)
    at: dict[str, str] = {}
    spans: dict[str, Evidence] = {}
    wanted: list[str] = []
    for number, line in enumerate(lines, 1):
        key = sha256_hex(same_words(line.query).encode())[:16]
        queries.setdefault(key, LabelledQuery(key, line.query, {}, line.at))
        for grade, passages in ((1, line.positives), (0, line.negatives)):
            for place, passage in enumerate(passages, 1):
                found = standing.get(passage.quote or "", [])
                if passage.unit:
                    found = [named[passage.unit]] if passage.unit in named else []
                if grade and not found:
                    raise _not_there(line.at)
                for source in found:
                    unit = f"{source}#{number}.{grade}.{place}"
                    qrels[key][unit], at[unit], spans[unit] = grade, line.at, Evidence(source, quote=passage.quote)
                    wanted += [unit] * grade
    labels = Labels(path.stem, path, "all", "", "passage", queries, qrels, at, spans)
    located = locate(labels, shelf, allow_missing=True)
    for unit in wanted:
        if unit in located.missing:
            raise _not_there(at[unit])
    return labelled_pairs(labels, located, chunks, origin="import")


@dataclass(frozen=True, slots=True)
class _Line:
    query: str
    positives: Sequence[Evidence]
    """Without a document where only the words are given."""
    negatives: Sequence[Evidence]
    at: str

    @property
    def passages(self) -> tuple[Evidence, ...]:
        return (*self.positives, *self.negatives)


def _imported(record: Mapping[str, Any], at: str) -> _Line:
    query = record.get("query")
    if not isinstance(query, str) or not same_words(query):
        raise fault(at, 'needs a "query" in words')
    positives = _passages(record.get("positive"), "positive", at)
    if not positives:
        raise fault(at, 'has no "positive"')
    return _Line(query, positives, _passages(record.get("negatives"), "negatives", at), at)


def _passages(value: object, name: str, at: str) -> list[Evidence]:
    passages = []
    for item in value if isinstance(value, list) else [value] if value is not None else []:
        source, quote = (item.get("source"), item.get("quote")) if isinstance(item, dict) else ("", item)
        if not isinstance(source, str) or not isinstance(quote, str) or not _BLANK.sub("", quote):
            raise fault(at, f'"{name}" is neither a text nor an object with "source" and "quote"')
        passages.append(Evidence(source, quote=quote))
    return passages


def _not_there(at: str) -> UsageError:
    hint = "ingest the document that it is from, compare it with what the parser read, or take the line out"
    return UsageError(f"{at}: the positive is not in the corpus", hint=hint, refs=(at,))


def find_quotes(texts: Iterable[str], shelf: Shelf) -> Mapping[str, list[str]]:
    """Text -> the sources, sorted, of all documents in which it stands, white space and bars of tables put aside.

    Reads every document once, and looks closer where two neighbouring words from within the text are neighbours.
    """
    anchors: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    everywhere: list[str] = []
    for text in texts:
        words = [word for word in _BLANK.split(text) if word]
        if len(words) < _ANCHORED:
            everywhere.append(text)
        else:
            # The first and the last may be pieces of words.
            inner = list(pairwise(words[1:-1]))
            anchors[max(inner, key=lambda two: len(two[0]) + len(two[1]))].append(text)
    bare = {text: _BLANK.sub("", text) for text in (*everywhere, *(t for listed in anchors.values() for t in listed))}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for source, known in sorted(shelf.known().items()) if bare else ():
        document = shelf.text(known.document_id)
        words = _BLANK.split(document)
        near = [text for two in anchors.keys() & set(pairwise(words)) for text in anchors[two]]
        if near or everywhere:
            whole = _BLANK.sub("", document)
            for text in (*near, *everywhere):
                if bare[text] in whole:
                    found[text].append(source)
    return found


# -- shared ----------------------------------------------------------------------------------------------------------


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """File and line, and the object on it, for every line that is not blank.

    Raises UsageError where there is none, and, naming the line, for one that is no JSON object.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}", hint="give a file of one JSON object per line"
        ) from None
    if not data.strip():
        raise UsageError(f"{path} is empty", hint="write one JSON object per line")
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _object(line: bytes, at: str) -> dict[str, Any]:
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        raise fault(at, "is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise fault(at, "is no JSON") from None
    if not isinstance(record, dict):
        raise fault(at, "is no JSON object")
    return record


def fault(at: str, what: str) -> UsageError:
    """The error for a line that is not as it must be."""
    return UsageError(f"{at}: {what}", hint="correct the file; nothing was made", refs=(at,))

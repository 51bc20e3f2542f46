"""Erase: what the house's documents say of a person, what is to become of each, and the documents without them.

A document that names nobody else is deleted. One that names others is redacted: sentences that name the person and
nobody else go whole, in the others only what identifies the person goes. What is theirs stays theirs, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from freehold.core.erasure import Action, Band, Finding, Subject, SubjectFinder
from freehold.core.ids import new_id
from freehold.core.shelf import Shelf, Words
from freehold.core.types import Document, Heading, Mention, Page, ParsedText
from freehold.journeys.ingest import Progress, Raw
from freehold.journeys.mentions import Mentions
from freehold.journeys.resolve import in_batches, numbers_in, owned
from freehold.privacy.spellings import shape_of
from freehold.privacy.words import flat, is_nobody
from freehold.text.duplicates import signature
from freehold.text.sentences import sentence_spans

REDACTED = "[…]"
"""Stands where something was taken out."""

_DETECTED_AT_A_TIME = 32
_OF_ONE_FORM = frozenset({"reference", "national_id"})
"""Kinds of numbers that a firm or a state gives, all of one form. Telephones and accounts may be the firm's own."""
_WORD = re.compile(r"[^\W\d_]+")
_BEFORE = re.compile(r"([^\W\d_]+)[\s-]+$")
_BEHIND = re.compile(r",\s*([^\W\d_]+)")
_WORD_START = re.compile(r"(?<![^\W_])[^\W\d_]")

Span = tuple[int, int]
T = TypeVar("T", Page, Heading)


@dataclass(frozen=True, slots=True)
class Case:
    """A document that speaks of the person, or may."""

    document_id: str
    band: Band
    mentions: int
    """Places in its text that speak of them, what is not certain included."""
    named: bool
    """Whether its title, its fields or the name under which it came in speak of them."""
    others: int
    """Other people that its text names; 0 before ``judge``."""
    action: Action
    decided: bool
    """Whether the action is settled: by what was found, or by a person."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A document without a person, ready to be cut and embedded as any other."""

    raw: Raw
    sentences: int
    """Taken out whole."""
    spans: int
    """Taken out of sentences that stay."""


def locate(
    shelf: Shelf, finder: SubjectFinder, progress: Progress, *, among: Collection[str] | None = None
) -> list[Case]:
    """Every document that speaks of the person or may, by id: one pass over the texts, titles, fields and sources of
    those whose sketch does not tell that they do not.

    ``among``: ids of the only documents to look at.
    """
    ids = shelf.candidates(finder.clues()) if among is None else among
    cases, done = [], 0
    for batch in in_batches(shelf.words(ids)):
        for at in finder.screen(["\n".join([words.text, *_about(words)]) for words in batch]):
            words = batch[at]
            found = finder.find(words.text, language=words.language)
            about = [finding for text in _about(words) for finding in finder.find(text, language=words.language)]
            about += finder.find(as_title(words.source)) if found else ()
            if found or about:
                # A name in the name of a file says no more than what the text says of whoever bears it.
                certain = any(finding.band == "certain" for finding in found or about)
                band: Band = "certain" if certain else "ask"
                cases.append(Case(words.document_id, band, len(found), bool(about), 0, "delete", certain))
        done += len(batch)
        progress("documents", done, len(ids))
    return sorted(cases, key=lambda case: case.document_id)


def judge(
    cases: Sequence[Case], shelf: Shelf, finder: SubjectFinder, mentions: Mentions, progress: Progress
) -> list[Case]:
    """The same with the other people that each document names, and what follows from it: delete, or redact."""
    judged: list[Case] = []
    for start in range(0, len(cases), _DETECTED_AT_A_TIME):
        batch = cases[start : start + _DETECTED_AT_A_TIME]
        documents = [shelf.document(case.document_id) for case in batch]
        spans = others_in(documents, finder, mentions)
        for case, document, theirs in zip(batch, documents, spans, strict=True):
            others = len({document.text[start:end].casefold() for start, end in theirs})
            judged.append(replace(case, others=others, action="redact" if others else "delete"))
        progress("people", len(judged), len(cases))
    return judged


def others_in(documents: Sequence[Document], finder: SubjectFinder, mentions: Mentions) -> list[list[Span]]:
    """Per document where its text speaks of people other than the one who is looked for."""
    each = []
    for document, found in zip(documents, mentions.of(documents), strict=True):
        mine = [(finding.start, finding.end) for finding in finder.find(document.text)]
        each.append(_others(document.text, found, mine, finder.subject))
    return each


def _others(text: str, named: Sequence[Mention], mine: Sequence[Span], subject: Subject) -> list[Span]:
    """Other people's names, and numbers of the form of theirs that are not theirs: a detector misses some names."""
    forms = {shape_of(i.value) for i in subject.identifiers if i.kind in _OF_ONE_FORM}
    numbers = [(start, end) for start, end, _ in numbers_in(text, named) if shape_of(text[start:end]) in forms]
    people = [(m.start, m.end) for m in named if m.kind == "person"]
    return [span for span in sorted({*people, *numbers}) if not _meets(span, mine)]


def redact(
    document: Document,
    finder: SubjectFinder,
    mentions: Mentions,
    *,
    bands: Collection[Band] = frozenset({"certain"}),
    numbers: Sequence[str] = (),
) -> Redacted:
    """The document without the person, under the same source where that does not name them.

    ``bands``: which findings go; ``numbers``: see ``resolve``. The original file is not kept, since it would have to be
    redacted too.
    """
    language, text = document.language, document.text
    named = mentions.of([document])[0]
    found = goes(document, finder, named, bands)
    mine = [(f.start, f.end) for f in found]
    theirs = _others(text, named, mine, finder.subject)
    # "your account", in a letter to them; but where their number is known, another of its form is somebody else's.
    known = {shape_of(i.value) for i in finder.subject.identifiers if i.kind != "name"}
    foreign = [(start, end) for start, end, _ in numbers_in(text, named) if text[start:end] in finder.subject.foreign]
    stand_there = owned(text, named, found, numbers=numbers, others=[*theirs, *foreign])
    beside = [(start, end) for start, end, _ in stand_there if shape_of(text[start:end]) not in known]
    cuts, sentences = _cuts(text, language, _merged(sorted([*mine, *beside])), theirs)
    plain = _Plain(finder, frozenset(text[start:end] for start, end in beside))
    text, moved = _without(text, cuts)
    source = f"redacted:{new_id()}" if finder.find(as_title(document.source)) else document.source
    parsed = ParsedText(
        text=text,
        title=plain(document.title),
        media_type=document.media_type,
        pages=_moved(document.pages, moved),
        headings=tuple(h for h in _moved(document.headings, moved) if h.start < h.end),
        metadata={key: plain(value) for key, value in document.metadata.items()},
    )
    raw = Raw(source, "", parsed, language, signature(text), original=None)
    return Redacted(raw, sentences, len(cuts) - sentences)


def goes(document: Document, finder: SubjectFinder, named: Sequence[Mention], bands: Collection[Band]) -> list[Finding]:
    """What is taken out of a document that stays. A part of the name within somebody else's whole name, as the detector
    reads it, is left, and asked about afterwards.
    """
    found = [f for f in finder.find(document.text, language=document.language) if f.band in bands]
    if "ask" in bands:  # a person has seen it
        return found
    own = {flat(word) for i in finder.subject.identifiers if i.kind == "name" for word in _WORD.findall(i.value)}
    people = [(m.start, m.end) for m in named if m.kind == "person"]
    return [f for f in found if f.how != "part" or not _is_anothers(document.text, f, people, own)]


def _is_anothers(text: str, part: Finding, people: Sequence[Span], own: Collection[str]) -> bool:
    """Whether a given name that is not theirs stands beside the part, within somebody's name: before it, or behind it
    and a comma.
    """
    for start, end in people:
        if start <= part.start and part.end <= end:
            beside = (_BEFORE.search(text[start : part.start]), _BEHIND.match(text[part.end : end]))
            return any(m and flat(m[1]) not in own and not is_nobody(m[1]) for m in beside)
    return False


def rectified(document: Document, old: str, new: str) -> tuple[Raw, int]:
    """The document with ``new`` wherever its text, title or fields said ``old``, and how often that was."""
    cuts = [(match.start(), match.end()) for match in re.finditer(re.escape(old), document.text)]
    text, moved = _without(document.text, cuts, new)
    others = [document.title, *document.metadata.values()]
    parsed = ParsedText(
        text=text,
        title=document.title.replace(old, new),
        media_type=document.media_type,
        pages=_moved(document.pages, moved),
        headings=_moved(document.headings, moved),
        metadata={key: value.replace(old, new) for key, value in document.metadata.items()},
    )
    raw = Raw(document.source, "", parsed, document.language, signature(text), original=None)
    return raw, len(cuts) + sum(other.count(old) for other in others)


def as_title(source: str) -> str:
    """The name of a file with a capital in each word, as long as before: there, names are written small."""
    return _WORD_START.sub(lambda match: upper if len(upper := match[0].upper()) == 1 else match[0], source)


def _about(words: Words) -> Iterable[str]:
    return (words.title, words.source, *words.metadata.values())


def _cuts(text: str, language: str, found: Sequence[Span], theirs: Sequence[Span]) -> tuple[list[Span], int]:
    """What is taken out, by place, and how many of it are whole sentences."""
    cuts: list[Span] = []
    whole = 0
    at = 0
    for start, end in sentence_spans(text, language or "und"):
        inside = []
        while at < len(found) and found[at][0] < end:
            inside.append(found[at])
            at += 1
        if inside and not _meets((start, end), theirs):
            cuts.append((min(start, inside[0][0]), max(end, inside[-1][1])))
            whole += 1
        else:
            cuts += inside
    cuts += found[at:]
    return _merged(cuts), whole


def _merged(cuts: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in cuts:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _without(text: str, cuts: Sequence[Span], mark: str = REDACTED) -> tuple[str, Callable[[int], int]]:
    """The text with a mark in place of each cut, and where an offset has gone."""
    pieces: list[str] = []
    done = 0
    for start, end in cuts:
        pieces += [text[done:start], mark]
        done = end
    pieces.append(text[done:])

    def moved(offset: int) -> int:
        shift = 0
        for start, end in cuts:
            if offset <= start:
                break
            if offset < end:  # within what went: its end
                return start + shift + len(mark)
            shift += len(mark) - (end - start)
        return offset + shift

    return "".join(pieces), moved


def _moved(parts: Sequence[T], moved: Callable[[int], int]) -> tuple[T, ...]:
    return tuple(replace(part, start=moved(part.start), end=moved(part.end)) for part in parts)


@dataclass(frozen=True)
class _Plain:
    """Takes the person out of what a document is called: part of a name is theirs, in a document that names them, and
    so are the numbers that were theirs in its text.
    """

    finder: SubjectFinder
    numbers: frozenset[str]

    def __call__(self, text: str) -> str:
        found = [(found.start, found.end) for found in self.finder.find(text)]
        found += [match.span() for number in self.numbers for match in re.finditer(re.escape(number), text)]
        return _without(text, _merged(sorted(found)))[0]


def _meets(span: Span, others: Sequence[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def settle(cases: Sequence[Case], decisions: Mapping[str, Action]) -> list[Case]:
    """The cases as a person decided them, by document id; the others as they were."""
    return [
        replace(case, action=decisions[case.document_id], decided=True) if case.document_id in decisions else case
        for case in cases
    ]

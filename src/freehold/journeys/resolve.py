"""Resolve: what else identifies a person who gave some of what does, read from the documents that surely speak of them.

Nobody is looked up who did not ask (GDPR Art. 11), and nothing is guessed from likeness. A name counts that an e-mail
address spells, or that alone stands in a line with an identifier. A number or an address counts that stands in
no line with somebody else, nor under somebody else's signature, and in no document that does not speak of the person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from freehold.core.erasure import Band, Finding, Identifier, IdentifierKind, Subject, SubjectFinder
from freehold.core.shelf import Shelf, Words
from freehold.core.types import Mention, MentionKind
from freehold.journeys.mentions import Mentions
from freehold.privacy.spellings import spells

_KINDS: dict[MentionKind, IdentifierKind] = {
    "phone": "phone",
    "iban": "iban",
    "card": "reference",
    "national_id": "national_id",
    "document": "reference",
    "account": "reference",
    "reference": "reference",
    "email": "email",
    "address": "address",
}
_CODE = re.compile(r"(?<![\w./-])[A-Z]{1,6}(?:[-/][A-Z0-9]{1,12}){1,5}(?![\w/-])")
"""A number that a firm gives, with letters before it: a policy's, a case's. It has four digits somewhere."""
_SIGNATURE_CHARS = 120
"""A line that names somebody and is no longer may sign for what stands in the next."""
_LETTERS = re.compile(r"[^\W\d_]+")
_STRONG = frozenset({"email", "phone", "iban", "national_id", "reference"})
_BATCH = 32
_LEAST_DIGITS = 4
_SCREENED_CHARS = 1 << 22


@dataclass(frozen=True, slots=True)
class Resolved:
    """What documents that speak of the person say besides."""

    theirs: tuple[Identifier, ...]
    """What they may be known by, the most often seen first; names only where none was given."""
    beside: tuple[Identifier, ...]
    """Numbers that nobody else is seen beside, in documents that may be a namesake's."""


def resolve(
    subject: Subject,
    cases: Mapping[str, Band],
    shelf: Shelf,
    mentions: Mentions,
    open_finder: Callable[[Subject], SubjectFinder],
    *,
    numbers: Sequence[str] = (),
) -> Resolved:
    """Identifiers that the person may have besides those they gave; ``told_apart`` tells which of the numbers are
    nobody else's.

    ``cases``: how surely documents speak of them, by id. ``numbers``: regular expressions of numbers under which people
    are known here, besides those that are known by their form.
    """
    sure = [document_id for document_id, band in cases.items() if band == "certain"]
    strong = tuple(i for i in subject.identifiers if i.kind in _STRONG)
    finder = open_finder(subject)
    surest = open_finder(Subject(strong)) if strong else finder
    names: Counter[Identifier] = Counter()
    found_numbers: Counter[Identifier] = Counter()
    beside: set[Identifier] = set()
    for start in range(0, len(sure), _BATCH):
        documents = [shelf.document(document_id) for document_id in sure[start : start + _BATCH]]
        for document, named in zip(documents, mentions.of(documents), strict=True):
            text = document.text
            found = [finding for finding in finder.find(text) if finding.band == "certain"]
            if not any(finding.band == "certain" for finding in surest.find(text)):  # a name may be a namesake's
                beside.update(_numbers(text, named, found, [i.value for i in names], numbers))
                continue
            names.update({Identifier("name", name) for name in _names(text, named, found, subject)})
            found_numbers.update(set(_numbers(text, named, found, [i.value for i in names], numbers)))
    if any(identifier.kind == "name" for identifier in subject.identifiers):
        names.clear()
    more = [i for i, _ in found_numbers.most_common() if i not in subject.identifiers]
    theirs = (*(i for i, _ in names.most_common()), *more)
    return Resolved(theirs, tuple(sorted(beside - {*subject.identifiers, *theirs}, key=lambda i: (i.kind, i.value))))


def told_apart(
    numbers: Sequence[Identifier],
    known: Subject,
    shelf: Shelf,
    document_ids: Collection[str],
    open_finder: Callable[[Subject], SubjectFinder],
) -> tuple[list[Identifier], list[Identifier]]:
    """The numbers that stand in no document that does not otherwise speak of the person; and those that do, but in
    fewer than speak of them: a firm's telephone is neither.

    ``document_ids``: all documents that have one of them.
    """
    if not numbers:
        return [], []
    person, rest = open_finder(known), open_finder(Subject(tuple(numbers)))
    own, elsewhere = Counter[int](), Counter[int]()
    for words in shelf.words(document_ids):
        found = {finding.identifier for finding in rest.find(words.text)}
        if found:
            (own if person.find(words.text, language=words.language) else elsewhere).update(found)
    alone = [one for at, one in enumerate(numbers) if not elsewhere[at]]
    return alone, [one for at, one in enumerate(numbers) if 0 < elsewhere[at] < own[at]]


def in_batches(words: Iterable[Words]) -> Iterator[list[Words]]:
    """Documents as many at a time as are worth a pass together."""
    held: list[Words] = []
    size = 0
    for one in words:
        held.append(one)
        size += len(one.text)
        if size >= _SCREENED_CHARS:
            yield held
            held, size = [], 0
    if held:
        yield held


def _names(text: str, mentions: Sequence[Mention], found: Sequence[Finding], subject: Subject) -> Iterator[str]:
    """Full names that are the person's."""
    people = [m for m in mentions if m.kind == "person" and len(_LETTERS.findall(text[m.start : m.end])) > 1]
    addresses = [i.value for i in subject.identifiers if i.kind == "email"]
    for mention in people:
        name = " ".join(text[mention.start : mention.end].split())
        if any(spells(address, name) for address in addresses):
            yield name
    for finding in found:
        given = finding.identifier < len(subject.identifiers)
        if not given or subject.identifiers[finding.identifier].kind in {"name", "email", "birth_date", "address"}:
            continue
        beside = _people(mentions, *_line(text, finding.start, finding.end))
        if len(beside) == 1 and beside[0] in people:
            yield " ".join(text[beside[0].start : beside[0].end].split())


def _numbers(
    text: str, mentions: Sequence[Mention], found: Sequence[Finding], names: Sequence[str], numbers: Sequence[str]
) -> Iterator[Identifier]:
    """What identifies somebody, and nobody else who is named beside it."""
    for start, end, kind in owned(text, mentions, found, names, numbers=numbers):
        if kind != "email" or any(spells(text[start:end], name) for name in names):
            yield Identifier(kind, text[start:end])


def owned(
    text: str,
    mentions: Sequence[Mention],
    found: Sequence[Finding],
    names: Sequence[str] = (),
    *,
    numbers: Sequence[str] = (),
    others: Sequence[tuple[int, int]] = (),
) -> list[tuple[int, int, IdentifierKind]]:
    """Where a text that speaks of the person has what identifies somebody, and nobody else is named beside it.

    ``others``: places of numbers that are somebody else's: the line of one that names nobody is theirs, since a
    detector misses names.
    """
    own = {name.casefold() for name in names}
    theirs = []
    for start, end, kind in numbers_in(text, mentions, numbers):
        if any(start < finding.end and finding.start < end for finding in found):
            continue
        first, last = _line(text, start, end)
        people = _people(mentions, first, last)
        if not people and any(first <= at < last for at, _ in others):
            continue
        if not people:  # then whoever signed above
            above = text.rfind("\n", 0, max(0, len(text[:first].rstrip()))) + 1
            if first - above <= _SIGNATURE_CHARS:
                people = _people(mentions, above, first)
        if all(_meets(person, found) or text[person.start : person.end].casefold() in own for person in people):
            theirs.append((start, end, kind))
    return theirs


def numbers_in(
    text: str, mentions: Sequence[Mention], numbers: Sequence[str] = ()
) -> list[tuple[int, int, IdentifierKind]]:
    """What may identify somebody, each in one line, by place, and none a part of a longer one: the digits of a number
    have another form than the whole.
    """
    kept: list[tuple[int, int, IdentifierKind]] = []
    for one in sorted(_candidates(text, mentions, numbers), key=lambda span: (span[0], -span[1])):
        if not kept or one[1] > kept[-1][1]:
            kept.append(one)
    return kept


def _candidates(
    text: str, mentions: Sequence[Mention], numbers: Sequence[str]
) -> Iterator[tuple[int, int, IdentifierKind]]:
    for mention in mentions:
        kind = _KINDS.get(mention.kind)
        found = text[mention.start : mention.end].partition("\n")[0].rstrip(" ,;")
        if kind is not None and (kind != "address" or _LETTERS.search(found)):  # an amount alone is none
            yield mention.start, mention.start + len(found), kind
    for match in _CODE.finditer(text):
        if sum(map(str.isdigit, match[0])) >= _LEAST_DIGITS:
            yield match.start(), match.end(), "reference"
    for pattern in numbers:
        for match in re.finditer(pattern, text):
            yield match.start(), match.end(), "reference"


def _people(mentions: Sequence[Mention], start: int, end: int) -> list[Mention]:
    return [m for m in mentions if m.kind == "person" and start <= m.start < end]


def _line(text: str, start: int, end: int) -> tuple[int, int]:
    last = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if last < 0 else last


def _meets(mention: Mention, found: Sequence[Finding]) -> bool:
    return any(mention.start < finding.end and finding.start < mention.end for finding in found)

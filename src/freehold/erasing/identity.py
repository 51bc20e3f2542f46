"""Identity: who a request is about, by what they gave and by what documents of the house say of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from freehold.core.erasure import Finding, Identifier, Subject, SubjectFinder
from freehold.core.errors import SettingsError
from freehold.detectors import open_detector_for
from freehold.house import House
from freehold.journeys.erase import Case, locate
from freehold.journeys.ingest import Progress
from freehold.journeys.mentions import Mentions
from freehold.journeys.resolve import resolve, told_apart
from freehold.privacy.subjects import open_finder

_RESOLVING_ROUNDS = 2


def finder_of(subject: Subject) -> SubjectFinder:
    """Finds the person in texts, by what they gave and by what was read from documents of the house."""
    opened = open_finder(Subject((*subject.identifiers, *subject.derived), foreign=subject.foreign))
    careful = CarefulFinder(opened, len(subject.identifiers)) if subject.derived else opened
    return WideFinder(careful, open_finder(Subject(subject.shared))) if subject.shared else careful


def numbers_of(house: House) -> tuple[str, ...]:
    """Regular expressions of numbers under which people are known here. Raises SettingsError for one that is none."""
    for pattern in house.settings.privacy.numbers:
        try:
            re.compile(pattern)
        except re.error as e:
            raise SettingsError(
                f"privacy.numbers: {pattern!r} is no regular expression: {e}", hint="correct it"
            ) from None
    return house.settings.privacy.numbers


@dataclass(frozen=True)
class CarefulFinder:
    """A number that the person did not give themselves says nothing alone, but it does beside anything else of them."""

    whole: SubjectFinder
    given: int
    """How many identifiers the person gave; those after them were derived."""

    @property
    def subject(self) -> Subject:
        return self.whole.subject

    def find(self, text: str, *, language: str = "") -> Sequence[Finding]:
        """See ``SubjectFinder``."""
        found = self.whole.find(text, language=language)
        if any(finding.band == "certain" and self._says(finding) for finding in found):
            return found
        if any(finding.band == "certain" for finding in found) and any(finding.how == "part" for finding in found):
            return [replace(finding, band="certain") for finding in found]
        return [replace(finding, band="ask") for finding in found]

    def clues(self) -> frozenset[bytes]:
        """See ``SubjectFinder``."""
        return self.whole.clues()

    def screen(self, texts: Sequence[str]) -> Sequence[int]:
        """See ``SubjectFinder``."""
        return self.whole.screen(texts)

    def _says(self, finding: Finding) -> bool:
        return finding.identifier < self.given or self.subject.identifiers[finding.identifier].kind == "name"


@dataclass(frozen=True)
class WideFinder:
    """Asks about numbers that may be theirs, besides; they say nothing of what stands beside them."""

    sure: SubjectFinder
    shared: SubjectFinder

    @property
    def subject(self) -> Subject:
        known = self.sure.subject
        return replace(known, identifiers=(*known.identifiers, *self.shared.subject.identifiers))

    def find(self, text: str, *, language: str = "") -> Sequence[Finding]:
        """See ``SubjectFinder``."""
        found, before = list(self.sure.find(text, language=language)), len(self.sure.subject.identifiers)
        for one in self.shared.find(text, language=language):
            if all(one.end <= other.start or other.end <= one.start for other in found):
                found.append(replace(one, identifier=before + one.identifier, band="ask"))
        return sorted(found, key=lambda finding: finding.start)

    def clues(self) -> frozenset[bytes]:
        """See ``SubjectFinder``."""
        return self.sure.clues() | self.shared.clues()

    def screen(self, texts: Sequence[str]) -> Sequence[int]:
        """See ``SubjectFinder``."""
        return sorted({*self.sure.screen(texts), *self.shared.screen(texts)})


def resolved(house: House, subject: Subject, mentions: Mentions, progress: Progress) -> tuple[Subject, list[Case]]:
    """The person with what else identifies them, read from the documents that surely speak of them, and the documents
    that speak of them, so identified.
    """
    with house.shelf.sketches_held():
        return _resolved(house, subject, mentions, progress)


def _resolved(house: House, subject: Subject, mentions: Mentions, progress: Progress) -> tuple[Subject, list[Case]]:
    whole = replace(subject, derived=(), shared=(), foreign=())
    cases = locate(house.shelf, finder_of(whole), progress)
    seen: set[Identifier] = set()
    for _ in range(_RESOLVING_ROUNDS):  # an address gives a name, and the name gives a number
        bands = {case.document_id: case.band for case in cases}
        read = resolve(whole, bands, house.shelf, mentions, finder_of, numbers=numbers_of(house))
        new = [identifier for identifier in (*read.theirs, *read.beside) if identifier not in seen]
        if not new:
            break
        seen.update(new)
        names = tuple(identifier for identifier in new if identifier.kind == "name")
        numbers = [identifier for identifier in new if identifier.kind != "name"]
        wide = locate(house.shelf, finder_of(_with(whole, new)), progress)
        ids = [case.document_id for case in wide]
        known = (*whole.identifiers, *(i for i in whole.derived if i.kind == "name"), *names)
        alone, shared = told_apart(numbers, Subject(known), house.shelf, ids, finder_of)
        shared = [identifier for identifier in shared if identifier in read.theirs]
        foreign = (identifier.value for identifier in numbers if identifier not in alone)
        whole = replace(
            whole,
            shared=(*whole.shared, *shared),
            foreign=tuple(dict.fromkeys([*whole.foreign, *foreign])),
        )
        theirs = [identifier for identifier in alone if identifier in read.theirs]
        if not (names or theirs or shared):
            break
        whole = _with(whole, [*names, *theirs])
        cases = locate(house.shelf, finder_of(whole), progress, among=ids)
    return whole, cases


def _with(subject: Subject, more: Sequence[Identifier]) -> Subject:
    return replace(subject, derived=(*subject.derived, *more))


def mentions_of(house: House, *, keep: bool = True) -> Mentions:
    """Where the house's documents name people at all, to tell whom else they name. Raises as ``open_detector_for``."""
    return Mentions(house.shelf, open_detector_for(house.settings), keep=keep)

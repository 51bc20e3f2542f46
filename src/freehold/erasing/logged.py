"""The query log and one person: which questions speak of them, in what was asked, answered or filtered by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from freehold.core.erasure import Band, Finding, Subject, SubjectFinder
from freehold.core.traffic import Asked
from freehold.store.traffic import TrafficLog

_AT_A_TIME = 1_000
_SMALL = re.compile(r"\b[^\W\d_]")


@dataclass(frozen=True)
class TypedFinder:
    """Finds a person in what was typed in haste: a family name alone counts in small letters too, where a document
    would mean the thing that is called so.
    """

    whole: SubjectFinder

    @property
    def subject(self) -> Subject:
        return self.whole.subject

    def find(self, text: str, *, language: str = "") -> Sequence[Finding]:
        """See ``SubjectFinder``."""
        return self.whole.find(text, language=language) or self.whole.find(_capitals(text), language=language)

    def clues(self) -> frozenset[bytes]:
        """See ``SubjectFinder``."""
        return self.whole.clues()

    def screen(self, texts: Sequence[str]) -> Sequence[int]:
        """See ``SubjectFinder``, to which letters are the same large and small."""
        return self.whole.screen(texts)


def _capitals(text: str) -> str:
    """Every word with a capital, every character at its place."""
    return _SMALL.sub(lambda letter: upper if len(upper := letter[0].upper()) == 1 else letter[0], text)


def speaking(log: TrafficLog, finder: SubjectFinder | None) -> dict[str, Band]:
    """Question id -> how surely it speaks of the person."""
    if finder is None:
        return {}
    found: dict[str, Band] = {}
    questions = log.all(hits=False)
    while batch := list(islice(questions, _AT_A_TIME)):
        for question_id, band in _bands(batch, TypedFinder(finder)):
            if found.get(question_id) != "certain":
                found[question_id] = band
    return found


def _bands(questions: Sequence[Asked], finder: SubjectFinder) -> Iterator[tuple[str, Band]]:
    texts = [(one.id, text) for one in questions for text in one.words]
    for at in finder.screen([text for _, text in texts]):
        question_id, text = texts[at]
        for finding in finder.find(text):
            yield question_id, finding.band

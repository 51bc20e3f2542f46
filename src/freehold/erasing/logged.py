"""The query log and one person: which questions speak of them, in what was asked, answered or filtered by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from freehold.core.erasure import Band, SubjectFinder
from freehold.core.traffic import Asked
from freehold.store.traffic import TrafficLog

_AT_A_TIME = 1_000


def speaking(log: TrafficLog, finder: SubjectFinder | None) -> dict[str, Band]:
    """Question id -> how surely it speaks of the person."""
    found: dict[str, Band] = {}
    questions = log.all() if finder else iter(())
    while batch := list(islice(questions, _AT_A_TIME)):
        for question_id, band in _bands(batch, finder) if finder else ():
            if found.get(question_id) != "certain":
                found[question_id] = band
    return found


def _bands(questions: Sequence[Asked], finder: SubjectFinder) -> Iterator[tuple[str, Band]]:
    texts = [(one.id, text) for one in questions for text in one.words]
    for at in finder.screen([text for _, text in texts]):
        question_id, text = texts[at]
        for finding in finder.find(text):
            yield question_id, finding.band

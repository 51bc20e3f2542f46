"""Bars over people whom a question does not name, in all that is given out for it.

Bars are as long as what they cover, so that the places of citations and passages stay right. What the detector does not
find is not covered: how much that is, is measured (``freehold people check``) and never nothing.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from threading import Lock

from freehold.core.ports import Detector
from freehold.core.types import Answer, Mention
from freehold.journeys.search import Found

_BAR = "█"
_KEPT_TEXTS = 8_192
"""The same passages come up again and again."""
_WORD = re.compile(r"\w+")
_LEAST_CHARS = 3
"""Of a part of a name that is covered wherever it stands: shorter ones are words too."""


class Mask:
    """Covers names and identifiers. Threads may share it."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._known: OrderedDict[str, Sequence[Mention]] = OrderedDict()
        self._lock = Lock()  # a detector serves one thread at a time

    def names_somebody(self, question: str) -> bool:
        """Whether it holds the name or an identifier of a person. The question is not kept."""
        with self._lock:
            return bool(self._detector.detect([question])[0])

    def found(self, found: Found, question: str) -> Found:
        """The same hits; others than the question names are covered in their texts, titles, headings and sources."""
        cover = self._cover([hit.text for hit in found.hits], question)
        masked = (
            replace(
                hit,
                text=cover.detected([hit.text])[0],
                title=cover.all([hit.title])[0],
                source=cover.all([hit.source])[0],
                heading_path=tuple(cover.all(hit.heading_path)),
            )
            for hit in found.hits
        )
        return replace(found, hits=tuple(masked))

    def answer(self, answer: Answer, found: Found, question: str) -> Answer:
        """The same answer; others than the question names are covered in it, its quotes and their sources.

        ``found``: what it was made from, as it was.
        """
        cover = self._cover([hit.text for hit in found.hits], question)
        citations = tuple(
            replace(one, quote=cover.all([one.quote])[0], source=cover.all([one.source])[0]) for one in answer.citations
        )
        return replace(answer, text=cover.all([answer.text])[0], citations=citations)

    def _cover(self, texts: Sequence[str], question: str) -> _Cover:
        named = frozenset(_words(question))
        people = {
            word
            for text, mentions in zip(texts, self.mentions(texts), strict=True)
            for mention in mentions
            if mention.kind == "person"
            for word in _words(text[mention.start : mention.end])
            if len(word) >= _LEAST_CHARS and word not in named
        }
        return _Cover(self, named, people)

    def mentions(self, texts: Sequence[str]) -> list[Sequence[Mention]]:
        """Per text what the detector finds."""
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._known]
            if missing:
                self._known.update(zip(missing, self._detector.detect(missing), strict=True))
            for text in texts:
                self._known.move_to_end(text)
            found = [self._known[text] for text in texts]
            while len(self._known) > _KEPT_TEXTS:
                self._known.popitem(last=False)
            return found


class _Cover:
    """What is covered for one question."""

    def __init__(self, mask: Mask, named: frozenset[str], people: Collection[str]) -> None:
        """``named``: words of the question; ``people``: of names in what was found that the question has not."""
        self._mask, self._named = mask, named
        listed = "|".join(map(re.escape, sorted(people, key=len, reverse=True)))
        self._people = re.compile(rf"(?<![^\W_])(?:{listed})(?![^\W_])", re.IGNORECASE) if listed else None

    def detected(self, texts: Sequence[str]) -> list[str]:
        """The texts, with bars over what the detector finds in them."""
        return [
            _with_bars(text, [m for m in found if not self._named.issuperset(_words(text[m.start : m.end]))])
            for text, found in zip(texts, self._mask.mentions(texts), strict=True)
        ]

    def all(self, texts: Sequence[str]) -> list[str]:
        """And over names from the passages: a title or the name of a file says too little to tell that it is one."""
        covered = self.detected(texts)
        if self._people is None:
            return covered
        return [self._people.sub(lambda match: _BAR * len(match[0]), text) for text in covered]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _with_bars(text: str, mentions: Sequence[Mention]) -> str:
    for mention in mentions:
        bars = re.sub(r"\S", _BAR, text[mention.start : mention.end])
        text = text[: mention.start] + bars + text[mention.end :]
    return text

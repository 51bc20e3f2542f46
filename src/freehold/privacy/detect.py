"""The detectors that the house can open: names by a model, identifiers by shape, and both together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path

from freehold.core.ports import Detector
from freehold.core.types import Mention
from freehold.privacy.patterns import PatternDetector
from freehold.privacy.people import PeopleFinder
from freehold.privacy.places import addresses, numbers
from freehold.privacy.rampart import Word, WordTagger
from freehold.privacy.spans import resolved

VERSION = "1"
"""Of the rules for what the model's labels count as."""


class RampartDetector:
    """The ``Detector`` of names, addresses and numbers by the Rampart model, with the evidence around them.

    May be called from one thread at a time.
    """

    def __init__(self, folder: Path, *, threads: int = 1, ordinary: Collection[str] = ()) -> None:
        """``folder`` is the model's. ``ordinary``: words that are no names here, in lower case (``ordinary_words``).

        Raises ModelNotFound or ModelMismatch.
        """
        self._tagger = WordTagger(folder, threads=threads)
        self._ordinary = frozenset(ordinary)
        words = f"/words-{sha256(' '.join(sorted(ordinary)).encode()).hexdigest()[:8]}" if ordinary else ""
        self.name = f"rampart-{self._tagger.digest[:8]}/rules-{VERSION}{words}"

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:  # noqa: ARG002
        """See ``freehold.core.ports.Detector``. The language makes no difference."""
        tagged = self._tagger.tagged(texts)
        return [resolved(*self._found(text, found)) for text, found in zip(texts, tagged, strict=True)]

    def _found(self, text: str, tagged: Sequence[Word]) -> tuple[str, list[Mention]]:
        people = [
            Mention(tagged[person.first].start, tagged[person.last].end, "person", person.score, "rampart/person")
            for person in PeopleFinder(text, tagged, self._ordinary).people()
        ]
        rest = [*addresses(text, tagged, "rampart/address"), *numbers(text, tagged, "rampart/number")]
        return text, [*people, *rest]


class CombinedDetector:
    """What any of several detectors finds; where two overlap, the earlier one says what it is."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        self.name = "+".join(detector.name for detector in detectors)

    def detect(self, texts: Sequence[str], *, language: str = "") -> list[tuple[Mention, ...]]:
        """See ``freehold.core.ports.Detector`` and ``resolved``."""
        each = [detector.detect(texts, language=language) for detector in self._detectors]
        found = zip(*each, strict=True) if each else ((),) * len(texts)
        return [resolved(text, *several) for text, several in zip(texts, found, strict=True)]


def open_detector(folder: Path, *, threads: int = 1, ordinary: Collection[str] = ()) -> CombinedDetector:
    """The default: identifiers by shape, names by the model in ``folder``. Raises ModelNotFound or ModelMismatch."""
    return CombinedDetector((PatternDetector(), RampartDetector(folder, threads=threads, ordinary=ordinary)))

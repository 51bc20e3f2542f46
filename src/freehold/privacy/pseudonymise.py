"""Texts with surrogates where people and identifiers stood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from freehold.core.errors import UsageError
from freehold.core.ports import Detector
from freehold.core.types import Mention
from freehold.privacy.surrogates import Surrogates


@dataclass(frozen=True, slots=True)
class Pseudonymised:
    """A text after replacing. ``mentions`` are the same mentions, where their surrogates stand in ``text``."""

    text: str
    mentions: tuple[Mention, ...]


def replaced(text: str, mentions: Sequence[Mention], surrogates: Surrogates) -> Pseudonymised:
    """Put surrogates in place of the mentions; what lies outside stays as it is, character for character.

    ``mentions`` are of ``text``, by place and without overlap, as a ``Detector`` gives them. Raises UsageError where
    they are not.
    """
    pieces: list[str] = []
    moved: list[Mention] = []
    done = length = 0
    for mention in mentions:
        if not done <= mention.start < mention.end <= len(text):
            raise UsageError("mentions overlap or lie outside of their text", hint="pass what the detector returned")
        surrogate = surrogates.of(mention.kind, text[mention.start : mention.end])
        before = text[done : mention.start]
        start = length + len(before)
        done, length = mention.end, start + len(surrogate)
        pieces += [before, surrogate]
        moved.append(replace(mention, start=start, end=length))
    return Pseudonymised("".join([*pieces, text[done:]]), tuple(moved))


def pseudonymise(texts: Sequence[str], detector: Detector, key: bytes, *, language: str = "") -> list[Pseudonymised]:
    """Find and replace, in the order of the texts. The same people get the same surrogates in all texts under ``key``.

    ``language`` is the detector's hint. What the detector misses stays in clear: ``freehold.privacy.check`` counts how
    much that is. Raises UsageError for a key of less than 16 bytes.
    """
    surrogates = Surrogates(key)
    found = detector.detect(texts, language=language)
    return [replaced(text, mentions, surrogates) for text, mentions in zip(texts, found, strict=True)]


def kinds(texts: Iterable[Pseudonymised]) -> Mapping[str, int]:
    """Kind of mention -> how many were replaced, by kind."""
    counts = Counter(mention.kind for text in texts for mention in text.mentions)
    return dict(sorted(counts.items()))

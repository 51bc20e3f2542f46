"""A person who asks what is held about them, or to be forgotten: the nouns, and the port of whatever keeps bytes.

What the words mean is the GDPR's: Art. 17 erasure, Art. 18 restriction, Art. 12(3) the month within which it is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

IdentifierKind = Literal["name", "email", "phone", "iban", "national_id", "birth_date", "address", "reference"]
"""``reference``: any number under which a firm knows somebody (policy, customer, claim)."""

How = Literal["exact", "variant", "inflected", "initials", "transliterated", "fuzzy", "part"]
"""``exact`` after normalisation; ``variant`` another order or form of the same; ``part`` of a name alone."""

Band = Literal["certain", "ask"]
"""``ask``: a person decides whether it is them. What is neither is not reported."""

Action = Literal["delete", "redact", "keep"]

Level = Literal["physical", "crypto"]
"""What an erasure reaches: no byte left in any file, or the key gone under which all bytes were ever written."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Something that tells a person from others, as they gave it."""

    kind: IdentifierKind
    value: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, by nothing but what they gave to be found by."""

    identifiers: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch ``text[start:end]`` that speaks of the subject, or may."""

    start: int
    end: int
    identifier: int
    """Place of the identifier that it fits in ``Subject.identifiers``."""
    how: How
    band: Band


class SubjectFinder(Protocol):
    """Finds one person in texts."""

    @property
    def subject(self) -> Subject: ...

    def find(self, text: str, *, language: str = "") -> Sequence[Finding]:
        """Where the text speaks of the person, by place, no two overlapping; what is certain before what is not.

        Every call costs about one pass over the text, whether there is something or not. ``language``: ISO 639-1 or
        empty.
        """
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What a holder is to forget: document versions, all that was made from them, and texts that name the person."""

    documents: frozenset[str]
    chunks: frozenset[str]
    sources: frozenset[str]
    """Names under which the documents came in."""
    finder: SubjectFinder | None = None
    """None: nothing is known of a person, only the documents go (retention, for instance)."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that a holder keeps about a target: ids only, never what is in it."""

    holder: str
    kind: str
    """``document``, ``chunk``, ``key``, ``original``, ``point``, ``example``, ``model version`` and so on."""
    id: str


class Holder(Protocol):
    """Whatever keeps bytes about documents or people. A store that is none is not opened.

    Every method raises StorageFault when the disk or the files fail.
    """

    @property
    def name(self) -> str: ...

    @property
    def level(self) -> Level: ...

    def holdings(self, target: Target) -> Sequence[Holding]:
        """What it keeps about the target; empty after ``erase``."""
        ...

    def erase(self, target: Target) -> None:
        """Forget it, so that no byte stays in ``files``; durable on return. Once more changes nothing.

        A kill at any point leaves it as it was or part of the way: calling it again finishes it. What is kept of others
        stays as it is.
        """
        ...

    def files(self) -> Iterator[Path]:
        """Every file it writes, the database's logs and leftovers of a crash included: what a raw scan reads."""
        ...

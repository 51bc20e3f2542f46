"""A person who asks what is held about them, or to be forgotten: the nouns, and the port of whatever keeps bytes.

What the words mean is the GDPR's: Art. 17 erasure, Art. 18 restriction, Art. 12(3) the month within which it is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

IdentifierKind = Literal["name", "email", "phone", "iban", "national_id", "birth_date", "address", "reference"]
"""``reference``: any number under which a firm knows somebody (policy, customer, claim)."""

How = Literal["exact", "variant", "inflected", "initials", "transliterated", "fuzzy", "part"]
"""``exact`` after normalisation; ``variant`` another order or form of the same; ``part`` of a name alone."""

Band = Literal["certain", "ask"]
"""``ask``: a person decides whether it is them. What is neither is not reported."""

Action = Literal["delete", "redact", "keep"]

Level = Literal["physical", "crypto", "logical"]
"""What an erasure reaches: no byte left in any file; the key gone under which all bytes were ever written; or dropped
by a server that gives back nothing of it, and whose files nobody here can read."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Something that tells a person from others, as they gave it."""

    kind: IdentifierKind
    value: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, by what they gave to be found by."""

    identifiers: tuple[Identifier, ...]
    derived: tuple[Identifier, ...] = ()
    """What else was read from documents that surely speak of them."""
    shared: tuple[Identifier, ...] = ()
    """Numbers that stand in documents that do not speak of them too, but in fewer: these are asked about."""
    foreign: tuple[str, ...] = ()
    """Numbers that stand beside them and in documents that do not speak of them: somebody else's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch ``text[start:end]`` that speaks of the subject, or may."""

    start: int
    end: int
    identifier: int
    """Place of the identifier that it fits in ``Subject.identifiers``, with ``derived`` and ``shared`` counted on."""
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

    def clues(self) -> frozenset[bytes]:
        """Of which one stands in every text in which ``find`` finds something: in its flat form, or in that without
        separators (``freehold.privacy.sketch``).
        """
        ...

    def screen(self, texts: Sequence[str]) -> Sequence[int]:
        """Indices, ascending, of the texts in which ``find`` may find something: in all others there is nothing.

        One pass over all of them together, for texts of which most have nothing to say of the person.
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
    versions: frozenset[str] = frozenset()
    """Model versions that learned from the documents, as far as that is known: they may have left the house since."""


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


Ground = Literal[
    "17(1)(a)", "17(1)(b)", "17(1)(c)", "17(1)(d)", "17(1)(e)", "17(1)(f)", "retention-expiry", "controller-initiative"
]
"""Why: a letter of Art. 17(1), or the house's own doing."""

Stage = Literal["received", "fenced", "restricted", "erased", "models", "verified", "certified", "closed"]
"""How far a request has come, in this order; it only goes forward."""

STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """A request on record. It holds ids, counts and times; who it is about lies sealed beside it."""

    id: str
    ground: Ground
    received: str
    """ISO 8601 in UTC."""
    due: str
    """The same: one calendar month later, Art. 12(3)."""
    identifiers: Mapping[str, int]
    """Kind -> how many were given."""
    stage: Stage = "received"
    reached: Mapping[str, str] = field(default_factory=dict)
    """Stage -> when, ISO 8601 in UTC."""
    documents: Mapping[str, Action] = field(default_factory=dict)
    """Document id -> what became of it."""
    asked: tuple[str, ...] = ()
    """Ids of documents that a person has yet to decide on."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Document id -> basis of the legal hold under which it stays, restricted."""
    refused: tuple[str, ...] = ()
    """Ids of documents that a person decided are not about them, or are to be kept."""
    confirmed: int = 0
    """Documents that a person decided are about them."""
    erased: Mapping[str, int] = field(default_factory=dict)
    """Holder -> how many holdings it had."""
    redactions: Mapping[str, str] = field(default_factory=dict)
    """Id of a document -> id of what stands for it without the person."""
    sets: Mapping[str, str] = field(default_factory=dict)
    """Id of a model version that learned from an erased document -> name of its training set; empty: it is gone."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Id of such a version, when it is overwritten -> id of what was trained in its place; empty: nothing was."""
    certificate: str = ""
    """Verdict of the latest certificate."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds of work up to it, waiting left out."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search for leftovers looks for: pieces of what was erased. It lies sealed, and goes with the request."""

    texts: tuple[str, ...]
    """Stretches of erased documents around the person, long enough to stand nowhere else."""
    names: tuple[str, ...]
    """Sources that named them."""
    vectors: tuple[str, ...]
    """Base64 of float32 little-endian vectors of erased chunks."""
    documents: tuple[str, ...]
    chunks: tuple[str, ...]

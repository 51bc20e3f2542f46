"""What a record is made of: lines that answer a point of a law or a sheet, each with what shows that it is so.

A line says what the house knows, or names the setting that is to say it. It never guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

EvidenceKind = Literal[
    "setting", "ledger", "experiment", "version", "training set", "certificate", "model", "file", "page"
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where to look whether a line is true."""

    kind: EvidenceKind
    ref: str
    """Key of a setting, number of a leaf, id, name of a packaged model, file of the house, or page of the handbook."""
    at: str = ""
    """Of a setting, where its value came from; of a leaf, its kind; of a file or set, a digest."""

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}" + (f" ({self.at})" if self.at else "")


@dataclass(frozen=True, slots=True)
class Line:
    """An answer to one point."""

    point: str
    """Of the law (``30(1)(a)``) or the sheet; empty: of the section as a whole."""
    topic: str
    told: tuple[str, ...]
    """What is known; empty where nothing is."""
    evidence: tuple[Evidence, ...]
    to_fill: tuple[str, ...] = ()
    """Settings that are to say the rest, and say nothing."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one heading."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One document for the officer."""

    kind: str
    title: str
    law: str
    """Which law or practice asks for it."""
    about: str
    """What it is and is not, in a sentence or two."""
    house: str
    made: str
    """Date, ISO 8601."""
    sections: tuple[Section, ...]

    @property
    def lines(self) -> Sequence[Line]:
        return [line for section in self.sections for line in section.lines]

    @property
    def to_fill(self) -> tuple[str, ...]:
        """Settings that are to be filled in, each once."""
        return tuple(dict.fromkeys(key for line in self.lines for key in line.to_fill))

"""The watch over what is asked of a house and what it holds: what is looked at, what was found, what is to be done.

None of it holds a word, a vector or a person's name: numbers, times, and ids of questions and documents as examples,
which go when what they name goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Signal = Literal[
    "questions", "scores", "clicks", "abstentions", "thumbs down", "documents", "vectors", "canaries"
]  # fmt: skip
TESTED: tuple[Signal, ...] = ("questions", "scores", "clicks", "abstentions", "thumbs down", "documents")
"""Those where chance has a say: they share the false alarms that the settings allow."""

Outcome = Literal["quiet", "alarm", "not enough"]


@dataclass(frozen=True, slots=True)
class Example:
    """Something by which a change can be seen."""

    kind: Literal["question", "document", "canary"]
    id: str


@dataclass(frozen=True, slots=True)
class Remedy:
    """What was trained after an alarm, and whether the gate let it in."""

    at: str
    """ISO 8601 in UTC."""
    outcome: Literal["promoted", "refused", "no-gain", "failed"]
    """``refused``: by the gate, or it could not tell; ``no-gain``: nothing learned was worth asking it. What serves has
    changed where it is ``promoted``, and nowhere else."""
    told: str
    """In words: the gate's reasons, or what went wrong."""
    version: str = ""
    """Id of what was trained; empty where nothing was."""
    experiment: str = ""
    """Id of the gate's experiment, or of the training's where the gate was not asked."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change, and the proposal of what to do about it. It is open until somebody accepts what is now as normal."""

    id: str
    signal: Signal
    at: str
    """ISO 8601 in UTC."""
    since: str
    """When it seems to have begun, as far as looks tell; ISO 8601 in UTC."""
    moved: str
    """What moved, in words of the watch's own."""
    examples: tuple[Example, ...]
    proposal: tuple[str, ...]
    """Commands that would answer it, in order."""
    remedy: Remedy | None = None
    """What was done about it without being told; None: nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the last look says of a signal."""

    signal: Signal
    outcome: Outcome
    told: str
    """In words: what was seen, or how much more is needed."""
    at: str
    """ISO 8601 in UTC."""
    new: int = 0
    known: int = 0
    statistic: float | None = None
    """None where nothing was tested, here and below."""
    unit: str = ""
    p: float | None = None
    evidence: float | None = None
    """The sum of bets since all possible starts of a change."""
    level: float | None = None
    """What it must reach for an alarm."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a signal has been watched: with this and the log, the next look knows what is new."""

    signal: Signal
    begun: str
    """What came after is known, or new; ISO 8601 in UTC."""
    cuts: tuple[str, ...] = ()
    """Times of looks: the first ends what was known at the beginning, each later one a batch."""
    bets: tuple[float, ...] = ()
    """What each batch's bet paid."""


@dataclass(frozen=True, slots=True)
class Watch:
    """All that is remembered between two looks."""

    looked: str = ""
    """ISO 8601 in UTC; empty: never."""
    courses: tuple[Course, ...] = ()
    readings: tuple[Reading, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    """Open ones."""
    found: tuple[str, ...] = ()
    """Canaries that were found when all was accepted as normal, by their ids."""

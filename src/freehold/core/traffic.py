"""Traffic: what is asked of a house through its service, what came back, and what people thought of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from freehold.core.types import Filter

QuestionKind = Literal["search", "ask", "chat"]
Signal = Literal["click", "up", "down"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What came back for a question: a hit, or a passage that an answer was made from."""

    rank: int
    """Counted from 1."""
    document_id: str
    chunk_id: str | None = None
    """None: a citation of which only the document is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what came back."""

    id: str
    """Random; by it feedback names the question."""
    at: datetime
    kind: QuestionKind
    text: str
    shown: tuple[Shown, ...] = ()
    key: str = ""
    """Id of the API key that it came under: a program's or a role's, no person's name."""
    filter: Filter = field(default_factory=dict)
    latency_ms: float | None = None
    lineup: int = 0
    """Number of the model versions that served."""
    models: Mapping[str, str] = field(default_factory=dict)
    """What a model did -> its name and version, of those that no lineup names."""
    revision: int = 0
    """The catalog's, up to which the index was."""
    abstained: bool | None = None
    """None for a search."""
    answer: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """All of it that may speak of people."""
        values = (one for value in self.filter.values() for one in ([value] if isinstance(value, str) else value))
        return (self.text, *([self.answer] if self.answer else []), *values)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A click, or a thumb up or down."""

    question_id: str
    signal: Signal
    at: datetime
    chunk_id: str | None = None
    """None: it is about the answer as a whole."""
    voter: str = ""
    """Id of the API key that it came under; empty: nobody knows whose it is."""


class ShownAt(NamedTuple):
    """Where something of a document was shown."""

    question_id: str
    kind: QuestionKind
    rank: int


@dataclass(frozen=True, slots=True)
class Volume:
    """How much is logged."""

    questions: Mapping[QuestionKind, int]
    oldest: str
    """ISO 8601 in UTC; empty where nothing is."""
    newest: str
    answered: int
    """Questions that an answer was given to, abstentions included."""
    abstained: int
    """Of these, those to which the documents held no answer."""
    shown: int
    feedback: Mapping[Signal, int]
    on_answers: int
    """Of the feedback, what is about an answer as a whole."""
    size_mb: float

    @property
    def abstention_rate(self) -> float | None:
        """None where nothing was answered."""
        return self.abstained / self.answered if self.answered else None

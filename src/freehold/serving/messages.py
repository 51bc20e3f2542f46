"""What the front asks of an engine process, and what comes back: pickled over a pipe between two processes of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from freehold.core.access import Caller
from freehold.core.types import Answer, Filter, Mode
from freehold.journeys.search import Found

if TYPE_CHECKING:
    from freehold.core.types import Float32


@dataclass(frozen=True, slots=True)
class Search:
    """The ``k`` best passages for a question."""

    text: str
    k: int = 10
    mode: Mode | None = None
    """None: as the settings have it."""
    rerank_depth: int | None = None
    filter: Filter = field(default_factory=dict)
    caller: Caller | None = None
    """None: sees everything."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An answer with citations. Its words come as ``text`` replies before it."""

    text: str
    mode: Mode | None = None
    filter: Filter = field(default_factory=dict)
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class Embed:
    """Vectors of texts, as the live embedder makes them."""

    texts: tuple[str, ...]
    queries: bool = True
    """As questions, with the adapter that is live; else as documents."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well each of the texts answers the question, by the live embedder's late interaction."""

    question: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refresh:
    """Go over to what is live now, if it is anything else. Searches go on meanwhile."""


Message = Search | Ask | Embed | Score | Refresh


@dataclass(frozen=True, slots=True)
class Request:
    """A message with the name under which its replies come back."""

    number: int
    message: Message
    deadline: float
    """On the machine's monotonic clock, in seconds, which all its processes share."""


@dataclass(frozen=True, slots=True)
class State:
    """What an engine answers with: equal states give equal answers."""

    revision: int
    """Of the catalog, as the index has it."""
    lineup: int
    models: Mapping[str, str]
    """Role -> name of the model that serves."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, and whether it may be kept for whoever asks the same."""

    found: Found
    may_keep: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what was found for it."""

    answer: Answer
    found: Found
    degraded: str = ""
    """What failed, where another engine stood in: ``generator``."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """float32 (texts, dim), rows of unit norm, and how many tokens were read."""

    vectors: Float32
    tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class Reply:
    """``done`` and ``failed`` are the last of a request; its number is -1 where the engine speaks of itself."""

    number: int
    kind: Literal["text", "done", "failed"]
    load: object


class DeadlinePassed(Exception):
    """The request's time was over before it was its turn."""

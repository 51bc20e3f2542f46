"""Findings, the rules that make them, and the report that they end in.

A rule is a function over facts with a name, declared by ``@rules.rule(...)``; adding one is writing one. It yields what
it saw: a ``fault``, something ``unclear`` that could not be judged and what would be needed for it, or that all is
``sound``, with the figures that say so. No data is never sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from freehold.core.errors import FreeholdError

Severity = Literal["high", "medium", "low"]
"""``high``: against the law, or answers are wrong now; ``medium``: one event away from it; ``low``: worth mending."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

Outcome = Literal["fault", "inconclusive", "sound"]

Theme = Literal["retrieval", "passages", "answers", "latency", "people", "requests", "models", "records", "safety"]
THEMES: tuple[Theme, ...] = get_args(Theme)

Figures = Mapping[str, object]
"""Name, with its unit -> number, or words of the audit's own."""

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule saw, once."""

    outcome: Outcome
    told: str
    figures: Figures = field(default_factory=dict)
    fix: str = ""
    """The command or setting that mends it, or that lets it be judged; commands stand between backticks."""
    refs: tuple[str, ...] = ()
    """Ids of documents, requests, versions or questions; keys of settings. Never words of any of them."""
    severity: Severity | None = None
    """Of a fault, where it is not the rule's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw, with all that a reader needs to act on it."""

    rule: str
    title: str
    theme: Theme
    outcome: Outcome
    severity: Severity
    """Of a fault; of all else how grave a fault of this rule would be."""
    told: str
    figures: Figures
    basis: tuple[str, ...]
    """Clauses, papers, standards or practices that it stands on."""
    fix: str
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule(Generic[F]):
    """A question that an audit asks of facts ``F``."""

    id: str
    title: str
    theme: Theme
    severity: Severity
    basis: tuple[str, ...]
    look: Callable[[F], Iterable[Seen]]

    def check(self, facts: F) -> Iterator[Finding]:
        """What it finds. What keeps it from looking is no fault and no pass: it is inconclusive."""
        try:
            seen = list(self.look(facts))
        except FreeholdError as error:
            seen = [unclear(f"could not be looked at: {error.message}", error.hint, refs=error.refs)]
        for one in seen or [unclear("there is nothing that this could be judged by", "")]:
            yield Finding(
                self.id,
                self.title,
                self.theme,
                one.outcome,
                one.severity or self.severity,
                one.told,
                one.figures,
                self.basis,
                one.fix,
                one.refs,
            )


class Rules(Generic[F]):
    """The rules over one kind of facts, in the order of their declaration."""

    def __init__(self) -> None:
        self.all: dict[str, Rule[F]] = {}

    def rule(
        self, id: str, *, theme: Theme, severity: Severity, basis: tuple[str, ...]
    ) -> Callable[[Callable[[F], Iterable[Seen]]], Callable[[F], Iterable[Seen]]]:
        """Declare a function as the rule of this name; its docstring says what is to be so.

        Raises ValueError for a name that is taken.
        """

        def declare(look: Callable[[F], Iterable[Seen]]) -> Callable[[F], Iterable[Seen]]:
            if id in self.all:
                raise ValueError(f"two rules are called {id}")
            title = (look.__doc__ or id).split("\n")[0].rstrip(".")
            self.all[id] = Rule(id, title, theme, severity, basis, look)
            return look

        return declare


def fault(
    told: str,
    figures: Figures | None = None,
    *,
    fix: str,
    refs: Iterable[str] = (),
    severity: Severity | None = None,
) -> Seen:
    """Something is wrong."""
    return Seen("fault", told, figures or {}, fix, tuple(refs)[:SHOWN], severity)


def unclear(told: str, needs: str, figures: Figures | None = None, refs: Iterable[str] = ()) -> Seen:
    """It could not be judged; ``needs`` says what would let it."""
    return Seen("inconclusive", told, figures or {}, needs, tuple(refs)[:SHOWN])


def sound(told: str, figures: Figures | None = None) -> Seen:
    """It was looked at, and nothing is wrong."""
    return Seen("sound", told, figures or {})


SHOWN = 10
"""Ids that a finding names at most; its figures have their number."""


@dataclass(frozen=True, slots=True)
class Report:
    """An audit, as it is written."""

    subject: str
    """Name of the house, or address of the service."""
    made: str
    """ISO 8601 in UTC."""
    version: str
    """Of Freehold."""
    facts: Mapping[str, str]
    """A few lines on what was audited: how much there is, by which models."""
    findings: tuple[Finding, ...]
    rules: tuple[Mapping[str, object], ...]
    """Every rule that was asked: id, title, theme, severity, basis."""
    residency: Mapping[str, Any] = field(default_factory=dict)
    """Where data goes, signed, with its place in the ledger: as ``freehold doctor --residency --statement`` writes it.
    Empty where it was not asked for, or could not be."""
    unsigned: str = ""
    """Why it could not be."""

    def of(self, outcome: Outcome) -> tuple[Finding, ...]:
        """Findings of an outcome, the gravest first, in the order of the rules."""
        return tuple(sorted((f for f in self.findings if f.outcome == outcome), key=_gravity))

    @property
    def faults(self) -> Counter[Severity]:
        """Severity -> faults."""
        return Counter(finding.severity for finding in self.of("fault"))

    def fails(self, on: Severity) -> bool:
        """Whether there is a fault of this severity or a graver one."""
        return any(self.faults[severity] for severity in SEVERITIES[: SEVERITIES.index(on) + 1])


def _gravity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def told_of(rule: Rule[F]) -> Mapping[str, object]:
    """A rule as a report names it."""
    return {
        "id": rule.id, "title": rule.title, "theme": rule.theme, "severity": rule.severity, "basis": list(rule.basis),
    }  # fmt: skip

"""How much slips through, counted on labelled text.

A sample is a file of JSON lines: ``_id``, ``text``, ``language`` (ISO 639-1, may be absent) and ``spans``, each with
``start`` and ``end`` in code points and a ``label``: a kind of ``Mention``, or one of the names that public sets use.
Some labels may be replaced or not (a town, a date); labels of organisations must not be.

The packaged sample is of our own writing and about invented people; docs/decisions/0012-finding-people.md says how it
was used. What holds on it need not hold on your texts: label some of your own and check with them.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast, get_args

from freehold.core.errors import UsageError
from freehold.core.ports import Detector
from freehold.core.training import PseudonymCheck
from freehold.core.types import Mention, MentionKind
from freehold.privacy.words import is_nobody

PACKAGED = "freehold/privacy/sample.jsonl"

_ALIASES: Mapping[str, MentionKind] = {
    "PERSON": "person", "STREET_ADDRESS": "address", "ZIP_CODE": "address", "LOCATION": "address",
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban",
    "US_BANK_NUMBER": "account", "US_SSN": "national_id", "US_ITIN": "national_id", "UK_NHS": "national_id",
    "US_DRIVER_LICENSE": "document", "US_PASSPORT": "document", "IP_ADDRESS": "ip",
}  # fmt: skip
_EITHER_WAY = frozenset({"GPE", "DATE_TIME", "AGE", "DOMAIN_NAME", "URL"})
_NOT_PEOPLE = frozenset({"ORGANIZATION", "TITLE", "NRP"})
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled span. ``kind`` is None where replacing it is neither asked for nor wrong."""

    start: int
    end: int
    kind: MentionKind | None


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and everything in it that gives a person away."""

    id: str
    language: str
    text: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector made of one labelled text."""

    labelled: LabelledText
    mentions: tuple[Mention, ...]
    missed: tuple[Label, ...]
    """Labels of which some word was not found. Titles and small words do not count: "Dr." and "von" are nobody."""
    false: tuple[Mention, ...]
    """Mentions where nothing is labelled."""


def read_sample(path: Path | None = None) -> tuple[LabelledText, ...]:
    """The labelled texts of a file, or of the packaged sample.

    Raises UsageError, naming the line, where it is not as the top of this module says, or holds no text.
    """
    name = PACKAGED if path is None else str(path)
    try:
        file = resources.files("freehold.privacy").joinpath("sample.jsonl") if path is None else path
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{name} cannot be read", hint="give a file of JSON lines in UTF-8") from error
    sample = tuple(_labelled(line, f"{name}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    if not sample:
        raise UsageError(f"{name} holds no labelled text", hint="label some texts first: an empty check says nothing")
    return sample


def check(detector: Detector, sample: Sequence[LabelledText], *, name: str = PACKAGED) -> PseudonymCheck:
    """What the detector leaves in clear of what is labelled, with an exact 95 % interval.

    ``name`` says which sample it is. ``replaced`` is empty: it is about the texts that come to be replaced.
    """
    outcomes = outcomes_of(detector, sample)
    labelled = sum(label.kind is not None for outcome in outcomes for label in outcome.labelled.labels)
    missed = sum(len(outcome.missed) for outcome in outcomes)
    return PseudonymCheck(
        detector=detector.name,
        replaced={},
        sample=name,
        labelled=labelled,
        missed=missed,
        miss_rate_ci95=exact_interval(missed, labelled),
    )


def outcomes_of(detector: Detector, sample: Sequence[LabelledText]) -> list[Outcome]:
    """What the detector makes of each text, in order. Each language is a call of its own, with its hint."""
    by_language: dict[str, list[int]] = defaultdict(list)
    for i, labelled in enumerate(sample):
        by_language[labelled.language].append(i)
    found: dict[int, tuple[Mention, ...]] = {}
    for language, places in by_language.items():
        mentions = detector.detect([sample[i].text for i in places], language=language)
        found.update(zip(places, mentions, strict=True))
    return [_outcome(labelled, found[i]) for i, labelled in enumerate(sample)]


def exact_interval(events: int, trials: int, *, alpha: float = 0.05) -> tuple[float, float] | None:
    """Bounds for a rate (Clopper and Pearson 1934); None where nothing was tried."""
    if not trials:
        return None
    half = alpha / 2
    # Each bound is the rate at which so extreme a count has probability alpha / 2.
    low = 0.0 if events == 0 else _root(lambda rate: half - (1 - _binomial_cdf(events - 1, trials, rate)))
    high = 1.0 if events == trials else _root(lambda rate: _binomial_cdf(events, trials, rate) - half)
    return low, high


def _outcome(labelled: LabelledText, mentions: tuple[Mention, ...]) -> Outcome:
    missed = tuple(x for x in labelled.labels if x.kind is not None and not _is_covered(labelled.text, x, mentions))
    false = tuple(m for m in mentions if not any(m.start < x.end and x.start < m.end for x in labelled.labels))
    return Outcome(labelled, mentions, missed, false)


def _is_covered(text: str, label: Label, mentions: Sequence[Mention]) -> bool:
    covered = {place for m in mentions for place in range(max(m.start, label.start), min(m.end, label.end))}
    return all(
        covered.issuperset(range(word.start(), word.end())) or is_nobody(word[0])
        for word in _WORD.finditer(text, label.start, label.end)
    )


def _labelled(line: str, where: str) -> LabelledText:
    try:
        row = json.loads(line)
        text = row["text"]
        labels = tuple(label for span in row["spans"] for label in _labels(span, text))
        return LabelledText(str(row["_id"]), str(row.get("language", "")), text, labels)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        known = ", ".join([*get_args(MentionKind), *_ALIASES, *sorted(_EITHER_WAY | _NOT_PEOPLE)])
        raise UsageError(
            f"{where} is not a labelled text",
            hint=f'each line: {{"_id", "text", "language", "spans": [{{"start", "end", "label"}}]}}; labels: {known}',
            refs=(where,),
        ) from error


def _labels(span: Mapping[str, Any], text: str) -> Iterator[Label]:
    start, end, name = span["start"], span["end"], span["label"]
    if not 0 <= start < end <= len(text):
        raise ValueError(name)
    if name in get_args(MentionKind):
        yield Label(start, end, cast(MentionKind, name))
    elif name in _ALIASES:
        yield Label(start, end, _ALIASES[name])
    elif name in _EITHER_WAY:
        yield Label(start, end, None)
    elif name not in _NOT_PEOPLE:
        raise ValueError(name)


def _binomial_cdf(most: int, trials: int, rate: float) -> float:
    """Probability of at most ``most`` events in ``trials`` at ``rate`` in (0, 1)."""
    base, odds = math.log1p(-rate) * trials, math.log(rate) - math.log1p(-rate)
    whole = math.lgamma(trials + 1)
    logs = (whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * odds + base for k in range(most + 1))
    return min(1.0, math.fsum(map(math.exp, logs)))


def _root(falling: Callable[[float], float]) -> float:
    """Where a falling function of a rate is 0, to twelve decimals."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return round((low + high) / 2, 12)

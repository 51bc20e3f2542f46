"""Canaries: questions whose answer is known, asked at every look. Chance has no say in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from freehold.core.errors import FreeholdError, UsageError
from freehold.core.ids import keyed_order
from freehold.core.types import Hit
from freehold.house import House
from freehold.measure.labels import Labels, read_labels

MOST = 200
"""Of a labelled set; a file of canaries is asked whole."""
_NAME = re.compile(r"[\w.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Canary:
    """A question and what must be among its hits: a document by one of these names, or a passage with these words."""

    id: str
    question: str
    sources: frozenset[str] = frozenset()
    answer: str = ""

    def is_in(self, hits: Sequence[Hit]) -> bool:
        """Whether it is there. A file's name, with or without suffix, is enough of its path."""
        answer = _folded(self.answer)
        return any(
            self.sources & {hit.source, PurePath(hit.source).name, PurePath(hit.source).stem}
            or (answer and answer in _folded(hit.text))
            for hit in hits
        )


def canaries_of(house: House) -> list[Canary]:
    """The canaries that the settings name, else some of the gate's questions, always the same; none where neither is.

    Raises UsageError, naming file and line, for what is not as it must be.
    """
    settings = house.settings
    if settings.watch.canaries:
        return list(_read(house.root / settings.watch.canaries))
    if settings.gate.dataset:
        return _of_labels(read_labels(house.root / settings.gate.dataset, settings.gate.split or None))
    return []


def found(house: House, canaries: Sequence[Canary]) -> set[str]:
    """Ids of those whose answer the search finds."""
    here = set()
    for canary in canaries:
        try:
            hits = house.search(canary.question, k=house.settings.watch.canary_hits).hits
        except FreeholdError as error:
            if error.exit_code != UsageError.exit_code:
                raise
            continue  # what cannot be asked is not found
        if canary.is_in(hits):
            here.add(canary.id)
    return here


def _read(path: Path) -> Iterator[Canary]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path} cannot be read", hint="correct watch.canaries in freehold.toml") from e
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        canary = _canary(line, number, path)
        if canary.id in seen:
            raise UsageError(f"two canaries have the same id at {path}:{number}", hint="give each its own")
        seen.add(canary.id)
        yield canary


def _canary(line: str, number: int, path: Path) -> Canary:
    hint = 'write {"id": "c1", "question": "...", "source": "lease.pdf"}, or "answer": words of a passage'
    wrong = UsageError(f"{path}:{number} is no canary", hint=hint)
    try:
        record: Any = json.loads(line)
    except ValueError:
        raise wrong from None
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        raise wrong
    known = {"id", "question", "source", "answer"}
    name = record.get("id", f"line-{number}")
    if record.keys() - known or not record.get("question") or not _NAME.fullmatch(name):
        raise wrong
    source, answer = record.get("source", ""), record.get("answer", "")
    if not source and not _folded(answer):
        raise wrong
    return Canary(name, record["question"], frozenset({source} if source else ()), answer)


def _of_labels(labels: Labels) -> list[Canary]:
    """Those with a document that answers them; passages count as the document that they lie in."""
    made = []
    for query_id in keyed_order((q for q in labels.qrels if _NAME.fullmatch(q)), "canaries")[:MOST]:
        units = [unit for unit, grade in labels.qrels[query_id].items() if grade > 0]
        names = frozenset(labels.spans[unit].unit if unit in labels.spans else unit for unit in units)
        if names:
            made.append(Canary(query_id, labels.queries[query_id].text, names))
    return made


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())

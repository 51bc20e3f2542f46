"""What a person looks at to decide: documents that may speak of somebody, with the sentences that may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from freehold.core.erasure import ErasureRequest
from freehold.erasing.identity import finder_of
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.text.sentences import sentence_spans

Todo = Literal["decide", "retrain", "resume", "close"]
"""``decide`` on documents; ``retrain`` models; ``resume`` it as it is; ``close`` it, which destroys its key."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A document that a person has to decide on."""

    document_id: str
    source: str
    sentences: tuple[str, ...]


def doubts(house: House, request: ErasureRequest) -> list[Doubt]:
    """The documents that wait for a decision, those that are gone meanwhile left out."""
    if not request.asked:
        return []
    finder = finder_of(requests_of(house).subject(request.id))
    here = house.shelf.document_ids()
    found = []
    for document_id in request.asked:
        if document_id in here:
            document = house.shelf.document(document_id)
            spans = [(f.start, f.end) for f in finder.find(document.text, language=document.language)]
            sentences = (
                document.text[start:end]
                for start, end in sentence_spans(document.text, document.language)
                if any(start < last and first < end for first, last in spans)
            )
            found.append(Doubt(document_id, document.source, tuple(sentences)))
    return found


def to_do(request: ErasureRequest) -> list[Todo]:
    """What is still to be done for a request."""
    if request.stage == "closed":
        return []
    left: list[Todo] = []
    if request.asked:
        left.append("decide")
    if request.sets.keys() - request.replaced.keys():
        left.append("retrain")
    if request.certificate in {"", "INTERIM", "FAILED"} and not left:
        left.append("resume")
    return left or ["close"]


def is_overdue(request: ErasureRequest, *, now: datetime) -> bool:
    """Whether the month of Art. 12(3) has passed without a final certificate."""
    final = request.certificate in {"COMPLETE", "PARTIAL_EXEMPT"}
    return not final and now > datetime.fromisoformat(request.due)

"""What a person looks at to decide: documents that may speak of somebody, with the sentences that may."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.core.erasure import ErasureRequest
from freehold.erasing.identity import finder_of
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.text.sentences import sentence_spans


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

"""Mentions: where documents name people, as a detector found them once; kept beside the text with its version.

What is kept is places, never a person: who is meant is asked when somebody asks to be forgotten (GDPR Art. 11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.ports import Detector
from freehold.core.shelf import Shelf
from freehold.core.types import Document, Mention, MentionKind
from freehold.journeys.ingest import Progress

_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Survey:
    """How much of what a shelf holds is about people."""

    detector: str
    """Name and version."""
    documents: int
    with_mentions: int
    """Documents that mention somebody."""
    mentions: dict[MentionKind, int]


class Mentions:
    """Where the documents of a shelf name people. What another version of the detector found is found anew."""

    def __init__(self, shelf: Shelf, detector: Detector, *, keep: bool = True) -> None:
        """``keep``: whether what is found is put on the shelf; else nothing there changes."""
        self._shelf = shelf
        self._detector = detector
        self._keep = keep

    def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        """Per document its mentions, by place; those that are not kept yet are found, and kept."""
        name = self._detector.name
        known = dict(self._shelf.mentions([document.id for document in documents], name))
        missing = [document for document in documents if document.id not in known]
        for start in range(0, len(missing), _AT_A_TIME):
            batch = missing[start : start + _AT_A_TIME]
            found = self._detector.detect([document.text for document in batch])
            made = {document.id: mentions for document, mentions in zip(batch, found, strict=True)}
            if self._keep:
                self._shelf.put_mentions(name, made)
            known |= made
        return [known[document.id] for document in documents]

    def survey(self, progress: Progress) -> Survey:
        """Read every document that was not read yet, so that later requests need not wait for it, and count."""
        ids = sorted(words.document_id for words in self._shelf.words())
        kinds: Counter[MentionKind] = Counter()
        naming = 0
        for start in range(0, len(ids), _AT_A_TIME):
            batch = [self._shelf.document(document_id) for document_id in ids[start : start + _AT_A_TIME]]
            for mentions in self.of(batch):
                kinds.update(mention.kind for mention in mentions)
                naming += bool(mentions)
            progress("people", min(start + _AT_A_TIME, len(ids)), len(ids))
        return Survey(self._detector.name, len(ids), naming, dict(kinds.most_common()))

"""What the house holds on a person: shown to them (GDPR Art. 15), or hidden (Art. 18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from freehold.core.erasure import Band, Subject, SubjectFinder, Target
from freehold.core.errors import UsageError
from freehold.core.ids import new_id
from freehold.core.traffic import QuestionKind
from freehold.core.types import Document
from freehold.erasing.holders import ModelsHolder, TrainingHolder, holders_of, known_holdings
from freehold.erasing.identity import finder_of, mentions_of, resolved
from freehold.erasing.logged import TypedFinder, speaking
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.journeys.erase import others_in
from freehold.journeys.ingest import Progress
from freehold.journeys.mentions import Mentions
from freehold.text.sentences import sentence_spans

OTHER = "[another person]"
"""Stands for people other than the one who asks: their data is not handed out (Art. 15(4))."""
RESTRICTION = "restriction:"


@dataclass(frozen=True, slots=True)
class Said:
    """What a document says of the person."""

    document_id: str
    band: Band
    source: str
    title: str
    language: str
    restricted: bool
    hold: str
    """Basis of the legal hold that it is under, or empty."""
    sentences: tuple[str, ...]
    """That speak of them, others' names left out."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the house, or answered, that speaks of the person."""

    id: str
    at: str
    """ISO 8601 in UTC."""
    kind: QuestionKind
    band: Band
    sentences: tuple[str, ...]
    """That speak of them, others' names left out."""


@dataclass(frozen=True, slots=True)
class Access:
    """All of a person that the house holds."""

    at: str
    """ISO 8601 in UTC."""
    identifiers: tuple[str, ...]
    """Kinds that were searched by, those read from the documents included."""
    documents: tuple[Said, ...]
    holdings: dict[str, int]
    """Holder -> how much it keeps about these documents and the person."""
    questions: tuple[Question, ...]
    """Of the query log, the oldest first."""
    examples: int
    """Training examples made from these documents."""
    models: tuple[str, ...]
    """``role id`` of the versions that learned from them."""
    requests: tuple[str, ...]
    """``id stage due`` of erasures that are under way."""


def show(house: House, subject: Subject, progress: Progress) -> Access:
    """Search the whole house for a person and write down what it holds. Nothing changes but that the ledger says so."""
    mentions = mentions_of(house)
    whole, cases = resolved(house, subject, mentions, progress)
    finder = finder_of(whole)
    hidden, holds = house.shelf.restricted(), house.shelf.holds()
    documents = []
    for case in cases:
        document = house.shelf.document(case.document_id)
        documents.append(
            Said(
                document_id=document.id,
                band=case.band,
                source=document.source,
                title=document.title,
                language=document.language,
                restricted=document.id in hidden,
                hold=holds[document.id].basis if document.id in holds else "",
                sentences=said(document, finder, mentions),
            )
        )
    ids = frozenset(case.document_id for case in cases)
    target = Target(ids, frozenset(house.shelf.chunks_of(ids)), frozenset(d.source for d in documents), finder)
    holdings = {holder.name: len(known_holdings(holder, target)) for holder in holders_of(house, progress)}
    tainted = ModelsHolder(house, progress).tainted(target)
    known = requests_of(house).open_for(subject)
    house.ledger.append("access.shown", counts={"documents": len(documents)})
    return Access(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        identifiers=tuple(dict.fromkeys(i.kind for i in (*whole.identifiers, *whole.derived))),
        documents=tuple(documents),
        holdings=holdings,
        questions=_questions(house, finder, mentions),
        examples=sum(holding.kind == "example" for holding in TrainingHolder(house).holdings(target)),
        models=tuple(f"{version.role} {version.id}" for version in tainted),
        requests=(f"{known.id} {known.stage} {known.due}",) if known else (),
    )


def _questions(house: House, finder: SubjectFinder, mentions: Mentions) -> tuple[Question, ...]:
    bands = speaking(house.traffic, finder)
    found = []
    for one in house.traffic.get(bands):
        texts = [Document(new_id(), "", "", text, "und") for text in one.words]
        sentences = tuple(sentence for text in texts for sentence in said(text, TypedFinder(finder), mentions))
        found.append(Question(one.id, one.at.isoformat(timespec="seconds"), one.kind, bands[one.id], sentences))
    return tuple(found)


def said(document: Document, finder: SubjectFinder, mentions: Mentions) -> tuple[str, ...]:
    """The sentences that speak of the person, without other people's names."""
    text = document.text
    mine = [(found.start, found.end) for found in finder.find(text, language=document.language)]
    theirs = others_in([document], finder, mentions)[0]
    sentences = []
    for start, end in sentence_spans(text, document.language):
        if any(start < last and first < end for first, last in mine):
            sentences.append(_without(text, start, end, theirs))
    return tuple(sentences)


def _without(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> str:
    pieces = []
    at = start
    for first, last in spans:
        if start <= first and last <= end:
            pieces += [text[at:first], OTHER]
            at = last
    return "".join([*pieces, text[at:end]])


def restrict(house: House, subject: Subject, progress: Progress) -> tuple[str, tuple[str, ...]]:
    """Hide what surely speaks of the person from every search, at once. The restriction's id, and the documents'."""
    _, cases = resolved(house, subject, mentions_of(house), progress)
    found = tuple(case.document_id for case in cases if case.band == "certain")
    if not found:
        raise UsageError("no document surely speaks of them", hint="freehold subject show tells what may")
    name = RESTRICTION + new_id()
    house.shelf.restrict(found, name)
    ids = {"restriction": name.removeprefix(RESTRICTION)}
    house.ledger.append("restriction.set", ids=ids, counts={"documents": len(found)})
    return name, found


def lift(house: House, name: str) -> int:
    """End a restriction; how many documents it hid. Raises UsageError where there is none of that id."""
    hidden = [document for document, requests in house.shelf.restricted().items() if name in requests]
    if not name.startswith(RESTRICTION) or not hidden:
        hint = "freehold requests lists those in force; what an erasure hides stays hidden until it is done"
        raise UsageError("there is no such restriction", hint=hint)
    house.shelf.lift(name)
    house.ledger.append("restriction.lifted", ids={"restriction": name.removeprefix(RESTRICTION)})
    return len(hidden)

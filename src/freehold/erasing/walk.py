"""Erase: a person's request carried out over a whole house. ``receive`` it, then ``carry_out`` until nothing is left.

fence -> find -> restrict -> (alone in the house) redact and delete -> every holder -> models -> verify -> certificate

Nothing is deleted before the fence stands, and nothing loses its key before what stays of it is on disk. Every step may
be done again: a call that was killed is finished by the next one, from wherever it was.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from freehold.core.deadline import due_after
from freehold.core.erasure import (
    STAGES,
    Action,
    Band,
    ErasureRequest,
    Evidence,
    Ground,
    Holding,
    Identifier,
    Stage,
    Subject,
    SubjectFinder,
    Target,
)
from freehold.core.errors import EndpointFault, HouseBusy, NeedsPerson
from freehold.core.faults import step
from freehold.core.fence import Print
from freehold.core.files import reserve
from freehold.core.ids import new_id
from freehold.core.ledger import Kind
from freehold.core.shelf import Changes
from freehold.erasing.holders import ModelsHolder, TrackingHolder, holders_of, known_holdings, taint_note
from freehold.erasing.identity import finder_of, mentions_of, numbers_of, resolved
from freehold.house import House
from freehold.journeys.erase import Case, as_title, goes, judge, locate, redact, settle
from freehold.journeys.ingest import Progress, Raw, entries_of
from freehold.key_files import export_keys
from freehold.store.lock import writer_lock
from freehold.store.requests import RequestFolder
from freehold.store.shelf import HouseShelf
from freehold.store.training import TrainingFolder
from freehold.tuning.sets import TRAINING

REQUESTS = "requests"
"""Folder of the requests in a house."""

_BATCH_DOCUMENTS = 64
_EVIDENCE_CHARS = 24
"""On each side of a mention: with it, long enough to stand nowhere else."""
_MOST_TEXTS = 2_000
_MOST_VECTORS = 500
_WAIT_STEP_S = 0.5
_RESERVE = "reserve"
_RESERVED_BYTES = 32 << 20
"""Beside the index: for what stands in the databases' logs, and redacted documents."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would do."""

    cases: tuple[Case, ...]
    holdings: tuple[Holding, ...]
    """Of the documents that would go or change, in every holder."""
    held: Mapping[str, str]
    """Document id -> basis of the legal hold under which it stays."""
    identifiers: tuple[Identifier, ...]
    """What else was read from documents that surely speak of them."""


@dataclass(frozen=True, slots=True)
class Orders:
    """How a request is to be carried out."""

    decisions: Mapping[str, Action] = field(default_factory=dict)
    """Document id -> what a person decided."""
    wait_s: float = 600.0
    """How long to wait for another process that writes, or reads an old state."""
    most: int = 1_000
    """More documents than this are not taken for one person's."""


def requests_of(house: House) -> RequestFolder:
    """The requests of a house."""
    return RequestFolder(house.root / REQUESTS, house.shelf.vault)


def preview(house: House, subject: Subject, progress: Progress, *, keep: bool = False) -> Preview:
    """What would become of what: every document that speaks of the person, and all that is kept about it.

    ``keep``: whether places where people are mentioned are kept, so that the erasure that follows need not read for
    them again; else nothing changes.
    """
    mentions = mentions_of(house, keep=keep)
    whole, located = resolved(house, subject, mentions, progress)
    finder = finder_of(whole)
    cases = judge(located, house.shelf, finder, mentions, progress)
    target = _target(house, [case.document_id for case in cases if case.decided], finder)
    holdings = tuple(h for holder in holders_of(house, progress) for h in known_holdings(holder, target))
    holds = house.shelf.holds()
    held = {case.document_id: holds[case.document_id].basis for case in cases if case.document_id in holds}
    return Preview(tuple(cases), holdings, held, whole.derived)


def receive(house: House, subject: Subject, ground: Ground) -> ErasureRequest:
    """Take a request on record; the open one of the same person is gone on with. Raises StorageFault."""
    now = datetime.now(UTC)
    kinds: dict[str, int] = {}
    for identifier in subject.identifiers:
        kinds[identifier.kind] = kinds.get(identifier.kind, 0) + 1
    new = ErasureRequest(
        id=new_id(),
        ground=ground,
        received=now.isoformat(timespec="seconds"),
        due=due_after(now).isoformat(timespec="seconds"),
        identifiers=kinds,
    )
    request = requests_of(house).take(new, subject)
    _tell_received(house, request)
    return request


def _tell_received(house: House, request: ErasureRequest) -> None:
    """One leaf for each request, also where whoever took it on record was killed, or another one takes it now."""
    ids = {"request": request.id}
    with requests_of(house).alone():
        told = any(leaf.kind == "erasure.received" and leaf.ids == ids for leaf in house.ledger.newest_first())
        if not told:
            house.ledger.append("erasure.received", ids=ids, codes={"ground": request.ground})


def carry_out(house: House, request: ErasureRequest, orders: Orders, progress: Progress) -> ErasureRequest:
    """Erase the person from every holder but the models that serve; see ``freehold.erasing.retrain`` for those.

    Documents that a person has to decide on are left, named in ``asked``, and so are those under a legal hold, which
    are restricted. Raises HouseBusy where another process still writes after ``orders.wait_s``: the person is fenced
    out and their documents are hidden by then, and the same call goes on. Raises, before anything is done, StorageFault
    where the disk has not the space that it takes, and NeedsPerson where more documents than ``orders.most`` speak of
    them.
    """
    _tell_received(house, request)
    with _reserved(house) as release:
        return _Erasure(house, request, orders, progress).done(release)


@contextmanager
def _reserved(house: House) -> Iterator[Callable[[], None]]:
    """Have the space that an erasure takes before it begins, and give it back when it is called for: the next
    generation of the index is built beside the last. Raises StorageFault where the disk has not as much.
    """
    path = house.root / _RESERVE
    reserve(path, _size(house.root / "index") + _RESERVED_BYTES)
    try:
        yield partial(path.unlink, missing_ok=True)
    finally:
        path.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    """Bytes of all files below a folder, of which some may go meanwhile."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118 - as os.walk gives them
    return size


class _Erasure:
    """One request on its way."""

    def __init__(self, house: House, request: ErasureRequest, orders: Orders, progress: Progress) -> None:
        self._house, self._request, self._orders, self._progress = house, request, orders, progress
        self._requests = requests_of(house)
        self._mentions = mentions_of(house)
        self._began = time.perf_counter()
        self._subject = self._requests.subject(request.id)
        self._located: tuple[int, list[Case]] | None = None
        if request.stage == "received":  # what is read from documents must be read before they go
            revision = house.shelf.revision
            self._subject, located = resolved(house, self._subject, self._mentions, progress)
            self._located = (revision, located)
            self._refuse_many(sum(case.decided for case in located))
            self._requests.put_subject(request.id, self._subject)
        self._finder = finder_of(self._subject)

    def _refuse_many(self, count: int) -> None:
        """Raise NeedsPerson before anything was done: an identifier may be that of a firm, or of everybody."""
        if count > self._orders.most:
            hint = f"see them with --plan; if they are all one person's: --most {count}"
            raise NeedsPerson(f"{count} documents speak of them, more than {self._orders.most}", hint=hint)

    def done(self, release: Callable[[], None]) -> ErasureRequest:
        shelf = self._house.shelf
        shelf.fence.put_subject(self._request.id, self._fenced())
        self._reach("fenced")
        self._tell("erasure.fenced", entries=shelf.fence.counts().get(self._request.id, 0))
        cases, revision = self._cases()
        going = [case.document_id for case in cases if case.decided and case.action != "keep"]
        shelf.restrict(going, self._request.id)
        self._reach("restricted")
        with self._alone():
            release()
            with self._house.index_begun() if going else nullcontext():
                if shelf.revision != revision + 1:  # an ingest was at work when the fence was put up
                    cases, _ = self._cases()
                self._erase(cases)
        self._reach("erased")
        self._house.record()
        actions = list(self._request.documents.values())
        self._tell(
            "erasure.erased",
            deleted=actions.count("delete"),
            redacted=actions.count("redact"),
            asked=len(self._request.asked),
            held=len(self._request.held),
            keys=self._request.erased.get("keys", 0),
        )
        return self._request

    def _fenced(self) -> Subject:
        """What nobody else can be known by: numbers that were not given may be those of a case, or of a firm."""
        sure = (i for i in self._subject.derived if i.kind == "name")
        return Subject((*self._subject.identifiers, *sure))

    def _cases(self) -> tuple[list[Case], int]:
        """What is to become of each document, and the catalog's revision that this is of."""
        revision = self._house.shelf.revision
        decisions = {**self._request.documents, **self._orders.decisions}
        if self._located is not None and self._located[0] == revision:
            found = self._located[1]
        else:
            found = locate(self._house.shelf, self._finder, self._progress)
        judged = judge(found, self._house.shelf, self._finder, self._mentions, self._progress)
        kept = set(self._request.refused) - set(self._orders.decisions)
        return [case for case in settle(judged, decisions) if case.document_id not in kept], revision

    def _erase(self, cases: Sequence[Case]) -> None:
        shelf = self._house.shelf
        holds = shelf.holds()
        held = {case.document_id: holds[case.document_id].basis for case in cases if case.document_id in holds}
        going = [c for c in cases if c.decided and c.action != "keep" and c.document_id not in held]
        mine = self._orders.decisions
        self._update(
            asked=tuple(sorted(c.document_id for c in cases if not c.decided)),
            refused=tuple(sorted({*self._request.refused, *(d for d, action in mine.items() if action == "keep")})),
            confirmed=self._request.confirmed + sum(c.document_id in mine for c in going),
            held=held,
            documents={**self._gone(going), **{c.document_id: c.action for c in going}},
        )
        self._keep_evidence(going)
        target = target_of(self._house, self._request)
        held_there = {h.name: len(known_holdings(h, target)) for h in holders_of(self._house, self._progress)}
        step("erase.evidence")
        for start in range(0, len(going), _BATCH_DOCUMENTS):
            self._replace(going[start : start + _BATCH_DOCUMENTS])
            self._progress("erased", min(start + _BATCH_DOCUMENTS, len(going)), len(going))
        self._ask_on()
        self._update(sets={**taint(self._house, target, self._progress), **self._request.sets})
        target = replace(target, versions=frozenset(self._request.sets))
        forget(self._house, target, self._progress, wait_s=self._orders.wait_s)
        before = self._request.erased
        self._update(erased={name: before.get(name, 0) + count for name, count in held_there.items()})
        show_again(self._house, self._request)

    def _gone(self, going: Sequence[Case]) -> dict[str, Action]:
        """What became of documents so far: one that was going when a call was killed, and is to stay now, is none."""
        stay = self._house.shelf.present(self._request.documents) - {case.document_id for case in going}
        return {id: action for id, action in self._request.documents.items() if id not in stay}

    def _keep_evidence(self, going: Sequence[Case]) -> None:
        """What leftovers will be searched by, on disk before anything goes."""
        shelf = self._house.shelf
        kept = self._requests.evidence(self._request.id)
        documents = [case.document_id for case in going]
        known = _without(kept, shelf, shelf.present(kept.documents).difference(documents))
        texts: list[str] = []
        names: list[str] = []
        for case in going:
            document = shelf.document(case.document_id)
            if case.action == "delete":
                found = self._finder.find(document.text, language=document.language)
            else:
                named = self._mentions.of([document])[0]
                found = goes(document, self._finder, named, self._bands(document.id))
            texts += [document.text[max(0, f.start - _EVIDENCE_CHARS) : f.end + _EVIDENCE_CHARS] for f in found]
            if case.action == "delete" or self._finder.find(as_title(document.source)):
                names.append(document.source)
        chunks = shelf.chunks_of(documents)
        vectors = [base64.b64encode(vector).decode() for vector in shelf.vectors_of(chunks)[:_MOST_VECTORS]]
        evidence = Evidence(
            texts=tuple(dict.fromkeys([*known.texts, *texts]))[:_MOST_TEXTS],
            names=tuple(dict.fromkeys([*known.names, *names])),
            vectors=tuple(dict.fromkeys([*known.vectors, *vectors]))[:_MOST_VECTORS],
            documents=tuple(dict.fromkeys([*known.documents, *documents])),
            chunks=tuple(dict.fromkeys([*known.chunks, *sorted(chunks)])),
        )
        if evidence != kept:
            self._requests.put_evidence(self._request.id, evidence)

    def _replace(self, cases: Sequence[Case]) -> None:
        """One commit: documents go, and those that name others come back without the person."""
        instead: dict[str, Raw | None] = {}
        for case in cases:
            instead[case.document_id] = None
            if case.action == "redact":
                document = self._house.shelf.document(case.document_id)
                bands, numbers = self._bands(document.id), numbers_of(self._house)
                instead[document.id] = redact(document, self._finder, self._mentions, bands=bands, numbers=numbers).raw
        put_instead(self._house, self._request.id, instead, note=self._stand_in)

    def _bands(self, document_id: str) -> tuple[Band, ...]:
        """What is taken out of a document that stays: of one that a person decided on, what was asked about too."""
        return ("certain", "ask") if document_id in self._orders.decisions else ("certain",)

    def _ask_on(self) -> None:
        """What is left in what stands for redacted documents, and may be theirs or a namesake's, is asked about too."""
        stand_ins = self._house.shelf.present(self._request.redactions.values())
        left = locate(self._house.shelf, self._finder, self._progress, among=stand_ins)
        asked = {case.document_id for case in left} - set(self._request.refused)
        self._update(asked=tuple(sorted({*self._request.asked, *asked})))

    def _stand_in(self, made: Mapping[str, str]) -> None:
        """On record before it is done: what was killed in between is done again, under other ids."""
        self._update(redactions={**self._request.redactions, **made})

    # -- waiting, and keeping how far it is --------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among writers. Raises HouseBusy after ``wait_s``."""
        until = time.monotonic() + self._orders.wait_s
        while True:
            lock = writer_lock(self._house.root)
            try:
                lock.__enter__()
                break
            except HouseBusy as busy:
                if time.monotonic() >= until:
                    hint = "the person is fenced out and hidden; run the same command again when the other is done"
                    raise HouseBusy(busy.message, hint=hint, refs=busy.refs) from None
                self._progress("waiting for another process", 0, 0)
                time.sleep(_WAIT_STEP_S)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _tell(self, kind: Kind, **counts: int) -> None:
        """A leaf of this kind with these counts, if there is none yet: a step may be done again."""
        ids = {"request": self._request.id}
        for leaf in self._house.ledger.newest_first():
            if leaf.ids == ids and leaf.kind == kind and leaf.counts == counts:
                return
            if leaf.ids == ids and leaf.kind == "erasure.received":
                break
        self._house.ledger.append(kind, ids=ids, counts=counts)

    def _reach(self, stage: Stage) -> None:
        """The stage is on record, with when it was first reached."""
        if STAGES.index(stage) <= STAGES.index(self._request.stage) and stage in self._request.reached:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        seconds = round(time.perf_counter() - self._began, 3)
        self._update(
            stage=max(stage, self._request.stage, key=STAGES.index),
            reached={**self._request.reached, stage: now},
            seconds={**self._request.seconds, stage: seconds},
        )

    def _update(self, **changes: object) -> None:
        changed = replace(self._request, **changes)  # type: ignore[arg-type]
        if changed != self._request:
            self._request = self._requests.update(changed)


def show_again(house: House, request: ErasureRequest) -> None:
    """What a request hid and neither held nor asks about, it hides no longer: what a person decided to keep, and what
    somebody else's request left of a document, in which the person does not stand any more.
    """
    hidden = {id for id, requests in house.shelf.restricted().items() if request.id in requests}
    house.shelf.lift(request.id, hidden - {*request.held, *request.asked})


def put_instead(
    house: House,
    request: str,
    instead: Mapping[str, Raw | None],
    *,
    note: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> dict[str, str]:
    """Documents go, fenced out, and come back as something else or not at all, in one commit. For the one writer.

    Old id -> new id, which ``note`` is told before anything goes. They stay in their groups; for whom they were hidden
    they stay hidden, but for ``request``.
    """
    shelf = house.shelf
    prints = []
    stay = {}
    entered = {}
    for document_id, raw in instead.items():
        entry = shelf.entry(document_id)
        document = entry.document
        if raw is not None:
            stay[document_id] = (raw, document.groups)
            entered[document_id] = entry.entered
        signature = entry.signature if raw is None else b""
        prints.append(Print(entry.sha256, document.text, document.source, signature))
    shelf.fence.put_documents(request, prints)
    made_anew = entries_of(list(stay.values()), shelf, house.workshop())
    entries = [replace(entry, entered=entered[old]) for old, entry in zip(stay, made_anew, strict=True)]
    made = {old: entry.document.id for old, entry in zip(stay, entries, strict=True)}
    note(made)
    shelf.commit(Changes(add=entries, remove=list(instead), instead=made, fulfilled=request))
    return made


def _without(evidence: Evidence, shelf: HouseShelf, stay: Collection[str]) -> Evidence:
    """Less what documents say that stay after all: they were going when a call was killed."""
    if not stay:
        return evidence
    said = [shelf.document(document_id) for document_id in stay]
    chunks = shelf.chunks_of(stay)
    vectors = {base64.b64encode(vector).decode() for vector in shelf.vectors_of(chunks)}
    return Evidence(
        texts=tuple(text for text in evidence.texts if not any(text in one.text for one in said)),
        names=tuple(name for name in evidence.names if not any(name == one.source for one in said)),
        vectors=tuple(vector for vector in evidence.vectors if vector not in vectors),
        documents=tuple(document_id for document_id in evidence.documents if document_id not in stay),
        chunks=tuple(chunk_id for chunk_id in evidence.chunks if chunk_id not in chunks),
    )


def forget(house: House, target: Target, progress: Progress, *, wait_s: float = 0.0) -> None:
    """Every holder but the models that serve forgets. For the one writer.

    Raises HouseBusy where a reader still holds an old state after ``wait_s``, EndpointFault where the server of the
    index does not answer.
    """
    house.registry.clear()
    for holder in holders_of(house, progress):
        if holder.name != "models":  # replaced first, where they can be
            # A tracker that cannot be reached is pending, and named in the certificate. The index is the house's own.
            with suppress(EndpointFault) if holder.name == "tracking" else nullcontext():
                patiently(partial(holder.erase, target), wait_s)
            step(f"erase.{holder.name}")
    export_keys(house)


def is_tracked(house: House, request: ErasureRequest) -> bool:
    """Whether a server that versions are told to still keeps what was learned, or cannot be reached."""
    if house.settings.tracking.kind == "none":
        return False
    try:
        return bool(TrackingHolder(house).holdings(target_of(house, request)))
    except EndpointFault:
        return True


def patiently(erase: Callable[[], None], wait_s: float) -> None:
    """Again while a reader holds an old state. Raises HouseBusy after ``wait_s``."""
    until = time.monotonic() + wait_s
    while True:
        try:
            return erase()
        except HouseBusy:
            if time.monotonic() >= until:
                raise
            time.sleep(_WAIT_STEP_S)


def taint(house: House, target: Target, progress: Progress) -> dict[str, str]:
    """Mark the versions that learned from what is erased: version id -> name of the training set, where it is here.

    To be called before the training sets forget: their seals tell which is whose.
    """
    sets = TrainingFolder(house.root / TRAINING)
    roots = {sets.manifest(name).root: name for name in sets.names()}
    found = {}
    for version in ModelsHolder(house, progress).tainted(target):
        found[version.id] = roots.get(version.manifest, "")
        if not version.tainted:
            house.registry.taint(version.id, taint_note())
    return found


def target_of(house: House, request: ErasureRequest) -> Target:
    """All that a request has erased so far, for whoever is to forget it or to look for it."""
    requests = requests_of(house)
    evidence = requests.evidence(request.id)
    return Target(
        documents=frozenset(evidence.documents),
        chunks=frozenset(evidence.chunks),
        sources=frozenset(evidence.names),
        finder=finder_of(requests.subject(request.id)),
        versions=frozenset(request.sets),
    )


def _target(house: House, document_ids: Sequence[str], finder: SubjectFinder) -> Target:
    ids = frozenset(document_ids)
    sources = {words.source for words in house.shelf.words(ids) if finder.find(as_title(words.source))}
    return Target(ids, frozenset(house.shelf.chunks_of(ids)), frozenset(sources), finder)

"""Verify: a search of the whole house for what a request erased, each probe beside something alive that it must find.

Raw files are read by ``freehold.proof.scan`` and databases by their own reader; nothing is asked of the stores or of
what erased. What is looked for comes out of the request's sealed evidence. Where a server keeps the vectors, its files
are out of reach: all that it answers with is read instead.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freehold.core.erasure import ErasureRequest, Evidence, Identifier
from freehold.core.fence import Print
from freehold.core.machine import share
from freehold.erasing.holders import learned_from
from freehold.erasing.orphans import orphans
from freehold.erasing.served import Served, count_same
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.indexes import SERVED
from freehold.journeys.ingest import Progress
from freehold.proof.matching import Pattern
from freehold.proof.scan import Probe, Scanned, rows, scan
from freehold.proof.writings import (
    SHORTEST_NEEDLE,
    plain_patterns,
    raw_vector_patterns,
    text_patterns,
    vector_patterns,
)
from freehold.store.traffic import FILE as TRAFFIC

_SENTINEL_CHARS = 24
_SENTINELS = 16
_IN_ALL_WRITINGS = 20
"""Of the texts, and of the vectors; the others are sought as the house itself writes them."""
_LEAST_NAME_BYTES = 8
"""Of the name of a document's source: what is shorter, a number in a corpus, stands elsewhere too."""
_QUERIES = 10
_DEPTH = 100
_STRONG = frozenset({"email", "phone", "iban", "national_id", "reference"})


@dataclass(frozen=True, slots=True)
class Verified:
    """What every probe found."""

    probes: tuple[Probe, ...]

    @property
    def passed(self) -> bool:
        """Whether all looked and none found anything."""
        return all(probe.verdict == "pass" for probe in self.probes)


def verify(house: House, request: ErasureRequest, progress: Progress) -> Verified:
    """Look for what the request erased. Costs a pass over every byte of the house, twice over its databases."""
    requests = requests_of(house)
    evidence = requests.evidence(request.id)
    subject = requests.subject(request.id)
    probes = [
        _read(house, evidence),
        _keys(house, request, evidence),
        orphans(house.root),
        *_traffic(house, evidence),
        *_raw(house, request, evidence, [*subject.identifiers, *subject.derived], progress),
        *_served(house, request, evidence),
        _retrieval(house, evidence),
        _fence(house, request),
        _registry(house, evidence),
        _stand_ins(house, request),
    ]
    return Verified(tuple(probes))


def _read(house: House, evidence: Evidence) -> Probe:
    """Rows of erased documents and chunks, by their ids."""
    path = house.root / "catalog.sqlite"
    hits = 0
    for table, column, ids in (
        ("documents", "id", evidence.documents),
        ("texts", "document_id", evidence.documents),
        ("mentions", "document_id", evidence.documents),
        ("chunks", "id", evidence.chunks),
        ("vectors", "chunk_id", evidence.chunks),
    ):
        hits += sum(rows(path, f"SELECT count(*) FROM {table} WHERE {column} = ?", (id,)) for id in ids)  # noqa: S608
    return Probe("read-catalog", "read", "catalog", rows(path, "SELECT count(*) FROM meta"), hits)


def _keys(house: House, request: ErasureRequest, evidence: Evidence) -> Probe:
    """Keys of erased documents, and of backups of model versions that are gone. The request's own is the living one."""
    path = house.root / "vault.sqlite"
    query = "SELECT count(*) FROM keys WHERE document_id LIKE '%' || ?"  # of the document, and of its backups
    gone = {*request.sets} - {version.id for version in house.registry.all()}
    hits = sum(rows(path, query, (id,)) for id in (*evidence.documents, *sorted(gone)))
    return Probe("read-keys", "key", "keys", rows(path, "SELECT count(*) FROM keys"), hits)


def _traffic(house: House, evidence: Evidence) -> Iterator[Probe]:
    """Hits of erased documents in the query log, and feedback on erased chunks. That it has tables is the control."""
    path = house.root / TRAFFIC
    if path.exists():
        hits = sum(rows(path, "SELECT count(*) FROM shown WHERE document_id = ?", (id,)) for id in evidence.documents)
        hits += sum(rows(path, "SELECT count(*) FROM feedback WHERE chunk_id = ?", (id,)) for id in evidence.chunks)
        tables = rows(path, "SELECT count(*) FROM sqlite_master WHERE name = 'shown'")
        yield Probe("read-traffic", "read", "traffic", tables, hits)


def _raw(
    house: House, request: ErasureRequest, evidence: Evidence, identifiers: Sequence[Identifier], progress: Progress
) -> Iterator[Probe]:
    """Bytes of text and of vectors, in any file of the house."""
    vectors = [base64.b64decode(vector) for vector in evidence.vectors]
    living = _living(house, request, vectors)
    progress("verify", 0, 1)
    found = scan(house.root, [*_gone(evidence, identifiers, vectors, living), *living.patterns()], threads=share())
    progress("verify", 1, 1)
    store, place = ("catalog", "catalog") if house.settings.index.kind == "qdrant" else ("index", "index/")
    living_there = sum(name.startswith(place) for name in found.found.get("living vector", ()))
    ids = {name: count for name, count in found.found.get("id", {}).items() if not _may_name(name, house)}
    controls = _in_catalog(found, "living id") if living.ids else 1
    yield Probe("raw-ids", "raw-bytes", "house", controls, *_told(ids), found.unread)
    texts = _told(found.found.get("text", {}))
    yield Probe("raw-text", "raw-bytes", "house", _in_catalog(found, "living text"), *texts, found.unread)
    controls = min(living_there, 1) if living.vectors else 1
    hits = _told(found.found.get("vector", {}))
    yield Probe("raw-vectors", "raw-vector", store, controls, *hits, found.unread)


def _served(house: House, request: ErasureRequest, evidence: Evidence) -> Iterator[Probe]:
    """Erased chunks and their vectors among all points that a server gives back. Raises EndpointFault."""
    if house.settings.index.kind != "qdrant":
        return
    vectors = [base64.b64decode(vector) for vector in evidence.vectors]
    living = _living(house, request, vectors)
    gone, alone = set(evidence.chunks), [vector for vector in vectors if vector not in living.shared]
    hits = controls = 0
    for ids, found in Served(house.root / SERVED, house.settings.index).pages():
        hits += len(gone.intersection(ids)) + count_same(found, alone)
        controls += count_same(found, living.vectors)
    yield Probe("served-vectors", "served", "index", controls if living.vectors else 1, hits)


def _living(house: House, request: ErasureRequest, vectors: Sequence[bytes]) -> _Living:
    kept = {*request.refused, *request.held, *request.asked}
    return _Living(house.root / "catalog.sqlite", kept, gone=set(vectors))


def _gone(
    evidence: Evidence, identifiers: Sequence[Identifier], vectors: Sequence[bytes], living: _Living
) -> Iterator[Pattern]:
    """What must not be found: owners ``text``, ``id`` and ``vector``."""
    spared = living.spared()
    for identifier in identifiers:
        value = identifier.value
        if identifier.kind in {*_STRONG, "name"} and len(value.encode()) >= SHORTEST_NEEDLE and value not in spared:
            yield from text_patterns(value, "text", whole=True)  # others' may begin with theirs
    for name in evidence.names:
        if len(name.encode("utf-8", "surrogatepass")) >= _LEAST_NAME_BYTES:
            yield from text_patterns(name, "text", whole=True)
    texts = [text for text in evidence.texts if len(text) >= SHORTEST_NEEDLE and text not in spared]
    for at, text in enumerate(texts):
        yield from text_patterns(text, "text") if at < _IN_ALL_WRITINGS else plain_patterns(text, "text")
    for id in evidence.documents:
        yield from plain_patterns(id, "id")
    alone = (np.frombuffer(vector, "<f4") for vector in vectors if vector not in living.shared)
    for at, vector in enumerate(alone):
        yield from vector_patterns(vector, "vector") if at < _IN_ALL_WRITINGS else raw_vector_patterns(vector, "vector")


def _in_catalog(found: Scanned, owner: str) -> int:
    return sum(count for name, count in found.found.get(owner, {}).items() if name.startswith("catalog"))


def _may_name(file: str, house: House) -> bool:
    """Whether ids of erased documents, which say nothing, stand there by right: on record of a request, in the ledger,
    and in the manifest of a version that is marked and waits to be replaced.
    """
    parts = file.split("/")
    if parts[0] in {"requests", "ledger"}:
        return True
    tainted = {version.id for version in house.registry.all() if version.tainted}
    return parts[0] == "models" and parts[1] in tainted


def _told(found: Mapping[str, int]) -> tuple[int, tuple[str, ...]]:
    return sum(found.values()), tuple(sorted(found))


class _Living:
    """What is in the catalog now, by a reader of its own."""

    def __init__(self, path: Path, kept: Collection[str], gone: Collection[bytes]) -> None:
        """``kept``: documents that stay although they may speak of the person, as was decided; ``gone``: vectors."""
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            vectors = "SELECT dense FROM vectors WHERE dense IS NOT NULL"
            self.vectors = [row[0] for row in connection.execute(f"{vectors} LIMIT {_SENTINELS}")]
            self.shared = {row[0] for row in connection.execute(vectors) if row[0] in gone} if gone else set()
            """Of the vectors that should be gone, those that living documents have too: the same words, somewhere."""
            marks = ",".join("?" * len(kept))
            query = f"SELECT text FROM texts WHERE document_id IN ({marks})"  # noqa: S608
            self._kept = [row[0] for row in connection.execute(query, sorted(kept))]
            self.ids = [row[0] for row in connection.execute("SELECT id FROM documents LIMIT 1")]
            some = connection.execute("SELECT text FROM texts WHERE length(text) > 200 LIMIT 1").fetchone()
            facts = connection.execute("SELECT value FROM meta WHERE length(value) >= 8 LIMIT 1").fetchone()
        # Some words of a living text; in a house without one, a fact about the house.
        self.sentinels = [some[0][100 : 100 + _SENTINEL_CHARS]] if some else [facts[0]]

    def patterns(self) -> Iterator[Pattern]:
        """What must be found: owners ``living text``, ``living id`` and ``living vector``."""
        for text in self.sentinels:
            yield from plain_patterns(text, "living text")
        for id in self.ids:
            yield from plain_patterns(id, "living id")
        for vector in self.vectors:  # one may be of a document that is hidden
            yield from raw_vector_patterns(np.frombuffer(vector, "<f4"), "living vector")

    def spared(self) -> _Spared:
        return _Spared(tuple(text.casefold() for text in self._kept))


@dataclass(frozen=True)
class _Spared:
    """What stands in documents that stay: a namesake's, or under a legal hold."""

    texts: tuple[str, ...]

    def __contains__(self, string: object) -> bool:
        return isinstance(string, str) and any(string.casefold() in text for text in self.texts)


def _retrieval(house: House, evidence: Evidence) -> Probe:
    """Erased documents among the hits of what they said. A living document's own words are the control."""
    if house.shelf.is_empty():
        return Probe("retrieval", "retrieval", "index", 1, 0)  # there is nothing that could be found
    gone = set(evidence.documents)
    hits = 0
    for text in evidence.texts[:_QUERIES]:
        question = " ".join(text.split())
        if any(map(str.isalnum, question)):
            hits += sum(hit.document_id in gone for hit in house.search(question, k=_DEPTH).hits)
    living = next(iter(house.shelf.views(sorted(house.shelf.chunk_ids())[:1]).values()), None)
    if living is None:
        return Probe("retrieval", "retrieval", "index", 1, hits)
    found = house.search(" ".join(living.chunk.text.split()[:20]), k=_DEPTH).hits
    return Probe("retrieval", "retrieval", "index", sum(hit.chunk_id == living.chunk.id for hit in found), hits)


def _fence(house: House, request: ErasureRequest) -> Probe:
    """Whether the person would be let in again. That the fence has entries at all is the control."""
    subject = requests_of(house).subject(request.id)
    let_in = 0
    for identifier in subject.identifiers:
        if identifier.kind in {*_STRONG, "name"}:
            let_in += house.shelf.fence.refusal(Print("", f"Re: {identifier.value}, as agreed", "new", b"")) is None
    return Probe("re-ingest", "re-ingest", "fence", house.shelf.fence.counts().get(request.id, 0), let_in)


def _registry(house: House, evidence: Evidence) -> Probe:
    """Versions that learned from erased documents and are not marked; that versions can be read is the control."""
    gone = set(evidence.documents)
    hits = sum(bool(learned_from(house, v) & gone) and not v.tainted for v in house.registry.all())
    return Probe("registry", "registry", "models", len(house.registry.lineups()), hits)


def _stand_ins(house: House, request: ErasureRequest) -> Probe:
    """Documents that name others and were to be redacted, and for which nothing stands: what was others' is lost."""
    lost = sum(action == "redact" and d not in request.redactions for d, action in request.documents.items())
    return Probe("stand-ins", "read", "catalog", rows(house.root / "catalog.sqlite", "SELECT count(*) FROM meta"), lost)

"""Verify: a search of the whole house for what a request erased, each probe beside something alive that it must find.

Raw files are read by ``freehold.proof.scan`` and databases by their own reader; nothing is asked of the stores or of
what erased. What is looked for comes out of the request's sealed evidence.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freehold.core.erasure import ErasureRequest, Evidence, Identifier
from freehold.core.fence import Print
from freehold.erasing.holders import learned_from
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.proof.scan import (
    SHORTEST_NEEDLE,
    Needles,
    Probe,
    forms,
    plain_forms,
    rows,
    scan,
    vector_forms,
)

_SENTINEL_CHARS = 24
_SENTINELS = 16
_MOST_FRAGMENTS = 400
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
        _keys(house, evidence),
        *_raw(house, request, evidence, [*subject.identifiers, *subject.derived], progress),
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
        ("chunks", "id", evidence.chunks),
        ("vectors", "chunk_id", evidence.chunks),
    ):
        hits += sum(rows(path, f"SELECT count(*) FROM {table} WHERE {column} = ?", (id,)) for id in ids)  # noqa: S608
    return Probe("read-catalog", "read", "catalog", rows(path, "SELECT count(*) FROM meta"), hits)


def _keys(house: House, evidence: Evidence) -> Probe:
    """Keys of erased documents. The request's own key is the living one."""
    path = house.root / "vault.sqlite"
    query = "SELECT count(*) FROM keys WHERE document_id LIKE '%' || ?"  # of the document, and of its backups
    hits = sum(rows(path, query, (id,)) for id in evidence.documents)
    return Probe("read-keys", "key", "keys", rows(path, "SELECT count(*) FROM keys"), hits)


def _raw(
    house: House, request: ErasureRequest, evidence: Evidence, identifiers: Sequence[Identifier], progress: Progress
) -> Iterator[Probe]:
    """Bytes of text and of vectors, in any file of the house."""
    living = _Living(house.root / "catalog.sqlite", {*request.refused, *request.held, *request.asked})
    spared = living.spared()
    texts = [text for text in evidence.texts if len(text) >= SHORTEST_NEEDLE and text not in spared]
    strings = [*texts[:_MOST_FRAGMENTS], *evidence.names]
    who = [i.value for i in identifiers if i.kind in {*_STRONG, "name"} and i.value not in spared]
    vectors = [np.frombuffer(base64.b64decode(vector), "<f4") for vector in evidence.vectors]
    gone = [vector for vector in vectors if vector.tobytes() not in living.vectors]
    progress("verify", 0, 1)
    found = scan(
        house.root,
        {
            "text": Needles(
                (form for string in strings for form in forms(string)),
                whole=(form for string in who for form in plain_forms(string)),  # others' may begin with theirs
            ),
            "ids": Needles(id.encode() for id in evidence.documents),
            "living id": Needles(id.encode() for id in living.ids),
            "living text": Needles(form for string in living.sentinels for form in forms(string)),
            "vector": Needles(form for vector in gone for form in vector_forms(vector)),
            "living vector": Needles(
                form
                for vector in list(living.vectors)[:_SENTINELS]  # one may be of a document that is hidden
                for form in vector_forms(np.frombuffer(vector, "<f4"))
            ),
        },
    )
    progress("verify", 1, 1)
    index_lives = [name for name in found["living vector"] if name.startswith("index/")]
    catalog_lives = sum(count for name, count in found["living text"].items() if name.startswith("catalog"))
    ids = {name: count for name, count in found["ids"].items() if not _may_name(name, house)}
    named = [path for path in house.root.rglob("*") if path.name in set(evidence.documents)]
    for path in named:
        ids[path.relative_to(house.root).as_posix()] = 1
    lives = sum(count for name, count in found["living id"].items() if name.startswith("catalog"))
    yield Probe("raw-ids", "raw-bytes", "house", lives or int(not living.ids), *_told(ids))
    yield Probe("raw-text", "raw-bytes", "house", catalog_lives, *_told(found["text"]))
    empty = not living.vectors
    controls = 1 if empty else min(len(index_lives), 1)
    yield Probe("raw-vectors", "raw-vector", "index", controls, *_told(found["vector"]))


def _may_name(file: str, house: House) -> bool:
    """Whether ids of erased documents, which say nothing, stand there by right: on record of a request, in the ledger,
    and in the manifest of a version that is marked and waits to be replaced.
    """
    parts = file.split("/")
    if parts[0] in {"requests", "ledger"}:
        return True
    tainted = {version.id for version in house.registry.all() if version.tainted}
    return parts[0] == "models" and parts[1] in tainted


def _told(found: dict[str, int]) -> tuple[int, tuple[str, ...]]:
    return sum(found.values()), tuple(sorted(found))


class _Living:
    """What is in the catalog now, by a reader of its own."""

    def __init__(self, path: Path, kept: Collection[str]) -> None:
        """``kept``: documents that stay although they may speak of the person, as was decided."""
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            self.vectors = {row[0] for row in connection.execute("SELECT dense FROM vectors WHERE dense IS NOT NULL")}
            marks = ",".join("?" * len(kept))
            query = f"SELECT text FROM texts WHERE document_id IN ({marks})"  # noqa: S608
            self._kept = [row[0] for row in connection.execute(query, sorted(kept))]
            self.ids = [row[0] for row in connection.execute("SELECT id FROM documents LIMIT 1")]
            some = connection.execute("SELECT text FROM texts WHERE length(text) > 200 LIMIT 1").fetchone()
            facts = connection.execute("SELECT value FROM meta WHERE length(value) >= 8 LIMIT 1").fetchone()
        finally:
            connection.close()
        # Some words of a living text; in a house without one, a fact about the house.
        self.sentinels = [some[0][100 : 100 + _SENTINEL_CHARS]] if some else [facts[0]]

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
    if not house.stats().chunks:
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

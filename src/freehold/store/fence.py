"""The fence in the catalog's database: keyed digests of identifiers and documents, under a key that lies in the vault.

A digest is BLAKE2b under 32 random bytes. Whoever has both database and vault can test whether somebody was erased, as
they must be able to; whoever has the database alone has noise (EDPB Guidelines 01/2025 on pseudonymisation).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from freehold.core.erasure import Subject
from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.fence import Print, Reason
from freehold.privacy.subjects import identifier_forms, text_forms
from freehold.store.rows import EPOCH, raise_fact, read_fact
from freehold.store.sqlite import guarded, truncate_log
from freehold.store.vault import Vault
from freehold.text.duplicates import similarity

RESEMBLES = 0.9
"""Estimated Jaccard similarity to an erased document from which a person is asked."""

_DIGEST_BYTES = 16
_KEY = "fence:house"
_metadata = sa.MetaData()
_prints = sa.Table(
    "fence_prints",
    _metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("request", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("words", sa.Integer, nullable=False),
)
_signatures = sa.Table(
    "fence_signatures",
    _metadata,
    sa.Column("request", sa.String, primary_key=True),
    sa.Column("veiled", sa.LargeBinary, primary_key=True),
)


class HouseFence:
    """The port ``freehold.core.fence.Fence`` over tables beside the catalog's."""

    def __init__(self, engine: sa.Engine, path: Path, vault: Vault) -> None:
        """``engine`` is the catalog's, on ``path``."""
        self._engine, self._path, self._vault = engine, path, vault
        self._key = vault.ensure(_KEY)
        self._read: tuple[int, dict[bytes, Reason], tuple[int, ...], list[bytes]] | None = None
        with guarded(path):
            _metadata.create_all(engine)

    @property
    def epoch(self) -> int:
        with guarded(self._path), self._engine.connect() as c:
            return int(read_fact(c, EPOCH) or 0)

    @property
    def mark(self) -> str:
        """By it a house, and what is restored from it, is told from others: a digest that says nothing else."""
        return hashlib.blake2b(b"house", key=self._key, digest_size=_DIGEST_BYTES).hexdigest()

    def put_subject(self, request: str, subject: Subject) -> None:
        rows = {}
        for identifier in subject.identifiers:
            for form in identifier_forms(identifier):
                digest = self._digest("person", form)
                rows[digest] = _row(digest, request, "names_person", words=form.count(" ") + 1)
        self._put(rows.values(), ())

    def put_documents(self, request: str, prints: Sequence[Print], *, past_retention: bool = False) -> None:
        rows = {}
        for seen in prints:
            for known_by, digest in self._digests(seen).items():
                rows[digest] = _row(digest, request, "past_retention" if past_retention else known_by, words=0)
        veiled = [{"request": request, "veiled": self._veiled(p.signature)} for p in prints if p.signature]
        self._put(rows.values(), veiled)

    def _put(self, prints: Iterable[Mapping[str, object]], veiled: Sequence[Mapping[str, object]]) -> None:
        with guarded(self._path), self._engine.begin() as c:
            if rows := list(prints):
                c.execute(sa.insert(_prints).prefix_with("OR IGNORE"), rows)
            if veiled:
                c.execute(sa.insert(_signatures).prefix_with("OR IGNORE"), veiled)
            raise_fact(c, EPOCH)
            step("fence.before_commit")

    def refusal(self, seen: Print) -> Reason | None:
        known, lengths, veiled = self._known()
        if not known and not veiled:
            return None
        reasons = [known[digest] for digest in self._digests(seen).values() if digest in known]
        for reason in reasons:
            if not _is_past(reason):
                return reason
        whole = f"{seen.source}\n{seen.text}"
        if lengths and any(self._digest("person", form) in known for form in set(text_forms(whole, lengths))):
            return "names_person"
        if veiled and seen.signature:
            mine = self._veiled(seen.signature)
            if any(similarity(mine, other) >= RESEMBLES for other in veiled):
                return "resembles"
        return next(iter(reasons), None)

    def remove(self, request: str) -> None:
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(_prints).where(_prints.c.request == request))
            c.execute(sa.delete(_signatures).where(_signatures.c.request == request))
            raise_fact(c, EPOCH)
        truncate_log(self._engine)

    def counts(self) -> Mapping[str, int]:
        count = sa.func.count()
        query = sa.select(_prints.c.request, count).group_by(_prints.c.request)
        with guarded(self._path), self._engine.connect() as c:
            return {row[0]: row[1] for row in c.execute(query)}

    def exported(self) -> Mapping[str, object]:
        """All entries and the key under which they were made, for another house that is to refuse the same."""
        with guarded(self._path), self._engine.connect() as c:
            prints = [[r.digest.hex(), r.request, r.reason, r.words] for r in c.execute(sa.select(_prints)).all()]
            veiled = [[r.request, r.veiled.hex()] for r in c.execute(sa.select(_signatures)).all()]
        return {"key": self._key.hex(), "prints": sorted(prints), "signatures": sorted(veiled)}

    def take_in(self, exported: Mapping[str, Any]) -> None:
        """Refuse what another fence refused. Raises StorageFault where this one has entries under its own key."""
        if exported["key"] != self._key.hex():
            if self.counts():
                raise StorageFault("the fence has entries of its own", hint="restore into a new folder")
            self._key = bytes.fromhex(exported["key"])
            self._vault.put(_KEY, self._key)
        prints = [_row(bytes.fromhex(d), request, reason, words=n) for d, request, reason, n in exported["prints"]]
        veiled = [{"request": r, "veiled": bytes.fromhex(v)} for r, v in exported["signatures"]]
        self._put(prints, veiled)

    def _known(self) -> tuple[dict[bytes, Reason], tuple[int, ...], list[bytes]]:
        """All entries, read anew when the epoch rose."""
        epoch = self.epoch
        if self._read is None or self._read[0] != epoch:
            with guarded(self._path), self._engine.connect() as c:
                rows = list(c.execute(sa.select(_prints)))
                veiled = [row.veiled for row in c.execute(sa.select(_signatures)).all()]
            lengths = tuple(sorted({row.words for row in rows if row.words}))
            rows.sort(key=lambda row: not _is_past(row.reason))  # what was erased for somebody stays that
            self._read = (epoch, {row.digest: row.reason for row in rows}, lengths, veiled)
        return self._read[1:]

    def _digests(self, seen: Print) -> dict[Reason, bytes]:
        found: dict[Reason, bytes] = {"same_text": self._digest("text", " ".join(seen.text.split()))}
        if seen.sha256:
            found["same_file"] = self._digest("file", seen.sha256)
        return found

    def _digest(self, purpose: str, value: str) -> bytes:
        data = f"{purpose}\0{value}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def _veiled(self, signature: bytes) -> bytes:
        """The signature with each of its values under the key: equal values stay equal, and ``similarity`` holds."""
        values = np.frombuffer(signature, "<u4")
        veil = (
            hashlib.blake2b(b"%d:%d" % (at, value), key=self._key, digest_size=4).digest()
            for at, value in enumerate(values)
        )
        return b"".join(veil)


def _is_past(reason: Reason) -> bool:
    return reason == "past_retention"


def _row(digest: bytes, request: str, reason: Reason, *, words: int) -> Mapping[str, object]:
    return {"digest": digest, "request": request, "reason": reason, "words": words}

"""The vault: one fresh key per document, so that destroying a key destroys every sealed copy of the document.

Document keys are AES-256-GCM keys, wrapped (RFC 3394) by the house key in ``vault.key`` and kept in ``vault.sqlite``,
apart from the catalog because its backups must be short-lived (a key that survives in a backup is not destroyed).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from freehold.core.errors import StorageFault
from freehold.core.files import write_durably
from freehold.store.rows import batches
from freehold.store.sqlite import connect, guarded, truncate_log, write_anew

_metadata = sa.MetaData()
_keys = sa.Table(
    "keys",
    _metadata,
    sa.Column("document_id", sa.String, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

_marks = sa.Table(
    "marks",
    _metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    sa.Column("what", sa.String, nullable=False),
)
"""Of keys that key files outside of the house have: by them it is known which to take out there, and which to leave."""

Mark = Literal["destroyed", "given"]
"""Destroyed here; or of another house that this one was restored from."""

_NONCE_BYTES = 12
_HANDED_OUT = ("backup:", "request:")
"""Begin the names of the keys that key files have."""
_OTHER = ":"
"""In the name of a key that is no document's."""
_LAST = chr(0x10FFFF)
"""Sorts behind whatever a name may go on with."""


class Vault:
    """Seals bytes under a document's own key and forgets keys for good."""

    def __init__(self, root: Path) -> None:
        """Open the vault in ``root``, making it and its house key when there is none."""
        self._path = root / "vault.sqlite"
        self._house_key = _house_key(root / "vault.key", fresh=not self._path.exists())
        self._engine = connect(self._path, _metadata)

    def create(self, document_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Make and keep a fresh 32-byte key for each document; durable on return."""
        keys = {document_id: AESGCM.generate_key(256) for document_id in document_ids}
        rows = [{"document_id": d, "wrapped": aes_key_wrap(self._house_key, key)} for d, key in keys.items()]
        if rows:
            with guarded(self._path), self._engine.begin() as c:
                c.execute(sa.insert(_keys), rows)
        return keys

    def ensure(self, name: str) -> bytes:
        """The key of something that is no document, ``purpose:name``; made when first asked for, durable on return."""
        with guarded(self._path), self._engine.begin() as c:
            fresh = aes_key_wrap(self._house_key, AESGCM.generate_key(256))
            c.execute(sa.insert(_keys).prefix_with("OR IGNORE").values(document_id=name, wrapped=fresh))
        return self.key(name)

    def put(self, name: str, key: bytes) -> None:
        """Keep this key under the name, in the place of the one there; durable on return."""
        wrapped = aes_key_wrap(self._house_key, key)
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(_keys).where(_keys.c.document_id == name))
            c.execute(sa.insert(_keys).values(document_id=name, wrapped=wrapped))

    def key(self, document_id: str) -> bytes:
        """The document's key. Raises StorageFault when it is not there (any more) or the house key does not fit."""
        with guarded(self._path), self._engine.connect() as c:
            wrapped = c.execute(sa.select(_keys.c.wrapped).where(_keys.c.document_id == document_id)).scalar()
        if wrapped is None:
            raise StorageFault("no key for the document", hint="it was deleted or erased", refs=(document_id,))
        try:
            return aes_key_unwrap(self._house_key, wrapped)
        except InvalidUnwrap:
            raise StorageFault(
                "vault.key does not open vault.sqlite", hint="restore both from the same backup", refs=(document_id,)
            ) from None

    def destroy(self, document_ids: Collection[str]) -> None:
        """Overwrite the keys; unknown ids are ignored. What they sealed can never be opened again."""
        if not document_ids:
            return
        with guarded(self._path), self._engine.begin() as c:
            for document_id in document_ids:
                if document_id.startswith(_HANDED_OUT):
                    self._mark_destroyed(c, document_id)
                c.execute(sa.delete(_keys).where(_keys.c.document_id == document_id))
        truncate_log(self._engine)

    def _mark_destroyed(self, c: sa.Connection, name: str) -> None:
        wrapped = c.execute(sa.select(_keys.c.wrapped).where(_keys.c.document_id == name)).scalar()
        with contextlib.suppress(InvalidUnwrap):  # what nobody can read need not be known again
            if wrapped is not None:
                _put_marks(c, [fingerprint(aes_key_unwrap(self._house_key, wrapped))], "destroyed")

    def mark(self, fingerprints: Collection[str], what: Mark) -> None:
        """Keep this of keys, in the place of what was kept of them; durable on return."""
        with guarded(self._path), self._engine.begin() as c:
            _put_marks(c, fingerprints, what)

    def unmark(self, what: Mark) -> None:
        """Keep this of no key any more; durable on return."""
        with guarded(self._path), self._engine.begin() as c:
            c.execute(sa.delete(_marks).where(_marks.c.what == what))

    def marked(self, what: Mark) -> set[str]:
        """Fingerprints of the keys of which this is kept."""
        with guarded(self._path), self._engine.connect() as c:
            return set(c.execute(sa.select(_marks.c.fingerprint).where(_marks.c.what == what)).scalars())

    def keys(self, beginning: str) -> dict[str, bytes]:
        """Name -> key of all that are no document's and begin so, as of one moment, sorted. Raises StorageFault."""
        name = _keys.c.document_id
        within = sa.select(name, _keys.c.wrapped).where(name >= beginning, name < beginning + _LAST).order_by(name)
        with guarded(self._path), self._engine.connect() as c:
            rows = list(c.execute(within))
        try:
            return {row[0]: aes_key_unwrap(self._house_key, row[1]) for row in rows}
        except InvalidUnwrap:
            hint = "restore both from the same backup"
            raise StorageFault("vault.key does not open vault.sqlite", hint=hint) from None

    def named(self, beginning: str) -> list[str]:
        """Names of the keys that are no document's and begin so, sorted."""
        name = _keys.c.document_id
        within = sa.select(name).where(name >= beginning, name < beginning + _LAST).order_by(name)
        with guarded(self._path), self._engine.connect() as c:
            return list(c.execute(within).scalars())

    def present(self, names: Collection[str]) -> set[str]:
        """Those of these names, of documents or of others, that have a key."""
        name = _keys.c.document_id
        with guarded(self._path), self._engine.connect() as c:
            each = (c.execute(sa.select(name).where(name.in_(batch))).scalars() for batch in batches(names))
            return {found for batch in each for found in batch}

    def truncate(self) -> bool:
        """Empty the database's log; False while a reader holds an old state."""
        return truncate_log(self._engine)

    def write_anew(self) -> bool:
        """Write the database anew, without what deleted rows left in it; False while a reader holds an old state."""
        return write_anew(self._engine)

    def ids(self) -> set[str]:
        """Ids of all documents that have a key."""
        with guarded(self._path), self._engine.connect() as c:
            # Of every document, so past what a query builder does with each row.
            names = c.exec_driver_sql("SELECT document_id FROM keys").cursor.fetchall()
            return {name for (name,) in names if _OTHER not in name}

    def close(self) -> None:
        self._engine.dispose()


def fingerprint(key: bytes) -> str:
    """By which a key is known again, and from which nobody gets it."""
    return hashlib.sha256(key).hexdigest()[:32]


def _put_marks(c: sa.Connection, fingerprints: Collection[str], what: Mark) -> None:
    rows = [{"fingerprint": one, "what": what} for one in fingerprints]
    if rows:
        c.execute(sa.insert(_marks).prefix_with("OR REPLACE"), rows)


def seal(key: bytes, data: bytes, *, document_id: str) -> bytes:
    """nonce || AES-256-GCM ciphertext, bound to the document's id."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, document_id.encode())


def unseal(key: bytes, sealed: bytes, *, document_id: str) -> bytes:
    """The sealed bytes. Raises StorageFault when they were changed or belong to another document."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], document_id.encode())
    except (InvalidTag, ValueError):
        raise StorageFault("a stored original is damaged", hint="ingest the file again", refs=(document_id,)) from None


def _house_key(path: Path, *, fresh: bool) -> bytes:
    if fresh and not path.exists():
        write_durably(path, AESGCM.generate_key(256), mode=0o600)
    try:
        key = path.read_bytes()
    except OSError as e:
        raise StorageFault(f"vault.key: {e.strerror}", hint="restore it from a backup", refs=(str(path),)) from None
    if len(key) != 32:
        raise StorageFault("vault.key is damaged", hint="restore it from a backup", refs=(str(path),))
    return key
